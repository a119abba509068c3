"""What goes wrong around an operator, and that all is well afterwards without a touch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.kubernetes.cluster import wait_until
from tests.kubernetes.conftest import NewOperator
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.counting_proxy import counting_proxy
from tests.kubernetes.deaf_api import DeafApi, deaf_api
from tests.kubernetes.namespace import Namespace
from tests.kubernetes.operator_process import Operator
from tests.kubernetes.stage import Stage, all_on, in_waves, stage_in
from tests.servers import Backend

GRACE = 60.0
"""Seconds that the shipped Deployment gives a process to end."""
FIRST_CALLS = ("Connect", "GetVersion", "ListAliases", "ShowCollections", "DescribeAlias", "DescribeCollection")


@pytest.fixture
def stage(namespace: Namespace, milvus: Backend, tmp_path: Path) -> Iterator[Stage]:
    with stage_in(namespace, milvus.connection.uri, tmp_path) as stage:
        yield stage


@pytest.fixture
def operator(stage: Stage, new_operator: NewOperator) -> Operator:
    """An operator that is ready, and ends before its Milvus."""
    operator = new_operator()
    operator.start()
    return operator


def looks(operator: Operator) -> float:
    return operator.metric("aliasctl_reconcile_total")


def known_sets(operator: Operator) -> set[str]:
    return {sample.labels["name"] for sample in operator.samples() if sample.name == "aliasctl_set_ready"}


def wait_for_looks(operator: Operator, number: int) -> None:
    """Until it has looked at sets so many more times."""
    until = looks(operator) + number
    wait_until(f"{number} more looks", lambda: looks(operator) >= until, explain=operator.tail)


def shorten_lease(namespace: Namespace) -> None:
    """Let a dead holder's lease run out soon; test_two_operators waits for its whole length."""
    change = {"spec": {"leaseDurationSeconds": 1}}
    namespace.cluster.patch("Lease", "aliasctl-operator", change, namespace.system)


def connection_condition(stage: Stage) -> tuple[str, str]:
    """Status and reason of the connection's only condition."""
    connection = stage.namespace.cluster.get("MilvusConnection", "main", stage.namespace.name)
    (ready,) = connection["status"]["conditions"]
    return ready["status"], ready["reason"]


def test_a_milvus_that_is_down_is_told_and_waited_for(stage: Stage, operator: Operator) -> None:
    stage.have({"a": "v1"})
    stage.proxy.down()
    stage.edit({"a": "v2"})
    stored = stage.namespace.wait_for_reason("ConnectionFailed")
    assert (stored.ready, stored.condition("Reconciling")["status"], stored.condition("Stalled")) == (
        "False",
        "True",
        {},
    )
    wait_until("told of the connection", lambda: connection_condition(stage) == ("False", "ConnectionFailed"))
    stage.proxy.up()
    stored = stage.namespace.wait_until_ready()
    assert stored.condition("Reconciling") == {}
    assert stage.shop.live == {"a": "v2"}
    reasons = Counter(reason for reason, _ in stage.namespace.events())
    assert reasons["ConnectionFailed"] == 1  # however often it was tried


def test_a_milvus_that_hangs_delays_nobody_else(stage: Stage, operator: Operator) -> None:
    stage.have({"a": "v1"})
    with counting_proxy(stage.shop.uri) as hanging:
        for method in FIRST_CALLS:
            hanging.hang(method)
        stage.namespace.create_connection(hanging.uri, "hanging", timeout="10m")  # nobody could wait for that
        for number in range(24):
            stage.want({f"h{number}": "v1"}, f"hanging-{number}", connectionRef={"name": "hanging"})
        wait_until("hanging", lambda: len(hanging.calls) >= 1, explain=operator.tail)
        for collection in ("v2", "v3", "v1"):
            stage.edit({"a": collection})
            stage.namespace.wait_until_ready()
            assert stage.shop.live == {"a": collection}
        assert operator.get("healthz")[0] == 200
        hanging.heal()
        for number in range(24):
            stage.namespace.wait_until_ready(f"hanging-{number}")


def test_edits_after_the_api_server_was_restarted_are_seen(
    stage: Stage, operator: Operator, control_plane: ControlPlane
) -> None:
    stage.have({"a": "v1"})
    control_plane.restart_api_server()

    def is_moved(to: str) -> bool:
        """Started again meanwhile, as the kubelet does: it may lose its lease, or find its definitions unknown."""
        if not operator.running:
            assert operator.wait() == 1
            operator.start(wait="")
        return stage.shop.live == {"a": to}

    for collection in ("v2", "v3"):
        stage.edit({"a": collection})
        wait_until("moved", partial(is_moved, collection), explain=operator.tail)
        stage.namespace.wait_until_ready()


def deaf_operator(api: DeafApi, new_operator: NewOperator, control_plane: ControlPlane, folder: Path) -> Operator:
    operator = new_operator(name="deaf")
    kubeconfig = folder / "deaf.kubeconfig"
    kubeconfig.write_text(kubeconfig.read_text().replace(control_plane.url, api.url))
    return operator


@pytest.fixture
def deaf(stage: Stage, new_operator: NewOperator, control_plane: ControlPlane, tmp_path: Path) -> Iterator[Operator]:
    """An operator that hears nothing of changes.

    It looks each second at two sets: `shop` wants a on v1, `other` wants b there.
    """
    with deaf_api(control_plane) as api:
        operator = deaf_operator(api, new_operator, control_plane, tmp_path)
        stage.want({"a": "v1"}, interval="1s")
        stage.want({"b": "v1"}, "other", interval="1s")
        operator.start()
        stage.namespace.wait_until_ready()
        stage.namespace.wait_until_ready("other")
        yield operator
        operator.stop()


