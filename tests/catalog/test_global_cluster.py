"""Zilliz global clusters: the address answers which cluster is the primary, and that can change.

Read in pymilvus 2.6.16 and 3.0.2 (`client/global_topology.py`, `client/connection_manager.py`), not measured.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.catalog import connect
from reconciler.core.errors import AuthenticationFailed, ConnectionFailed, NotPrimary, UnexpectedAnswer
from reconciler.core.model import Connection
from reconciler.operator.clients import Clients
from tests.emulated_milvus.behaviour import VERSIONS
from tests.emulated_milvus.cluster import Cluster
from tests.emulated_milvus.proxy import Proxy
from tests.servers import MilvusAdmin, connection_to

from pymilvus.client import global_topology  # isort: skip

HOST = "in01.global-cluster.test"
READABLE, PRIMARY = 0b01, 0b11


@dataclass
class GlobalCluster:
    """Two clusters, of which the first is the primary, and the address that says so."""

    clusters: list[Proxy]
    port: int = 0
    primary: int = 0
    version: int = 1
    status: int = 200
    requests: list[str] = field(default_factory=list)

    @property
    def connection(self) -> Connection:
        return replace(connection_to(self.clusters[0].uri), uri=f"http://{HOST}:{self.port}")

    def fail_over(self) -> None:
        """Make the other cluster the primary; the first one refuses changes."""
        self.clusters[self.primary].cluster.secondary = True
        self.primary, self.version = 1 - self.primary, self.version + 1
        self.clusters[self.primary].cluster.secondary = False

    def topology(self) -> dict[str, Any]:
        found = [
            {"clusterId": str(at), "endpoint": proxy.uri, "capability": PRIMARY if at == self.primary else READABLE}
            for at, proxy in enumerate(self.clusters)
        ]
        return {"code": 0, "data": {"version": self.version, "clusters": found}}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[GlobalCluster]:
    monkeypatch.setattr(global_topology, "BASE_DELAY", 0.0)
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *more, **kw: resolve("127.0.0.1" if host == HOST else host, *more, **kw)
    )
    with Proxy(Cluster(VERSIONS["2.6.8"])) as first, Proxy(Cluster(VERSIONS["2.6.8"])) as second:
        for proxy, alias in ((first, "on_first"), (second, "on_second")):
            admin = MilvusAdmin(proxy.uri)
            admin.create_collection("c1")
            admin.client().create_alias("c1", alias)
            admin.close()
        second.cluster.secondary = True
        made = GlobalCluster([first, second])

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                made.requests.append(self.path)
                body = json.dumps(made.topology()).encode()
                self.send_response(made.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        made.port = server.server_port
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield made
        server.shutdown()
        thread.join()
        server.server_close()


def test_calls_go_to_the_primary(world: GlobalCluster) -> None:
    catalog = connect(world.connection, "default")
    assert catalog.alias_names() == {"on_first"}
    assert (catalog.outdated, world.requests) == (False, ["/global-cluster/topology"])
    catalog.close()


def test_after_a_fail_over_a_write_is_refused_and_not_repeated_and_a_new_connection_follows(
    world: GlobalCluster,
) -> None:
    catalog = connect(world.connection, "default")
    world.fail_over()
    with pytest.raises(NotPrimary):
        catalog.create_alias("new", "c1")
    assert catalog.outdated
    assert all("new" not in proxy.cluster.databases["default"].aliases for proxy in world.clusters)
    again = connect(world.connection, "default")
    again.create_alias("new", "c1")
    assert again.alias_names() == {"on_second", "new"}
    again.close()
    catalog.close()


def test_a_primary_that_is_gone_is_an_error_and_then_the_connection_is_outdated(world: GlobalCluster) -> None:
    with Proxy(Cluster(VERSIONS["2.6.8"])) as lost:
        world.clusters.append(lost)
        world.primary = 2
        catalog = connect(replace(world.connection, timeout=1.0), "default")
        assert catalog.alias_names() == set()
    with pytest.raises(ConnectionFailed):
        catalog.alias_names()
    assert catalog.outdated
    catalog.close()


def test_the_operator_opens_a_new_connection_after_a_fail_over(world: GlobalCluster) -> None:
    class NoSecrets:
        def fingerprint(self, _: Connection) -> str:
            return ""

        def value(self, *_: object) -> bytes:
            raise LookupError

    opened = Clients(NoSecrets(), connect)  # type: ignore[arg-type]
    with opened.session() as catalogs:
        before = catalogs.open(world.connection, "default")
    world.fail_over()
    with opened.session() as catalogs:
        assert catalogs.open(world.connection, "default") is before
        with pytest.raises(NotPrimary):
            before.drop_alias("on_first")
    with opened.session() as catalogs:
        after = catalogs.open(world.connection, "default")
        assert after.alias_names() == {"on_second"}
    opened.close_unused(frozenset({world.connection}))
    opened.close()


@pytest.mark.parametrize(("status", "error"), [(503, ConnectionFailed), (401, AuthenticationFailed)])
def test_an_address_that_does_not_tell_the_topology_is_an_error(
    world: GlobalCluster, status: int, error: type[Exception]
) -> None:
    world.status = status
    with pytest.raises(error, match="Failed to fetch global topology"):
        connect(replace(world.connection, timeout=0.5), "default")


def threads_of_pymilvus() -> set[str]:
    return {thread.name for thread in threading.enumerate() if "_refresh_loop" in thread.name}


def test_no_thread_polls_for_another_primary(world: GlobalCluster) -> None:
    """It would hold the token, and nothing would stop it after a client that could not be opened."""
    before = threads_of_pymilvus()
    catalog = connect(world.connection, "default")
    assert threads_of_pymilvus() == before
    catalog.close()
    with Proxy(Cluster(VERSIONS["2.6.8"])) as lost:
        world.clusters.append(lost)
        world.primary = 2
    before_opening = len(world.requests)
    with pytest.raises(ConnectionFailed):
        connect(replace(world.connection, timeout=0.5), "default")
    assert threads_of_pymilvus() == before
    assert len(world.requests) == before_opening + 1, "opened once, not again for the same primary"


@pytest.mark.parametrize("endpoint", ["milvus.db", "tcp://127.0.0.1:1", ""])
def test_an_answer_with_another_kind_of_address_is_an_error(world: GlobalCluster, endpoint: str) -> None:
    world.clusters[0].uri = endpoint
    with pytest.raises(UnexpectedAnswer, match=r"makes no sense: ValueError: the primary is at .*, need http://"):
        connect(Connection("test", f"http://{HOST}:{world.port}", f"{HOST}:{world.port}"), "default")


def test_other_addresses_are_never_outdated(world: GlobalCluster) -> None:
    first = world.clusters[0]
    first.cluster.secondary = True
    catalog = connect(connection_to(first.uri), "default")
    with pytest.raises(NotPrimary):
        catalog.drop_alias("on_first")
    assert not catalog.outdated
    catalog.close()
