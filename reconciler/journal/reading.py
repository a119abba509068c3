"""Read a journal: its runs, reverted moves, and moves that are pending verification.

A journal is read by tools older and newer than the one that wrote it, while it is being written, and after crashes. So
a line that cannot be parsed is counted and skipped; an incomplete last line may still be being written, and is not
counted. Most lines are skipped without parsing: 100,000 of them take a fraction of a second.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from reconciler.core import json_strict
from reconciler.core.errors import JournalError
from reconciler.core.model import Target
from reconciler.core.plan import PendingVerification
from reconciler.core.rejections import Rejection
from reconciler.core.report import NO_RECORDED_END, NOT_VERIFIED, Outcome, StepResult, missing_proof
from reconciler.documents.codec import Malformed
from reconciler.documents.parts import saved
from reconciler.journal.lines import (
    FORMAT_VERSION,
    HEAD,
    LONGEST_LINE,
    Intent,
    Line,
    Result,
    RunEnded,
    RunStarted,
    SetPlanned,
    TargetPlanned,
    line_of,
)
from reconciler.journal.records import Act, Origins, PastStep, PastTarget, RunState

CLOCK_SLACK_SECONDS = 2.0
_HEAD = re.compile(HEAD)
_REVERTED = re.compile(rb'"outcome": ?"reverted"')
_NOT_VERIFIED = re.compile(rf'"outcome": ?"(?:failed|unknown)"|"code": ?"(?:{"|".join(NOT_VERIFIED)})"'.encode())


class PastRun(Struct, frozen=True):
    """A recorded run. Its steps and targets are parsed on each access, because most are never used."""

    start: RunStarted
    state: RunState
    end: RunEnded | None = None
    lines: tuple[bytes, ...] = ()

    @property
    def id(self) -> str:
        return self.start.run

    @property
    def started(self) -> str:
        return self.start.time

    @property
    def origins(self) -> Origins:
        return self.start.origins

    @property
    def digest(self) -> str:
        return self.start.plan_digest

    @property
    def tool_version(self) -> str:
        return self.start.tool.version

    @property
    def planned(self) -> int:
        """Return how many steps were not blocked at the start."""
        return self.start.steps

    @property
    def steps(self) -> tuple[PastStep, ...]:
        """Return the steps that were started or have an outcome, oldest first."""
        return self.steps_of_any(())

    def steps_of(self, alias: str | None) -> tuple[PastStep, ...]:
        """Return the steps of one alias; of all aliases for None."""
        return self.steps_of_any(() if alias is None else (alias,))

    def steps_of_any(self, aliases: Collection[str]) -> tuple[PastStep, ...]:
        """Return the steps of these aliases; of all aliases for none."""
        found: dict[tuple[Target, str, str], PastStep] = {}
        mark = _about(aliases) if aliases else None
        for line in self.lines:
            if mark is None or mark.search(line):
                match _record(line):
                    case Intent(step=step) as intent:
                        key = (intent.target, step.set, step.alias)
                        found[key] = _with_intent(found.get(key), intent)
                    case Result(result=StepResult(step=step)) as result:
                        key = (result.target, step.set, step.alias)
                        found[key] = _with_outcome(found.get(key), result)
        return tuple(found.values())

    @property
    def targets(self) -> tuple[PastTarget, ...]:
        """Return the databases of the run that had steps or pending verifications."""
        found: dict[Target, PastTarget] = {}
        for line in self.lines:
            match _record(line):
                case TargetPlanned(target=target, connection=connection):
                    found[target] = PastTarget(target, saved(connection, target.address), {})
                case SetPlanned(target=target, set=name, verify=verify) if target in found:
                    found[target].verify[name] = verify.record()
        return tuple(found.values())


class Recorded(Struct, frozen=True):
    """A journal. `unreadable` lines are not JSON, or malformed; `newer` ones have a later format version."""

    runs: tuple[PastRun, ...] = ()
    unreadable: int = 0
    newer: int = 0


def read(path: Path) -> Recorded:
    """Return the runs of a journal, oldest first; none if the file does not exist.

    Raises:
        JournalError: it cannot be read.
    """
    counts: Counter[str] = Counter()
    starts: dict[str, RunStarted] = {}
    ends: dict[str, RunEnded] = {}
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
            match _record(line):
                case RunStarted() as start:
                    starts[run] = start
                case RunEnded() as end:
                    ends[run] = end
                case _:
                    counts["unreadable"] += 1
        else:
            between.setdefault(run, []).append(line)
    runs = (_run(start, ends.get(run), between.get(run, [])) for run, start in starts.items())
    return Recorded(tuple(runs), counts["unreadable"], counts["newer"])


def rejected(path: Path) -> dict[tuple[Target, str], Rejection]:
    """Return the reverted moves that were not repeated since, by database and alias.

    Raises:
        JournalError: the journal cannot be read.
    """
    aliases = {
        result.result.step.alias
        for line in _lines(path)
        if _REVERTED.search(line) and isinstance(result := _record(line), Result)
    }
    if not aliases:
        return {}
    about = _about(aliases)
    last: dict[tuple[str, Target, str], Result] = {}
    reverted = set()
    for line in _lines(path):
        if about.search(line) and isinstance(result := _record(line), Result):
            key = (result.run, result.target, result.result.step.alias)
            last[key] = result
            if result.result.outcome is Outcome.REVERTED:
                reverted.add(key)
    found: dict[tuple[Target, str], Rejection] = {}
    for key, result in last.items():
        _, target, alias = key
        before = found.get((target, alias))
        outcome, desired = result.result.outcome, result.result.step.desired
        if key in reverted and desired:  # regardless of a later failure of its read-back or verification
            found[target, alias] = _rejection(result, desired)
        elif outcome is Outcome.DONE and before and before.collection == desired:
            del found[target, alias]
    return found


def pending_verification(path: Path) -> dict[tuple[Target, str], PendingVerification]:
    """Return the moves that were not verified, then or later, by database and alias.

    Whether a move had anything to verify is for the caller to decide. A run without an end may have died during
    verification, so its moves count as not verified, regardless of their last recorded outcome.

    Raises:
        JournalError: the journal cannot be read.
    """
    runs = read(path).runs
    suspects = {past.step.alias for run in runs if run.state is not RunState.ENDED for past in run.steps}
    for run in runs:
        if run.state is RunState.ENDED:
            results = (_record(line) for line in filter(_NOT_VERIFIED.search, run.lines))
            suspects |= {line.result.step.alias for line in results if isinstance(line, Result)}
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
    """Return why the move of a started step is not verified; empty if it is verified or undone."""
    if past.step.desired is None or past.outcome is Outcome.REVERTED:
        return ""
    recorded = missing_proof(past.result) if past.result else ""
    return recorded or ("" if run.state is RunState.ENDED else NO_RECORDED_END)


def _about(aliases: Iterable[str]) -> re.Pattern[bytes]:
    """Return a pattern that matches every line about one of the aliases, and few others."""
    names = "|".join(re.escape(json.dumps(alias)) for alias in sorted(aliases))
    return re.compile(f'"alias": ?(?:{names})'.encode())


def _rejection(line: Result, collection: str) -> Rejection:
    result = line.result
    return Rejection(
        collection=collection,
        collection_id=result.step.desired_id,
        spec_hash=result.step.spec_hash,
        run=line.run,
        time=line.time,
        reason=result.message or "",
    )


def _run(start: RunStarted, end: RunEnded | None, lines: list[bytes]) -> PastRun:
    state = RunState.ENDED if end else _state(start.origins, datetime.fromisoformat(start.time))
    return PastRun(start, state, end, tuple(lines))


def _state(origins: Origins, started: datetime) -> RunState:
    """Return the state of a run that has no recorded end."""
    if origins.host != socket.gethostname():
        return RunState.UNFINISHED
    return RunState.RUNNING if _is_alive(origins.pid, started) else RunState.INTERRUPTED


def _is_alive(pid: int, since: datetime) -> bool:
    """Return whether a process that ran at a certain time is still alive; a younger one reuses the number."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):  # no process can have such a high number
        return False
    except OSError:
        pass  # it exists, but belongs to another user
    born = _birth(pid)
    return born is None or born <= since.timestamp() + CLOCK_SLACK_SECONDS


