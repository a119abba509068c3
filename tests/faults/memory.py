"""A Milvus in memory on which calls can go wrong, before or after the server acted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock

from reconciler.catalog import Catalogs
from reconciler.catalog.memory import MemoryCatalog, MemoryServer
from reconciler.core.model import Collection, Connection, Index, LoadState, PrimaryKey, Row, Schema, Vector

Hook = Callable[[str, str], None]
"""Told the method and the alias (or the collection); may raise, wait, or change the server behind everyone's back."""


class Recorder:
    """Wraps a server's catalogs: records each call that names an alias; runs hooks before reads and around writes."""

    def __init__(self, server: MemoryServer) -> None:
        self.server = server
        self.journal: list[tuple[str, str]] = []
        self.before: Hook = lambda method, alias: None
        self.after: Hook = lambda method, alias: None
        self.lock = Lock()

    @property
    def writes(self) -> list[tuple[str, str]]:
        return [(method, alias) for method, alias in self.journal if method != "resolve"]

    def connect(self, connection: Connection, database: str, *, create: bool = False) -> MemoryCatalog:
        return _Recorded(self, database, connection)

    def catalogs(self) -> Catalogs:
        return Catalogs(self.connect)


class _Recorded(MemoryCatalog):
    def __init__(self, recorder: Recorder, database: str, connection: Connection) -> None:
        super().__init__(recorder.server, database, connection.concurrency, connection.address)
        self._recorder = recorder

    def resolve(self, alias: str) -> Collection | None:
        self._note("resolve", alias)
        self._recorder.before("resolve", alias)
        return super().resolve(alias)

    def aliases_of(self, collection: str) -> frozenset[str] | None:
        self._recorder.before("aliases_of", collection)
        return super().aliases_of(collection)

    def load_state(self, collection: str) -> LoadState:
        self._recorder.before("load_state", collection)
        return super().load_state(collection)

    def partitions(self, collection: str) -> dict[str, bool]:
        self._recorder.before("partitions", collection)
        return super().partitions(collection)

    def schema(self, collection: str) -> Schema:
        self._recorder.before("schema", collection)
        return super().schema(collection)

    def indexes(self, collection: str) -> tuple[Index, ...]:
        self._recorder.before("indexes", collection)
        return super().indexes(collection)

    def count(self, collection: str, where: str = "") -> int:
        self._recorder.before("count", collection)
        return super().count(collection, where)

    def sample_keys(self, collection: str, primary: str, limit: int) -> tuple[PrimaryKey, ...]:
        self._recorder.before("sample_keys", collection)
        return super().sample_keys(collection, primary, limit)

    def rows(
        self, collection: str, primary: str, keys: Sequence[PrimaryKey], fields: Sequence[str], *, strong: bool = True
    ) -> dict[PrimaryKey, Row]:
        self._recorder.before("rows", collection)
        return super().rows(collection, primary, keys, fields, strong=strong)

    def search(
        self,
        collection: str,
        field: str,
        vectors: Sequence[Vector],
        *,
        limit: int,
        where: str = "",
        strong: bool = True,
    ) -> tuple[tuple[PrimaryKey, ...], ...]:
        self._recorder.before("search", collection)
        return super().search(collection, field, vectors, limit=limit, where=where, strong=strong)

    def create_alias(self, alias: str, collection: str) -> None:
        self._around("create", alias, lambda: super(_Recorded, self).create_alias(alias, collection))

    def alter_alias(self, alias: str, collection: str) -> None:
        self._around("alter", alias, lambda: super(_Recorded, self).alter_alias(alias, collection))

    def drop_alias(self, alias: str) -> None:
        self._around("drop", alias, lambda: super(_Recorded, self).drop_alias(alias))

    def _around(self, method: str, alias: str, call: Callable[[], None]) -> None:
        self._note(method, alias)
        self._recorder.before(method, alias)
        call()
        self._recorder.after(method, alias)

    def _note(self, method: str, alias: str) -> None:
        with self._recorder.lock:
            self._recorder.journal.append((method, alias))
