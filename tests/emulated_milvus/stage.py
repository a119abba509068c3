"""An emulated server of one version with two collections, and what tests do on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from reconciler.catalog import Catalog, Catalogs, connect
from reconciler.core.model import Alias, AliasSet, Connection
from reconciler.core.options import Options
from reconciler.core.plan import Plan
from reconciler.core.report import Report
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import alias_set
from tests.emulated_milvus.behaviour import VERSIONS
from tests.emulated_milvus.cluster import Cluster
from tests.emulated_milvus.proxy import Proxy
from tests.servers import MilvusAdmin, connection_to

OLD, NEW = (1, 2, 3), (3, 4, 5)
"""The keys in the collections `old` and `new`."""


def rows(keys: Sequence[int]) -> list[dict[str, object]]:
    return [{"id": key, "vector": [float(key), 0.0, 0.0, 0.0]} for key in keys]


@dataclass
class Stage:
    """`old` and `new` are loaded; `admin.client()` is a plain pymilvus client."""

    cluster: Cluster
    proxy: Proxy
    admin: MilvusAdmin
    connection: Connection
    catalog: Catalog

    @property
    def client(self) -> Any:
        return self.admin.client()

    def keys(self, name: str, client: Any = None) -> tuple[int, ...]:
        """The keys that a reader finds under a name."""
        found = (client or self.client).query(name, filter="id > 0", output_fields=["id"], timeout=60, retry_times=0)
        return tuple(row["id"] for row in found)

    def set(self, aliases: dict[str, str | None], *more: Alias, **settings: Any) -> AliasSet:
        return alias_set(aliases, *more, connection=self.connection, **settings)

    def plan(self, desired: AliasSet, options: Options = Options()) -> Plan:
        with Catalogs(connect) as catalogs:
            return make_plan([desired], options, catalogs=catalogs)

    def apply(self, desired: AliasSet) -> Report:
        with Catalogs(connect) as catalogs:
            return apply_plan(make_plan([desired], catalogs=catalogs), catalogs=catalogs)


@contextmanager
def staged(version: str) -> Iterator[Stage]:
    with Proxy(Cluster(VERSIONS[version])) as proxy:
        admin, connection = MilvusAdmin(proxy.uri), connection_to(proxy.uri)
        for name, keys in (("old", OLD), ("new", NEW)):
            admin.create_collection(name, replicas=1, rows=rows(keys))
        catalog = connect(connection, "default")
        yield Stage(proxy.cluster, proxy, admin, connection, catalog)
        catalog.close()
        admin.close()
