"""What most tests of the operator start from: a namespace, a database, and the operator between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from reconciler.catalog.memory import flat_indexes
from tests.builders import vector_schema
from tests.cli.shop import Shop, open_shop
from tests.gates.judging import rows as vectors
from tests.kubernetes.cluster import wait_until
from tests.kubernetes.namespace import Namespace, StoredSet
from tests.kubernetes.operator_process import Operator
from tests.servers import Backend, MilvusAdmin


@dataclass
class Scene:
    """A namespace with the connection `main`, and on that server a database of the test's own with v1, v2 and v3."""

    namespace: Namespace
    shop: Shop
    operator: Operator

    @property
    def live(self) -> dict[str, str]:
        """Every alias of the database and its collection."""
        return self.shop.live

    def create_set(self, aliases: Mapping[str, Any], name: str = "shop", **spec: Any) -> StoredSet:
        """A set of this database that is looked at every second."""
        spec = {"database": self.shop.database, "interval": "1s", **spec}
        return self.namespace.create_set(aliases, name, **spec)

    def create_collection(self, name: str, *, loaded: bool, rows: int = 0) -> None:
        """With an index, and so many rows with keys from 0."""
        schema = vector_schema()
        options = {"schema": schema, "rows": vectors(rows), "indexes": flat_indexes(schema)}
        self.shop.admin.create_collection(name, self.shop.database, replicas=int(loaded), **options)
        if not loaded:  # Milvus Lite loads what it creates
            self.release(name)

    def insert(self, collection: str, rows: int, start: int = 0) -> None:
        self.shop.admin.insert(collection, vectors(rows, start), self.shop.database)

    def release(self, collection: str) -> None:
        self.shop.admin.release(collection, self.shop.database)

    def load(self, collection: str) -> None:
        self.shop.admin.load(collection, self.shop.database)

    def drop(self, *aliases: str) -> None:
        """Drop aliases, by another client than the operator."""
        for alias in aliases:
            self.shop.admin.client(self.shop.database).drop_alias(alias)

    def wait_for_live(self, **aliases: str) -> None:
        """Until the aliases of the database are exactly these."""
        wait_until(
            f"live: {aliases}", lambda: self.live == aliases, explain=lambda: f"live: {self.live}\n{self._told()}"
        )

    def wait_for_event(self, reason: str, name: str = "shop", times: int = 1) -> str:
        """Until an object has so many Events of a reason; the message of the last one."""

        def probe() -> list[str] | None:
            found = [message for event, message in self.namespace.events(name) if event == reason]
            return found if len(found) >= times else None

        return wait_until(f"told {reason}", probe, explain=self._told)[-1]

    def events(self, reason: str, name: str = "shop") -> list[str]:
        """The messages of an object's Events of a reason so far."""
        return [message for event, message in self.namespace.events(name) if event == reason]

    def wait_for_looks(self, number: int = 2) -> None:
        """Until the operator has gone through so many further looks, at whatever set."""
        before = self.operator.metric("aliasctl_reconcile_total")
        wait_until(
            f"{number} looks", lambda: self.operator.metric("aliasctl_reconcile_total") >= before + number or None
        )

    def log_lines(self) -> list[dict[str, Any]]:
        """What the operator logged about objects of this namespace."""
        return [line for line in self.operator.log_lines() if self.namespace.name in str(line)]

    def _told(self) -> str:
        sets = self.namespace.cluster.objects("AliasSet", self.namespace.name)
        return "\n".join(self.namespace.explain(alias_set["metadata"]["name"]) for alias_set in sets)


@contextmanager
def scene_on(server: str | Backend, namespace: Namespace, operator: Operator, folder: Path) -> Iterator[Scene]:
    """A scene on the server with this address."""
    uri = server if isinstance(server, str) else server.connection.uri
    admin, database = MilvusAdmin(uri), f"d{uuid4().hex[:10]}"
    admin.create_database(database)
    namespace.create_connection(uri)
    namespace.witnesses.append(operator.tail)
    made = Scene(namespace, open_shop(uri, database, admin, folder), operator)
    try:
        yield made
    finally:
        namespace.clear()  # or what is taken away now would be put back
        made.drop(*made.live)
        for name in admin.client(database).list_collections():
            admin.drop_collection(name, database)
        admin.forget(database)
        admin.close()
