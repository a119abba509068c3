"""A journal that notes what runs record and when, and in which a run may die like a process that is killed."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Lock
from typing import Any

from msgspec.structs import replace

from reconciler.core.decisions import Decisions
from reconciler.core.model import Target
from reconciler.core.plan import Plan, Step
from reconciler.core.rejections import Rejected
from reconciler.core.report import Outcome, Report, StepResult
from reconciler.journal import Act, Journal, Origins, RecordedRun

NOBODY = 2**22 + 1
"""A process ID that Linux never gives."""


class Killed(BaseException):
    """Ends a run without any of its clean-up, as the death of its process does."""


class Event(StrEnum):
    """What a run does with its journal."""

    BEGIN = "begin"
    READ = "reads decisions"
    INTENT = "intent"
    RESULT = "result"
    DECISION = "decision to revert"
    END = "end"
    DEATH = "death"


@dataclass(frozen=True)
class Noted:
    """One entry of a run. `time` is in seconds of `time.monotonic()`, when the entry was on the disk.

    `wrote` and `outcome` are of results: whether the server may have been changed, and how the step ended. `aliases`
    are those whose decisions were read.
    """

    time: float
    run: int
    event: Event
    step: Step | None = None
    act: Act | None = None
    wrote: bool = True
    outcome: Outcome | None = None
    aliases: frozenset[str] = frozenset()

    def __str__(self) -> str:
        about = f"{self.step.alias}: {self.step.current} → {self.step.desired}" if self.step else ""
        return (
            f"{self.time:.3f} run {self.run} {self.event} {self.act or ''} {about} {'' if self.wrote else '(no call)'}"
        )


@dataclass
class Log:
    """What all runs of one journal did with it, in order."""

    entries: list[Noted] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def note(self, run: int, event: Event, step: Step | None = None, act: Act | None = None, **about: Any) -> None:
        with self.lock:
            self.entries.append(Noted(time.monotonic(), run, event, step, act, **about))


@dataclass(frozen=True)
class Death:
    """A run dies around its n-th entry: when the entry is about to be written, or when it has been."""

    entry: int
    written: bool


class WatchedJournal:
    """The journal as one run sees it.

    Args:
        journal: the file, which other runs use too.
        run: the number of the run in the log.
        log: receives what the run does.
        death: when the run dies, if it does.
    """

    def __init__(self, journal: Journal, run: int, log: Log, death: Death | None = None) -> None:
        self.journal = journal
        self.number = run
        self.log = log
        self.dead = False
        self.entries = 0
        self._death = death
        self._lock = Lock()

    def decisions(self) -> Decisions:
        return self.journal.decisions()

    def begin(self, plan: Plan, origins: Origins) -> RecordedRun:
        if self._death:
            origins = replace(origins, pid=NOBODY)
        return _WatchedRun(self, self.journal.begin(plan, origins))

    def alive(self) -> None:
        """Raise `Killed` if the run is dead: then it does nothing any more."""
        if self.dead:
            raise Killed

    def count(self, *, written: bool) -> None:
        """Count an entry before it is written; die around it, if it is the one."""
        with self._lock:
            self.alive()
            self.entries += not written
            if self._death and (self._death.entry, self._death.written) == (self.entries, written):
                self.dead = True
                self.log.note(self.number, Event.DEATH)
                raise Killed


class _WatchedRun:
    def __init__(self, watched: WatchedJournal, run: RecordedRun) -> None:
        self._watched = watched
        self._run = run
        self._note(Event.BEGIN)

    @property
    def id(self) -> str:
        return self._run.id

    def rejected(self, aliases: Collection[str], /) -> Rejected:
        self._watched.alive()
        self._note(Event.READ, aliases=frozenset(aliases))  # before it reads: what is decided from now on, it may miss
        return self._run.rejected(aliases)

    def decide_revert(self, target: Target, steps: Sequence[Step], reason: str) -> None:
        self._watched.count(written=False)
        self._run.decide_revert(target, steps, reason)
        for step in steps:
            self._note(Event.DECISION, step)
        self._watched.count(written=True)

    def intend(self, target: Target, step: Step, act: Act) -> None:
        self._watched.count(written=False)
        self._run.intend(target, step, act)
        self._note(Event.INTENT, step, act)
        self._watched.count(written=True)

    def note(self, target: Target, result: StepResult) -> None:
        self._watched.count(written=False)
        self._run.note(target, result)
        self._note(Event.RESULT, result.step, wrote=result.wrote, outcome=result.outcome)
        self._watched.count(written=True)

    def end(self, report: Report) -> str:
        self._watched.count(written=False)
        ended = self._run.end(report)
        self._note(Event.END)
        self._watched.count(written=True)
        return ended

    def _note(self, event: Event, step: Step | None = None, act: Act | None = None, **about: Any) -> None:
        self._watched.log.note(self._watched.number, event, step, act, **about)
