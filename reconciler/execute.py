"""Carrying out one database's plan: waves, a re-read before each call, the call, a read-back after each wave.

Milvus has no compare-and-swap for aliases. So each step reads its alias immediately before the call, and refuses when
it is not where the plan found it; after a call that ended badly it reads before it says what happened, and never calls
again. What remains is the window between that read and the call, a round trip wide; `docs/semantics.md` says so.

Sets do not wait for each other. Within a set: a wave's creates and alters, then its drops, then the read-back, then the
next wave. A failed step stops what has not started in its set.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from queue import SimpleQueue
from threading import Event

import stamina

from reconciler.catalog.port import Catalog
from reconciler.catalog.read import locate
from reconciler.errors import AliasAlreadyExists, CatalogError, RateLimited, UnexpectedAnswer
from reconciler.gates import gated
from reconciler.lossy_drops import blocked_if_lossy
from reconciler.plan import Action, SetPlan, Step, TargetPlan, block_later_waves, place, waves
from reconciler.report import ACHIEVED, Outcome, StepResult

RATE_LIMIT_ATTEMPTS = 5
RATE_LIMIT_SECONDS = 30.0


def execute(plan: TargetPlan, catalog: Catalog, stop: Event) -> Generator[StepResult]:
    """Carry out a plan; yield each step's result as it happens.

    A step can be reported twice: `done`, and then `failed` or `unknown` when the read-back of its wave contradicts or
    cannot confirm it. The last word counts.

    Args:
        plan: what to do; its blocked steps are reported, not done.
        catalog: the database, open.
        stop: when set, calls in flight are finished, and nothing further is started.
    """
    results: SimpleQueue[StepResult | None] = SimpleQueue()
    abandoned = Event()
    width = max(1, min(len(plan.sets), catalog.concurrency))
    with (
        ThreadPoolExecutor(catalog.concurrency, thread_name_prefix="step") as steps,
        ThreadPoolExecutor(width, thread_name_prefix="set") as sets,
    ):
        runs = [
            sets.submit(_SetRun(set_plan, catalog, steps, (stop, abandoned), results).run) for set_plan in plan.sets
        ]
        try:
            for _ in runs:
                while (result := results.get()) is not None:
                    yield result
            for run in runs:
                run.result()  # a bug in our own code must not pass for a quiet end
        finally:
            abandoned.set()  # whoever asked for results went away: start nothing further


class _SetRun:
    """One set on its way through its waves."""

    def __init__(
        self,
        plan: SetPlan,
        catalog: Catalog,
        pool: ThreadPoolExecutor,
        stops: tuple[Event, ...],
        results: SimpleQueue[StepResult | None],
    ) -> None:
        self._plan = plan
        self._catalog = catalog
        self._pool = pool
        self._results = results
        self._failed = Event()
        self._stops = (*stops, self._failed)

    def run(self) -> None:
        """All waves; the end is announced with None whatever happens."""
        try:
            remaining = tuple(sorted(self._plan.steps, key=lambda step: step.order))
            while remaining:
                wave = next(waves(remaining))
                later = remaining[len(wave) :]
                wave = self._judge(wave)
                wave = self._run_wave(wave)
                remaining = block_later_waves((*wave, *later))[len(wave) :]
        finally:
            self._results.put(None)

    def _judge(self, wave: tuple[Step, ...]) -> tuple[Step, ...]:
        """Ask the gates again right before the wave; without an answer nothing in it is touched."""
        if self._halted:
            return wave
        try:
            return gated(wave, self._catalog)
        except CatalogError as error:
            self._give_up(wave, error, "its gates could not be read")
            return ()

    def _run_wave(self, wave: tuple[Step, ...]) -> tuple[Step, ...]:
        """Creates and alters, then drops, then the read-back; the wave as it was judged, with what was blocked."""
        moves = tuple(step for step in wave if step.action is not Action.DROP)
        done = self._attempt_all(moves)
        drops = self._judge_drops(wave[len(moves) :])
        done += self._attempt_all(drops)
        if done:
            self._verify(done)
        return (*moves, *drops)

    def _attempt_all(self, steps: Sequence[Step]) -> list[Step]:
        """Make the changes of one phase, as many at a time as may be; the steps that were made."""
        attempts: list[tuple[Step, Future[bool]]] = []
        for step in steps:
            if step.blocked:
                self._say(step, Outcome.BLOCKED, step.blocked.reason, step.blocked.message)
            else:
                attempts.append((step, self._pool.submit(self._attempt, step)))
        return [step for step, attempt in attempts if attempt.result()]

    def _judge_drops(self, drops: tuple[Step, ...]) -> tuple[Step, ...]:
        """Where a drop takes longer names along, look once more which there are."""
        if self._halted or not drops or not self._catalog.drops_by_prefix:
            return drops
        try:
            staying = self._catalog.alias_names() - {drop.alias for drop in drops if not drop.blocked}
        except CatalogError as error:
            self._give_up(drops, error, "the aliases that it could take along could not be read")
            return ()
        return tuple(drop if drop.blocked else blocked_if_lossy(drop, staying) for drop in drops)

    @property
    def _halted(self) -> bool:
        return any(stop.is_set() for stop in self._stops)

    def _attempt(self, step: Step) -> bool:
        """Make one step's change unless the run was halted; True if it was made."""
        if self._halted:
            self._say(step, Outcome.NOT_ATTEMPTED)
            return False
        started = now()
        end = attempt(step, self._catalog)
        if end.outcome not in ACHIEVED:
            self._failed.set()
        self._results.put(StepResult(step, end.outcome, end.code, end.message, started, now(), end.wrote))
        return end.outcome is Outcome.DONE

    def _verify(self, steps: Sequence[Step]) -> None:
        """Read a wave's aliases back, once, in few calls."""
        moves = {step.alias: step.wanted for step in steps if step.wanted}
        try:
            live = locate(self._catalog, moves)
            remaining = self._catalog.alias_names() if len(moves) < len(steps) else frozenset()
        except CatalogError as error:
            self._failed.set()
            for step in steps:
                message = f"the server accepted the call, but it could not be read back: {error}"
                self._say(step, Outcome.UNKNOWN, error.code, message, wrote=True)
            return
        for step in steps:
            if step.wanted and live[step.alias] != step.wanted:
                self._contradict(step, f"is {place(live[step.alias])} now")
            elif step.wanted is None and step.alias in remaining:
                self._contradict(step, "is still there")

    def _contradict(self, step: Step, finding: str) -> None:
        self._failed.set()
        message = f"the server accepted the call, yet the alias {finding}"
        self._say(step, Outcome.FAILED, "VerifyMismatch", message, wrote=True)

    def _give_up(self, steps: Sequence[Step], error: CatalogError, why: str) -> None:
        self._failed.set()
        for step in steps:
            self._say(step, Outcome.FAILED, error.code, f"{why}: {error}")

    def _say(
        self, step: Step, outcome: Outcome, code: str | None = None, message: str | None = None, *, wrote: bool = False
    ) -> None:
        moment = now()
        self._results.put(StepResult(step, outcome, code, message, moment, moment, wrote))


