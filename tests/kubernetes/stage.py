"""A namespace and a database on the real Milvus, which the operator reaches through a proxy that counts its calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.cli.shop import Shop, open_shop
from tests.kubernetes.cluster import wait_until
from tests.kubernetes.counting_proxy import Call, CountingProxy, counting_proxy
from tests.kubernetes.namespace import Namespace
from tests.servers import MilvusAdmin


@dataclass(frozen=True)
class Stage:
    """`shop` is the database as another client sees it, past the proxy; it has the collections v1, v2 and v3."""

    namespace: Namespace
    shop: Shop
    proxy: CountingProxy

    def want(self, aliases: Mapping[str, Any], name: str = "shop", **spec: Any) -> None:
        """Create a set of this database."""
        self.namespace.create_set(aliases, name, database=self.shop.database, **spec)

    def edit(self, aliases: Mapping[str, Any], name: str = "shop", **spec: Any) -> None:
        self.namespace.edit_set(aliases, name, **spec)

    def have(self, aliases: Mapping[str, Any], name: str = "shop", **spec: Any) -> None:
        """Create a set, wait until it is ready, and forget the calls that it took."""
        self.want(aliases, name, **spec)
        self.namespace.wait_until_ready(name)
        self.proxy.calls.clear()

    @property
    def moved(self) -> Counter[str]:
        """How often the server has moved each alias."""
        return Counter(call.alias for call in self.proxy.done if call.method == "AlterAlias")

    def wait_for_moves(self, number: int) -> None:
        """Until the server has moved so many aliases."""
        self._wait(f"{number} moves done", lambda: self.moved.total() >= number)

    def wait_for_write(self, pid: int) -> Call:
        """Until this process has called for a write; that call."""
        calls: list[Call] = []

        def probe() -> bool:
            calls.extend(call for call in self.proxy.writes if call.pid == pid)
            return bool(calls)

        self._wait(f"a write of process {pid}", probe)
        return calls[0]

    def _wait(self, what: str, probe: Any) -> None:
        wait_until(what, probe, explain=lambda: f"{self.proxy.writes}\n{self.namespace.explain()}")


@contextmanager
def stage_in(namespace: Namespace, milvus_uri: str, folder: Path) -> Iterator[Stage]:
    """A stage with a connection `main` that makes two calls at a time."""
    admin, database = MilvusAdmin(milvus_uri), f"k{uuid4().hex[:10]}"
    admin.create_database(database)
    try:
        with counting_proxy(milvus_uri) as proxy:
            shop = open_shop(milvus_uri, database, admin, folder)
            namespace.create_connection(proxy.uri, concurrency=2)
            yield Stage(namespace, shop, proxy)
    finally:
        _drop(admin, database)


def in_waves(collection: str, number: int, width: int = 2) -> dict[str, Any]:
    """So many aliases of a collection, a0, a1, …, `width` of them in a wave."""
    return {f"a{each}": {"collection": collection, "wave": each // width} for each in range(number)}


def all_on(collection: str, number: int) -> dict[str, str]:
    """What `in_waves` comes to."""
    return {f"a{each}": collection for each in range(number)}


def _drop(admin: MilvusAdmin, database: str) -> None:
    client = admin.client(database)
    for alias in client.list_aliases("", db_name=database)["aliases"]:
        client.drop_alias(alias)
    for name in client.list_collections():
        admin.drop_collection(name, database)
    admin.forget(database)
    admin.close()
