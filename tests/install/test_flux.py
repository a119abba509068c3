"""Flux's health of a set, from the expressions of the example, for everything the operator says of a set."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from reconciler.core.reasons import MEANINGS, Ready, Reason
from tests.install.built import ROOT, Object
from tests.install.sets import alias_set, with_reason
from tests.reasons import SYNC_ONLY

cel = pytest.importorskip("cel", reason="common-expression-language is not installed")

KUSTOMIZATION = yaml.safe_load((ROOT / "manifests/flux/aliases.yaml").read_text())
(EXPRESSIONS,) = KUSTOMIZATION["spec"]["healthCheckExprs"]


def health(obj: Object) -> str:
    """As Flux does it (fluxcd/pkg, runtime/cel/status_evaluator.go; read, not measured)."""
    observed = obj.get("status", {}).get("observedGeneration")
    if observed is not None and observed != obj["metadata"]["generation"]:
        return "InProgress"
    for key, outcome in (("inProgress", "InProgress"), ("failed", "Failed"), ("current", "Current")):
        if key in EXPRESSIONS and cel.evaluate(EXPRESSIONS[key], obj):
            return outcome
    return "InProgress"


@pytest.mark.parametrize("reason", sorted(set(Reason) - SYNC_ONLY))
def test_ready_sets_go_on_stalled_ones_fail_and_the_others_are_waited_for(reason: Reason) -> None:
    meaning = MEANINGS[reason]
    expected = "Failed" if meaning.stalled else "Current" if meaning.ready is Ready.TRUE else "InProgress"
    assert health(with_reason(reason)) == expected


def test_a_set_that_is_suspended_in_git_holds_nothing_up() -> None:
    suspended = with_reason(Reason.SUSPENDED)
    suspended["spec"]["suspend"] = True
    assert health(suspended) == "Current"


@pytest.mark.parametrize("status", [{"observedGeneration": -1}, {"observedGeneration": 3}])
def test_a_set_of_which_nothing_is_known_is_waited_for(status: dict[str, Any]) -> None:
    assert health(alias_set(status)) == "InProgress"


def test_a_change_that_the_operator_has_not_seen_is_waited_for() -> None:
    changed = with_reason(Reason.SUCCEEDED)
    changed["metadata"]["generation"] += 1
    assert health(changed) == "InProgress"


def test_the_expressions_are_for_the_kind_that_is_checked() -> None:
    for checked in KUSTOMIZATION["spec"]["healthChecks"]:
        assert (checked["apiVersion"], checked["kind"]) == (EXPRESSIONS["apiVersion"], EXPRESSIONS["kind"])
    definition = yaml.safe_load((ROOT / "crds/aliassets.aliasctl.dev.yaml").read_text())["spec"]
    versions = [f"{definition['group']}/{version['name']}" for version in definition["versions"]]
    assert EXPRESSIONS["apiVersion"] in versions
    assert EXPRESSIONS["kind"] == definition["names"]["kind"]
