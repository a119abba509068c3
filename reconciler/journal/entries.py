"""The entries of a journal: JSON documents as in `schemas/journal.schema.json`.

    runStarted      who, when, from what
    targetPlanned   a database: how it is reached
    setPlanned      a set of it: what follows its changes
    intent          a call is about to be made
    revertDecided   a step is about to be reverted, and its move is rejected; before the first call of the revert
    result          the outcome of a step; of several the last one counts
    runEnded        how many steps ended how

Each entry names its run, so that runs may be recorded at the same time. The text of an entry is one line: an export has
one entry per line, and so had the journal before it was a database. No entry contains a secret.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated

from msgspec import Meta, field
from msgspec.structs import replace

from reconciler.core import json_strict
from reconciler.core.errors import JournalError
from reconciler.core.gates import Gates
from reconciler.core.model import Connection, OnFailure, Source, Target
from reconciler.core.plan import Plan, SetPlan, Step
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
"""Increases when an older reader would misunderstand an entry; not for new events and fields. Version 1 is read too."""
MAX_BYTES = 1024 * 1024
"""Maximum size of an entry. Larger ones are not recorded, and not imported."""
MAX_TEXT = 4000
MOST_SOURCES = 100


class Entry(Record, frozen=True):
    """What all entries have."""

    run: Annotated[str, Meta(description="The run's name.")]
    time: Time


class RunStarted(Entry, frozen=True):
    """A run begins."""

    origins: Annotated[Origins, INLINE]
    tool: Tool
    plan_digest: Annotated[Digest, Meta(description="SHA-256 of what is to be done.")]
    steps: Annotated[Count, Meta(description="Steps that nothing blocks.")]


class TargetPlanned(Entry, frozen=True):
    """A database of the run."""

    target: Annotated[Target, INLINE]
    connection: Connection
    server_version: str


class SetPlanned(Entry, frozen=True):
    """A set of the run."""

    target: Annotated[Target, INLINE]
    set: Annotated[str, Meta(description="The AliasSet.")]
    verify: VerifyDocument = VerifyDocument()
    on_failure: OnFailure = OnFailure.STOP
    source: Source | None = None


class Intent(Entry, frozen=True):
    """A call is about to be made."""

    act: Act
    target: Annotated[Target, INLINE]
    step: Annotated[Step, INLINE]


class RevertDecided(Entry, frozen=True):
    """A step is about to be reverted, and its move must not be repeated; a later run completes the revert."""

    target: Annotated[Target, INLINE]
    step: Annotated[Step, INLINE]
    reason: Annotated[str, Meta(description="Why.")]


class Result(Entry, frozen=True):
    """The outcome of a step; of several entries the last one counts."""

    target: Annotated[Target, INLINE]
    result: Annotated[StepResult, INLINE]


class RunEnded(Entry, frozen=True):
    """A run is over."""

    exit_code: ExitStatus
    interrupted: Annotated[bool, Meta(description="A signal ended it early.")]
    seconds: Annotated[float, Meta(ge=0)]
    counts: Annotated[Mapping[Outcome, Count], Meta(description="Steps, by outcome.")] = field(name="summary")
    times: Annotated[Count, Meta(description="How many runs in a row found the same and changed nothing.")] = 1
    last: Annotated[Time | None, Meta(description="When the last of them ended.")] = None


EVENTS: Mapping[str, type[Entry]] = {
    "runStarted": RunStarted,
    "targetPlanned": TargetPlanned,
    "setPlanned": SetPlanned,
    "intent": Intent,
    "revertDecided": RevertDecided,
    "result": Result,
    "runEnded": RunEnded,
}
_EVENT_OF = {entry: event for event, entry in EVENTS.items()}


def journal_schema() -> Document:
    """Return the JSON Schema of an entry."""
    bodies, definitions = schemas(list(EVENTS.values()))
    entries = [
        {"description": body["description"]}
        | with_head(body, kind="Journal", formatVersion=FORMAT_VERSION, event=event)
        for event, body in zip(EVENTS, bodies, strict=True)
    ]
    title = "One entry of the journal. Readers pass over events and fields that they do not know."
    return published("Journal", title) | {"oneOf": entries, "$defs": definitions}


def entry_of(text: str | bytes) -> Entry | None:
    """Return the entry of a text; None if it is of an unknown event or a newer format.

    Raises:
        ValueError: it is damaged: not JSON, or without the fields of its event.
    """
    document = json_strict.loads(text.encode() if isinstance(text, str) else text)
    if not isinstance(document, dict) or document.get("kind") != "Journal":
        raise ValueError("not an entry of a journal")
    event = EVENTS.get(str(document.get("event")))
    version = document.get("formatVersion")
    if event is None or version not in (1, FORMAT_VERSION):
        return None
    return decode(migrated(document) if version == 1 else document, event, lenient=True)


def checksum_of(text: str) -> int:
    """Return the checksum that is kept beside a text: CRC-32."""
    return zlib.crc32(text.encode())


def kept_entry(text: str, checksum: int) -> Entry | None:
    """Return the entry of a text as `entry_of`. Raises `ValueError`: it is damaged, or not the one of the checksum."""
    if not isinstance(text, str) or checksum_of(text) != checksum:
        raise ValueError("not the text of its checksum")
    return entry_of(text)


def text_of(entry: Entry) -> str:
    """Return the text of an entry. Raises `JournalError` if it is too large."""
    event = _EVENT_OF[type(entry)]
    head = {"kind": "Journal", "formatVersion": FORMAT_VERSION, "event": event}
    text = json_strict.dumps(head | encode(entry))
    if len(text) > MAX_BYTES:
        step = step_of(entry)
        about = f'alias "{step.alias}"' if step else event
        raise JournalError(f"the journal's entry about {about} would have {len(text):,} bytes, over {MAX_BYTES:,}")
    return text


def event_of(entry: Entry) -> str:
    """Return the event of an entry, as its document names it."""
    return _EVENT_OF[type(entry)]


def step_of(entry: Entry) -> Step | None:
    """Return the step that an entry is about, if it is about one."""
    match entry:
        case Intent(step=step) | RevertDecided(step=step) | Result(result=StepResult(step=step)):
            return step
    return None


def run_started(run: str, plan: Plan, origins: Origins) -> Iterator[Entry]:
    """Return the entries at the start of a run."""
    origins = replace(
        origins,
        source=tuple(shortened(text, MAX_TEXT) for text in origins.source[:MOST_SOURCES]),
        provenance=_provenance(origins.provenance),
    )
    yield RunStarted(run, now(), origins, Tool(plan.tool_version), plan.digest, len(plan.runnable))
    for target in plan.targets:
        if planned := [set_plan for set_plan in target.sets if _is_planned(set_plan)]:
            yield TargetPlanned(run, now(), target.target, target.connection, target.server_version)
            for set_plan in planned:
                verify = VerifyDocument.of(set_plan.verify)
                yield SetPlanned(run, now(), target.target, set_plan.set, verify, set_plan.on_failure, set_plan.source)


def _is_planned(plan: SetPlan) -> bool:
    return bool(plan.steps or plan.pending_verification or plan.pending_reverts)


def intent(run: str, target: Target, step: Step, act: Act) -> Intent:
    """Return the entry before a call."""
    return Intent(run, now(), act, target, step)


def reverts_decided(run: str, target: Target, steps: Sequence[Step], reason: str) -> Iterator[RevertDecided]:
    """Return the entries before the first call of a revert. The specification of the gates is in the intents."""
    for step in steps:
        brief = replace(step, gates=Gates(), gate_results=(), metrics=())
        yield RevertDecided(run, now(), target, brief, shortened(reason, MAX_TEXT))


def result(run: str, target: Target, of_step: StepResult) -> Result:
    """Return the entry after a step. The specification of its gates and metrics is in the intent."""
    step = replace(of_step.step, gates=Gates(), metrics=())
    message = None if of_step.message is None else shortened(of_step.message, MAX_TEXT)
    return Result(run, now(), target, replace(of_step, step=step, message=message))


def run_ended(run: str, report: Report) -> RunEnded:
    """Return the entry at the end of a run."""
    seconds = (datetime.fromisoformat(report.ended) - datetime.fromisoformat(report.started)).total_seconds()
    counts = dict(sorted(report.counts.items()))
    return RunEnded(run, now(), report.exit_code, report.interrupted, max(0.0, seconds), counts)


def _provenance(provenance: Provenance) -> Provenance:
    known = provenance.known()
    return Provenance.of(
        {name: shortened(value, MAX_TEXT) if isinstance(value, str) else value for name, value in known.items()}
    )


def repeated(end: RunEnded, again: RunEnded) -> RunEnded:
    """Return the end of a run with a later run counted that found the same."""
    return replace(end, times=end.times + again.times, last=again.last or again.time)
