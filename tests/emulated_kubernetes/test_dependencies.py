"""A set that depends on another one waits until that is applied and verified at its present generation."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.operator import reconciler
from tests.emulated_kubernetes.emulator import ApiServer
from tests.emulated_kubernetes.harness import Kube, Operator, wait_until
from tests.emulated_kubernetes.milvus import Milvus

AFTER_STAGING: dict[str, Any] = {"name": "prod", "dependsOn": [{"name": "staging"}]}


@pytest.fixture(autouse=True)
def only_when_woken(short_waits: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is retried in the time of a test: what follows another set does so because it was woken."""
    monkeypatch.setattr(reconciler, "FIRST_RETRY_SECONDS", 600.0)
    monkeypatch.setattr(reconciler, "LONGEST_RETRY_SECONDS", 600.0)


def message(kube: Kube, name: str = "prod") -> str:
    return str(kube.condition(name=name)["message"])


@pytest.mark.usefixtures("operator")
def test_it_waits_for_a_set_that_does_not_exist_yet_and_follows_it(kube: Kube, milvus: Milvus) -> None:
    kube.create({"b": "v1"}, **AFTER_STAGING)
    kube.wait("DependencyNotReady", "prod")
    assert message(kube) == 'waits for AliasSet "staging": there is no such AliasSet in namespace team'
    assert milvus.aliases == {}
    kube.create({"a": "v1"}, name="staging")
    kube.wait("Succeeded", "prod")
    assert milvus.journal == [("create", "a"), ("create", "b")]


