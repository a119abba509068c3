"""One set on its way through its waves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from queue import SimpleQueue
from threading import Lock

from reconciler.catalog.port import Catalog
from reconciler.catalog.read import locate
from reconciler.core.errors import AliasctlError, CatalogError
from reconciler.core.model import Connection, OnFailure, Target
from reconciler.core.plan import (
    Action,
    PendingVerification,
    SetPlan,
    Step,
    block_later_waves,
    block_whole_set,
    describe_location,
    waves,
)
from reconciler.core.prefix_drops import block_if_prefix
from reconciler.core.report import (
    ACHIEVED,
    PROPAGATION_INTERRUPTED,
    PROPAGATION_STUCK,
    SOAK_FAILED,
    SOAK_INTERRUPTED,
    VERIFY_MISMATCH,
    Outcome,
    Propagated,
    Reach,
    StepResult,
)
from reconciler.documents.timestamps import now
from reconciler.execute.attempt import MAY_STILL_ACT, attempt
from reconciler.execute.context import Halt, RunContext
from reconciler.execute.identity import block_replaced_collections
from reconciler.execute.propagation import Endpoint, Prover
from reconciler.execute.revert import REVERT_FAILED, WayBack, inverse
from reconciler.execute.set_results import SetResults, added
from reconciler.execute.soak import soak
from reconciler.execute.wait import judged_in_time
from reconciler.journal import Act


class SetRun:
    """Runs in a thread of its own; its steps run in the pool of their database.

    Args:
        plan: the set's steps.
        target: the database.
        catalog: it, open.
        pool: for as many calls as may be in flight.
        conduct: see there.
        halt: why nothing further should start.
        results: where each step's result goes, and None at the end.
    """

    def __init__(
        self,
        plan: SetPlan,
        target: Target,
        catalog: Catalog,
        pool: ThreadPoolExecutor,
        context: RunContext,
        halt: Halt,
        results: SimpleQueue[StepResult | None],
    ) -> None:
        self._plan = plan
        self._target = target
        self._catalog = catalog
        self._pool = pool
        self._conduct = context
        self._results = SetResults(target, context.record, results)
        self._stopped = halt
        self._halt = halt.also(self._results.failed)
        self._touched: list[Step] = []  # what this run made or may have made, oldest first
        self._unanswered: set[str] = set()  # aliases with a call that was neither answered nor read back
        self._unanswered_heals: dict[str, str] = {}  # those with a repeated alter that was not answered, and its code
        self._lock = Lock()

    def run(self) -> None:
        """All waves, and the way back if it comes to that; the end is announced with None whatever happens."""
        try:
            self._run_waves()
            if self._to_be_undone and not self._stopped.is_set():
                self._revert()
        finally:
            self._results.end()

    def _run_waves(self) -> None:
        remaining = tuple(sorted(self._plan.steps, key=lambda step: step.order))
        pending = list(self._plan.pending_verification)
        while remaining:
            wave = next(waves(remaining))
            later = remaining[len(wave) :]
            self._verify_earlier_moves([item for item in pending if item.step.wave < wave[0].wave])
            pending = [item for item in pending if item.step.wave >= wave[0].wave]
            wave, later = self._judge(wave, later)
            wave = self._run_wave(wave)
            remaining = block_later_waves((*wave, *later))[len(wave) :]
        self._verify_earlier_moves(pending)

    def _verify_earlier_moves(self, pending: Sequence[PendingVerification]) -> None:
        """Verify what an earlier run moved and did not see through; nothing is started behind what fails."""
        pending = self._still_in_place(pending)
        if not pending:
            return
        for item in pending:
            message = f"run {item.run} moved it and did not verify it ({item.reason})"
            self._results.say(item.step, Outcome.NOOP, message=f"{message}; it is verified now")
        self._tell(f"verifying what an earlier run left unverified: {', '.join(item.step.alias for item in pending)}")
        steps = [item.step for item in pending]
        if prover := self._prover(steps):
            self._prove(prover, [step for step in steps if step.action is Action.ALTER])
        self._watch(steps)

    def _still_in_place(self, pending: Sequence[PendingVerification]) -> list[PendingVerification]:
        """Those whose alias is where it was moved; what this run has moved itself is verified with its wave."""
        touched = {made.alias for made in self._touched}
        pending = [item for item in pending if item.step.alias not in touched]
        if not pending or self._halt.is_set():
            return []
        try:
            live = locate(self._catalog, {item.step.alias: item.step.desired for item in pending})
        except CatalogError:
            return pending  # the proof will say so
        return [item for item in pending if live[item.step.alias] == item.step.desired]

    def _judge(self, wave: tuple[Step, ...], later: tuple[Step, ...]) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
        """Ask the gates again right before the wave; without an answer nothing in it is touched.

        Where all changes of a set go together, all waves are asked before the first one. A blocked step keeps the rest
        from starting, or has it undone.
        """
        if self._halt.is_set():
            return wave, later
        together = self._plan.on_failure is OnFailure.REVERT
        asked = (*wave, *later) if together and not self._touched else wave
        try:
            asked = judged_in_time(asked, self._catalog, self._conduct.wait, self._halt, self._tell)
            wave = block_replaced_collections(asked[: len(wave)], self._catalog, self._halt)
        except CatalogError as error:
            self._give_up(wave, error, "its gates could not be read")
            return (), later
        if not together:
            return wave, later
        everything = block_whole_set((*wave, *asked[len(wave) :], *later[len(asked) - len(wave) :]), OnFailure.REVERT)
        wave, later = everything[: len(wave)], everything[len(wave) :]
        if self._touched:
            self._fail_if_blocked(wave)
        return wave, later

    def _fail_if_blocked(self, steps: Sequence[Step]) -> None:
        """Where all changes of a set go together, one that is blocked after others were made undoes them."""
        blocking_step = next((step for step in steps if step.blocked), None)
        if blocking_step and blocking_step.blocked and self._plan.on_failure is OnFailure.REVERT:
            self._results.fail(f'"{blocking_step.alias}" is blocked: {blocking_step.blocked.message}')

    def _run_wave(self, wave: tuple[Step, ...]) -> tuple[Step, ...]:
        """Creates and alters, drops, read-back, propagation, soak; the wave as it was judged, with what was blocked."""
        moves = tuple(step for step in wave if step.action is not Action.DROP)
        prover = self._prover(moves)
        moved = self._attempt_all(moves)
        drops, dropped = self._drop_all(wave[len(moves) :])
        if moved or dropped:
            moved = self._read_back(moved, dropped)
        if prover and moved and not self._to_be_undone:
            self._prove(prover, [step for step in moved if step.action is Action.ALTER])
        self._watch(moved)
        return (*moves, *drops)

    def _watch(self, steps: Sequence[Step]) -> None:
        """The soak, if there is one; where the wave has failed already, what is left in place still wants it."""
        if not steps or not self._plan.verify.soak or self._to_be_undone:
            return
        if not self._results.failed.is_set():
            self._soak(steps, self._plan.verify.soak)
            return
        for step in steps:
            last = self._results.of(step)
            if last.outcome in ACHIEVED and not last.code:
                message = f"it was not watched, because the wave had failed: {self._results.failure}"
                self._results.correct(step, last.outcome, SOAK_INTERRUPTED, message)

    @property
    def _to_be_undone(self) -> bool:
        return self._results.failed.is_set() and self._plan.on_failure is OnFailure.REVERT

    def _attempt_all(self, steps: Sequence[Step]) -> list[Step]:
        """Make the changes of one phase, as many at a time as may be; the steps that were made."""
        attempts: list[tuple[Step, Future[bool]]] = []
        for step in steps:
            if step.blocked:
                self._results.say(step, Outcome.BLOCKED, step.blocked.reason, step.blocked.message)
            else:
                attempts.append((step, self._pool.submit(self._attempt, step)))
        return [step for step, made in attempts if made.result()]

    def _drop_all(self, drops: tuple[Step, ...]) -> tuple[tuple[Step, ...], list[Step]]:
        """Drop; the drops as they were judged, and those that were made.

        Where a drop takes longer names along, they go one by one, the longest first, each after another look at which
        names there are: one that could not be dropped must not be lost with a shorter one.
        """
        if not drops or not self._catalog.drops_by_prefix:
            return drops, self._attempt_all(drops)
        judged: dict[str, Step] = {drop.alias: drop for drop in drops}
        dropped = []
        for drop in sorted(drops, key=lambda step: -len(step.alias)):
            if not drop.blocked and not self._halt.is_set():
                try:
                    judged[drop.alias] = block_if_prefix(drop, self._catalog.alias_names())
                except CatalogError as error:
                    self._give_up([drop], error, "the aliases that it could take along could not be read")
                    continue
                if not drop.blocked:
                    self._fail_if_blocked([judged[drop.alias]])
            dropped += self._attempt_all([judged[drop.alias]])
        return tuple(judged.values()), dropped

    def _attempt(self, step: Step) -> bool:
        """Make one step's change unless the run was halted; True if it was made."""
        if self._halt.is_set():
            self._results.say(step, Outcome.NOT_ATTEMPTED)
            return False
        started = now()
        end = attempt(step, self._catalog, self._intent(step, Act.MOVE))
        if end.wrote:
            with self._lock:
                self._touched.append(step)
                self._unanswered |= {step.alias} if end.outcome is Outcome.UNKNOWN else set()
        if end.outcome not in ACHIEVED:
            self._results.fail(f'"{step.alias}" failed: {end.message}')
        self._results.put(StepResult(step, end.outcome, end.code, end.message, started, now(), end.wrote))
        return end.outcome is Outcome.DONE

    def _read_back(self, moved: Sequence[Step], dropped: Sequence[Step]) -> list[Step]:
        """Read a wave's aliases back, once, in few calls; the moved ones that are where they should be."""
        try:
            live = locate(self._catalog, {step.alias: step.desired for step in moved})
            remaining = self._catalog.alias_names() if dropped else frozenset()
        except CatalogError as error:
            message = f"the server accepted the call, but it could not be read back: {error}"
            for step in (*moved, *dropped):
                self._results.correct(step, Outcome.UNKNOWN, error.code, message)
            return []
        astray = [step for step in moved if live[step.alias] != step.desired]
        for step in astray:
            self._contradict(step, f"is {describe_location(live[step.alias])} now")
        for step in dropped:
            if step.alias in remaining:
                self._contradict(step, "is still there")
        return [step for step in moved if step not in astray]

    def _prover(self, moves: Sequence[Step]) -> Prover | None:
        """What tells the collections apart, found before the aliases move."""
        altered = [step for step in moves if step.action is Action.ALTER and not step.blocked]
        propagation = self._plan.verify.propagation
        if propagation is None or not altered or self._stopped.is_set():
            return None
        further = [Endpoint(endpoint.address, self._opened(endpoint)) for endpoint in self._plan.verify.endpoints]
        endpoints = [Endpoint(self._target.address, self._catalog), *further]
        return Prover(endpoints, self._catalog, self._pool, propagation.timeout, altered)

    def _opened(self, endpoint: Connection) -> Catalog | str:
        """A further proxy; one that cannot be reached keeps nothing from moving, and is told."""
        try:
            return self._conduct.open_endpoint(endpoint, self._target.database)
        except AliasctlError as error:
            return str(error)

    def _prove(self, prover: Prover, steps: Sequence[Step]) -> None:
        """Prove by reads that the alters have reached the readers; say what could not be proved."""
        proved = prover.prove(steps, lambda step: self._intent(step, Act.HEAL)(), self._stopped)
        self._unanswered_heals |= prover.adrift
        for step in steps:
            last = replace(self._results.of(step), propagation=proved[step.alias], ended=now())
            last = replace(last, wrote=last.wrote or any(item.heals for item in last.propagation))
            cut_short = self._stopped.is_set() and any(item.reach is not Reach.VERIFIED for item in last.propagation)
            stuck = [item for item in last.propagation if item.reach is Reach.STUCK]
            unknown = [item for item in last.propagation if item.reach is Reach.UNKNOWN]
            if stuck:
                self._results.fail(f'readers of "{step.alias}" are still answered by {step.current}')
                message = "; ".join(f"{item.endpoint}: {item.detail}" for item in stuck)
                last = replace(last, outcome=Outcome.FAILED, code=PROPAGATION_STUCK, message=message)
            elif unknown:
                code = PROPAGATION_INTERRUPTED if cut_short else last.code
                last = replace(last, code=code, message=added(last.message, _unproved(unknown)))
            self._results.put(last)

    def _soak(self, steps: Sequence[Step], seconds: float) -> None:
        failed = soak(steps, self._catalog, self._pool, seconds, self._halt, self._tell)
        for step in steps:
            if step.alias in failed:
                self._results.fail(f'"{step.alias}": {failed[step.alias]}')
                self._results.correct(step, Outcome.FAILED, SOAK_FAILED, failed[step.alias])
            elif self._stopped.is_set():
                message = "the soak was cut short; the alias is where it should be, but was not watched to the end"
                self._results.correct(step, self._results.of(step).outcome, SOAK_INTERRUPTED, message)

    def _revert(self) -> None:
        """Undo what was made, newest first, one by one; then see, and prove where that is asked for, that it is."""
        undone = []
        reverting = WayBack(self._catalog, self._results.failure)
        for step in reversed(self._touched):
            if self._stopped.is_set():
                message = f"{self._results.failure}; it was not moved back, because the run was stopped"
                self._results.correct(step, Outcome.FAILED, REVERT_FAILED, message)
                continue
            end = reverting.take(self._results.of(step), self._intent(step, Act.REVERT))
            if self._results.of(step).outcome is Outcome.FAILED and not end.wrote:
                continue  # it never was at its target, as the step's own message says
            if step.alias in self._unanswered and end.outcome is Outcome.REVERTED and not end.wrote:
                found = describe_location(step.current)
                message = f"{self._results.failure}; the alias is {found} now; {MAY_STILL_ACT}"
                self._results.correct(step, Outcome.FAILED, self._results.of(step).code, message)
                continue
            self._results.correct(step, end.outcome, end.code, end.message)
            if end.outcome is Outcome.REVERTED:
                undone.append(step)
        self._confirm_reverted(undone)

    def _confirm_reverted(self, undone: Sequence[Step]) -> None:
        """Read back what was undone: a revert is reported when it is seen, not when it was accepted.

        What tells the collections apart is looked for only now: the way back must be short, and a server that is gone
        must not be asked about every pair of collections.
        """
        try:
            live = locate(self._catalog, {step.alias: step.current for step in undone})
        except CatalogError as error:
            for step in undone:
                message = f"{self._results.failure}; moved back, but it could not be read back: {error}"
                self._results.correct(step, Outcome.UNKNOWN, error.code, message)
            return
        for step in undone:
            if live[step.alias] != step.current:
                self._contradict(step, f"is {describe_location(live[step.alias])} after it was moved back")
        back = [step for step in undone if step.action is Action.ALTER and live[step.alias] == step.current]
        # Those of the way there; the proof that follows makes others, which lead back.
        adrift = [(step, self._unanswered_heals[step.alias]) for step in back if step.alias in self._unanswered_heals]
        ways = [inverse(step) for step in back]
        if prover := self._prover(ways):
            self._prove(prover, ways)
        for step, code in adrift:
            message = f"{self._results.of(step).message}; {MAY_STILL_ACT}"
            self._results.correct(step, Outcome.FAILED, code, message)

    def _contradict(self, step: Step, finding: str) -> None:
        self._results.fail(f'"{step.alias}" {finding}')
        message = f"the server accepted the call, yet the alias {finding}"
        self._results.correct(step, Outcome.FAILED, VERIFY_MISMATCH, message)

    def _give_up(self, steps: Sequence[Step], error: CatalogError, why: str) -> None:
        self._results.fail(f"{why}: {error}")
        for step in steps:
            self._results.say(step, Outcome.FAILED, error.code, f"{why}: {error}")

    def _intent(self, step: Step, act: Act) -> Callable[[], None]:
        return lambda: self._conduct.record.intend(self._target, step, act)

    def _tell(self, sentence: str) -> None:
        self._conduct.tell(f"{self._plan.set}: {sentence}")


def _unproved(unknown: Sequence[Propagated]) -> str:
    reasons = dict.fromkeys(item.detail for item in unknown)
    return f"whether readers follow could not be told: {'; '.join(reasons)}"
