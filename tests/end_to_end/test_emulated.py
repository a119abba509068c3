"""The command and the operator on emulated Milvus servers: what people see of a version that no test can start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reconciler.catalog import connect
from tests.cli.shop import Shop
from tests.emulated_kubernetes.emulator import ApiServer
from tests.emulated_kubernetes.harness import Kube, Operator, wait_until
from tests.emulated_milvus.behaviour import VERSIONS
from tests.emulated_milvus.cluster import Cached, Cluster
from tests.emulated_milvus.proxy import Proxy
from tests.emulated_milvus.stage import NEW, OLD, rows, staged
from tests.servers import MilvusAdmin

GATED = {"gates": {"rows": {"minPercentOfCurrent": 90}, "indexed": {}, "schema": {}}}
BEFORE = {"moved": "old", "s": "old", "s_x": "old", "thin": "old"}
PROVED = {"verify": {"propagation": {"timeout": "2s"}}}


@pytest.fixture
def proxy(request: pytest.FixtureRequest) -> Iterator[Proxy]:
    with Proxy(Cluster(VERSIONS[request.param])) as started:
        yield started


@pytest.fixture
def shop(proxy: Proxy, tmp_path: Path) -> Iterator[Shop]:
    """`old` and `new` are loaded, `few` has one row; four aliases are at `old`, two of which begin alike."""
    admin = MilvusAdmin(proxy.uri)
    for name, keys in (("old", OLD), ("new", NEW), ("few", (1,))):
        admin.create_collection(name, replicas=1, rows=rows(keys))
    shop = Shop(proxy.uri, "default", admin, tmp_path)
    shop.point(**BEFORE)
    yield shop
    admin.close()


@pytest.mark.parametrize(
    ("proxy", "lost", "notice"),
    [("2.4.15", "dropLosesOthers", ""), ("2.6.8", None, "#51779"), ("cloud", None, "")],
    indirect=["proxy"],
)
def test_plan_apply_and_roll_back(shop: Shop, lost: str | None, notice: str) -> None:
    """A drop that loses others and a move to too few rows are blocked; all the rest is done, proved, and undone."""
    shop.want({"moved": "new", "s": None, "thin": "few"}, **GATED, **PROVED)
    [target] = shop.plan("--gates", "all", "--format", "json").document["targets"]
    reasons = {step["alias"]: (step.get("blocked") or {}).get("reason") for step in target["steps"]}
    assert reasons == {"moved": None, "s": lost, "thin": "gateFailed"}

    applied = shop.apply()
    assert (applied.code, "note: " in applied.stdout) == (5, bool(notice)), applied.stdout + applied.stderr
    assert notice in applied.stdout
    assert shop.live == {"moved": "new", "s_x": "old", "thin": "old", **({"s": "old"} if lost else {})}
    undone = shop.run("rollback", "--yes")
    assert (undone.code, shop.live) == (0, BEFORE), undone.stdout + undone.stderr


@pytest.mark.parametrize("proxy", ["2.6.8"], indirect=True)
def test_readers_that_stay_stuck_are_reported(shop: Shop, proxy: Proxy) -> None:
    proxy.cache.race(Cached.DATA, "moved")
    shop.want({"moved": "new"}, **PROVED)
    applied = shop.apply("--format", "json")
    [target] = applied.document["targets"]
    [step] = target["steps"]
    assert (applied.code, step["propagation"][0]["result"]) == (5, "stuck")
    assert proxy.cluster.calls["AlterAlias"] == 1, "altering again is known to be useless"


REAL: Any = SimpleNamespace(connect=connect)
"""A server is the one that the connection names."""


@pytest.fixture
def kube() -> Iterator[Kube]:
    api = ApiServer()
    yield Kube(api)
    api.close()


@pytest.mark.parametrize("name", ["2.5.4", "3.0.1"])
def test_the_operator_moves_aliases_and_corrects_drift(name: str, kube: Kube, tmp_path: Path) -> None:
    with staged(name) as stage:
        stage.client.create_alias("old", "a")
        kube.connection(uri=stage.proxy.uri)
        operator = Operator(kube.api, REAL, tmp_path)
        try:
            kube.create({"a": "new", "b": "old"}, interval="1s")
            kube.wait("Succeeded")
            assert (stage.keys("a"), stage.keys("b")) == (NEW, OLD)
            stage.client.alter_alias("old", "a")
            wait_until("corrected", lambda: stage.keys("a") == NEW)
        finally:
            operator.stop()


def test_the_operator_waits_while_a_cluster_is_secondary(kube: Kube, tmp_path: Path) -> None:
    with staged("2.6.8") as stage:
        stage.cluster.secondary = True
        kube.connection(uri=stage.proxy.uri)
        operator = Operator(kube.api, REAL, tmp_path)
        try:
            kube.create({"a": {"collection": "new", "gates": {"loaded": {"enabled": False}}}})
            wait_until("told", lambda: "primary cluster" in str(kube.condition().get("message")), kube.status)
            assert stage.catalog.alias_names() == set()
        finally:
            operator.stop()
