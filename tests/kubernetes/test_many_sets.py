"""Many sets over one connection: what is idle costs little, and an edit costs what it would cost alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubernetes.cluster import wait_until
from tests.kubernetes.conftest import NewOperator
from tests.kubernetes.namespace import Namespace
from tests.kubernetes.operator_process import Operator
from tests.kubernetes.stage import Stage, stage_in
from tests.servers import Backend

SETS = 100
ALIASES = 5
COLLECTIONS = 3
AFTER_A_WRITE = 6.0
"""Seconds; so soon after a write sets read for themselves."""
TICKS = 2


@pytest.fixture
def stage(namespace: Namespace, milvus: Backend, tmp_path: Path) -> Iterator[Stage]:
    with stage_in(namespace, milvus.connection.uri, tmp_path) as stage:
        yield stage


@pytest.fixture
def operator(stage: Stage, new_operator: NewOperator) -> Operator:
    """An operator with 100 sets, all of them ready."""
    for number in range(SETS):
        stage.want(aliases_of(number), f"set-{number}", interval="1h")
    operator = new_operator()
    operator.start()
    wait_until("all ready", lambda: ready_sets(stage) == SETS, 180, operator.tail)
    return operator


def aliases_of(number: int, first: str = "v1") -> dict[str, str]:
    """The first alias of a set is on this collection, the others are spread over all."""
    others = {f"s{number}_{each}": f"v{1 + each % COLLECTIONS}" for each in range(1, ALIASES)}
    return {f"s{number}_0": first, **others}


def ready_sets(stage: Stage) -> int:
    stored = stage.namespace.cluster.objects("AliasSet", stage.namespace.name)
    conditions = [item for each in stored for item in each.get("status", {}).get("conditions", ())]
    return sum((condition["type"], condition["status"]) == ("Ready", "True") for condition in conditions)


def test_idle_sets_share_reads_and_an_edit_costs_a_handful_of_calls(stage: Stage, operator: Operator) -> None:
    assert len(stage.shop.live) == SETS * ALIASES
    stage.proxy.calls.clear()
    stage.edit(aliases_of(7, "v2"), "set-7")
    stage.namespace.wait_until_ready("set-7")
    assert stage.shop.live["s7_0"] == "v2"
    assert len(stage.proxy.calls) < 40, stage.proxy.counts()

    for number in range(SETS):
        stage.namespace.edit_set(name=f"set-{number}", interval="5s")
    wait_until("all seen", lambda: all_seen(stage), explain=operator.tail)
    time.sleep(AFTER_A_WRITE)
    calls, looks = len(stage.proxy.calls), operator.metric("aliasctl_reconcile_total")
    wait_until(
        f"{TICKS} ticks",
        lambda: operator.metric("aliasctl_reconcile_total") >= looks + TICKS * SETS,
        180,
        operator.tail,
    )
    calls = len(stage.proxy.calls) - calls
    assert TICKS <= calls < TICKS * SETS, stage.proxy.counts()  # one each would be many times that
    assert [call.alias for call in stage.proxy.writes] == ["s7_0"]


def all_seen(stage: Stage) -> bool:
    stored = stage.namespace.cluster.objects("AliasSet", stage.namespace.name)
    return all(each["status"]["observedGeneration"] == each["metadata"]["generation"] for each in stored)
