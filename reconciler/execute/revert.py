"""Revert what this run changed in one set, newest first, each change guarded like any step.

An alias is moved back only if it is still where this run put it, and only to the very collection that it came from, if
that still exists and is loaded. A created alias is dropped, and a dropped one is created again. One that the run has
seen at a third place is left alone, wherever it is now: a call that was not answered may have taken effect after
someone else moved the alias. Several changes cannot be reverted at once, so readers may see any state in between; what
cannot be reverted is reported by name. Once the server does not answer, the remaining aliases are not tried: at two
timeouts each, a thousand of them would take hours.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from msgspec.structs import replace

from reconciler.catalog.port import Catalog
from reconciler.core.errors import CatalogError
from reconciler.core.gates import DEFAULT_GUARD
from reconciler.core.plan import Action, Step, describe_location, inverse
from reconciler.core.prefix_drops import block_if_prefix
from reconciler.core.report import ACHIEVED, REVERT_FAILED, Outcome, StepResult
from reconciler.execute.attempt import ALIAS_MOVED, MAY_STILL_ACT, NO_ANSWER, End, attempt, in_the_meantime, where
from reconciler.gates import evaluate_gates

_NOT_SENT = End(Outcome.FAILED)


class Reverter:
    """Reverts the steps of a set.

    Args:
        catalog: their database.
        failure: the reason, as a sentence.
        moved_by_others: aliases that the run has seen at neither end of their step, and where, in words.
        may_still_move: aliases whose own call may still take effect.
    """

    def __init__(
        self, catalog: Catalog, failure: str, moved_by_others: Mapping[str, str], may_still_move: Collection[str]
    ) -> None:
        self._catalog = catalog
        self._failure = failure
        self._moved_by_others = moved_by_others
        self._may_still_move = may_still_move
        self._unanswered = False

    def revert(self, last: StepResult, intend: Callable[[], None]) -> End:
        """Revert one step, unless the server did not answer for the step before it.

        Args:
            last: the change that was made or may have been made, with its outcome.
            intend: records the intent.

        Returns:
            The new outcome of the step.
        """
        if self._unanswered:
            not_tried = f"{self._failure}; it was not moved back: the server does not answer; not tried"
            message = f"{last.message}; {not_tried}" if last.message else not_tried
            return End(Outcome.FAILED, REVERT_FAILED, message)
        end = self._revert(last.step, intend)
        self._unanswered = end.unanswered
        return end

    def _revert(self, step: Step, intend: Callable[[], None]) -> End:
        if place := self._moved_by_others.get(step.alias, ""):
            return self._failed(step, _by_others(place))
        try:
            undo, place = _following_rename(inverse(step), self._catalog)
            obstacle = "" if place else _obstacle(undo, self._catalog)
        except CatalogError as error:
            unanswered = isinstance(error, NO_ANSWER)
            return self._failed(
                step, f"it could not be moved back: {error}", End(Outcome.FAILED, unanswered=unanswered)
            )
        if place:
            return self._failed(step, _by_others(place))
        if obstacle:
            return self._failed(step, f"it was not moved back: {obstacle}")
        end = attempt(undo, self._catalog, intend)
        if end.code == ALIAS_MOVED:
            return self._failed(step, _by_others(end.third_place), end)
        if end.outcome not in ACHIEVED:
            return self._failed(step, f"it could not be moved back: {end.message}", end)
        wrote = end.outcome is Outcome.DONE
        message = f"{self._failure}; it is {describe_location(step.current)} again"
        return End(Outcome.REVERTED, message=message, wrote=wrote)

    def _failed(self, step: Step, why: str, end: End = _NOT_SENT) -> End:
        """Return the outcome of a step that was not reverted, with the place where its alias is now."""
        late = step.alias in self._may_still_move
        try:
            current = where(step.alias, self._catalog)
            at, unanswered = f"the alias is {describe_location(current)} now", False
            late = late and current != step.desired
        except CatalogError as error:
            at, unanswered = "where the alias is could not be read", end.unanswered and isinstance(error, NO_ANSWER)
        message = f"{self._failure}; {why}; {at}" + (f"; {MAY_STILL_ACT}" if late else "")
        return End(Outcome.FAILED, REVERT_FAILED, message, end.wrote, unanswered)


def _by_others(place: str) -> str:
    return f"it was not moved back, because someone else moved it: {in_the_meantime(place)}"


def _following_rename(undo: Step, catalog: Catalog) -> tuple[Step, str]:
    """Return the step with the present name of the collection that it leaves: an alias follows a renamed collection.

    If the alias is at neither end of the step, return also where, in words.
    """
    if not (undo.current and undo.current_id):
        return undo, ""
    found = catalog.resolve(undo.alias)
    at = found.name if found else None
    if at in (undo.current, undo.desired):
        return undo, ""
    renamed = found if found is None or found.id else catalog.describe(found.name)
    if renamed and renamed.id == undo.current_id:
        return replace(undo, current=renamed.name), ""
    return undo, describe_location(at)


def _obstacle(undo: Step, catalog: Catalog) -> str | None:
    """Return what prevents the revert, or None."""
    if undo.action is Action.DROP:
        prefix_drops = catalog.behaviour.drops_by_prefix
        judged = block_if_prefix(undo, catalog.alias_names(), prefix_drops) if prefix_drops else undo
        return judged.blocked.message if judged.blocked else None
    found = catalog.describe(undo.desired or "")
    if found is None:
        return f"{undo.desired} does not exist any more"
    if found.id and undo.desired_id and found.id != undo.desired_id:
        return f"{undo.desired} is another collection now (id {found.id}, it was {undo.desired_id})"
    judged = evaluate_gates((undo,), catalog, which={DEFAULT_GUARD})[0]
    return judged.blocked.message if judged.blocked else None
