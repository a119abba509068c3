"""Roll back an earlier run, or move one alias: the record of a run becomes an ordinary plan.

    changes = changes_of(run), changes_in(report)    what a run changed                          changes
    changes = newest_changes(runs)                   those of the last run not rolled back yet
    plan = plan_rollback(changes, catalogs)          the plan that reverts them now              planning
    plan = plan_move(…)                              one alias to any collection

`apply_plan` carries the plan out like any other, and it can be rolled back itself.
"""

from reconciler.rollback.changes import (
    ROLLBACK,
    Changes,
    Selector,
    changes_in,
    changes_of,
    locations_of,
    newest_changes,
)
from reconciler.rollback.planning import DEFAULT_MAX_DROPS, plan_move, plan_rollback

__all__ = [
    "DEFAULT_MAX_DROPS",
    "ROLLBACK",
    "Changes",
    "Selector",
    "changes_in",
    "changes_of",
    "locations_of",
    "newest_changes",
    "plan_move",
    "plan_rollback",
]
