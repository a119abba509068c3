"""A recorded run, as its entries describe it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from reconciler.core.model import Target
from reconciler.core.report import StepResult
from reconciler.documents.parts import saved
from reconciler.journal.decisions import with_intent, with_outcome
from reconciler.journal.entries import Entry, Intent, Result, RunEnded, RunStarted, SetPlanned, TargetPlanned
from reconciler.journal.records import Origins, PastStep, PastTarget, RunState

CLOCK_SLACK_SECONDS = 2.0
NO_ALIAS = ""


class PastRun(Struct, frozen=True):
    """A recorded run.

    `load` returns the entries between its start and its end, oldest first: about the run as a whole, and about one
    alias (all aliases for None). It reads the journal again on each call, because the entries of most runs are never
    used.
    """

    start: RunStarted
    end: RunEnded | None
    load: Callable[[str | None], Collection[Entry]]

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
    def state(self) -> RunState:
        """Return whether the run ended, and if not, whether its process is alive."""
        if self.end:
            return RunState.ENDED
        if self.origins.host != socket.gethostname():
            return RunState.UNFINISHED
        alive = is_alive(self.origins.pid, datetime.fromisoformat(self.started))
        return RunState.RUNNING if alive else RunState.INTERRUPTED

    @property
    def steps(self) -> tuple[PastStep, ...]:
        """Return the steps that were started or have an outcome, oldest first."""
        return self.steps_of(None)

    def steps_of(self, alias: str | None) -> tuple[PastStep, ...]:
        """Return the steps of one alias; of all aliases for None."""
        return steps_of(self.load(alias))

    @property
    def targets(self) -> tuple[PastTarget, ...]:
        """Return the databases of the run that had steps or pending verifications."""
        found: dict[Target, PastTarget] = {}
        for entry in self.load(NO_ALIAS):
            match entry:
                case TargetPlanned(target=target, connection=connection):
                    found.setdefault(target, PastTarget(target, saved(connection, target.address), {}))
                case SetPlanned(target=target, set=name, verify=verify) if target in found:
                    found[target].verify[name] = verify.record()
        return tuple(found.values())


def steps_of(entries: Collection[Entry]) -> tuple[PastStep, ...]:
    """Return the steps that entries of one run are about, in the order of their first entries."""
    found: dict[tuple[Target, str, str], PastStep] = {}
    for entry in entries:
        match entry:
            case Intent(step=step):
                key = (entry.target, step.set, step.alias)
                found[key] = with_intent(found.get(key), entry)
            case Result(result=StepResult(step=step)):
                key = (entry.target, step.set, step.alias)
                found[key] = with_outcome(found.get(key), entry)
    return tuple(found.values())


def is_alive(pid: int, since: datetime) -> bool:
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
