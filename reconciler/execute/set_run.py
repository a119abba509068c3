"""Run one set through its waves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Lock
from typing import TYPE_CHECKING

from msgspec.structs import replace

from reconciler.catalog.port import Catalog, DataRead
from reconciler.catalog.read import locate
from reconciler.core.errors import AliasctlError, CatalogError, JournalError, NotPrimary
from reconciler.core.model import Connection, OnFailure, Target
from reconciler.core.pending_verification import needs_proof
from reconciler.core.plan import (
    Action,
    PendingRevert,
    PendingVerification,
    SetPlan,
    Step,
    block_later_waves,
    block_whole_set,
    describe_location,
    inverse,
    waves,
)
from reconciler.core.prefix_drops import block_if_prefix
from reconciler.core.rejections import block_rejected, rejection_of
from reconciler.core.report import (
    ACHIEVED,
    PROPAGATION_DENIED,
    PROPAGATION_INTERRUPTED,
    PROPAGATION_STUCK,
    REVERT_FAILED,
    SOAK_FAILED,
    SOAK_INTERRUPTED,
    VERIFY_MISMATCH,
    Outcome,
    Propagated,
    Reach,
    StepResult,
    unknown_of,
)
from reconciler.core.run_events import RevertStarted, RunEvent, SetEnded, VerificationStarted, WaveStarted
from reconciler.core.text import listed
from reconciler.documents.timestamps import now
from reconciler.execute.attempt import MAY_STILL_ACT, attempt, in_the_meantime
from reconciler.execute.context import Halt, RunContext
from reconciler.execute.emptiness import row_counts
from reconciler.execute.endpoints import Endpoint
from reconciler.execute.identity import block_replaced_collections
from reconciler.execute.propagation import Prover
from reconciler.execute.revert import Reverter
from reconciler.execute.rights import Rights
from reconciler.execute.set_results import SetResults, added
from reconciler.execute.soak import soak
from reconciler.execute.wait import evaluate_in_time
from reconciler.integrations.hooks import Hooks
from reconciler.journal import Act

if TYPE_CHECKING:
    from reconciler.execute.live_metrics import LiveMetrics, MetricsWatch  # only loaded by runs that use them

LEFT_SHOWN = 20
"""Aliases that a message lists, of those that are still on a collection after a revert."""


class SetRun:
    """Runs one set in a thread of its own; its steps run in the pool of their database.

    Args:
        plan: the steps of the set.
        target: the database.
        catalog: the open database.
        pool: runs as many calls as may be in flight.
        context: what holds for the whole run.
        halt: set once nothing further may start.
        events: receives what happens, the result of each step among it, and None at the end.
        hooks: those of the database's connection.
        metrics: those of the database; None if no step of any set has one.
    """

    def __init__(
        self,
        plan: SetPlan,
        target: Target,
        catalog: Catalog,
        pool: ThreadPoolExecutor,
        context: RunContext,
        halt: Halt,
        events: SimpleQueue[RunEvent | None],
        hooks: Hooks | None = None,
        metrics: LiveMetrics | None = None,
    ) -> None:
        self._plan = plan
        self._target = target
        self._catalog = catalog
        self._pool = pool
        self._context = context
        self._report = events.put
        self._hooks = hooks
        self._metrics = metrics
        self._results = SetResults(target, context.record, events)
        self._stopped = halt
        self._halt = halt.also(self._results.failed)
        self._touched: list[Step] = []  # steps that this run made or may have made, oldest first
        self._unanswered: set[str] = set()  # aliases whose call was not answered, and is not known to have acted
        self._unanswered_heals: dict[str, str] = {}  # those with a repeated alter that was not answered, and its code
        self._moved_by_others: dict[str, str] = {}  # aliases that were seen at neither end of their step, and where
        self._is_secondary = False  # a change was refused by a secondary cluster
        self._lock = Lock()

    def run(self) -> None:
        """Run all waves, and revert if one failed and the set says so; always announce the end with None."""
        try:
            if self._plan.pending_reverts:
                self._take_over_reverts(self._plan.pending_reverts)
            else:
                self._run_waves()
            if self._must_revert and self._touched:
                self._revert()
        finally:
            self._report(SetEnded(self._plan.set))
            self._results.end()

    def _run_waves(self) -> None:
        remaining = tuple(sorted(self._plan.steps, key=lambda step: step.order))
        pending = list(self._plan.pending_verification)
        while remaining:
            wave = next(waves(remaining))
            later = remaining[len(wave) :]
            self._verify_earlier_moves([move for move in pending if move.step.wave < wave[0].wave])
            pending = [move for move in pending if move.step.wave >= wave[0].wave]
            wave, later = self._evaluate(wave, later)
            wave, later = self._block_rejected(wave, later)
            wave = self._run_wave(wave)
            remaining = block_later_waves((*wave, *later))[len(wave) :]
        self._verify_earlier_moves(pending)

    def _take_over_reverts(self, pending: Sequence[PendingRevert]) -> None:
        """Take over what an earlier run decided to revert; all steps of the plan are blocked."""
        for move in pending:
            self._results.take_over(move.step, move.run, f"run {move.run} decided to revert it and did not finish")
        self._attempt_all(self._plan.steps)
        self._touched = [move.step for move in pending]
        self._results.fail(pending[0].reason)

    def _verify_earlier_moves(self, pending: Sequence[PendingVerification]) -> None:
        """Verify aliases that an earlier run moved but did not verify; nothing starts after one that fails."""
        pending = self._still_in_place(pending)
        if not pending:
            return
        for move in pending:
            message = f"run {move.run} moved it and did not verify it ({move.reason}); it is verified now"
            self._results.take_over(move.step, move.run, message)
        self._report(VerificationStarted(self._plan.set, tuple(move.step.alias for move in pending)))
        steps = [move.step for move in pending]
        readers = self._readers(steps, moved=True)
        if prover := self._prover(steps, readers):
            self._prove(prover, [step for step in steps if step.action is Action.ALTER])
        self._watch(steps, readers)

    def _still_in_place(self, pending: Sequence[PendingVerification]) -> list[PendingVerification]:
        """Return those whose alias is still where it was moved; this run's own moves are verified with their wave."""
        touched = {made.alias for made in self._touched}
        pending = [move for move in pending if move.step.alias not in touched]
        if not pending or self._halt.is_set():
            return []
        try:
            live = locate(self._catalog, {move.step.alias: move.step.desired for move in pending})
        except CatalogError:
            return pending  # the proof reports it
        return [move for move in pending if live[move.step.alias] == move.step.desired]

    def _evaluate(self, wave: tuple[Step, ...], later: tuple[Step, ...]) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
        """Evaluate the gates again right before the wave; if that fails, nothing in the wave is changed.

        With onFailure: Revert the gates of all waves are evaluated before the first one. A blocked step keeps the rest
        from starting, or causes a revert.
        """
        if self._halt.is_set():
            return wave, later
        together = self._plan.on_failure is OnFailure.REVERT
        evaluated = (*wave, *later) if together and not self._touched else wave
        try:
            wait = self._context.wait
            evaluated = evaluate_in_time(evaluated, self._catalog, wait, self._halt, self._report, self._hooks)
            evaluated = self._with_metrics_before(evaluated)
            wave = block_replaced_collections(evaluated[: len(wave)], self._catalog, self._halt)
        except CatalogError as error:
            self._give_up(wave, error, "its gates could not be read")
            return (), later
        if not together:
            return wave, later
        everything = block_whole_set(
            (*wave, *evaluated[len(wave) :], *later[len(evaluated) - len(wave) :]), OnFailure.REVERT
        )
        wave, later = everything[: len(wave)], everything[len(wave) :]
        if self._touched:
            self._fail_if_blocked(wave)
        return wave, later

    def _with_metrics_before(self, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        """Return steps that are about to be made with the values of their metrics until now."""
        if self._metrics is None or self._halt.is_set():
            return steps
        from reconciler.execute.live_metrics import with_values_before

        return with_values_before(steps, self._metrics, self._plan.verify.soak or 0.0)

    def _block_rejected(
        self, wave: tuple[Step, ...], later: tuple[Step, ...]
    ) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
        """Block what other runs have rejected since the plan was made: their decisions are read before each wave.

        If that is a move of an earlier wave, nothing further may follow it.
        """
        if self._halt.is_set() or self._context.retry_rejected or not wave:
            return wave, later
        planned = [*self._plan.steps, *(move.step for move in self._plan.pending_verification)]
        try:
            rejected = self._context.record.rejected({step.alias for step in planned})
        except JournalError as error:
            self._give_up(wave, error, "what other runs recorded could not be read")
            return (), later
        if not rejected:
            return wave, later
        plan = block_rejected(replace(self._plan, steps=(*wave, *later)), self._target, rejected)
        steps = block_whole_set(block_later_waves(plan.steps), plan.on_failure)
        over = {step.alias for step in planned} - {step.alias for step in steps}
        for step in planned:
            if step.alias in over and (block := rejection_of(step, self._target, rejected)):
                block = replace(block, message=f'waiting: "{step.alias}" is blocked: {block.message}')
                steps = tuple(item if item.blocked else replace(item, blocked=block) for item in steps)
        if self._touched:
            self._fail_if_blocked(steps[: len(wave)])
        return steps[: len(wave)], steps[len(wave) :]

    def _fail_if_blocked(self, steps: Sequence[Step]) -> None:
        """Fail the set if a step is blocked after others were made; with onFailure: Revert they are reverted."""
        blocking_step = next((step for step in steps if step.blocked), None)
        if blocking_step and blocking_step.blocked and self._plan.on_failure is OnFailure.REVERT:
            self._results.fail(f'"{blocking_step.alias}" is blocked: {blocking_step.blocked.message}')

    def _run_wave(self, wave: tuple[Step, ...]) -> tuple[Step, ...]:
        """Create and alter, drop, read back, prove, soak; return the wave as evaluated, with blocked steps."""
        moves = tuple(step for step in wave if step.action is not Action.DROP)
        readers = self._readers(moves)
        prover = self._prover(moves, readers)
        changes = sum(step.blocked is None for step in wave)
        if changes and not self._halt.is_set():
            self._report(WaveStarted(self._plan.set, wave[0].wave, changes, len(wave) - changes))
        moved = self._attempt_all(moves)
        drops, dropped = self._drop_all(wave[len(moves) :])
        if moved or dropped:
            moved = self._read_back(moved, dropped)
        if prover and moved and not self._must_revert:
            self._prove(prover, [step for step in moved if step.action is Action.ALTER])
        self._watch(moved, readers)
        return (*moves, *drops)

    def _watch(self, steps: Sequence[Step], readers: _Readers | None) -> None:
        """Soak, if the set has one; if the wave has failed already, mark what is moved and not verified."""
        if not steps:
            return
        if self._must_revert:
            self._mark_moves_of_others(steps)
        elif self._plan.verify.soak and readers and not self._results.failed.is_set():
            self._soak(steps, self._plan.verify.soak, readers)
        elif self._plan.verify.soak:
            self._mark_unverified(steps, SOAK_INTERRUPTED, "not soaked")

    def _mark_moves_of_others(self, steps: Sequence[Step]) -> None:
        """Mark what other runs moved as not verified: the revert that follows leaves it where it is."""
        others = [step for step in steps if self._results.of(step).outcome is Outcome.NOOP]
        if self._plan.verify.soak:
            self._mark_unverified(others, SOAK_INTERRUPTED, "not soaked")
        elif self._plan.verify.propagation:
            unproved = [
                step for step in others if step.action is Action.ALTER and not self._results.of(step).propagation
            ]
            self._mark_unverified(unproved, PROPAGATION_INTERRUPTED, "not proved by reads")

    def _mark_unverified(self, steps: Sequence[Step], code: str, missing: str) -> None:
        for step in steps:
            last = self._results.of(step)
            if last.outcome in ACHIEVED and not last.code:
                message = f"{missing}, because the wave failed: {self._results.failure}"
                self._results.correct(step, last.outcome, code, message)

    @property
    def _must_revert(self) -> bool:
        """Return whether a failure makes the set revert.

        A secondary cluster would refuse the revert too, and its refusal says nothing about the desired collections: the
        set stops, and the next run continues.
        """
        return self._results.failed.is_set() and self._plan.on_failure is OnFailure.REVERT and not self._is_secondary

    def _attempt_all(self, steps: Sequence[Step]) -> list[Step]:
        """Make the changes of one phase concurrently; return the steps to read back and verify."""
        attempts: list[tuple[Step, Future[bool]]] = []
        for step in steps:
            if step.blocked:
                self._results.record(step, Outcome.BLOCKED, step.blocked.reason, step.blocked.message)
            else:
                attempts.append((step, self._pool.submit(self._attempt, step)))
        return [step for step, made in attempts if made.result()]

    def _drop_all(self, drops: tuple[Step, ...]) -> tuple[tuple[Step, ...], list[Step]]:
        """Drop aliases; return the drops as evaluated, and those that were made.

        On servers where a drop also deletes longer names, drops are made one by one, the longest name first, and the
        names are read again before each: an alias that could not be dropped must not be lost with a shorter one.
        """
        prefix_drops = self._catalog.behaviour.drops_by_prefix
        if not drops or not prefix_drops:
            return drops, self._attempt_all(drops)
        judged: dict[str, Step] = {drop.alias: drop for drop in drops}
        dropped = []
        for drop in sorted(drops, key=lambda step: -len(step.alias)):
            if not drop.blocked and not self._halt.is_set():
                try:
                    judged[drop.alias] = block_if_prefix(drop, self._catalog.alias_names(), prefix_drops)
                except CatalogError as error:
                    self._give_up([drop], error, "the aliases that the drop could delete as well could not be read")
                    continue
                if not drop.blocked:
                    self._fail_if_blocked([judged[drop.alias]])
            dropped += self._attempt_all([judged[drop.alias]])
        return tuple(judged.values()), dropped

    def _attempt(self, step: Step) -> bool:
        """Make one change unless the run was halted; return whether it was made, or has to be verified all the same."""
        if self._halt.is_set():
            self._results.record(step, Outcome.NOT_ATTEMPTED)
            return False
        started = now()
        end = attempt(step, self._catalog, self._intent(step, Act.MOVE))
        if end.wrote:
            with self._lock:
                self._touched.append(step)
                self._unanswered |= {step.alias} if end.outcome not in ACHIEVED else set()
        if end.third_place:
            self._moved_by_others[step.alias] = end.third_place
        if end.outcome not in ACHIEVED:
            if end.code == NotPrimary.__name__:
                self._is_secondary = True
            self._results.fail(f'"{step.alias}" failed: {end.message}')
        self._results.put(StepResult(step, end.outcome, end.code, end.message, started, now(), end.wrote))
        return end.outcome is Outcome.DONE or (end.outcome is Outcome.NOOP and self._must_verify_others(step))

    def _must_verify_others(self, step: Step) -> bool:
        """Return whether a step that another run has made since the plan is verified like one of this run."""
        return step.desired is not None and needs_proof(self._plan.verify) and not self._context.retry_rejected

    def _read_back(self, moved: Sequence[Step], dropped: Sequence[Step]) -> list[Step]:
        """Read the aliases of a wave back in few calls; return the moved ones that are where they should be."""
        try:
            steps = {step.alias: step for step in moved}
            desired = {alias: step.desired for alias, step in steps.items()}
            live = locate(self._catalog, desired, lambda alias, at: self._note_place(steps[alias], at))
            remaining = self._catalog.alias_names() if dropped else frozenset()
            remaining |= {step.alias for step in dropped if step.dangling and self._catalog.dangles(step.alias)}
        except CatalogError as error:
            message = f"the server accepted the call, but it could not be read back: {error}"
            for step in (*moved, *dropped):
                self._results.correct(step, Outcome.UNKNOWN, error.code, message)
            return []
        astray = [step for step in moved if live[step.alias] != step.desired]
        for step in astray:
            self._note_place(step, live[step.alias])
            self._contradict(step, f"is {describe_location(live[step.alias])} now")
        for step in dropped:
            if step.alias in remaining:
                self._contradict(step, "is still there")
        return [step for step in moved if step not in astray]

    def _note_place(self, step: Step, at: str | None) -> None:
        """Remember an alias that others moved to a third place: it is left alone for the rest of the run."""
        if at not in (step.current, step.desired):
            self._moved_by_others[step.alias] = describe_location(at)

    def _readers(self, moves: Sequence[Step], *, moved: bool = False) -> _Readers | None:
        """Return how to read through the aliases that move, and what is denied there before they do.

        Args:
            moves: creates and alters.
            moved: whether they were made already, in an earlier run.
        """
        verify, steps = self._plan.verify, [step for step in moves if not step.blocked]
        if not (verify.propagation or verify.soak) or not steps or self._stopped.is_set():
            return None
        further = [
            Endpoint(item.address, self._opened(item), item.name, verify.endpoint_timeouts.get(item.name))
            for item in verify.endpoints
        ]
        endpoints = [Endpoint(self._target.address, self._catalog), *further]
        return _Readers(endpoints, Rights(endpoints, self._catalog, self._pool, steps, moved=moved))

    def _prover(self, moves: Sequence[Step], readers: _Readers | None) -> Prover | None:
        """Return a prover that has found, before the aliases move, what distinguishes the collections."""
        altered = [step for step in moves if step.action is Action.ALTER and not step.blocked]
        propagation = self._plan.verify.propagation
        if propagation is None or not altered or readers is None:
            return None
        return Prover(readers.endpoints, readers.rights, self._catalog, self._pool, propagation.timeout, altered)

    def _opened(self, endpoint: Connection) -> Catalog | str:
        """Open a further proxy; return the error as text if it cannot be reached, which does not prevent the move."""
        try:
            catalog = self._context.open_endpoint(endpoint, self._target.database)
        except AliasctlError as error:
            return str(error)
        catalog.forget_version()  # it may be open for long
        return catalog

    def _prove(self, prover: Prover, steps: Sequence[Step]) -> None:
        """Prove by reads that the alters have reached the readers; record what could not be proved."""
        if not steps:
            return
        proved = prover.prove(
            steps, lambda step: self._intent(step, Act.HEAL)(), self._stopped, self._report, self._note_place
        )
        self._unanswered_heals |= prover.unanswered
        for step in steps:
            last = replace(self._results.of(step), propagation=proved[step.alias], ended=now())
            last = replace(last, wrote=last.wrote or any(item.heals for item in last.propagation))
            cut_short = self._stopped.is_set() and any(item.reach is not Reach.VERIFIED for item in last.propagation)
            failed = [item for item in last.propagation if item.reach in (Reach.STUCK, Reach.DENIED)]
            unknown = [item for item in last.propagation if item.reach is Reach.UNKNOWN]
            if failed:
                denied = any(item.reach is Reach.DENIED for item in failed)
                reason = "denied by the move" if denied else f"not answered by {step.desired}"
                self._results.fail(f'readers of "{step.alias}" are {reason}')
                message = "; ".join(f"{_place(item, last.propagation)}: {item.detail}" for item in failed)
                last = replace(last, outcome=Outcome.FAILED, message=message)
                last = replace(last, code=PROPAGATION_DENIED if denied else PROPAGATION_STUCK)
            elif unknown:
                code = PROPAGATION_INTERRUPTED if cut_short else last.code
                last = replace(last, code=code, message=added(last.message, _describe_unproved(unknown)))
            self._results.put(last)
            if at := prover.moved_by_others.get(step.alias):
                self._contradict(step, f"is {at} now")

    def _soak(self, steps: Sequence[Step], seconds: float, readers: _Readers) -> None:
        home = readers.endpoints[0]
        watched = (steps, home, readers.rights, self._catalog, self._pool, seconds)
        metrics = self._watched_metrics(steps, seconds)
        failed = soak(*watched, self._halt, self._report, self._note_place, metrics)
        self._record_metrics(steps, metrics)
        for step in steps:
            if step.alias in failed:
                place = self._moved_by_others.get(step.alias, "")
                moved = f"; {in_the_meantime(place)}" if place not in failed[step.alias] else ""
                self._results.fail(f'"{step.alias}": {failed[step.alias]}')
                self._results.correct(step, Outcome.FAILED, SOAK_FAILED, failed[step.alias] + moved)
            elif failed:
                self._mark_unverified([step], SOAK_INTERRUPTED, "the soak ended early")
            elif self._stopped.is_set():
                message = "the soak was interrupted; the alias is where it should be"
                self._results.correct(step, self._results.of(step).outcome, SOAK_INTERRUPTED, message)
            elif denied := readers.rights.denied_before(home, step.alias).get(DataRead.QUERY):
                last = self._results.of(step)
                message = f"the soak did not read through the alias: it was denied before the move: {denied}"
                self._results.put(replace(last, message=added(last.message, message)))

    def _watched_metrics(self, steps: Sequence[Step], seconds: float) -> MetricsWatch | None:
        if self._metrics is None or not any(step.metrics for step in steps):
            return None
        from reconciler.execute.live_metrics import MetricsWatch

        return MetricsWatch(steps, self._metrics, seconds, self._halt)

    def _record_metrics(self, steps: Sequence[Step], metrics: MetricsWatch | None) -> None:
        """Add what the metrics showed to the results of steps; what is not known fails none."""
        found = metrics.end() if metrics else {}
        for step in steps:
            if results := found.get(step.alias):
                last = self._results.of(step)
                unknown = [f"{item.metric.title} is unknown: {item.detail}" for item in unknown_of(results)]
                message = added(last.message, "; ".join(unknown)) if unknown else last.message
                self._results.put(replace(last, metrics=results, message=message, ended=now()))

    def _revert(self) -> None:
        """Revert what was made, newest first, one by one; then read it back, and prove it if the set says so.

        The decision is on disk before the first call. So a run that does not get to the end is completed by the next
        one, and no run repeats a move that had to be reverted. A dropped alias that dangled stays dropped: it pointed
        nowhere.
        """
        made = [step for step in self._touched if not step.dangling]
        if not self._plan.pending_reverts:
            self._results.note_what_stays()
        self._report(RevertStarted(self._plan.set, len(made), self._results.failure))
        try:
            self._context.record.decide_revert(self._target, made, self._results.failure)
        except JournalError as error:
            message = f"{self._results.failure}; it was not moved back: {error}"
            for step in made:
                self._results.correct(step, Outcome.FAILED, REVERT_FAILED, message)
            return
        reverter = Reverter(self._catalog, self._results.failure, self._moved_by_others, self._unanswered)
        self._confirm_reverted([step for step in reversed(made) if self._revert_step(step, reverter)])

    def _revert_step(self, step: Step, reverter: Reverter) -> bool:
        """Revert one step, and return whether it is where it was."""
        if self._stopped.is_set():
            message = f"{self._results.failure}; it was not moved back, because the run was stopped"
            self._results.correct(step, Outcome.FAILED, REVERT_FAILED, message)
            return False
        last = self._results.of(step)
        end = reverter.revert(last, self._intent(step, Act.REVERT))
        reverted = end.outcome is Outcome.REVERTED
        if step.alias in self._unanswered and reverted and not end.wrote:
            found = describe_location(step.current)
            message = f"{self._results.failure}; the alias is {found} now; {MAY_STILL_ACT}"
            self._results.correct(step, Outcome.FAILED, last.code, message)
            return False
        self._results.correct(step, end.outcome, end.code, end.message, wrote=end.wrote)
        return reverted

    def _confirm_reverted(self, reverted: Sequence[Step]) -> None:
        """Read back what was reverted: a revert counts when it is seen, not when it is accepted.

        What distinguishes the collections is determined only now: the revert itself must be quick, and a server that
        does not answer must not be queried about every pair of collections.
        """
        try:
            live = locate(self._catalog, {step.alias: step.current for step in reverted})
        except CatalogError as error:
            for step in reverted:
                message = f"{self._results.failure}; moved back, but it could not be read back: {error}"
                self._results.correct(step, Outcome.UNKNOWN, error.code, message)
            return
        for step in reverted:
            if live[step.alias] != step.current:
                self._contradict(step, _after_revert(live[step.alias]))
        back = [step for step in reverted if step.action is Action.ALTER and live[step.alias] == step.current]
        self._report_empty(back)
        self._report_left(reverted)
        # Heals of the original moves; the proof that follows makes others, of the reverts.
        unanswered = [
            (step, self._unanswered_heals[step.alias]) for step in back if step.alias in self._unanswered_heals
        ]
        reverts = [inverse(step) for step in back]
        if prover := self._prover(reverts, self._readers(reverts, moved=True)):
            self._prove(prover, reverts)
        for step, code in unanswered:
            message = f"{self._results.of(step).message}; {MAY_STILL_ACT}"
            self._results.correct(step, Outcome.FAILED, code, message)

    def _report_empty(self, back: Sequence[Step]) -> None:
        """Report aliases that are back at a collection that has become empty; only now, to revert without delay."""
        rows = row_counts(self._catalog, {step.current for step in back if step.current})
        for step in back:
            if rows[step.current or ""] == 0:
                message = f"{self._results.of(step).message}, which is empty now: searches find nothing"
                self._results.correct(step, Outcome.REVERTED, None, message)

    def _report_left(self, reverted: Sequence[Step]) -> None:
        """Report aliases that are still on the collections that a revert left, such as those of an earlier run.

        They are read, because a plan has no step for an alias that was there before. A read that fails only leaves
        them out.
        """
        mine = {step.alias for step in self._plan.steps} | {each.alias for each in self._plan.pending_verification}
        for collection in sorted({step.desired for step in reverted if step.desired}):
            try:
                aliases = self._catalog.aliases_of(collection) or frozenset()
            except CatalogError:
                continue
            left = sorted(aliases - mine)
            names = listed([f'"{alias}"' for alias in left], LEFT_SHOWN)
            for step in reverted:
                last = self._results.of(step)
                if step.desired != collection or last.outcome is not Outcome.REVERTED:
                    continue
                if step.alias in aliases:
                    self._contradict(step, _after_revert(collection))
                elif left:
                    message = f"{last.message}; still on {collection} since before this run: {names}"
                    self._results.correct(step, last.outcome, last.code, message)

    def _contradict(self, step: Step, finding: str) -> None:
        self._results.fail(f'"{step.alias}" {finding}')
        wrote = self._results.of(step).wrote
        message = f"{'the server accepted the call' if wrote else 'another run had moved it'}, yet the alias {finding}"
        self._results.correct(step, Outcome.FAILED, VERIFY_MISMATCH, message)

    def _give_up(self, steps: Sequence[Step], error: AliasctlError, why: str) -> None:
        self._results.fail(f"{why}: {error}")
        for step in steps:
            self._results.record(step, Outcome.FAILED, error.code, f"{why}: {error}")

    def _intent(self, step: Step, act: Act) -> Callable[[], None]:
        return lambda: self._context.record.intend(self._target, step, act)


@dataclass(frozen=True, slots=True)
class _Readers:
    """How the aliases of a wave are read to verify it, the first of `endpoints` being the set's own connection."""

    endpoints: Sequence[Endpoint]
    rights: Rights


def _after_revert(place: str | None) -> str:
    return f"is {describe_location(place)} after it was moved back"


def _place(item: Propagated, proofs: Sequence[Propagated]) -> str:
    """Return the address of an endpoint, with the name of its connection where others have that address too."""
    shared = sum(other.endpoint == item.endpoint for other in proofs) > 1
    return f"{item.endpoint} ({item.connection})" if shared and item.connection else item.endpoint


def _describe_unproved(unknown: Sequence[Propagated]) -> str:
    reasons = dict.fromkeys(item.detail for item in unknown)
    return f"could not verify that readers follow: {'; '.join(reasons)}"
