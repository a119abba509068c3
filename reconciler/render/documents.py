"""Plans, reports and errors as the JSON documents that `formats` describes.

A credential appears as the place it is read from; no secret is ever in a document.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from reconciler.errors import AliasctlError, InvalidInput, Problem
from reconciler.formats import FORMAT_VERSION, Document, checksum
from reconciler.manifest.records import Manifests
from reconciler.model import Connection, Credential, Source
from reconciler.plan import Action, Plan, SetPlan, Step, TargetPlan, gate_specification
from reconciler.report import Outcome, Report, StepResult
from reconciler.status import StatusRow


def plan_document(plan: Plan) -> Document:
    """A plan as `schemas/plan.schema.json` has it."""
    actions = Counter(step.action for step in plan.runnable)
    document = {
        "kind": "Plan",
        "formatVersion": FORMAT_VERSION,
        "digest": plan.digest,
        "created": plan.created,
        "tool": {"name": "aliasctl", "version": plan.tool_version},
        "summary": {
            **{str(action): actions[action] for action in Action},
            "blocked": len(plan.steps) - len(plan.runnable),
            "unchanged": sum(set_plan.unchanged for set_plan in plan.set_plans),
        },
        "targets": [
            _target_document(target, [_step_document(step) for step in target.steps]) for target in plan.targets
        ],
    }
    return document | {"checksum": checksum(document)}


def report_document(report: Report) -> Document:
    """A report as `schemas/report.schema.json` has it: the plan's targets, and each step with its outcome."""
    counts = report.counts
    return {
        "kind": "Report",
        "formatVersion": FORMAT_VERSION,
        "planDigest": report.plan.digest,
        "tool": {"name": "aliasctl", "version": report.plan.tool_version},
        "started": report.started,
        "ended": report.ended,
        "interrupted": report.interrupted,
        "exitCode": int(report.exit_code),
        "summary": {str(outcome): counts[outcome] for outcome in Outcome},
        "targets": [
            _target_document(target.plan, [_result_document(result) for result in target.results])
            for target in report.targets
        ],
    }


def error_document(error: AliasctlError) -> Document:
    """An error as `schemas/error.schema.json` has it: every problem of the input, or the one thing that went wrong."""
    if isinstance(error, InvalidInput):
        errors = [
            _without_none(code=error.code, message=problem.message, source=source_document(problem.source))
            for problem in error.problems
        ]
    else:
        errors = [{"code": error.code, "message": str(error)}]
    return {"kind": "Error", "formatVersion": FORMAT_VERSION, "exitCode": int(error.exit_code), "errors": errors}


def _without_none(**fields: object) -> Document:
    return {key: value for key, value in fields.items() if value is not None}


def _target_document(target: TargetPlan, steps: list[Document]) -> Document:
    return {
        "address": target.target.address,
        "database": target.target.database,
        "connection": _connection_document(target.connection),
        "serverVersion": target.server_version,
        "offline": target.offline,
        "aliases": target.alias_count,
        "calls": target.calls,
        "sets": [_set_document(set_plan) for set_plan in target.sets],
        "steps": steps,
    }


def _connection_document(connection: Connection) -> Document:
    tls = connection.tls
    return _without_none(
        name=connection.name,
        uri=connection.uri,
        origin=str(connection.origin),
        timeoutSeconds=connection.timeout,
        concurrency=connection.concurrency,
        token=_credential_document(connection.token),
        tls=_without_none(
            ca=_credential_document(tls.ca),
            cert=_credential_document(tls.cert),
            key=_credential_document(tls.key),
            serverName=tls.server_name,
        )
        if tls
        else None,
    )


def _credential_document(credential: Credential | None) -> Document | None:
    return _without_none(env=credential.env, file=credential.file) if credential else None


def _set_document(plan: SetPlan) -> Document:
    return _without_none(
        name=plan.set,
        suspended=plan.suspended,
        unchanged=plan.unchanged,
        covered=plan.covered,
        governed=plan.governed,
        refusals=list(plan.refusals),
        source=source_document(plan.source),
    )


def source_document(source: Source | None) -> Document | None:
    """A place in a manifest; None where nothing is known."""
    if source is None:
        return None
    return _without_none(file=source.file, line=source.line or None, column=source.column or None)


def _step_document(step: Step) -> Document:
    return {
        "set": step.set,
        "alias": step.alias,
        "action": str(step.action),
        "from": step.current,
        "to": step.wanted,
        "wave": step.wave,
        "gates": [
            {
                "gate": result.gate,
                "result": str(result.verdict),
                "detail": result.detail,
                "figures": dict(result.figures),
            }
            for result in step.gate_results
        ],
        **_without_none(
            fromId=step.current_id,
            toId=step.wanted_id,
            prune=step.prune or None,
            gateSpecification=gate_specification(step.gates) or None,
            blocked={"reason": str(step.blocked.reason), "message": step.blocked.message} if step.blocked else None,
        ),
    }


def _result_document(result: StepResult) -> Document:
    return _step_document(result.step) | _without_none(
        outcome=str(result.outcome),
        wrote=result.wrote,
        code=result.code,
        message=result.message,
        started=result.started,
        ended=result.ended,
    )


def validation_document(manifests: Manifests, warnings: Sequence[Problem]) -> Document:
    """What `validate` found good."""
    return {
        "kind": "Validation",
        "formatVersion": FORMAT_VERSION,
        "sets": len(manifests.sets),
        "connections": len(manifests.connections),
        "aliases": sum(len(one.aliases) for one in manifests.sets),
        "skipped": manifests.skipped,
        "warnings": [
            _without_none(message=warning.message, source=source_document(warning.source)) for warning in warnings
        ],
    }


def status_document(rows: Sequence[StatusRow]) -> Document:
    """Desired against live."""
    return {
        "kind": "Status",
        "formatVersion": FORMAT_VERSION,
        "aliases": [
            {
                "address": row.target.address,
                "database": row.target.database,
                "set": row.set,
                "alias": row.alias,
                "wanted": row.wanted,
                "live": row.live,
                "state": str(row.state),
                **_without_none(note=row.note),
            }
            for row in rows
        ],
    }


def version_document(tool: str, python: str, clients: Mapping[str, str], server: tuple[str, str] | None) -> Document:
    """Versions; `clients` by distribution, `server` as address and version."""
    return {
        "kind": "Version",
        "formatVersion": FORMAT_VERSION,
        "aliasctl": tool,
        "python": python,
        "clients": dict(clients),
        **_without_none(server={"address": server[0], "version": server[1]} if server else None),
    }
