"""Records as JSON documents, and back: what plan files, reports and the journal have in common.

A credential is written as the place it is read from; no secret is ever in a document. `formats` has the schemas; what
is read back was checked against them before it comes here.
"""

from __future__ import annotations

from typing import Any

from reconciler.core.json_strict import without_none
from reconciler.core.model import (
    Connection,
    Credential,
    OnFailure,
    Origin,
    Propagation,
    Source,
    Tls,
    Verify,
)
from reconciler.core.plan import (
    Block,
    BlockReason,
    GateResult,
    PendingVerification,
    SetPlan,
    Step,
    Verdict,
)
from reconciler.core.report import Outcome, Propagated, Reach, StepResult
from reconciler.gates import decode_gates

Document = dict[str, Any]


def connection_document(connection: Connection) -> Document:
    """How to reach a server."""
    tls = connection.tls
    return without_none(
        name=connection.name,
        uri=connection.uri,
        origin=str(connection.origin),
        timeoutSeconds=connection.timeout,
        concurrency=connection.concurrency,
        token=_credential_document(connection.token),
        tls=without_none(
            ca=_credential_document(tls.ca),
            cert=_credential_document(tls.cert),
            key=_credential_document(tls.key),
            serverName=tls.server_name,
        )
        if tls
        else None,
    )


def connection_of(document: Document, address: str) -> Connection:
    """The connection of a document; `address` is the server's identity."""
    tls = document.get("tls")
    return Connection(
        name=document["name"],
        uri=document["uri"],
        address=address,
        origin=Origin.PLAN_FILE,
        token=_credential_of(document.get("token")),
        tls=Tls(
            ca=_credential_of(tls.get("ca")),
            cert=_credential_of(tls.get("cert")),
            key=_credential_of(tls.get("key")),
            server_name=tls.get("serverName"),
        )
        if tls is not None
        else None,
        timeout=document["timeoutSeconds"],
        concurrency=int(document["concurrency"]),
    )


def _credential_document(credential: Credential | None) -> Document | None:
    return without_none(env=credential.env, file=credential.file) if credential else None


def _credential_of(document: Document | None) -> Credential | None:
    return Credential(env=document.get("env"), file=document.get("file")) if document else None


def source_document(source: Source | None) -> Document | None:
    """A place in a manifest; None where nothing is known."""
    if source is None:
        return None
    return without_none(file=source.file, line=source.line or None, column=source.column or None)


def source_of(document: Document | None) -> Source | None:
    """The place of a document."""
    return Source(document["file"], int(document.get("line", 0)), int(document.get("column", 0))) if document else None


def verify_document(verify: Verify) -> Document | None:
    """What is checked after a change; None for nothing."""
    return (
        without_none(
            propagation={"timeoutSeconds": verify.propagation.timeout} if verify.propagation else None,
            endpoints=[
                {"address": endpoint.address, "connection": connection_document(endpoint)}
                for endpoint in verify.endpoints
            ]
            or None,
            soakSeconds=verify.soak,
        )
        or None
    )


def verify_of(document: Document | None) -> Verify:
    """The verification of a document."""
    document = document or {}
    propagation = document.get("propagation")
    return Verify(
        propagation=Propagation(propagation["timeoutSeconds"]) if propagation is not None else None,
        endpoints=tuple(connection_of(item["connection"], item["address"]) for item in document.get("endpoints", ())),
        soak=document.get("soakSeconds"),
    )


def set_document(plan: SetPlan) -> Document:
    """A set's plan without its steps, which stand beside it."""
    return without_none(
        name=plan.set,
        suspended=plan.suspended,
        unchanged=plan.unchanged,
        covered=plan.covered,
        governed=plan.governed,
        refusals=list(plan.refusals),
        verify=verify_document(plan.verify),
        onFailure=str(plan.on_failure) if plan.on_failure is not OnFailure.STOP else None,
        source=source_document(plan.source),
        pendingVerification=[_pending_verification_document(pending) for pending in plan.pending_verification] or None,
    )


def _pending_verification_document(pending: PendingVerification) -> Document:
    return {
        "alias": pending.step.alias,
        "collection": pending.step.desired,
        "run": pending.run,
        "reason": pending.reason,
    }


