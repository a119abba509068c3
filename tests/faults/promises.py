"""What no run may do after what earlier runs recorded: judged from the entries of all runs, without our own queries.

Every call has an intent before it, so an intent to do what is forbidden is a violation, even without an effect.
A run can only respect what others recorded before it read the journal, which it does before each wave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.core.model import AliasSet, OnFailure
from reconciler.core.plan import Plan, Step
from reconciler.core.report import ACHIEVED, Outcome, Report
from reconciler.journal import Act
from tests.faults.watched_journal import Event, Log, Noted

MARGIN = 0.005
"""Seconds by which clocks of one machine may disagree."""


@dataclass
class Promises:
    """Holds the log of all runs against what they had to respect.

    Args:
        log: what all runs recorded.
        sets: the desired state by name of the set.
        bad: collections that no soak can find good.
    """

    log: Log
    sets: Mapping[str, AliasSet]
    bad: frozenset[str] = frozenset()
    retrying: set[int] = field(default_factory=set)
    """Runs with --retry-rejected, which may ignore all of this."""

    def insist(self) -> None:
        """Fail for a call that was begun although what was recorded before forbade it."""
        for number, entry in enumerate(self.log.entries):
            if entry.event is Event.INTENT and entry.act is Act.MOVE and entry.run not in self.retrying:
                assert entry.step
                if not entry.step.reverting:
                    before = self.log.entries[:number]
                    self._insist_that_it_was_not_rejected(entry, entry.step, before)
                    self._insist_that_earlier_waves_were_watched(entry, entry.step, before)

    def _insist_that_it_was_not_rejected(self, entry: Noted, step: Step, before: Sequence[Noted]) -> None:
        rejection = self.rejection_of(step, before)
        assert rejection is None or rejection.time > last_read(entry, before), (
            f"run {entry.run} repeats {step.alias} → {step.desired}, which run {rejection.run} rejected"
        )

    def rejection_of(self, step: Step, entries: Sequence[Noted]) -> Noted | None:
        """Return the newest decision about an alias, if it is about this move, of this spec. Drops are not rejected."""
        if step.desired is None:
            return None
        for item in reversed(entries):
            if item.step is None or item.step.alias != step.alias:
                continue
            if item.event is Event.DECISION:
                same = (item.step.desired, item.step.spec_hash) == (step.desired, step.spec_hash)
                return item if same else None
            lifts = item.act is Act.MOVE and (item.run in self.retrying or item.step.reverting)
            if lifts and item.step.desired == step.desired:
                return None
        return None

    def _insist_that_earlier_waves_were_watched(self, entry: Noted, step: Step, before: Sequence[Noted]) -> None:
        desired = self.sets[step.set]
        soak = desired.verify.soak
        if not soak or step.prune:
            return
        (begun,) = [item.time for item in before if item.run == entry.run and item.event is Event.BEGIN]
        known = self._known_to(entry, before)
        for alias in desired.aliases:
            moved = last_move(alias.name, known)
            if alias.wave >= step.wave or moved is None or alias.collection is None:
                continue
            assert moved.step
            if moved.step.desired != alias.collection or moved.step.reverting:
                continue
            said = f"run {entry.run} moves {step.alias} (wave {step.wave}) behind {alias.name} at {alias.collection}"
            assert alias.collection not in self.bad, f"{said}, where every soak fails"
            watched = entry.time - max(begun, there_since(moved, entry.run, known))
            assert watched + MARGIN >= soak or self.may_be_verified(moved, soak, before), f"{said}: {watched:.3f} s"

    def _known_to(self, entry: Noted, before: Sequence[Noted]) -> list[Noted]:
        """Return what a run recorded itself, what others had recorded when it read, and the results of their calls.

        The results are of any time: an intent of another run whose call was not made moved nothing.
        """
        read = last_read(entry, before)
        results = [
            item
            for item in self.log.entries
            if item.run != entry.run and item.event is Event.RESULT and item.time > read
        ]
        return [item for item in before if item.run == entry.run or item.time <= read] + results

    def may_be_verified(self, moved: Noted, soak: float, entries: Sequence[Noted]) -> bool:
        """Return whether some run lasted long enough after a move to have verified it."""
        for run in {item.run for item in entries if item.time > moved.time} | {moved.run}:
            times = [item.time for item in entries if item.run == run]
            if max(times) - max(moved.time, min(times)) + MARGIN >= soak:
                return True
        return False

    def insist_that_nothing_is_forgotten(self, plan: Plan, live: Mapping[str, str]) -> None:
        """What a plan of all sets says: moves that nobody can have verified, and reverts that nobody finished."""
        entries = self.log.entries
        planned = {set_plan.set: set_plan for target in plan.targets for set_plan in target.sets}
        for name, desired in self.sets.items():
            set_plan = planned[name]
            verifying = {item.alias for item in set_plan.pending_verification}
            reverting = {item.alias for item in set_plan.pending_reverts}
            todo = {step.alias for step in set_plan.steps}
            for alias in desired.aliases:
                at = live.get(alias.name)
                assert at == alias.collection or alias.name in todo, f"{alias.name} is at {at}, and no step says so"
                moved = last_move(alias.name, entries)
                if at is None or at != alias.collection or moved is None or moved.step is None:
                    continue
                decision = self.rejection_of(moved.step, entries)
                if decision and decision.time > moved.time and desired.on_failure is OnFailure.REVERT:
                    assert alias.name in reverting, f"{alias.name} is at {at}, and its revert is forgotten"
                    continue
                unverified = moved.step.desired == at and not moved.step.reverting and moved.run not in self.retrying
                unverified &= not accepted_by_a_rollback(moved, entries)
                if desired.verify.soak and unverified and not self.may_be_verified(moved, desired.verify.soak, entries):
                    assert alias.name in verifying | reverting, f"{alias.name} is at {at}, not verified, and forgotten"


def last_read(entry: Noted, before: Sequence[Noted]) -> float:
    """Return when a run last read what others had recorded about the set of its entry: each set reads for itself."""
    assert entry.step
    return max(item.time for item in before if item.run == entry.run and entry.step.alias in item.aliases)


def there_since(moved: Noted, run: int, known: Sequence[Noted]) -> float:
    """Return since when a run may watch an alias that a newest call moved.

    That is from its own result that the alias is there, if all known calls after it were to the same place.
    """
    assert moved.step
    since = moved.time
    for item in sorted(known, key=lambda item: item.time, reverse=True):
        if item.step is None or item.step.alias != moved.step.alias:
            continue
        if item.event is Event.INTENT and (item.act is not Act.MOVE or item.step.desired != moved.step.desired):
            break
        if item.run == run and item.event is Event.RESULT and item.outcome in ACHIEVED:
            since = min(since, item.time)
    return since


def last_move(alias: str, entries: Sequence[Noted]) -> Noted | None:
    """Return the intent of the newest call for an alias that may have been made, if that call was a move."""
    wrote: dict[int, bool] = {}
    for item in reversed(entries):
        if item.step is None or item.step.alias != alias:
            continue
        if item.event is Event.RESULT:
            wrote.setdefault(item.run, item.wrote)
        elif item.event is Event.INTENT and item.act is not Act.HEAL and wrote.get(item.run, True):
            return item if item.act is Act.MOVE else None
    return None


def accepted_by_a_rollback(moved: Noted, entries: Sequence[Noted]) -> bool:
    """Return whether a rollback found an alias where it was moved, and was to bring it there."""
    assert moved.step
    return any(
        item.event is Event.RESULT
        and item.outcome in ACHIEVED
        and item.time > moved.time
        and item.step is not None
        and item.step.reverting
        and (item.step.alias, item.step.desired) == (moved.step.alias, moved.step.desired)
        for item in entries
    )


def insist_on_truth(report: Report, live: Mapping[str, str]) -> None:
    """The report of a run beside which nothing else ran is true of every alias."""
    for result in report.results:
        step, at = result.step, live.get(result.step.alias)
        said = f"{step.alias}, from {step.current} to {step.desired}: {result}; it is at {at}"
        if result.outcome in {Outcome.DONE, Outcome.NOOP}:
            assert at == step.desired, said
        elif result.outcome is Outcome.REVERTED:
            assert at == step.current, said
