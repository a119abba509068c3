"""Milvus collection aliases as desired state: load what is wanted, plan what would change, apply it.

    from reconciler import apply_plan, load, make_plan

    plan = make_plan(load("aliases/"))
    report = apply_plan(plan)
    raise SystemExit(report.exit_code)

Nothing here imports the command line; pymilvus is imported when the first connection is opened.
"""

from reconciler.manifest import Overrides, load
from reconciler.options import Options
from reconciler.reconcile import apply_plan, make_plan
from reconciler.review import ensure_fresh
from reconciler.version import __version__

__all__ = ["Options", "Overrides", "__version__", "apply_plan", "ensure_fresh", "load", "make_plan"]