@pytest.mark.usefixtures("operator")
def test_it_waits_for_the_soak_of_the_other_set_and_not_only_for_its_moves(kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1"}, name="staging", verify={"soak": "10m"})
    wait_until("staging moved", lambda: milvus.aliases == {"a": "v1"})
    kube.create({"b": "v1"}, **AFTER_STAGING)
    kube.wait("DependencyNotReady", "prod")
    assert milvus.aliases == {"a": "v1"}
    assert message(kube).startswith('waits for AliasSet "staging": ')
    kube.edit(name="staging", verify={"soak": "200ms"})
    kube.wait("Succeeded", "prod")
    assert milvus.aliases == {"a": "v1", "b": "v1"}


@pytest.mark.usefixtures("operator")
def test_a_change_of_both_is_made_in_order_and_a_failure_stops_the_second(kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1"}, name="staging")
    kube.create({"b": "v1"}, **AFTER_STAGING)
    kube.wait("Succeeded", "prod")
    kube.edit({"a": "nowhere"}, name="staging")
    kube.edit({"b": "v2"}, name="prod")
    kube.wait("DependencyNotReady", "staging")
    kube.wait("DependencyNotReady", "prod")
    cause = '"staging": DependencyNotReady: "a": nowhere does not exist'
    wait_until("told the cause", lambda: cause in message(kube), lambda: message(kube))
    assert milvus.aliases == {"a": "v1", "b": "v1"}
    kube.edit({"a": "v2"}, name="staging")
    kube.wait("Succeeded", "prod")
    assert milvus.aliases == {"a": "v2", "b": "v2"}
    assert milvus.journal[-2:] == [("alter", "a"), ("alter", "b")]


@pytest.mark.usefixtures("operator")
def test_a_set_between_that_has_nothing_to_do_passes_the_wait_on(kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1"}, name="staging", suspend=True)
    kube.create({}, **AFTER_STAGING)
    kube.wait("Succeeded", "prod")
    kube.create({"c": "v1"}, name="last", dependsOn=[{"name": "prod"}])
    kube.wait("DependencyNotReady", "last")
    assert message(kube, "last").startswith(
        'waits for AliasSet "prod": waits for AliasSet "staging": Suspended: suspended'
    )
    kube.edit(name="staging", suspend=False)
    kube.wait("Succeeded", "last")
    assert milvus.journal == [("create", "a"), ("create", "c")]


@pytest.mark.usefixtures("operator")
def test_a_set_that_is_up_to_date_is_not_called_unready_for_another(kube: Kube) -> None:
    kube.create({"a": "v1"}, name="staging")
    kube.create({"b": "v1"}, **AFTER_STAGING)
    kube.wait("Succeeded", "prod")
    kube.edit({"a": "nowhere"}, name="staging")
    kube.wait("DependencyNotReady", "staging")
    kube.annotate("prod", requestedAt="now")
    wait_until("seen", lambda: kube.status("prod").get("lastHandledReconcileAt") == "now")
    assert kube.condition(name="prod")["reason"] == "Succeeded"


@pytest.mark.usefixtures("operator")
def test_sets_that_depend_on_each_other_are_invalid_until_one_is_changed(kube: Kube, milvus: Milvus) -> None:
    kube.create({"b": "v1"}, **AFTER_STAGING)
    kube.wait("DependencyNotReady", "prod")
    kube.create({"a": "v1"}, name="staging", dependsOn=[{"name": "prod"}])
    for name in ("staging", "prod"):
        kube.wait("InvalidSpec", name)
        assert message(kube, name) in {
            "spec.dependsOn: AliasSets depend on each other: staging → prod → staging; remove one of them",
            "spec.dependsOn: AliasSets depend on each other: prod → staging → prod; remove one of them",
        }
    assert milvus.aliases == {}
    kube.edit(name="staging", dependsOn=[])
    kube.wait("Succeeded", "prod")
    assert milvus.journal == [("create", "a"), ("create", "b")]


@pytest.mark.usefixtures("operator")
def test_an_approval_is_kept_while_it_waits(kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1"}, name="staging")
    kube.create({"b": "v1"}, approval="Manual", **AFTER_STAGING)
    kube.wait("ApprovalRequired", "prod")
    digest = kube.digest("prod")
    kube.edit({"a": "nowhere"}, name="staging")
    kube.wait("DependencyNotReady", "staging")
    kube.annotate("prod", approve=digest)
    kube.wait("DependencyNotReady", "prod")
    assert milvus.aliases == {"a": "v1"}
    kube.edit({"a": "v1"}, name="staging")
    kube.wait("Succeeded", "prod")
    assert milvus.aliases == {"a": "v1", "b": "v1"}


def test_what_it_depends_on_is_read_from_the_server_before_a_run(
    operator: Operator, kube: Kube, milvus: Milvus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watch can be late: a change of the other set that it has not delivered yet stops the run, too."""
    kube.create({"a": "v1"}, name="staging")
    kube.create({"b": "v1"}, **AFTER_STAGING)
    kube.wait("Succeeded", "prod")
    delivered = operator.watcher.set_changed
    with monkeypatch.context() as late:
        late.setattr(operator.watcher, "set_changed", lambda each: each.ref.name == "staging" or delivered(each))
        kube.edit({"a": "v2"}, name="staging")
        kube.edit({"b": "v2"}, name="prod")
        kube.wait("DependencyNotReady", "prod")
        assert message(kube) == 'waits for AliasSet "staging": its generation 2 is not reconciled yet'
        assert milvus.aliases == {"a": "v1", "b": "v1"}
    kube.edit({"a": "v3"}, name="staging")
    kube.wait("Succeeded", "prod")
    assert milvus.journal[-2:] == [("alter", "a"), ("alter", "b")]


@pytest.mark.usefixtures("operator")
def test_no_other_set_is_read_for_one_that_depends_on_none(api: ApiServer, kube: Kube) -> None:
    kube.create({"a": "v1"}, name="staging")
    kube.wait("Succeeded", "staging")
    kube.create({"b": "v1"}, name="other")
    before = api.requests("GET", "/aliassets/staging")
    kube.edit({"b": "v2"}, name="other")
    kube.wait("Succeeded", "other")
    assert api.requests("GET", "/aliassets/staging") == before
