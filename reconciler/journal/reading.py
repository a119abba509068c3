"""Reading a journal back: its runs, and what had to be moved back.

A journal is read by tools older and newer than the one that wrote it, while it is being written, and after crashes. So
a line that cannot be understood is counted and passed over; a torn last one may be half of a line that is being
written, and is not even counted. Most lines are passed over unparsed: 100,000 of them take a fraction of a second.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, partial
from pathlib import Path

from jsonschema_rs import Draft202012Validator

from reconciler.core import json_strict
from reconciler.core.errors import JournalError
from reconciler.core.model import Target
from reconciler.core.plan import PendingVerification, Step
from reconciler.core.rejections import Rejection
from reconciler.core.report import NO_RECORDED_END, NOT_VERIFIED, Outcome, StepResult, missing_proof
from reconciler.documents.codec import Document, connection_of, result_of, step_of, verify_of
from reconciler.documents.records import (
    CONNECTION,
    RESULT_FIELDS,
    RESULT_OPTIONS,
    STEP_FIELDS,
    STEP_OPTIONS,
    TIME,
    VERIFY,
    loosely,
    validator,
)
from reconciler.journal.lines import FORMAT_VERSION, HEAD, LONGEST_LINE
from reconciler.journal.records import Act, Origins, PastStep, PastTarget, Provenance, RunEnd, RunState

MALFORMED = (KeyError, TypeError, ValueError, AttributeError, OverflowError)
"""What comes of reading a line that is JSON and not what its schema says."""
CLOCK_SLACK_SECONDS = 2.0
_NUMBER = {"type": "integer", "minimum": 0}
_TEXT = {"type": "string"}
_TYPES: Mapping[str, Document] = {
    "runStarted": {
        "time": TIME,
        "command": _TEXT,
        "source": {"type": "array", "items": _TEXT},
        "pid": _NUMBER,
        "steps": _NUMBER,
        "provenance": {"type": "object"},
    },
    "runEnded": {"time": TIME, "exitCode": _NUMBER, "summary": {"type": "object", "additionalProperties": _NUMBER}},
    "targetPlanned": {"connection": CONNECTION},
    "setPlanned": {"set": _TEXT, "verify": VERIFY},
    "intent": {**STEP_FIELDS, **STEP_OPTIONS},
    "result": {"time": TIME, **RESULT_FIELDS, **RESULT_OPTIONS},
}
"""What is read of each event. A line with something else in one of these places is not used at all."""
_HEAD = re.compile(HEAD)
_REVERTED = re.compile(rb'"outcome": ?"reverted"')
_NOT_VERIFIED = re.compile(rf'"outcome": ?"(?:failed|unknown)"|"code": ?"(?:{"|".join(NOT_VERIFIED)})"'.encode())


@dataclass(frozen=True, slots=True)
class PastRun:
    """One recorded run. Its steps and targets are parsed each time they are asked for: most never are.

    `planned` is how many steps nothing blocked at the start.
    """

    id: str
    started: str
    origins: Origins
    digest: str
    tool_version: str
    planned: int
    state: RunState
    end: RunEnd | None = None
    lines: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def steps(self) -> tuple[PastStep, ...]:
        """The steps that were begun or judged, oldest first."""
        return self.steps_of_any(())

    def steps_of(self, alias: str | None) -> tuple[PastStep, ...]:
        """The steps of one alias; of None, all."""
        return self.steps_of_any(() if alias is None else (alias,))

    def steps_of_any(self, aliases: Collection[str]) -> tuple[PastStep, ...]:
        """The steps of these aliases; of none, all."""
        found: dict[tuple[Target, str, str], PastStep] = {}
        for event, document in self._documents("intent", "result", aliases=aliases):
            try:
                target, step = _target(document), _step(document)
                key = (target, step.set, step.alias)
                found[key] = _continued(found.get(key), target, step, event, document)
            except MALFORMED:
                continue
        return tuple(found.values())

    @property
    def targets(self) -> tuple[PastTarget, ...]:
        """The databases of the run that had anything to do."""
        found: dict[Target, PastTarget] = {}
        for event, document in self._documents("targetPlanned", "setPlanned"):
            try:
                target = _target(document)
                if event == "targetPlanned":
                    found[target] = PastTarget(target, connection_of(document["connection"], target.address), {})
                else:
                    found[target].verify[_text(document, "set")] = verify_of(document.get("verify"))
            except MALFORMED:
                continue
        return tuple(found.values())

    def _documents(self, *events: str, aliases: Collection[str] = ()) -> Iterator[tuple[str, Document]]:
        mark = _about(aliases) if aliases else None
        for line in self.lines:
            if (mark is None or mark.search(line)) and (document := _parsed(line)):
                event = document["event"]
                if event in events and _is_typed(event, document):
                    yield event, document


@dataclass(frozen=True, slots=True)
class Recorded:
    """All of a journal. `unreadable` lines are no JSON, or not as they should be; `newer` ones are for a later tool."""

    runs: tuple[PastRun, ...] = ()
    unreadable: int = 0
    newer: int = 0


def read(path: Path) -> Recorded:
    """The runs of a journal, oldest first; none where there is no file.

    Raises:
        JournalError: it cannot be read.
    """
    counts: Counter[str] = Counter()
    starts: dict[str, Document] = {}
    ends: dict[str, Document] = {}
    between: dict[str, list[bytes]] = {}
    for line in _lines(path):
        head = _head(line)
        if head is None:
            counts["unreadable"] += line.endswith(b"\n")
            continue
        version, event, run = head
        if version > FORMAT_VERSION:
            counts["newer"] += 1
        elif event in {"runStarted", "runEnded"}:
            document = _parsed(line)
            if document is None or not _is_typed(event, document):
                counts["unreadable"] += 1
            else:
                (starts if event == "runStarted" else ends)[run] = document
        else:
            between.setdefault(run, []).append(line)
    runs = []
    for run, start in starts.items():
        try:
            runs.append(_run(run, start, ends.get(run), between.get(run, [])))
        except MALFORMED:
            counts["unreadable"] += 1
    return Recorded(tuple(runs), counts["unreadable"], counts["newer"])


def rejected(path: Path) -> dict[tuple[Target, str], Rejection]:
    """What had to be moved back, and was not moved there again since; by database and alias.

    Raises:
        JournalError: the journal cannot be read.
    """
    aliases = {document["alias"] for line in _lines(path) if _REVERTED.search(line) and (document := _result(line))}
    if not aliases:
        return {}
    about = _about(aliases)
    last: dict[tuple[str, Target, str], Document] = {}
    reverted = set()
    for line in _lines(path):
        if about.search(line) and (document := _result(line)):
            key = (document["run"], _target(document), document["alias"])
            last[key] = document
            if document["outcome"] == Outcome.REVERTED:
                reverted.add(key)
    found: dict[tuple[Target, str], Rejection] = {}
    for key, document in last.items():
        run, target, alias = key
        before = found.get((target, alias))
        if key in reverted and document["to"]:  # whatever its read-back or its readers then said
            found[target, alias] = _rejection(run, document)
        elif document["outcome"] == Outcome.DONE and before and before.collection == document["to"]:
            del found[target, alias]
    return found


def pending_verification(path: Path) -> dict[tuple[Target, str], PendingVerification]:
    """What was moved and not verified, and was not verified there since either; by database and alias.

    Whether a move had anything to prove is for the reader to know. A run without an end may have died while it was
    proving, so what it made is not verified, whatever was recorded last.

    Raises:
        JournalError: the journal cannot be read.
    """
    runs = read(path).runs
    suspects = {past.step.alias for run in runs if run.state is not RunState.ENDED for past in run.steps}
    for run in runs:
        if run.state is RunState.ENDED:
            marked = filter(_NOT_VERIFIED.search, run.lines)
            suspects |= {document["alias"] for line in marked if (document := _result(line))}
    if not suspects:
        return {}
    found: dict[tuple[Target, str], PendingVerification] = {}
    for run in runs:
        for past in run.steps_of_any(suspects):
            key = (past.target, past.step.alias)
            if past.outcome in (Outcome.BLOCKED, Outcome.NOT_ATTEMPTED):
                continue
            if reason := _missing_proof(run, past):
                found[key] = PendingVerification(past.step, run.id, reason)
            else:
                found.pop(key, None)
    return found


def _missing_proof(run: PastRun, past: PastStep) -> str:
    """In a few words why a step that was begun is not verified where it put its alias; empty if it is, or is undone."""
    if past.step.desired is None or past.outcome is Outcome.REVERTED:
        return ""
    recorded = missing_proof(past.result) if past.result else ""
    return recorded or ("" if run.state is RunState.ENDED else NO_RECORDED_END)


def _about(aliases: Iterable[str]) -> re.Pattern[bytes]:
    """Found in every line about one of the aliases, and in few others."""
    names = "|".join(re.escape(json.dumps(alias)) for alias in sorted(aliases))
    return re.compile(f'"alias": ?(?:{names})'.encode())


def _rejection(run: str, document: Document) -> Rejection:
    return Rejection(
        collection=document["to"],
        collection_id=document.get("toId"),
        spec_hash=document.get("specHash", ""),
        run=run,
        time=document["time"],
        reason=document.get("message", ""),
    )


def _run(run: str, start: Document, end: Document | None, lines: list[bytes]) -> PastRun:
    origins = Origins(
        _text(start, "user"),
        _text(start, "host"),
        int(start["pid"]),
        tuple(start["source"]),
        _text(start, "command"),
        Provenance.of(start.get("provenance") or {}),
    )
    return PastRun(
        id=run,
        started=_text(start, "time"),
        origins=origins,
        digest=_text(start, "planDigest"),
        tool_version=_text(start["tool"], "version"),
        planned=int(start["steps"]),
        state=RunState.ENDED if end else _state(origins, datetime.fromisoformat(_text(start, "time"))),
        end=_end(end) if end else None,
        lines=tuple(lines),
    )


def _end(document: Document) -> RunEnd:
    counts = Counter({Outcome(outcome): int(count) for outcome, count in document["summary"].items()})
    return RunEnd(_text(document, "time"), int(document["exitCode"]), counts, bool(document["interrupted"]))


def _state(origins: Origins, started: datetime) -> RunState:
    """What a run without an end is doing."""
    if origins.host != socket.gethostname():
        return RunState.UNFINISHED
    return RunState.RUNNING if _is_alive(origins.pid, started) else RunState.INTERRUPTED


def _is_alive(pid: int, since: datetime) -> bool:
    """Whether a process that ran at a certain time still does; a younger one was given the same number."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # no process can have a number as large as that
        return False
    except OSError:
        pass  # somebody else's, but it is there
    born = _birth(pid)
    return born is None or born <= since.timestamp() + CLOCK_SLACK_SECONDS