def set_of(document: Document, steps: list[Step]) -> SetPlan:
    """The set of a document, with those of the steps that are its own.

    What is not verified is not read back: whoever carries a plan out asks the journal, not the file.
    """
    return SetPlan(
        set=document["name"],
        steps=tuple(step for step in steps if step.set == document["name"]),
        unchanged=int(document["unchanged"]),
        covered=int(document["covered"]),
        governed=int(document["governed"]),
        suspended=document["suspended"],
        refusals=tuple(document["refusals"]),
        verify=verify_of(document.get("verify")),
        on_failure=OnFailure(document.get("onFailure", OnFailure.STOP)),
        source=source_of(document.get("source")),
    )


def gate_document(result: GateResult) -> Document:
    """One gate's verdict."""
    figures = {name: list(value) if isinstance(value, tuple) else value for name, value in result.figures.items()}
    return {"gate": result.gate, "result": str(result.verdict), "detail": result.detail, "figures": figures}


def _gate_of(document: Document) -> GateResult:
    figures = {name: tuple(value) if isinstance(value, list) else value for name, value in document["figures"].items()}
    return GateResult(document["gate"], Verdict(document["result"]), document["detail"], figures)


def step_document(step: Step) -> Document:
    """One step."""
    return {
        "set": step.set,
        "alias": step.alias,
        "action": str(step.action),
        "from": step.current,
        "to": step.desired,
        "wave": step.wave,
        "gates": [gate_document(result) for result in step.gate_results],
        **without_none(
            fromId=step.current_id,
            toId=step.desired_id,
            prune=step.prune or None,
            gateSpecification=step.gates.specification() or None,
            skippedGates=list(step.skipped_gates) or None,
            reverting=step.reverting or None,
            specHash=step.spec_hash or None,
            blocked={"reason": str(step.blocked.reason), "message": step.blocked.message} if step.blocked else None,
        ),
    }


def step_of(document: Document, *, lenient: bool = False) -> Step:
    """The step of a document; `lenient` passes over gates and settings that this version does not know."""
    blocked = document.get("blocked")
    return Step(
        set=document["set"],
        alias=document["alias"],
        current=document["from"],
        desired=document["to"],
        wave=int(document["wave"]),
        prune=document.get("prune", False),
        current_id=_whole(document.get("fromId")),
        desired_id=_whole(document.get("toId")),
        gates=decode_gates(document.get("gateSpecification", {}), lenient=lenient),
        gate_results=tuple(map(_gate_of, document["gates"])),
        skipped_gates=tuple(document.get("skippedGates", ())),
        reverting=document.get("reverting", False),
        spec_hash=document.get("specHash", ""),
        blocked=Block(BlockReason(blocked["reason"]), blocked["message"]) if blocked else None,
    )


def result_document(result: StepResult) -> Document:
    """One step with what became of it."""
    return step_document(result.step) | without_none(
        outcome=str(result.outcome),
        wrote=result.wrote,
        code=result.code,
        message=result.message,
        started=result.started,
        ended=result.ended,
        propagation=[propagated_document(item) for item in result.propagation] or None,
    )


def result_of(document: Document, *, lenient: bool = False) -> StepResult:
    """The result of a document; `lenient` as for `step_of`."""
    return StepResult(
        step=step_of(document, lenient=lenient),
        outcome=Outcome(document["outcome"]),
        code=document.get("code"),
        message=document.get("message"),
        started=document.get("started"),
        ended=document.get("ended"),
        wrote=document["wrote"],
        propagation=tuple(map(_propagated_of, document.get("propagation", ()))),
    )


def propagated_document(proof: Propagated) -> Document:
    """What reads through an alias proved at one endpoint."""
    return {
        "endpoint": proof.endpoint,
        "result": str(proof.reach),
        "detail": proof.detail,
        "reads": proof.reads,
        "heals": proof.heals,
        "seconds": proof.seconds,
    }


def _propagated_of(document: Document) -> Propagated:
    return Propagated(
        endpoint=document["endpoint"],
        reach=Reach(document["result"]),
        detail=document["detail"],
        reads=int(document["reads"]),
        heals=int(document["heals"]),
        seconds=document["seconds"],
    )


def _whole(number: float | None) -> int | None:
    """A whole number: to JSON Schema 8.0 is one, too."""
    return None if number is None else int(number)
