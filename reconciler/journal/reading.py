"""Read a journal: its runs, and the records from which `decisions` concludes what later runs must know.

A journal is read by tools older and newer than the one that wrote it, while it is being written, and after crashes. So
a line that cannot be parsed is counted and skipped; an incomplete last line may still be being written, and is not
counted. Most lines are skipped without parsing: 100,000 of them take a fraction of a second.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import Lock

from msgspec import Struct

from reconciler.core import json_strict
from reconciler.core.errors import JournalError
from reconciler.core.model import Target
from reconciler.core.report import NOT_VERIFIED, StepResult
from reconciler.documents.codec import Malformed
from reconciler.documents.parts import saved
from reconciler.journal.decisions import with_intent, with_outcome
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
from reconciler.journal.records import Origins, PastStep, PastTarget, RunState

CLOCK_SLACK_SECONDS = 2.0
_HEAD = re.compile(HEAD)
_ALIAS = re.compile(rb'"alias": ?("(?:[^"\\]|\\.)*")')
_REJECTS = re.compile(rb'"event": ?"revertDecided"|"act": ?"revert"|"outcome": ?"reverted"')
_SUSPICIOUS = re.compile(
    _REJECTS.pattern + rf'|"outcome": ?"(?:failed|unknown)"|"code": ?"(?:{"|".join(sorted(NOT_VERIFIED))})"'.encode()
)


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
                        found[key] = with_intent(found.get(key), intent)
                    case Result(result=StepResult(step=step)) as result:
                        key = (result.target, step.set, step.alias)
                        found[key] = with_outcome(found.get(key), result)
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


class Undecided(Struct, frozen=True):
    """Records that may matter to later runs, in their order, and the runs whose end is recorded."""

    records: tuple[Line, ...] = ()
    ended: Collection[str] = frozenset()


def undecided(path: Path) -> Undecided:
    """Return all records about aliases that some run did not verify, reverted, or may have.

    Raises:
        JournalError: the journal cannot be read.
    """
    suspects: set[bytes] = set()
    of_run: dict[str, set[bytes]] = defaultdict(set)
    for event, run, line in _headed(_lines(path)):
        if event == "runEnded":
            of_run.pop(run, None)
        elif about := _ALIAS.search(line):
            if _SUSPICIOUS.search(line):
                suspects.add(about[1])
            of_run[run].add(about[1])
    return _records_about(suspects.union(*of_run.values()), path)


class Tail:
    """Watches which aliases other runs reject; each record is read once, although runs append to the journal.

    Args:
        path: the journal.
        offset: where to begin, in bytes; what was recorded before is known.
        run: the run whose records are left out.
    """

    def __init__(self, path: Path, offset: int, run: str) -> None:
        self._path = path
        self._offset = offset
        self._run = run
        self._suspects: set[bytes] = set()
        self._lock = Lock()

    def about(self, aliases: Collection[str]) -> Undecided:
        """Return the records about those of the aliases that were rejected. Raises `JournalError`."""
        with self._lock:
            for _, run, line in _headed(self._new_lines()):
                if run != self._run and _REJECTS.search(line) and (about := _ALIAS.search(line)):
                    self._suspects.add(about[1])
            suspects = self._suspects & {json.dumps(alias).encode() for alias in aliases}
        return _records_about(suspects, self._path, without=self._run)

    def _new_lines(self) -> Iterator[bytes]:
        for line in _lines(self._path, self._offset):
            if not line.endswith(b"\n") and len(line) < LONGEST_LINE:
                return  # it is still being written
            self._offset += len(line)
            yield line


def _records_about(aliases: Collection[bytes], path: Path, without: str = "") -> Undecided:
    """Return the records about aliases, which are given as JSON, of all runs but one."""
    if not aliases:
        return Undecided()
    records, ended = [], set()
    for event, run, line in _headed(_lines(path)):
        if run == without:
            continue
        if event == "runEnded":
            ended.add(run)
        elif (about := _ALIAS.search(line)) and about[1] in aliases and (record := _record(line)):
            records.append(record)
    return Undecided(tuple(records), ended)


def _headed(lines: Iterable[bytes]) -> Iterator[tuple[str, str, bytes]]:
    """Yield lines with their event and run; those that are no records are passed over."""
    for line in lines:
        if head := _head(line):
            yield head[1], head[2], line


def _about(aliases: Iterable[str]) -> re.Pattern[bytes]:
    """Return a pattern that matches every line about one of the aliases, and few others."""
    names = "|".join(re.escape(json.dumps(alias)) for alias in sorted(aliases))
    return re.compile(f'"alias": ?(?:{names})'.encode())


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


def _lines(path: Path, offset: int = 0) -> Iterator[bytes]:
    """Yield the lines of a file, none if it is missing; lines over the maximum length come in pieces."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            yield from iter(partial(file.readline, LONGEST_LINE), b"")
    except FileNotFoundError:
        return
    except OSError as error:
        raise JournalError(f"{path}: the journal cannot be read: {error.strerror}") from error