def test_an_edit_that_no_watch_told_is_made_at_the_next_interval(stage: Stage, deaf: Operator) -> None:
    stage.edit({"a": "v2"})
    stage.namespace.wait_until_ready()
    assert stage.shop.live == {"a": "v2", "b": "v1"}
    assert deaf.running


def test_a_set_whose_deletion_no_watch_told_is_not_kept_true_any_more(stage: Stage, deaf: Operator) -> None:
    stage.namespace.delete("AliasSet", "shop")
    wait_until("forgotten", lambda: known_sets(deaf) == {"other"}, explain=deaf.tail)
    stage.shop.move(a="v2", b="v2")
    wait_until("other corrected", lambda: stage.shop.live["b"] == "v1", explain=deaf.tail)
    wait_for_looks(deaf, 3)
    assert stage.shop.live == {"a": "v2", "b": "v1"}


def test_a_set_that_was_deleted_while_no_operator_ran_is_not_kept_true_any_more(
    stage: Stage, operator: Operator
) -> None:
    stage.want({"b": "v1"}, "other", interval="1s")
    stage.namespace.wait_until_ready("other")
    stage.have({"a": "v1"}, interval="1s")
    operator.terminate(GRACE)
    stage.namespace.delete("AliasSet", "shop")
    stage.shop.move(a="v2", b="v2")
    operator.start()
    wait_until("other corrected", lambda: stage.shop.live["b"] == "v1", explain=operator.tail)
    wait_for_looks(operator, 3)
    assert stage.shop.live == {"a": "v2", "b": "v1"}


def test_an_operator_that_cannot_watch_any_more_ends_and_hands_the_lease_over(
    stage: Stage, new_operator: NewOperator, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """Only a new process watches again; one that went on would hold the Lease and see nothing."""
    with deaf_api(control_plane) as api:
        operator = deaf_operator(api, new_operator, control_plane, tmp_path)
        stage.want({"a": "v1"})
        operator.start()
        stage.namespace.wait_until_ready()
        api.forgotten.set()
        assert operator.wait() == 1
        operator.start(wait="")
        assert operator.wait() == 1
        assert "this cluster knows no AliasSets: kubectl apply -k crds" in operator.tail()
        api.forgotten.clear()
        stage.edit({"a": "v2"})
        operator.start()
        stage.namespace.wait_until_ready()
        assert stage.shop.live == {"a": "v2"}


def test_an_operator_that_was_killed_in_a_wave_goes_on_where_it_was(stage: Stage, operator: Operator) -> None:
    stage.have(in_waves("v1", 8))
    stage.proxy.delay("AlterAlias", 0.5)
    stage.edit(in_waves("v2", 8))
    stage.wait_for_moves(3)
    operator.kill()
    killed = operator.pid
    shorten_lease(stage.namespace)
    stage.proxy.heal()
    operator.start()
    stage.namespace.wait_until_ready()
    assert stage.shop.live == all_on("v2", 8)
    assert stage.moved == Counter(all_on("v2", 8).keys())
    assert {call.pid for call in stage.proxy.done} == {killed, operator.pid}


def test_an_operator_that_is_told_to_stop_in_a_wave_finishes_its_calls_and_no_more(
    stage: Stage, operator: Operator
) -> None:
    stage.have(in_waves("v1", 12))
    stage.proxy.delay("AlterAlias", 1)
    stage.edit(in_waves("v2", 12))
    stage.wait_for_moves(1)
    assert operator.terminate(GRACE) == 0
    assert [call.code for call in stage.proxy.writes] == [0] * len(stage.proxy.writes)
    assert stage.namespace.lease()["holderIdentity"] == ""
    assert operator.log_lines()[-1]["event"] == "stopped"
    assert set(stage.shop.live.values()) == {"v1", "v2"}
    stage.proxy.heal()
    operator.start()
    stage.namespace.wait_until_ready()
    assert stage.shop.live == all_on("v2", 12)
    assert stage.moved == Counter(all_on("v2", 12).keys())


def test_an_operator_whose_call_does_not_end_in_time_keeps_the_lease(stage: Stage, operator: Operator) -> None:
    stage.namespace.patch("MilvusConnection", "main", {"spec": {"timeout": "10m"}})
    stage.have({"a": "v1"})
    stage.proxy.hang("AlterAlias")
    stage.edit({"a": "v2"})
    stage.wait_for_write(operator.pid)
    assert operator.terminate(GRACE) == 0
    assert f"_{operator.pid}_" in stage.namespace.lease()["holderIdentity"]  # the call may still arrive
    stage.proxy.heal()


def test_an_edit_ends_the_apply_that_is_going_on(stage: Stage, operator: Operator) -> None:
    stage.have(in_waves("v1", 12))
    stage.proxy.delay("AlterAlias", 1)
    stage.edit(in_waves("v2", 12))
    stage.wait_for_moves(1)
    stage.edit(in_waves("v3", 12))
    stage.proxy.heal()
    stage.namespace.wait_until_ready()
    assert stage.shop.live == all_on("v3", 12)
    detours = [call.alias for call in stage.proxy.done if call.collection == "v2"]
    assert 0 < len(detours) < 6  # of the first waves, and never of the last ones
    assert stage.moved == Counter(all_on("v3", 12).keys()) + Counter(detours)