def _birth(pid: int) -> float | None:
    """Return when a process was started, in seconds since 1970; None on systems without Linux's `/proc`."""
    try:
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
        return int(boot.split()[1]) + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def _with_intent(before: PastStep | None, line: Intent) -> PastStep:
    """Return a step after another line: a call is about to be made."""
    result = before.result if before else None
    begun = before.begun if before and line.act is Act.HEAL else line.act
    return PastStep(line.target, before.step if before and result else line.step, result, begun)


def _with_outcome(before: PastStep | None, line: Result) -> PastStep:
    """Return a step after another line: its outcome. Only the intent has its gates."""
    result = line.result
    step = replace(result.step, gates=before.step.gates) if before else result.step
    return PastStep(line.target, step, replace(result, step=step))


def _head(line: bytes) -> tuple[int, str, str] | None:
    """Return format version, event and run of a line; None for an incomplete line, or one that is no journal line."""
    if found := _HEAD.match(line):
        if line.rstrip().endswith(b"}"):
            return int(found["version"]), found["event"].decode(), found["run"].decode()
        return None
    document = _parsed(line)  # another tool may have rewritten it with another order of fields
    if document is None or document.get("kind") != "Journal":
        return None
    version, event, run = (document.get(name) for name in ("formatVersion", "event", "run"))
    if isinstance(version, int) and isinstance(event, str) and isinstance(run, str):
        return version, event, run
    return None


def _parsed(line: bytes) -> Mapping[str, object] | None:
    try:
        document = json_strict.loads(line)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _record(line: bytes) -> Line | None:
    """Return the record of a line; None if it cannot be parsed."""
    document = _parsed(line)
    try:
        return line_of(document) if document else None
    except Malformed:
        return None


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, none if it is missing; lines over the maximum length come in pieces."""
    try:
        with path.open("rb") as file:
            yield from iter(partial(file.readline, LONGEST_LINE), b"")
    except FileNotFoundError:
        return
    except OSError as error:
        raise JournalError(f"{path}: the journal cannot be read: {error.strerror}") from error
