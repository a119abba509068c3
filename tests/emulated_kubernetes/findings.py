"""What looks at sets find, made by really planning and applying on a Milvus in memory."""

from __future__ import annotations

from typing import Any

from reconciler.catalog import Catalogs
from reconciler.core.decide import conclude
from reconciler.core.errors import UnexpectedAnswer
from reconciler.core.model import AliasSet
from reconciler.core.plan import Plan
from reconciler.core.reasons import Reason
from reconciler.manifest.objects import connect, read_alias_set, read_connection
from reconciler.operator.finding import Finding, up_to_date
from reconciler.operator.objects import SetObject, set_object
from reconciler.reconcile import apply_plan, make_plan
from tests.emulated_kubernetes.emulator import API_VERSION, Object
from tests.emulated_kubernetes.harness import entries
from tests.faults.memory import Recorder

CONNECTION: Object = {
    "apiVersion": API_VERSION,
    "kind": "MilvusConnection",
    "metadata": {"name": "main", "namespace": "team", "uid": "c", "generation": 1},
    "spec": {"uri": "http://milvus:19530"},
}


def set_body(
    aliases: dict[str, str | None] | None = None, *, status: Object | None = None, generation: int = 1, **spec: Any
) -> Object:
    """An AliasSet as the API server gives it."""
    return {
        "apiVersion": API_VERSION,
        "kind": "AliasSet",
        "metadata": {"name": "shop", "namespace": "team", "uid": "u", "generation": generation, "annotations": {}},
        "spec": {"connectionRef": {"name": "main"}, "aliases": entries(aliases or {}), **spec},
        "status": status or {},
    }


def an_object(aliases: dict[str, str | None] | None = None, **content: object) -> SetObject:
    return set_object(set_body(aliases, **content))  # type: ignore[arg-type]


def desired(aliases: dict[str, str | None], **spec: Any) -> AliasSet:
    """A set with its connection."""
    return connect(read_alias_set(set_body(aliases, **spec)), {"main": read_connection(CONNECTION)})


def plan_for(alias_set: AliasSet, catalogs: Catalogs) -> Plan:
    return make_plan([alias_set], catalogs=catalogs)


def look(alias_set: AliasSet, recorder: Recorder, *, fail: tuple[str, ...] = ()) -> Finding:
    """Plan, apply, and find; calls for the aliases in `fail` fail."""

    def before(method: str, alias: str) -> None:
        if method != "resolve" and alias in fail:
            raise UnexpectedAnswer("quota exceeded")

    recorder.before = before
    plan = plan_for(alias_set, recorder.catalogs())
    report = apply_plan(plan, catalogs=recorder.catalogs()) if plan.steps else None
    reason, message = conclude(report) if report else (Reason.SUCCEEDED, "")
    if reason is Reason.SUCCEEDED:
        reason, message = up_to_date(alias_set, ())
    return Finding(reason, message, desired=alias_set, plan=plan, report=report)
