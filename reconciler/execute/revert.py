"""Undoing what this run has made in one set, newest first, each change guarded like any step.

Only an alias that is still where this run put it is moved back, and only to the very collection it came from, if that
still exists and is loaded. A created alias is dropped, a dropped one is created again. There is no way to undo several
changes at once, so readers may meet any state in between; what cannot be undone is reported by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from reconciler.catalog.port import Catalog
from reconciler.errors import CatalogError
from reconciler.execute.attempt import ALIAS_MOVED, End, attempt, where
from reconciler.gates import gated
from reconciler.gates.loaded import NAME as LOADED
from reconciler.lossy_drops import blocked_if_lossy
from reconciler.plan import Action, Step, place
from reconciler.report import ACHIEVED, Outcome

REVERT_FAILED = "RevertFailed"
"""The code of a step that should have been undone and was not."""


def inverse(step: Step) -> Step:
    """The step that undoes one."""
    return replace(
        step,
        current=step.wanted,
        wanted=step.current,
        current_id=step.wanted_id,
        wanted_id=step.current_id,
        gate_results=(),
        skipped_gates=(),
        blocked=None,
        way_back=True,
    )


def revert(step: Step, catalog: Catalog, intend: Callable[[], None], failure: str) -> End:
    """Undo one step.

    Args:
        step: what was made, or may have been.
        catalog: its database.
        intend: writes down what is about to happen.
        failure: why, in a sentence.

    Returns:
        How the step itself ends now.
    """
    undo = inverse(step)
    try:
        obstacle = _obstacle(undo, catalog)
    except CatalogError as error:
        return _failed(f"{failure}; it could not be moved back: {error}", step, catalog)
    if obstacle:
        return _failed(f"{failure}; it was not moved back: {obstacle}", step, catalog)
    end = attempt(undo, catalog, intend)
    if end.code == ALIAS_MOVED:
        return _failed(f"{failure}; it was not moved back, because it is not where this run put it", step, catalog)
    if end.outcome not in ACHIEVED:
        return _failed(f"{failure}; it could not be moved back: {end.message}", step, catalog)
    wrote = end.outcome is Outcome.DONE
    return End(Outcome.REVERTED, message=f"{failure}; it is {place(step.current)} again", wrote=wrote)


def _obstacle(undo: Step, catalog: Catalog) -> str | None:
    """What forbids the way back."""
    if undo.action is Action.DROP:
        judged = blocked_if_lossy(undo, catalog.alias_names()) if catalog.drops_by_prefix else undo
        return judged.blocked.message if judged.blocked else None
    found = catalog.describe(undo.wanted or "")
    if found is None:
        return f"{undo.wanted} does not exist any more"
    if found.id and undo.wanted_id and found.id != undo.wanted_id:
        return f"{undo.wanted} is another collection now (id {found.id}, it was {undo.wanted_id})"
    judged = gated((undo,), catalog, which={LOADED})[0]
    return judged.blocked.message if judged.blocked else None


def _failed(message: str, step: Step, catalog: Catalog) -> End:
    """The step stays as it is; say where that is."""
    try:
        at = f"the alias is {place(where(step.alias, catalog))} now"
    except CatalogError:
        at = "where the alias is could not be read"
    return End(Outcome.FAILED, REVERT_FAILED, f"{message}; {at}", wrote=True)
