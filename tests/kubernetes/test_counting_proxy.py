"""What other tests conclude from the proxy: who did what to Milvus, and what a client sees when Milvus fails."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from threading import Thread
from uuid import uuid4

import grpc
import pytest
from pymilvus import MilvusClient, MilvusException

from tests.kubernetes.counting_proxy import CountingProxy, counting_proxy
from tests.servers import ADMIN_TIMEOUT, QUIET_CHANNEL, MilvusAdmin, ToyMilvus, toy_milvus

CREATE = (
    "from pymilvus import MilvusClient; import sys; MilvusClient(sys.argv[1], timeout=30).create_alias(*sys.argv[2:])"
)
QUICK = {"timeout": 1, "retry_times": 0}


@pytest.fixture(params=["lite_server", "milvus"])
def proxy(request: pytest.FixtureRequest) -> Iterator[CountingProxy]:
    server = request.getfixturevalue(request.param)
    with counting_proxy(server if isinstance(server, str) else server.connection.uri) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: CountingProxy) -> Iterator[MilvusClient]:
    client = MilvusClient(proxy.uri, timeout=ADMIN_TIMEOUT, dedicated=True, grpc_options=QUIET_CHANNEL)
    yield client
    client.close()


@pytest.fixture
def collection(proxy: CountingProxy) -> Iterator[str]:
    """A new collection, which has no alias in the end."""
    name, admin = f"c{uuid4().hex[:10]}", MilvusAdmin(proxy.uri)
    admin.create_collection(name)
    proxy.calls.clear()
    yield name
    proxy.heal()
    for alias in admin.client().list_aliases(name)["aliases"]:
        admin.client().drop_alias(alias)
    admin.drop_collection(name)
    admin.close()


def test_each_process_is_known_by_what_it_wrote(proxy: CountingProxy, client: MilvusClient, collection: str) -> None:
    ours, theirs = f"{collection}_ours", f"{collection}_theirs"
    client.create_alias(collection, ours)
    other = subprocess.Popen([sys.executable, "-c", CREATE, proxy.uri, collection, theirs])
    assert other.wait(60) == 0
    client.drop_alias(theirs)
    assert [(write.pid, write.method, write.alias, write.collection, write.code) for write in proxy.writes] == [
        (os.getpid(), "CreateAlias", ours, collection, 0),
        (other.pid, "CreateAlias", theirs, collection, 0),
        (os.getpid(), "DropAlias", theirs, "", 0),
    ]


def test_a_write_that_the_server_refuses_is_not_done(proxy: CountingProxy, client: MilvusClient) -> None:
    with pytest.raises(MilvusException):
        client.create_alias("no_such_collection", "some_alias")
    assert [write.code for write in proxy.writes] == [100]
    assert proxy.done == []


def test_a_database_and_its_objects_are_reached_through_the_proxy(proxy: CountingProxy) -> None:
    admin, database, collection = MilvusAdmin(proxy.uri), f"d{uuid4().hex[:10]}", f"c{uuid4().hex[:10]}"
    admin.create_database(database)
    try:
        admin.create_collection(collection, database)
        assert admin.client(database).list_collections() == [collection]
        assert collection not in admin.client().list_collections()
        admin.drop_collection(collection, database)
    finally:
        admin.forget(database)
        admin.close()


def test_down_is_refused_and_up_is_the_same_address_again(
    proxy: CountingProxy, client: MilvusClient, collection: str
) -> None:
    proxy.down()
    with pytest.raises((MilvusException, grpc.RpcError)):
        client.create_alias(collection, f"{collection}_a", **QUICK)
    assert proxy.writes == []
    proxy.up()
    client.create_alias(collection, f"{collection}_a")
    assert [item.alias for item in proxy.done] == [f"{collection}_a"]


def test_a_method_that_fails_never_reaches_the_server_and_others_do(
    proxy: CountingProxy, client: MilvusClient, collection: str
) -> None:
    proxy.fail("CreateAlias", grpc.StatusCode.PERMISSION_DENIED, "not you")
    with pytest.raises(grpc.RpcError, match="not you"):
        client.create_alias(collection, f"{collection}_a")
    assert [(write.alias, write.code) for write in proxy.writes] == [(f"{collection}_a", None)]
    assert client.list_aliases(collection)["aliases"] == []


def test_a_call_that_hangs_is_passed_on_when_the_proxy_heals(
    proxy: CountingProxy, client: MilvusClient, collection: str
) -> None:
    proxy.hang("CreateAlias")
    caller = Thread(target=client.create_alias, args=(collection, f"{collection}_a"))
    caller.start()
    while not proxy.writes:
        time.sleep(0.01)
    assert client.list_aliases(collection)["aliases"] == []
    proxy.heal()
    caller.join()
    assert client.list_aliases(collection)["aliases"] == [f"{collection}_a"]


def test_a_call_that_its_client_gave_up_is_never_passed_on(
    proxy: CountingProxy, client: MilvusClient, collection: str
) -> None:
    proxy.hang("CreateAlias")
    with pytest.raises((MilvusException, grpc.RpcError)):
        client.create_alias(collection, f"{collection}_a", **QUICK)
    time.sleep(0.5)
    proxy.heal()
    assert client.list_aliases(collection)["aliases"] == []
    assert [write.code for write in proxy.writes] == [None]


def test_a_servers_own_status_and_the_token_pass_through() -> None:
    def refuse(_request: bytes, context: grpc.ServicerContext) -> None:
        seen.append(dict(context.invocation_metadata()).get("authorization"))
        context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")

    seen: list[str | None] = []
    with toy_milvus() as toy, counting_proxy(toy.uri) as proxy:
        toy.answers["CreateAlias"] = refuse
        client = _client_with_token(toy, proxy)
        with pytest.raises(grpc.RpcError, match="who are you"):
            client.create_alias("c", "a", **QUICK)
        client.close()
    assert seen == ["cm9vdDpNaWx2dXM="]  # root:Milvus


def _client_with_token(toy: ToyMilvus, proxy: CountingProxy) -> MilvusClient:
    return MilvusClient(proxy.uri, token="root:Milvus", timeout=ADMIN_TIMEOUT, dedicated=True)  # noqa: S106
