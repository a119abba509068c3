"""Milvus collection aliases as desired state: load manifests, plan changes, apply them.

    from reconciler import apply_plan, load, make_plan

    plan = make_plan(load("aliases/"))
    report = apply_plan(plan)
    raise SystemExit(report.exit_code)

Nothing here imports the command line; pymilvus is imported when the first connection is opened.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from reconciler.version import __version__

if TYPE_CHECKING:
    from reconciler.core.options import Options
    from reconciler.execute.saved_plan import ensure_fresh
    from reconciler.manifest import Overrides, load
    from reconciler.reconcile import apply_plan, make_plan

__all__ = ["Options", "Overrides", "__version__", "apply_plan", "ensure_fresh", "load", "make_plan"]

_MODULES = {
    "Options": "options",
    "Overrides": "manifest",
    "apply_plan": "reconcile",
    "ensure_fresh": "review",
    "load": "manifest",
    "make_plan": "reconcile",
}


def __getattr__(name: str) -> object:
    """Import a name on first access: every command imports this package, and few need all of it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
