"""The operator verifies a move with the rights of a reader, whose token is in a Secret of the set's namespace."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator

import pytest

from reconciler.catalog import Catalog, Observe, Secrets, connect
from reconciler.core.model import Connection
from tests.emulated_kubernetes.harness import Kube, Operator
from tests.emulated_kubernetes.milvus import Milvus
from tests.emulated_milvus.stage import Stage, staged

from pymilvus import MilvusClient  # isort: skip

ROOT, READER = "root:Milvus", "reader:s3cr3t-TOKEN"


class Emulated(Milvus):
    """Milvus 2.6.13 with authorization, reached through pymilvus; the user `reader` may read `old`, where `a` is."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.uri = stage.proxy.uri
        stage.client.create_alias("old", "a")
        stage.cluster.authorization = True
        self.root = MilvusClient(self.uri, token=ROOT, dedicated=True)
        self.root.create_user(*READER.split(":"))
        self.root.create_role("readers")
        self.root.grant_role("reader", "readers")
        self.grant("old")

    def grant(self, collection: str) -> None:
        for privilege in ("Query", "Search"):
            self.root.grant_privilege_v2("readers", privilege, collection, db_name="default")

    def connect(  # type: ignore[override]
        self, connection: Connection, database: str, *, secrets: Secrets, observe: Observe | None = None
    ) -> Catalog:
        return connect(connection, database, secrets=secrets, observe=observe)


@pytest.fixture
def milvus() -> Iterator[Emulated]:
    with staged("2.6.13") as stage:
        made = Emulated(stage)
        yield made
        made.root.close()
        stage.cluster.authorization = False


def test_a_reader_who_loses_access_is_no_success_until_it_is_granted(
    start: Callable[[], Operator], kube: Kube, milvus: Emulated
) -> None:
    for name, token in (("main", ROOT), ("reader", READER)):
        kube.api.create("Secret", name, data={"token": base64.b64encode(token.encode()).decode()})
        kube.connection(name, uri=milvus.uri, token={"secretKeyRef": {"name": name, "key": "token"}})
    start()
    verify = {"propagation": {"timeout": "20s"}, "endpoints": [{"name": "reader"}]}
    kube.create({"a": "new"}, verify=verify)
    message = kube.wait("VerificationFailed")["conditions"][0]["message"]
    assert "(reader): reads through the alias were permitted before the move and are denied now" in message
    milvus.grant("new")
    kube.annotate(requestedAt="now")
    kube.wait("Succeeded")


def test_the_gate_access_holds_a_move_that_would_take_access(
    start: Callable[[], Operator], kube: Kube, milvus: Emulated
) -> None:
    kube.api.create("Secret", "main", data={"token": base64.b64encode(ROOT.encode()).decode()})
    kube.connection(uri=milvus.uri, token={"secretKeyRef": {"name": "main", "key": "token"}})
    start()
    kube.create({"a": "new"}, gates={"access": {}}, interval="200ms")
    message = kube.wait("GateFailed")["conditions"][0]["message"]
    assert "readers (Query, Search)" in message
    assert milvus.root.describe_alias("a")["collection_name"] == "old"
    milvus.grant("new")
    kube.wait("Succeeded")
