"""A run in progress as text: a line for each event that people want to know of, and what each set does at a moment.

It has no clock and prints nothing: moments are seconds of any clock, passed in by the caller.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from reconciler.core.durations import Duration
from reconciler.core.grouping import grouped
from reconciler.core.plan import inverse
from reconciler.core.report import Outcome, StepResult
from reconciler.core.run_events import (
    GatesStarted,
    Planning,
    PropagationEnded,
    PropagationProbed,
    PropagationStarted,
    RevertStarted,
    RunEvent,
    SetEnded,
    SoakPassed,
    SoakProbed,
    SoakStarted,
    VerificationStarted,
    WaitingForGates,
    WaveStarted,
)
from reconciler.core.text import counted, listed, printable
from reconciler.render import wording
from reconciler.render.lines import Line
from reconciler.render.text import OUTCOMES

_SILENT = {Outcome.BLOCKED, Outcome.NOT_ATTEMPTED}
"""Outcomes of steps to which nothing happens; the report lists them."""


class Activity(Struct, frozen=True):
    """What a set does for a while.

    Args:
        doing: in a few words, printable.
        since: the moment at which it began.
        seconds: how long it takes at most; None if that is not known.
        last: what the last probe found, printable.
        good: whether it found nothing wrong.
    """

    doing: str
    since: float
    seconds: float | None = None
    last: str = ""
    good: bool = True

    def timing(self, moment: float, *, elapsed: str = "") -> str:
        """Return the elapsed time, followed by `elapsed`, and the remaining time if it is known."""
        passed = max(0.0, moment - self.since)
        if self.seconds is None:
            return duration(passed) + elapsed
        return f"{duration(min(passed, self.seconds))}{elapsed}, {duration(max(0.0, self.seconds - passed))} left"

    def sentence(self, moment: float) -> str:
        """Return all of it."""
        return "; ".join(filter(None, (f"{self.doing}: {self.timing(moment, elapsed=' elapsed')}", self.last)))


class PlanningProgress:
    """How far a plan is. Its `str` is a sentence."""

    def __init__(self) -> None:
        self._last: Planning | None = None

    def take(self, event: Planning) -> None:
        """Note an event, in any thread; one that is overtaken by a later one is passed over."""
        if self._last is None or _place(self._last) <= _place(event):
            self._last = event

    def __str__(self) -> str:
        now = self._last
        if now is None:
            return "Connecting"
        which = f" ({now.number} of {now.databases})" if now.databases > 1 else ""
        database, calls = f"{now.connection} / {now.database}{which}", counted(now.calls(), "call")
        if not now.changes:
            return f"Reading {database}: {calls}"
        return f"Evaluating gates of {database}: {now.evaluated:,} of {counted(now.changes, 'change')}, {calls}"


def _place(event: Planning) -> tuple[int, bool, int]:
    return event.number, event.changes is not None, event.evaluated


class RunProgress:
    """Follows the events of one run. `activities`: what each set does now, in the order in which they began."""

    def __init__(self) -> None:
        self.activities: dict[str, Activity] = {}
        self._results: dict[tuple[str, str], StepResult] = {}
        self._waits: dict[str, dict[str, str]] = {}
        self._messages: dict[str, set[str]] = defaultdict(set)  # shown ones, by set
        self._changes: dict[str, tuple[int, int]] = {}  # by set: how many of how many changes of the wave are made

    def take(self, event: RunEvent, moment: float) -> list[Line]:
        """Note an event, and return the lines to show for it. `moment`: when it happened."""
        if isinstance(event, StepResult):
            return list(self._step(event, moment))
        name = printable(event.set)
        return [Line((f"{name}: ", "cyan"), *line) for line in self._other(event, name, moment)]

    def still_running(self, moment: float) -> str:
        """Return one sentence about what takes long; empty if nothing does."""
        if not self.activities:
            return ""
        name, activity = max(self.activities.items(), key=lambda item: item[1].since + (item[1].seconds or 0.0))
        others = len(self.activities) - 1
        return f"{name}: {activity.sentence(moment)}" + (f" (and {counted(others, 'other set')})" if others else "")

    def _step(self, result: StepResult, moment: float) -> Iterator[Line]:
        step, name = result.step, printable(result.step.set)
        before = self._results.get((step.set, step.alias))
        self._results[step.set, step.alias] = result
        if before is None and result.outcome not in _SILENT and not result.moved_by:
            self._count_change(name, moment)
        taken_over = result.moved_by and result.outcome is Outcome.NOOP and not result.code
        if taken_over or result.outcome in _SILENT or (before and _shown(before) == _shown(result)):
            return
        reverted = result.outcome is Outcome.REVERTED
        shown = inverse(step) if reverted else step
        ends = f"{shown.current or ''} → {shown.desired}".strip() if shown.desired else shown.current or ""
        message = "" if reverted else self._once(step.set, result.message or "")
        yield Line(
            (f"{name}: ", "cyan"),
            f"{wording.SIGNS[shown.action]} {printable(step.alias)}   {printable(ends)}   ",
            (wording.outcome(result), OUTCOMES[result.outcome]),
            f": {message}" if message else "",
        )

    def _other(self, event: RunEvent, name: str, moment: float) -> Iterator[Line]:
        match event:
            case GatesStarted(aliases=aliases):
                self._begin(name, f"gates of {counted(aliases, 'alias')}", moment)
            case WaitingForGates():
                yield from self._waiting(event, name, moment)
            case WaveStarted(wave=wave, changes=changes, blocked=blocked):
                self._waits.pop(name, None)
                self._changes[name] = (0, changes)
                self._begin(name, f"0 of {counted(changes, 'change')}", moment)
                yield Line(f"wave {wave}: {counted(changes, 'change')}" + (f", {blocked} blocked" if blocked else ""))
            case VerificationStarted(aliases=aliases):
                names = listed([printable(alias) for alias in aliases], wording.SHOWN_NAMES)
                yield Line(f"verifying moves of earlier runs: {names}")
            case PropagationStarted() | PropagationProbed() | PropagationEnded():
                yield from self._propagation(event, name, moment)
            case SoakStarted() | SoakProbed() | SoakPassed():
                yield from self._soak(event, name, moment)
            case RevertStarted(changes=changes, reason=reason):
                self._begin(name, f"reverting {counted(changes, 'change')}", moment)
                shown = any(message in reason for message in self._messages[event.set])
                because = "" if shown else f": {printable(reason)}"
                yield Line((f"reverting {counted(changes, 'change')}", "bold red"), because)
            case SetEnded():
                self.activities.pop(name, None)

    def _once(self, name: str, message: str) -> str:
        """Return a message; if a line of the set has shown it, return that."""
        if message in self._messages[name]:
            return "see above"
        if message:
            self._messages[name].add(message)
        return printable(message)

    def _waiting(self, event: WaitingForGates, name: str, moment: float) -> Iterator[Line]:
        """Show what a wave waits for at first, and again when that changes."""
        doing = f"waiting for {counted(len(event.reasons), 'alias')}"
        self._begin(name, doing, moment - event.elapsed, event.elapsed + event.remaining)
        if self._waits.get(name) == event.reasons:
            return
        self._waits[name] = event.reasons
        for reason, aliases in grouped(event.reasons, lambda alias: printable(event.reasons[alias])).items():
            names = listed([printable(alias) for alias in aliases], wording.SHOWN_NAMES)
            yield Line(f"waiting for gates, {duration(event.remaining)} left: {names}: ", (reason, "yellow"))

    def _propagation(
        self, event: PropagationStarted | PropagationProbed | PropagationEnded, name: str, moment: float
    ) -> Iterator[Line]:
        aliases_read = counted(event.aliases, "alias")
        match event:
            case PropagationStarted(seconds=seconds):
                self._begin(name, f"verifying {aliases_read}", moment, seconds)
                yield Line(f"verifying readers of {aliases_read}, up to {duration(seconds)}")
            case PropagationProbed(verified=verified, aliases=aliases, problem=problem):
                last = f"{verified} of {aliases} verified" + (f", {printable(problem)}" if problem else "")
                self._probed(name, last, good=not problem)
            case PropagationEnded(verified=verified, aliases=aliases, elapsed=elapsed):
                self.activities.pop(name, None)
                found = (f"readers of {aliases_read} verified", "green")
                if verified < aliases:
                    found = (f"readers of {verified} of {aliases_read} verified", "yellow")
                yield Line(found, f" after {duration(elapsed)}")

    def _soak(self, event: SoakStarted | SoakProbed | SoakPassed, name: str, moment: float) -> Iterator[Line]:
        match event:
            case SoakStarted(aliases=aliases, seconds=seconds):
                watched = counted(aliases, "alias")
                self._begin(name, f"soak of {watched}", moment, seconds)
                yield Line(f"soak: monitoring {watched} for {duration(seconds)}")
            case SoakProbed(elapsed=elapsed, problem=problem):
                was_good = self.activities[name].good
                last = f"last probe: {printable(problem)}" if problem else "last probe passed"
                self._probed(name, last, good=not problem)
                if problem and was_good:
                    yield Line((f"soak: probe failed after {duration(elapsed)}: ", "yellow"), printable(problem))
                elif not problem and not was_good:
                    yield Line((f"soak: probe passed again after {duration(elapsed)}", "green"))
            case SoakPassed(elapsed=elapsed):
                self.activities.pop(name, None)
                yield Line(("soak passed", "green"), f" after {duration(elapsed)}")

    def _begin(self, name: str, doing: str, since: float, seconds: float | None = None) -> None:
        self.activities.pop(name, None)  # so that the newest is the last
        self.activities[name] = Activity(doing, since, seconds)

    def _probed(self, name: str, last: str, *, good: bool) -> None:
        self.activities[name] = replace(self.activities[name], last=last, good=good)

    def _count_change(self, name: str, moment: float) -> None:
        made, changes = self._changes.get(name, (0, 0))
        activity = self.activities.pop(name, None)
        if made + 1 < changes:
            self._changes[name] = (made + 1, changes)
            since = activity.since if activity else moment
            self.activities[name] = Activity(f"{made + 1} of {counted(changes, 'change')}", since)


def _shown(result: StepResult) -> tuple[object, ...]:
    """Return what the line of a result depends on."""
    return result.outcome, result.code, result.message


def sentences(log: Callable[[str], object]) -> Callable[[RunEvent], None]:
    """Return a function that logs a sentence for each event of a run that people want to know of."""
    progress = RunProgress()

    def on_event(event: RunEvent) -> None:
        for line in progress.take(event, 0.0):
            log(line.plain)

    return on_event


def duration(seconds: float) -> str:
    """Return a duration for people: `1.3s`, `45s`, `9m30s`."""
    return f"{round(seconds, 1):g}s" if round(seconds, 1) < 10 else str(Duration(round(seconds)))
