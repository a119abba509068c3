"""An operator keeps its connections for longer than Milvus keeps its version."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

import grpc
import pytest
from msgspec.structs import replace

from reconciler.catalog import Catalog, Catalogs, connect
from reconciler.catalog.read import read_live
from reconciler.core.gates import Gates
from reconciler.core.model import Alias, AliasSet, Connection, Credential
from reconciler.core.plan import BlockReason, Plan
from reconciler.gates.access import AccessGate
from reconciler.inspect.access import check_access
from reconciler.inspect.conditions import Result, Subject
from reconciler.operator.clients import Clients
from reconciler.operator.reads import SharedReads
from reconciler.reconcile import Read, make_plan
from tests.emulated_milvus.behaviour import VERSIONS
from tests.emulated_milvus.calls import HANDLERS, Denied
from tests.emulated_milvus.stage import Stage
from tests.servers import connection_to


@pytest.fixture
def opened() -> list[Catalog]:
    return []


@pytest.fixture
def clients(opened: list[Catalog]) -> Iterator[Clients]:
    def kept(connection: Connection, database: str) -> Catalog:
        opened.append(connect(connection, database))
        return opened[-1]

    class NoSecrets:
        def fingerprint(self, _: Connection) -> str:
            return ""

        def value(self, *_: object) -> bytes:
            raise LookupError

    made = Clients(NoSecrets(), kept)  # type: ignore[arg-type]
    yield made
    made.close()


def planned(clients: Clients, desired: AliasSet, read: Read = read_live) -> Plan:
    """Make a plan as one pass of the operator does."""
    with clients.session() as catalogs:
        return make_plan([desired], catalogs=catalogs, read=read)


@pytest.mark.parametrize("stage", ["2.5.18"], indirect=True)
def test_after_a_downgrade_drops_are_blocked_that_would_lose_other_aliases(
    stage: Stage, clients: Clients, opened: list[Catalog]
) -> None:
    for alias in ("search", "search_products"):
        stage.client.create_alias("old", alias)
    [step] = planned(clients, stage.set({"search": None})).steps
    assert not step.blocked
    stage.cluster.upgrade(VERSIONS["2.4.15"])
    plan = planned(clients, stage.set({"search": None}))
    assert "2.4.15" in plan.targets[0].server_version
    [step] = plan.steps
    assert step.blocked
    assert step.blocked.reason is BlockReason.LOSES_OTHERS
    assert len(opened) == 1, "the connection was kept"


@pytest.mark.parametrize("stage", ["2.5.18"], indirect=True)
def test_after_an_upgrade_the_grants_of_the_collection_count(
    stage: Stage, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "root:Milvus")
    stage.client.create_alias("old", "a")
    stage.client.create_role("readers")
    for name in ("old", "a"):
        stage.client.grant_privilege_v2("readers", "Query", name, db_name="default")
    stage.cluster.authorization = True
    stage.connection = connection_to(stage.proxy.uri, token=Credential("TOKEN"))
    desired = stage.set({}, Alias("a", "new", gates=Gates(AccessGate())))
    assert not planned(clients, desired).steps[0].blocked
    stage.cluster.upgrade(VERSIONS["2.6.13"])
    [step] = planned(clients, desired).steps
    assert step.blocked
    assert "readers (Query)" in step.blocked.message


@pytest.mark.parametrize("stage", ["2.5.18"], indirect=True)
def test_a_check_during_which_the_connection_is_lost_is_reported(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object) -> NoReturn:
        raise Denied(grpc.StatusCode.UNAVAILABLE, "shutting down")

    def lose(*_: object) -> NoReturn:
        monkeypatch.setitem(HANDLERS, "GetVersion", lost)
        lost()

    monkeypatch.setitem(HANDLERS, "ShowCollections", lose)
    stage.connection = replace(stage.connection, timeout=5.0)
    with Catalogs(connect) as catalogs:
        [found] = check_access([stage.set({"a": "old"})], catalogs)
    assert found.server_version == "2.5.18"
    assert {condition.subject: condition.result for condition in found.conditions}[Subject.VERSION] is Result.OK


@pytest.mark.parametrize("stage", ["2.5.18"], indirect=True)
def test_it_costs_one_call_per_plan(stage: Stage, clients: Clients, opened: list[Catalog]) -> None:
    stage.client.create_alias("old", "a")
    counts = []
    for _ in range(3):
        before = opened[0].calls if opened else 0
        planned(clients, stage.set({"a": "old"}))
        counts.append(opened[0].calls - before)
    assert counts == [counts[0]] * 3, "the version is read by each plan, and by each only once"


@pytest.mark.parametrize("stage", ["2.5.18"], indirect=True)
def test_sets_that_share_a_read_share_its_version(stage: Stage, clients: Clients) -> None:
    stage.client.create_alias("old", "a")
    desired, shared = stage.set({"a": "old"}), SharedReads()
    versions = []
    for _ in range(3):
        before = stage.cluster.calls["GetVersion"]
        planned(clients, desired, shared.sharing(lambda _: [desired]))
        versions.append(stage.cluster.calls["GetVersion"] - before)
    assert versions == [1, 0, 0]