@dataclass(frozen=True, slots=True)
class _End:
    """How one attempt ended; the fields are those of `StepResult`."""

    outcome: Outcome
    code: str | None = None
    message: str | None = None
    wrote: bool = False


def attempt(step: Step, catalog: Catalog) -> _End:
    """Re-read, call, and after trouble read again. When the server says "not now", all of it is tried again."""
    try:
        for try_again in stamina.retry_context(
            on=RateLimited, attempts=RATE_LIMIT_ATTEMPTS, timeout=RATE_LIMIT_SECONDS
        ):
            with try_again:
                return _attempt_once(step, catalog)
    except CatalogError as error:
        return _End(Outcome.FAILED, error.code, f"{error}; the alias was left as it was")
    raise AssertionError("retry_context ends with a return or an error")


def _attempt_once(step: Step, catalog: Catalog) -> _End:
    """One re-read and one call.

    Raises:
        CatalogError: before the call, or `RateLimited`, with which the server says that it did not act.
    """
    current = _where(step.alias, catalog)
    if current == step.wanted:
        return _End(Outcome.NOOP)
    if current != step.current:
        moved = f"the alias is {place(current)} now, not {place(step.current)} as planned; it was left alone"
        return _End(Outcome.FAILED, "AliasMoved", moved)
    try:
        return _call(step, catalog)
    except RateLimited:
        raise
    except CatalogError as error:
        return _after_trouble(step, catalog, error)


def _call(step: Step, catalog: Catalog) -> _End:
    if step.wanted is None:
        catalog.drop_alias(step.alias)
    elif step.current is None:
        return _create(step, step.wanted, catalog)
    else:
        catalog.alter_alias(step.alias, step.wanted)
    return _End(Outcome.DONE, wrote=True)


def _create(step: Step, collection: str, catalog: Catalog) -> _End:
    """Create; an alias that no read can see and that exists all the same is dangling: alter brings it back.

    Measured on Milvus 2.3.5: an alias whose collection was dropped is hidden from every list and from describe, create
    answers 1602, alter works.
    """
    try:
        catalog.create_alias(step.alias, collection)
    except AliasAlreadyExists:
        if _where(step.alias, catalog) is not None:
            raise
        catalog.alter_alias(step.alias, collection)
        message = "the alias was dangling: its collection is gone; it was altered, not created"
        return _End(Outcome.DONE, message=message, wrote=True)
    return _End(Outcome.DONE, wrote=True)


def _after_trouble(step: Step, catalog: Catalog, error: CatalogError) -> _End:
    """A call failed or was never answered: only the catalog knows whether it took effect."""
    refused = not (error.transient or isinstance(error, UnexpectedAnswer))  # the server said that it did not act
    try:
        current = _where(step.alias, catalog)
    except CatalogError as unreadable:
        message = f"{error}; and the alias could not be read back: {unreadable}"
        return _End(Outcome.UNKNOWN, error.code, message, wrote=True)
    if current == step.wanted:
        message = f"the call ended with an error ({error}), but the alias is where it should be"
        return _End(Outcome.DONE, message=message, wrote=True)
    if current != step.current:
        message = f"{error}; the alias is {place(current)} now, moved by someone else"
        return _End(Outcome.FAILED, error.code, message, wrote=not refused)
    late = "" if refused else "; a call that was sent may still take effect"
    return _End(Outcome.FAILED, error.code, f"{error}; the alias is still {place(current)}{late}", wrote=not refused)


def _where(alias: str, catalog: Catalog) -> str | None:
    collection = catalog.resolve(alias)
    return collection.name if collection else None


def now() -> str:
    """This moment, RFC 3339, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