def _birth(pid: int) -> float | None:
    """When a process was started, in seconds since 1970; None where the system does not tell as Linux does."""
    try:
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
        return int(boot.split()[1]) + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def _continued(before: PastStep | None, target: Target, step: Step, event: str, document: Document) -> PastStep:
    """A step with one line more."""
    if event == "result":
        step = replace(step, gates=before.step.gates) if before else step
        return PastStep(target, step, replace(result_of(document, lenient=True), step=step))
    act = Act(document["act"])
    result: StepResult | None = before.result if before else None
    begun = before.begun if before and act is Act.HEAL else act
    return PastStep(target, before.step if before and result else step, result, begun)


def _step(document: Document) -> Step:
    for name in ("set", "alias"):
        _text(document, name)
    for name in ("from", "to"):
        if document[name] is not None:
            _text(document, name)
    return step_of(document, lenient=True)


def _target(document: Document) -> Target:
    return Target(_text(document, "address"), _text(document, "database"))


def _text(document: Document, name: str) -> str:
    text = document[name]
    if not isinstance(text, str):
        raise TypeError(name)
    return text


def _result(line: bytes) -> Document | None:
    """The document of a line that says what became of a step, and says enough."""
    document = _parsed(line)
    if document is None or document.get("event") != "result" or document.get("formatVersion") != FORMAT_VERSION:
        return None
    if not _is_typed("result", document):
        return None
    try:
        _target(document), _step(document), _text(document, "run"), _text(document, "time"), _text(document, "outcome")
    except MALFORMED:
        return None
    return document


def _head(line: bytes) -> tuple[int, str, str] | None:
    """Format version, event and run of a line; None for what is none of ours, or torn."""
    if found := _HEAD.match(line):
        if line.rstrip().endswith(b"}"):
            return int(found["version"]), found["event"].decode(), found["run"].decode()
        return None
    document = _parsed(line)  # whoever rewrote it may have changed the order of its fields
    if document is None or document.get("kind") != "Journal":
        return None
    try:
        return int(document["formatVersion"]), _text(document, "event"), _text(document, "run")
    except MALFORMED:
        return None


def _parsed(line: bytes) -> Document | None:
    try:
        document = json_strict.loads(line)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _is_typed(event: str, document: Document) -> bool:
    return _validator(event).is_valid(document)


@cache
def _validator(event: str) -> Draft202012Validator:
    return validator(loosely({"properties": _TYPES[event]}))


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, none where there is none; what is too long to be a line of ours comes in pieces."""
    try:
        with path.open("rb") as file:
            yield from iter(partial(file.readline, LONGEST_LINE), b"")
    except FileNotFoundError:
        return
    except OSError as error:
        raise JournalError(f"{path}: the journal cannot be read: {error.strerror}") from error
