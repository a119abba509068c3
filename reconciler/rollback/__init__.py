"""Undoing an earlier run, or moving one alias back: the record of a run becomes an ordinary plan.

    made = made_by(run), reported(report)    what a run left behind                     made
    made = newest_made(runs)                 the last one that is not undone yet
    plan = plan_rollback(made, catalogs)     the way back, as things are now            planning
    plan = plan_move(…)                      one alias to any collection

The plan is carried out by `apply_plan`, like any other, and can be undone itself.
"""

from reconciler.rollback.made import ROLLBACK, Made, Place, made_by, newest_made, places_of, reported
from reconciler.rollback.planning import DEFAULT_MAX_DROPS, plan_move, plan_rollback

__all__ = [
    "DEFAULT_MAX_DROPS",
    "ROLLBACK",
    "Made",
    "Place",
    "made_by",
    "newest_made",
    "places_of",
    "plan_move",
    "plan_rollback",
    "reported",
]
