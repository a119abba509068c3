"""Undoing what this run has made in one set, newest first, each change guarded like any step.

Only an alias that is still where this run put it is moved back, and only to the very collection it came from, if that
still exists and is loaded. A created alias is dropped, a dropped one is created again. There is no way to undo several
changes at once, so readers may meet any state in between; what cannot be undone is reported by name. A server that no
longer answers is not asked for each alias again: at two timeouts each, a thousand of them would take hours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from reconciler.catalog.port import Catalog
from reconciler.core.errors import CatalogError
from reconciler.core.plan import Action, Step, describe_location
from reconciler.core.prefix_drops import block_if_prefix
from reconciler.core.report import ACHIEVED, Outcome, StepResult
from reconciler.execute.attempt import ALIAS_MOVED, NO_ANSWER, End, attempt, where
from reconciler.gates import evaluate_gates
from reconciler.gates.loaded import NAME as LOADED

REVERT_FAILED = "RevertFailed"
"""The code of a step that should have been undone and was not."""


def inverse(step: Step) -> Step:
    """The step that undoes one."""
    return replace(
        step,
        current=step.desired,
        desired=step.current,
        current_id=step.desired_id,
        desired_id=step.current_id,
        gate_results=(),
        skipped_gates=(),
        blocked=None,
        reverting=True,
    )


class WayBack:
    """Undoes the steps of a set.

    Args:
        catalog: their database.
        failure: why, in a sentence.
    """

    def __init__(self, catalog: Catalog, failure: str) -> None:
        self._catalog = catalog
        self._failure = failure
        self._silent = False

    def take(self, last: StepResult, intend: Callable[[], None]) -> End:
        """Undo one step, unless the server did not answer when the one before it was to be undone.

        Args:
            last: what was made, or may have been, and how that ended.
            intend: writes down what is about to happen.

        Returns:
            How the step itself ends now.
        """
        if self._silent:
            not_tried = f"{self._failure}; it was not moved back: the server does not answer; not tried"
            message = f"{last.message}; {not_tried}" if last.message else not_tried
            return End(Outcome.FAILED, REVERT_FAILED, message, wrote=True)
        end = self._undo(last.step, intend)
        self._silent = end.unanswered
        return end

    def _undo(self, step: Step, intend: Callable[[], None]) -> End:
        undo = inverse(step)
        try:
            obstacle = _obstacle(undo, self._catalog)
        except CatalogError as error:
            return self._failed(step, f"it could not be moved back: {error}", unanswered=isinstance(error, NO_ANSWER))
        if obstacle:
            return self._failed(step, f"it was not moved back: {obstacle}")
        end = attempt(undo, self._catalog, intend)
        if end.code == ALIAS_MOVED:
            return self._failed(step, "it was not moved back, because it is not where this run put it")
        if end.outcome not in ACHIEVED:
            return self._failed(step, f"it could not be moved back: {end.message}", unanswered=end.unanswered)
        wrote = end.outcome is Outcome.DONE
        message = f"{self._failure}; it is {describe_location(step.current)} again"
        return End(Outcome.REVERTED, message=message, wrote=wrote)

    def _failed(self, step: Step, why: str, *, unanswered: bool = False) -> End:
        """The step stays as it is; say where that is. `unanswered`: whether the server left us without an answer."""
        try:
            at, unanswered = f"the alias is {describe_location(where(step.alias, self._catalog))} now", False
        except CatalogError as error:
            at, unanswered = "where the alias is could not be read", unanswered and isinstance(error, NO_ANSWER)
        return End(Outcome.FAILED, REVERT_FAILED, f"{self._failure}; {why}; {at}", True, unanswered)


def _obstacle(undo: Step, catalog: Catalog) -> str | None:
    """What forbids the way back."""
    if undo.action is Action.DROP:
        judged = block_if_prefix(undo, catalog.alias_names()) if catalog.drops_by_prefix else undo
        return judged.blocked.message if judged.blocked else None
    found = catalog.describe(undo.desired or "")
    if found is None:
        return f"{undo.desired} does not exist any more"
    if found.id and undo.desired_id and found.id != undo.desired_id:
        return f"{undo.desired} is another collection now (id {found.id}, it was {undo.desired_id})"
    judged = evaluate_gates((undo,), catalog, which={LOADED})[0]
    return judged.blocked.message if judged.blocked else None
