"""Argo CD's health of a set, computed by the Lua that Argo CD is given, for everything the operator says of a set."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from reconciler.core.reasons import Reason
from tests.install.built import ROOT, Object
from tests.install.sets import alias_set, condition, with_reason
from tests.reasons import SYNC_ONLY

lua51 = pytest.importorskip("lupa.lua51", reason="lupa is not installed")  # Argo CD's Lua (gopher-lua) is 5.1

SCRIPT = yaml.safe_load((ROOT / "manifests/argocd/argocd-cm.yaml").read_text())["data"][
    "resource.customizations.health.aliasctl.dev_AliasSet"
]
HEALTH = {
    Reason.SUCCEEDED: "Healthy",
    Reason.PROGRESSING: "Progressing",
    Reason.PROGRESSING_WITH_RETRY: "Progressing",
    Reason.DEPENDENCY_NOT_READY: "Progressing",
    Reason.GATE_FAILED: "Progressing",
    Reason.CONNECTION_FAILED: "Progressing",
    Reason.SUSPENDED: "Suspended",
    Reason.APPROVAL_REQUIRED: "Suspended",
    Reason.READ_ONLY: "Suspended",
    Reason.DRIFT_DETECTED: "Degraded",
    Reason.LIMIT_EXCEEDED: "Degraded",
    Reason.OWNERSHIP_CONFLICT: "Degraded",
    Reason.INVALID_SPEC: "Degraded",
    Reason.BLOCKED: "Degraded",
    Reason.REJECTED: "Degraded",
    Reason.VERIFICATION_FAILED: "Degraded",
}


def health(obj: Object) -> dict[str, Any]:
    """What the script returns for an object, without the libraries that Argo CD does not give it."""
    lua = lua51.LuaRuntime(register_eval=False, unpack_returned_tuples=True)
    for library in ("os", "io", "package", "debug", "require"):
        lua.globals()[library] = None
    script = lua.eval(f"function(obj) {SCRIPT} end")
    return dict(script(lua.table_from(obj, recursive=True)))


@pytest.mark.parametrize("reason", sorted(set(Reason) - SYNC_ONLY))
def test_every_reason_has_its_health_and_its_message(reason: Reason) -> None:
    told = health(with_reason(reason, "of search_main and 2 more"))
    assert told == {"status": HEALTH[reason], "message": "of search_main and 2 more"}


def test_a_change_that_the_operator_has_not_seen_is_not_healthy_yet() -> None:
    changed = with_reason(Reason.SUCCEEDED)
    changed["metadata"]["generation"] += 1
    assert health(changed)["status"] == "Progressing"


@pytest.mark.parametrize("status", [None, {}, {"observedGeneration": -1}, {"observedGeneration": 3}])
def test_a_set_of_which_nothing_is_known_is_not_healthy_yet(status: dict[str, Any] | None) -> None:
    assert health(alias_set(status))["status"] == "Progressing"


def test_a_suspended_set_is_suspended_whatever_was_said_before() -> None:
    for reason in (Reason.SUCCEEDED, Reason.LIMIT_EXCEEDED):
        suspended = with_reason(reason)
        suspended["spec"]["suspend"] = True
        suspended["metadata"]["generation"] += 1
        assert health(suspended)["status"] == "Suspended"


def test_a_set_that_is_being_deleted_is_on_its_way() -> None:
    deleted = with_reason(Reason.SUCCEEDED)
    deleted["metadata"]["deletionTimestamp"] = "2026-11-01T00:00:00Z"
    assert health(deleted)["status"] == "Progressing"


def test_a_set_that_only_a_person_can_help_is_degraded_whatever_the_reason() -> None:
    for reason in Reason:
        stalled = with_reason(reason)
        if reason is not Reason.SUCCEEDED:
            stalled["status"]["conditions"].append(condition("Stalled", "True", reason, "given up"))
            assert health(stalled) == {"status": "Degraded", "message": "given up"}


def test_conditions_that_are_no_longer_true_do_not_count() -> None:
    over = [condition("Ready", "False", Reason.DRIFT_DETECTED), condition("Stalled", "False", Reason.LIMIT_EXCEEDED)]
    over.append(condition("Reconciling", "False", Reason.PROGRESSING))
    assert health(alias_set({"observedGeneration": 3, "conditions": over}))["status"] == "Degraded"
