"""The lines of a journal: one JSON object per line, as in `schemas/journal.schema.json`.

    runStarted      who, when, from what
    targetPlanned   a database: how it is reached
    setPlanned      a set of it: what follows its changes
    intent          a call is about to be made
    revertDecided   a step is about to be reverted, and its move is rejected; before the first call of the revert
    result          the outcome of a step; of several the last one counts
    runEnded        how many steps ended how

Each line names its run, so that runs may be recorded at the same time. The first fields are always in the same order
(`HEAD`), so that a reader can skip a line without parsing it. No line contains a secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated

from msgspec import Meta, field
from msgspec.structs import replace

from reconciler.core import json_strict
from reconciler.core.errors import JournalError
from reconciler.core.gates import Gates
from reconciler.core.model import Connection, OnFailure, Source, Target
from reconciler.core.plan import Plan, SetPlan, Step, TargetPlan
from reconciler.core.provenance import Provenance
from reconciler.core.record import INLINE, Count, Digest, Record, Time
from reconciler.core.report import ExitStatus, Outcome, Report, StepResult
from reconciler.core.text import shortened
from reconciler.documents.codec import Document, decode, encode, schemas
from reconciler.documents.kinds import published, with_head
from reconciler.documents.migration import migrated
from reconciler.documents.parts import Tool, VerifyDocument
from reconciler.documents.timestamps import now
from reconciler.journal.records import Act, Origins

FORMAT_VERSION = 2
"""Increases when an older reader would misunderstand a line; not for new events and fields. Version 1 is read too."""
HEAD = rb'\{"kind":"Journal","formatVersion":(?P<version>\d{1,9}),"event":"(?P<event>\w+)","run":"(?P<run>[\w.-]+)",'
LONGEST_LINE = 1024 * 1024
"""Maximum bytes of a line. Longer lines are not written, and are not read."""
MAX_TEXT = 4000
MOST_SOURCES = 100


class Line(Record, frozen=True):
    """What all lines have."""

    run: Annotated[str, Meta(description="The run's name.")]
    time: Time


class RunStarted(Line, frozen=True):
    """A run begins."""

    origins: Annotated[Origins, INLINE]
    tool: Tool
    plan_digest: Annotated[Digest, Meta(description="SHA-256 of what is to be done.")]
    steps: Annotated[Count, Meta(description="Steps that nothing blocks.")]


class TargetPlanned(Line, frozen=True):
    """A database of the run."""

    target: Annotated[Target, INLINE]
    connection: Connection
    server_version: str


class SetPlanned(Line, frozen=True):
    """A set of the run."""

    target: Annotated[Target, INLINE]
    set: Annotated[str, Meta(description="The AliasSet.")]
    verify: VerifyDocument = VerifyDocument()
    on_failure: OnFailure = OnFailure.STOP
    source: Source | None = None


class Intent(Line, frozen=True):
    """A call is about to be made."""

    act: Act
    target: Annotated[Target, INLINE]
    step: Annotated[Step, INLINE]


class RevertDecided(Line, frozen=True):
    """A step is about to be reverted, and its move must not be repeated; a later run completes the revert."""

    target: Annotated[Target, INLINE]
    step: Annotated[Step, INLINE]
    reason: Annotated[str, Meta(description="Why.")]


class Result(Line, frozen=True):
    """The outcome of a step; of several lines the last one counts."""

    target: Annotated[Target, INLINE]
    result: Annotated[StepResult, INLINE]


class RunEnded(Line, frozen=True):
    """A run is over."""

    exit_code: ExitStatus
    interrupted: Annotated[bool, Meta(description="A signal ended it early.")]
    seconds: Annotated[float, Meta(ge=0)]
    counts: Annotated[Mapping[Outcome, Count], Meta(description="Steps, by outcome.")] = field(name="summary")


EVENTS: Mapping[str, type[Line]] = {
    "runStarted": RunStarted,
    "targetPlanned": TargetPlanned,
    "setPlanned": SetPlanned,
    "intent": Intent,
    "revertDecided": RevertDecided,
    "result": Result,
    "runEnded": RunEnded,
}
_EVENT_OF = {line: event for event, line in EVENTS.items()}


def journal_schema() -> Document:
    """Return the JSON Schema of a line."""
    bodies, definitions = schemas(list(EVENTS.values()))
    lines = [
        {"description": body["description"]}
        | with_head(body, kind="Journal", formatVersion=FORMAT_VERSION, event=event)
        for event, body in zip(EVENTS, bodies, strict=True)
    ]
    title = "One line of the journal. Readers pass over events and fields that they do not know."
    return published("Journal", title) | {"oneOf": lines, "$defs": definitions}


def line_of(document: Mapping[str, object]) -> Line | None:
    """Return the record of a line; None for an unknown event or format version.

    Raises:
        Malformed: the line does not have the fields of its event.
    """
    event = EVENTS.get(str(document.get("event")))
    version = document.get("formatVersion")
    if event is None or version not in (1, FORMAT_VERSION):
        return None
    return decode(migrated(document) if version == 1 else document, event, lenient=True)


def run_started(run: str, plan: Plan, origins: Origins) -> Iterator[bytes]:
    """Return the lines at the start of a run."""
    origins = replace(
        origins,
        source=tuple(shortened(text, MAX_TEXT) for text in origins.source[:MOST_SOURCES]),
        provenance=_provenance(origins.provenance),
    )
    yield _line(RunStarted(run, now(), origins, Tool(plan.tool_version), plan.digest, len(plan.runnable)))
    for target in plan.targets:
        if planned := [set_plan for set_plan in target.sets if _is_planned(set_plan)]:
            yield _target_planned(run, target)
            yield from (_set_planned(run, target.target, set_plan) for set_plan in planned)


def _is_planned(plan: SetPlan) -> bool:
    return bool(plan.steps or plan.pending_verification or plan.pending_reverts)


def _target_planned(run: str, target: TargetPlan) -> bytes:
    return _line(TargetPlanned(run, now(), target.target, target.connection, target.server_version))


def _set_planned(run: str, target: Target, plan: SetPlan) -> bytes:
    verify = VerifyDocument.of(plan.verify)
    return _line(SetPlanned(run, now(), target, plan.set, verify, plan.on_failure, plan.source))


def intent(run: str, target: Target, step: Step, act: Act) -> bytes:
    """Return the line before a call."""
    return _line(Intent(run, now(), act, target, step), step)


def reverts_decided(run: str, target: Target, steps: Sequence[Step], reason: str) -> Iterator[bytes]:
    """Return the lines before the first call of a revert. The specification of the gates is in the intents."""
    for step in steps:
        brief = replace(step, gates=Gates(), gate_results=())
        yield _line(RevertDecided(run, now(), target, brief, shortened(reason, MAX_TEXT)), step)


def result(run: str, target: Target, of_step: StepResult) -> bytes:
    """Return the line after a step. The specification of its gates is in the intent."""
    step = replace(of_step.step, gates=Gates())
    message = None if of_step.message is None else shortened(of_step.message, MAX_TEXT)
    return _line(Result(run, now(), target, replace(of_step, step=step, message=message)), step)


def run_ended(run: str, report: Report) -> bytes:
    """Return the line at the end of a run."""
    seconds = (datetime.fromisoformat(report.ended) - datetime.fromisoformat(report.started)).total_seconds()
    counts = dict(sorted(report.counts.items()))
    return _line(RunEnded(run, now(), report.exit_code, report.interrupted, max(0.0, seconds), counts))


def _provenance(provenance: Provenance) -> Provenance:
    known = provenance.known()
    return Provenance.of(
        {name: shortened(value, MAX_TEXT) if isinstance(value, str) else value for name, value in known.items()}
    )


def _line(line: Line, step: Step | None = None) -> bytes:
    event = _EVENT_OF[type(line)]
    head = {"kind": "Journal", "formatVersion": FORMAT_VERSION, "event": event}
    text = json_strict.dumps(head | encode(line)).encode() + b"\n"
    if len(text) > LONGEST_LINE:
        about = f'alias "{step.alias}"' if step else event
        raise JournalError(f"the journal's line about {about} would be {len(text)} bytes long, over {LONGEST_LINE}")
    return text
