"""Milvus collection aliases as desired state: load manifests, plan changes, apply them.

    from reconciler import apply_plan, load, make_plan

    plan = make_plan(load("aliases/"))
    report = apply_plan(plan)
    raise SystemExit(report.exit_code)

The names in `__all__` are the stable API, described in docs/python.md. Nothing here imports the command line; pymilvus
is imported when the first connection is opened.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from reconciler.version import __version__

if TYPE_CHECKING:
    from reconciler.catalog import Catalogs, connect
    from reconciler.core.errors import AliasctlError, InvalidInput, StalePlan
    from reconciler.core.options import GatesToEvaluate, Options
    from reconciler.core.plan import Plan
    from reconciler.core.report import Outcome, Report
    from reconciler.documents.plan_file import load_plan, plan_document
    from reconciler.documents.report_file import report_document
    from reconciler.execute.saved_plan import ensure_fresh
    from reconciler.journal import Journal
    from reconciler.manifest import Overrides, load
    from reconciler.reconcile import apply_plan, make_plan

__all__ = [
    "AliasctlError",
    "Catalogs",
    "GatesToEvaluate",
    "InvalidInput",
    "Journal",
    "Options",
    "Outcome",
    "Overrides",
    "Plan",
    "Report",
    "StalePlan",
    "__version__",
    "apply_plan",
    "connect",
    "ensure_fresh",
    "load",
    "load_plan",
    "make_plan",
    "plan_document",
    "report_document",
]

_MODULES = {
    "AliasctlError": "core.errors",
    "Catalogs": "catalog",
    "GatesToEvaluate": "core.options",
    "InvalidInput": "core.errors",
    "Journal": "journal",
    "Options": "core.options",
    "Outcome": "core.report",
    "Overrides": "manifest",
    "Plan": "core.plan",
    "Report": "core.report",
    "StalePlan": "core.errors",
    "apply_plan": "reconcile",
    "connect": "catalog",
    "ensure_fresh": "execute.saved_plan",
    "load": "manifest",
    "load_plan": "documents.plan_file",
    "make_plan": "reconcile",
    "plan_document": "documents.plan_file",
    "report_document": "documents.report_file",
}


def __getattr__(name: str) -> object:
    """Import a name on first access: every command imports this package, and few need all of it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
