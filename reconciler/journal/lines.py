"""What is written: one JSON object a line, as `schemas/journal.schema.json` has them.

    runStarted      who, when, from what
    targetPlanned   a database: how it is reached
    setPlanned      a set of it: what follows its changes
    intent          a call is about to be made
    result          what became of a step; of several the last one counts
    runEnded        how many steps ended how

Each line names its run, so that runs may be recorded at the same time. The first fields are always in the same order
(`HEAD`), so that a reader can pass over a line without parsing it. No secret is in any of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from reconciler.core import json_strict
from reconciler.core.errors import JournalError
from reconciler.core.json_strict import without_none
from reconciler.core.model import OnFailure, Target
from reconciler.core.plan import Plan, SetPlan, Step, TargetPlan
from reconciler.core.report import Report, StepResult
from reconciler.core.text import shortened
from reconciler.documents.codec import (
    Document,
    connection_document,
    result_document,
    source_document,
    step_document,
    verify_document,
)
from reconciler.documents.timestamps import now
from reconciler.journal.records import Act, Origins, Provenance

FORMAT_VERSION = 1
"""Rises when a reader of the old form would misunderstand the new one; new events and fields do not raise it."""
HEAD = rb'\{"kind":"Journal","formatVersion":(?P<version>\d{1,9}),"event":"(?P<event>\w+)","run":"(?P<run>[\w.-]+)",'
LONGEST_LINE = 1024 * 1024
"""Bytes. What would be longer is not written, and what is longer was not written by us."""
MAX_TEXT = 4000
MOST_SOURCES = 100


def run_started(run: str, plan: Plan, origins: Origins) -> Iterator[bytes]:
    """The lines at the start of a run."""
    yield _line(
        "runStarted",
        run,
        command=origins.command,
        user=origins.user,
        host=origins.host,
        pid=origins.pid,
        source=[shortened(item, MAX_TEXT) for item in origins.source[:MOST_SOURCES]],
        tool={"name": "aliasctl", "version": plan.tool_version},
        planDigest=plan.digest,
        steps=len(plan.runnable),
        **without_none(provenance=_provenance(origins.provenance) or None),
    )
    for target in plan.targets:
        if target.steps:
            yield _target_planned(run, target)
            yield from (_set_planned(run, target.target, alias_set) for alias_set in target.sets if alias_set.steps)


def _target_planned(run: str, target: TargetPlan) -> bytes:
    return _line(
        "targetPlanned",
        run,
        **_place(target.target),
        connection=connection_document(target.connection),
        serverVersion=target.server_version,
    )


def _set_planned(run: str, target: Target, plan: SetPlan) -> bytes:
    fields = without_none(
        verify=verify_document(plan.verify),
        onFailure=str(plan.on_failure) if plan.on_failure is not OnFailure.STOP else None,
        source=source_document(plan.source),
    )
    return _line("setPlanned", run, **_place(target), set=plan.set, **fields)


def intent(run: str, target: Target, step: Step, act: Act) -> bytes:
    """The line before a call."""
    return _line("intent", run, act=str(act), **_place(target), **step_document(step))


def result(run: str, target: Target, of_step: StepResult) -> bytes:
    """The line after a step. How its gates are specified is in the intent."""
    document = result_document(of_step)
    document.pop("gateSpecification", None)
    if message := document.get("message"):
        document["message"] = shortened(message, MAX_TEXT)
    return _line("result", run, **_place(target), **document)


def run_ended(run: str, report: Report) -> bytes:
    """The line at the end of a run."""
    seconds = (datetime.fromisoformat(report.ended) - datetime.fromisoformat(report.started)).total_seconds()
    return _line(
        "runEnded",
        run,
        exitCode=int(report.exit_code),
        interrupted=report.interrupted,
        seconds=max(0.0, seconds),
        summary={str(outcome): count for outcome, count in sorted(report.counts.items())},
    )


def _provenance(provenance: Provenance) -> Document:
    return {
        name: shortened(value, MAX_TEXT) if isinstance(value, str) else value
        for name, value in provenance.known().items()
    }


def _place(target: Target) -> Document:
    return {"address": target.address, "database": target.database}


def _line(event: str, run: str, **fields: object) -> bytes:
    head = {"kind": "Journal", "formatVersion": FORMAT_VERSION, "event": event, "run": run, "time": now()}
    line = json_strict.dumps(head | fields).encode() + b"\n"
    if len(line) > LONGEST_LINE:
        about = f'alias "{fields["alias"]}"' if "alias" in fields else event
        raise JournalError(f"the journal's line about {about} would be {len(line)} bytes long, over {LONGEST_LINE}")
    return line
