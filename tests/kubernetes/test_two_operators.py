"""Two operators on one API server: one writes, whatever happens to it."""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import grpc
import pytest

from tests.kubernetes.cluster import wait_until
from tests.kubernetes.conftest import NewOperator
from tests.kubernetes.counting_proxy import Fault
from tests.kubernetes.namespace import Namespace
from tests.kubernetes.operator_process import Operator
from tests.kubernetes.stage import Stage, all_on, in_waves, stage_in
from tests.servers import Backend

TAKEOVER_TIMEOUT = 45.0
"""Seconds; what is promised."""
GRACE = 60.0
"""Seconds that the shipped Deployment gives a process to end."""


@pytest.fixture
def stage(namespace: Namespace, milvus: Backend, tmp_path: Path) -> Iterator[Stage]:
    with stage_in(namespace, milvus.connection.uri, tmp_path) as stage:
        yield stage


@pytest.fixture
def leader(stage: Stage, new_operator: NewOperator) -> Operator:
    """An operator that leads, and is ready."""
    operator = new_operator(name="leader")
    operator.start()
    wait_until("leading", lambda: leads(operator), explain=operator.tail)
    return operator


@pytest.fixture
def standby(leader: Operator, new_operator: NewOperator) -> Operator:
    operator = new_operator(name="standby")
    operator.start(wait="healthz")
    operator.wait_for_event("standing by")
    return operator


def leads(operator: Operator) -> bool:
    return operator.running and operator.metric("aliasctl_leader") == 1


def wait_for_takeover(by: Operator) -> None:
    wait_until(f"{by.name} leads", lambda: leads(by), TAKEOVER_TIMEOUT, by.tail)


def pausing(operator: Operator, number: int) -> Fault:
    """A fault that stops a process (SIGSTOP) in its n-th call, which is passed on."""

    def fault(_context: grpc.ServicerContext) -> None:
        if next(calls) == number:
            os.kill(operator.pid, signal.SIGSTOP)

    calls = count(1)
    return fault


def is_paused(operator: Operator) -> bool:
    return Path(f"/proc/{operator.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_of_two_that_start_together_one_writes(stage: Stage, new_operator: NewOperator) -> None:
    both = [new_operator(name=name) for name in ("first", "second")]
    for operator in both:
        operator.start(wait="")
    for operator in both:
        operator.process.wait_for("healthy", lambda operator=operator: operator.get("healthz")[0] == 200)  # type: ignore[misc]
    stage.want(in_waves("v1", 4))
    stage.namespace.wait_until_ready()
    stage.edit(in_waves("v2", 4))
    stage.namespace.wait_until_ready()
    assert stage.shop.live == all_on("v2", 4)
    (leader,) = (operator for operator in both if leads(operator))
    assert {call.pid for call in stage.proxy.calls} == {leader.pid}
    assert f"_{leader.pid}_" in stage.namespace.lease()["holderIdentity"]
    assert [operator.get("readyz") for operator in both if operator is not leader] == [(200, "standing by\n")]
    headings = [re.findall("<h1>(.*?)</h1>", operator.get("")[1]) for operator in both]
    assert headings == [["1 of 1 set up to date" if operator is leader else "Standing by"] for operator in both]


def test_when_the_leader_is_killed_in_a_wave_the_other_finishes(
    stage: Stage, leader: Operator, standby: Operator
) -> None:
    stage.have(in_waves("v1", 8))
    stage.proxy.delay("AlterAlias", 0.5)
    stage.edit(in_waves("v2", 8))
    stage.wait_for_moves(3)
    leader.kill()
    stage.proxy.heal()
    wait_for_takeover(standby)
    stage.namespace.wait_until_ready()
    assert stage.shop.live == all_on("v2", 8)
    assert stage.moved == Counter(all_on("v2", 8).keys())
    assert {call.pid for call in stage.proxy.done} == {leader.pid, standby.pid}


def test_a_leader_that_was_paused_until_another_leads_writes_no_more_and_ends(
    stage: Stage, leader: Operator, standby: Operator
) -> None:
    stage.namespace.patch("MilvusConnection", "main", {"spec": {"concurrency": 1}})
    stage.have(in_waves("v1", 8))
    stage.proxy.befall("AlterAlias", pausing(leader, number=3))
    stage.edit(in_waves("v2", 8))
    wait_until("paused", lambda: is_paused(leader), explain=leader.tail)
    try:
        stage.proxy.hang("AlterAlias")  # so that there is still something to do when it goes on
        stage.wait_for_write(standby.pid)
        before = [call for call in stage.proxy.writes if call.pid == leader.pid]
    finally:
        os.kill(leader.pid, signal.SIGCONT)
    assert leader.wait() == 1
    assert [call for call in stage.proxy.writes if call.pid == leader.pid] == before
    stage.proxy.heal()
    stage.namespace.wait_until_ready()
    assert stage.shop.live == all_on("v2", 8)
    assert stage.moved == Counter(all_on("v2", 8).keys())
    assert {call.pid for call in stage.proxy.done} == {leader.pid, standby.pid}
    assert f"_{standby.pid}_" in stage.namespace.lease()["holderIdentity"]


def test_a_leader_that_is_told_to_stop_hands_over_at_once(stage: Stage, leader: Operator, standby: Operator) -> None:
    stage.have({"a": "v1"})
    assert leader.terminate(GRACE) == 0
    stage.edit({"a": "v2"})
    assert standby.wait_for_event("leading")["taken_over"] is False  # nothing to wait for, as there is after a death
    stage.namespace.wait_until_ready()
    assert [(call.pid, call.method, call.alias) for call in stage.proxy.done] == [(standby.pid, "AlterAlias", "a")]


def test_read_only_writes_nothing_and_tells_what_it_would(stage: Stage, new_operator: NewOperator) -> None:
    stage.shop.point(a="v1", gone="v1")
    looker = new_operator("--read-only", name="looker")
    looker.start()
    stage.want({"a": "v2", "b": "v3", "gone": None}, deletionPolicy="Delete")
    stored = stage.namespace.wait_for_reason("ReadOnly")
    assert stored.message == "read-only: 3 changes would be made"
    plan = stored.status["pendingPlan"]
    assert [plan[count] for count in ("creates", "alters", "drops")] == [1, 1, 1]
    assert [(step["action"], step["alias"], step.get("from"), step.get("to")) for step in plan["steps"]] == [
        ("alter", "a", "v1", "v2"),
        ("create", "b", None, "v3"),
        ("drop", "gone", "v1", None),
    ]
    wait_until("told", lambda: ("ReadOnly", stored.message) in stage.namespace.events())
    assert "finalizers" not in stored.metadata
    assert stage.shop.live == {"a": "v1", "gone": "v1"}
    assert stage.proxy.writes == []
    looker.stop()
    new_operator(name="writer").start()
    stage.namespace.wait_until_ready()
    assert stage.shop.live == {"a": "v2", "b": "v3"}
