"""Plans, reports and errors as the JSON documents that `formats` describes.

A credential appears as the place it is read from; no secret is ever in a document.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from reconciler.core.errors import AliasctlError, InvalidInput, Problem
from reconciler.core.json_strict import without_none
from reconciler.core.plan import Action, Plan, TargetPlan
from reconciler.core.report import Outcome, Report
from reconciler.documents.codec import (
    Document,
    connection_document,
    result_document,
    set_document,
    source_document,
    step_document,
)
from reconciler.documents.formats import FORMAT_VERSION, checksum
from reconciler.inspect.access import TargetAccess, exit_code
from reconciler.inspect.alias_status import StatusRow
from reconciler.inspect.unreferenced import Unreferenced
from reconciler.manifest.records import Manifests
from reconciler.manifest.select_entries import Change


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
            _target_document(target, [step_document(step) for step in target.steps]) for target in plan.targets
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
            _target_document(target.plan, [result_document(result) for result in target.results])
            for target in report.targets
        ],
        **without_none(run=report.run or None),
    }


def error_document(error: AliasctlError) -> Document:
    """An error as `schemas/error.schema.json` has it: every problem of the input, or the one thing that went wrong."""
    if isinstance(error, InvalidInput):
        errors = [
            without_none(code=error.code, message=problem.message, source=source_document(problem.source))
            for problem in error.problems
        ]
    else:
        errors = [{"code": error.code, "message": str(error)}]
    return {"kind": "Error", "formatVersion": FORMAT_VERSION, "exitCode": int(error.exit_code), "errors": errors}


def _target_document(target: TargetPlan, steps: list[Document]) -> Document:
    return {
        "address": target.target.address,
        "database": target.target.database,
        "connection": connection_document(target.connection),
        "serverVersion": target.server_version,
        "offline": target.offline,
        "aliases": target.alias_count,
        "calls": target.calls,
        "sets": [set_document(set_plan) for set_plan in target.sets],
        "steps": steps,
    }


def validation_document(manifests: Manifests, warnings: Sequence[Problem]) -> Document:
    """What `validate` found good."""
    return {
        "kind": "Validation",
        "formatVersion": FORMAT_VERSION,
        "sets": len(manifests.sets),
        "connections": len(manifests.connections),
        "aliases": sum(len(alias_set.aliases) for alias_set in manifests.sets),
        "skipped": manifests.skipped,
        "warnings": [
            without_none(message=warning.message, source=source_document(warning.source)) for warning in warnings
        ],
    }


def edit_document(changes: Sequence[Change], differences: Mapping[str, str], *, written: bool) -> Document:
    """What `set` made of the manifests, or would make.

    Args:
        changes: all that was asked for.
        differences: unified diffs, by file.
        written: whether the files have them.
    """
    return {
        "kind": "Edit",
        "formatVersion": FORMAT_VERSION,
        "written": written,
        "aliases": [
            {
                "alias": change.alias.name,
                "set": change.owner.key,
                "from": change.alias.collection,
                "to": change.collection,
                "changed": change.needed,
                "protected": change.protected,
                "source": source_document(change.alias.source),
            }
            for change in changes
        ],
        "files": [{"file": file, "diff": diff} for file, diff in differences.items()],
    }


def status_document(rows: Sequence[StatusRow], idle: Sequence[Unreferenced] | None = None) -> Document:
    """Desired against live; with `idle` also the loaded collections that no alias points at."""
    found = None if idle is None else [_unreferenced_document(item) for item in idle]
    return {
        "kind": "Status",
        "formatVersion": FORMAT_VERSION,
        "aliases": [
            {
                "address": row.target.address,
                "database": row.target.database,
                "set": row.set,
                "alias": row.alias,
                "desired": row.desired,
                "live": row.live,
                "state": str(row.state),
                **without_none(note=row.note),
            }
            for row in rows
        ],
        **without_none(unreferenced=found),
    }


def _unreferenced_document(unreferenced: Unreferenced) -> Document:
    return {
        "address": unreferenced.target.address,
        "database": unreferenced.target.database,
        "collection": unreferenced.collection,
        **without_none(rows=unreferenced.rows, since=unreferenced.since),
    }


def check_document(found: Sequence[TargetAccess]) -> Document:
    """How each condition of each database stands."""
    return {
        "kind": "Check",
        "formatVersion": FORMAT_VERSION,
        "exitCode": exit_code(found),
        "targets": [
            {
                "address": item.target.address,
                "database": item.target.database,
                "connection": connection_document(item.connection),
                "endpoint": item.endpoint,
                "serverVersion": item.server_version,
                "conditions": [
                    {
                        "condition": str(condition.subject),
                        "result": str(condition.result),
                        "detail": condition.detail,
                        **without_none(remedy=condition.remedy),
                    }
                    for condition in item.conditions
                ],
            }
            for item in found
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
        **without_none(server={"address": server[0], "version": server[1]} if server else None),
    }
