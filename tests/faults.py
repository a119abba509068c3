"""A Milvus in memory on which calls can go wrong, before or after the server acted."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from reconciler.catalog import Catalogs
from reconciler.catalog.memory import MemoryCatalog, MemoryServer
from reconciler.model import Collection, Connection, LoadState

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
        return _Recorded(self, database, connection.concurrency)

    def catalogs(self) -> Catalogs:
        return Catalogs(self.connect)


class _Recorded(MemoryCatalog):
    def __init__(self, recorder: Recorder, database: str, concurrency: int) -> None:
        super().__init__(recorder.server, database, concurrency)
        self._recorder = recorder

    def resolve(self, alias: str) -> Collection | None:
        self._note("resolve", alias)
        self._recorder.before("resolve", alias)
        return super().resolve(alias)

    def load_state(self, collection: str) -> LoadState:
        self._recorder.before("load_state", collection)
        return super().load_state(collection)

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
