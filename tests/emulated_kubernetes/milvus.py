"""A Milvus in memory that knows a token, can be down, and tells who called it."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from reconciler.catalog import Observe, Secrets
from reconciler.catalog.memory import MemoryCatalog, MemoryServer
from reconciler.core.errors import AuthenticationFailed, ConnectionFailed
from reconciler.core.model import Connection
from tests.builders import LOCAL, server
from tests.builders import live as builders_live


class Milvus:
    """A server with the collections v1, v2 and v3.

    `journal` has the writes, `reads` counts the lists of all aliases, `refused` the calls while it is down; `before` is
    told of each write before it is done.
    With a `token`, only connections that hold it are answered.
    """

    def __init__(self) -> None:
        self.server: MemoryServer = server("v1", "v2", "v3")
        self.token: bytes | None = None
        self.down = False
        self.reads = 0
        self.refused = 0
        self.journal: list[tuple[str, str]] = []
        self.before: Callable[[str, str], None] = lambda action, alias: None
        self.opened: list[Catalog] = []
        self.lock = Lock()

    def connect(
        self, connection: Connection, database: str, *, secrets: Secrets, observe: Observe | None = None
    ) -> Catalog:
        token = connection.token and connection.token.secret and secrets(connection.namespace, connection.token.secret)
        catalog = Catalog(self, database, connection, token or None)
        self.opened.append(catalog)
        return catalog

    @property
    def aliases(self) -> dict[str, str]:
        return builders_live(self.server)

    def point(self, alias: str, collection: str | None) -> None:
        """Move an alias behind everyone's back."""
        catalog = self.server.connect(LOCAL, "default")
        if collection is None:
            catalog.drop_alias(alias)
        elif alias in self.aliases:
            catalog.alter_alias(alias, collection)
        else:
            catalog.create_alias(alias, collection)


class Catalog(MemoryCatalog):
    """A connection to it."""

    def __init__(self, milvus: Milvus, database: str, connection: Connection, token: bytes | None) -> None:
        super().__init__(milvus.server, database, connection.concurrency, connection.address)
        self.closed = False
        self.token = token
        self._milvus = milvus

    def server_version(self) -> str:
        """Part of every call."""
        if self._milvus.down:
            with self._milvus.lock:
                self._milvus.refused += 1
            raise ConnectionFailed("connection refused")
        if self.token != self._milvus.token:
            raise AuthenticationFailed("auth check failure, please check api key is correct")
        return super().server_version()

    def alias_names(self) -> frozenset[str]:
        with self._milvus.lock:
            self._milvus.reads += 1
        return super().alias_names()

    def create_alias(self, alias: str, collection: str) -> None:
        self._write("create", alias)
        super().create_alias(alias, collection)

    def alter_alias(self, alias: str, collection: str) -> None:
        self._write("alter", alias)
        super().alter_alias(alias, collection)

    def drop_alias(self, alias: str) -> None:
        self._write("drop", alias)
        super().drop_alias(alias)

    def close(self) -> None:
        self.closed = True

    def _write(self, action: str, alias: str) -> None:
        with self._milvus.lock:
            self._milvus.journal.append((action, alias))
        self._milvus.before(action, alias)
