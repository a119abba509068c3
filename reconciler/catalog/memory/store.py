"""What a Milvus in memory stores: databases with their collections and aliases."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

from msgspec import Struct

from reconciler.catalog.memory.data import StoredCollection
from reconciler.catalog.port import ReadGrant
from reconciler.core.errors import DatabaseNotFound, PermissionDenied
from reconciler.core.model import DEFAULT_DATABASE


class Flavour(Enum):
    """The server that a `MemoryServer` emulates; the value is the version it reports."""

    MILVUS_2_3 = "v2.3.5"
    MILVUS_2_6 = "v2.6.8"
    LITE = "milvus_lite-3.2.2"


class StuckReaders(Struct):
    """Readers of one alias that do not notice some of its alters (see `MemoryServer.stick_readers`).

    `collection` is the id of the collection that they still read; None before the first alter.
    """

    alters: int
    address: str | None
    collection: int | None = None

    def notice_alter(self, before: int) -> bool:
        """Return whether an alter leaves the readers at the collection with the id `before`."""
        if self.alters:
            self.alters -= 1
            self.collection = before if self.collection is None else self.collection
            return True
        return False


class StoredDatabase(Struct):
    """A database. Its aliases refer to collection ids: they follow a rename, and dangle after a drop.

    `unstored` aliases are in the server's memory only.
    """

    collections: dict[str, StoredCollection] = {}
    aliases: dict[str, int] = {}
    unstored: set[str] = set()
    stuck: dict[str, StuckReaders] = {}

    def name_of(self, collection_id: int) -> str | None:
        return next((name for name, found in self.collections.items() if found.id == collection_id), None)

    def target(self, alias: str) -> str | None:
        """Return the collection's name, or None if there is no such alias or it dangles."""
        return self.name_of(self.aliases[alias]) if alias in self.aliases else None

    def find(self, name: str) -> StoredCollection | None:
        """Return a collection by its name or an alias."""
        return self.collections.get(self.target(name) or name)

    def serving(self, name: str, address: str) -> StoredCollection | None:
        """Return the collection whose data a proxy at `address` serves for a name or an alias; it may be stale."""
        stuck = self.stuck.get(name)
        if stuck and stuck.collection is not None and stuck.address in (None, address):
            return self.collections.get(self.name_of(stuck.collection) or "")
        return self.find(name)


class Store:
    """The databases of one server, for one thread at a time."""

    def __init__(self, flavour: Flavour, version: str | None = None) -> None:
        self.flavour = flavour
        self.version = flavour.value if version is None else version
        self.secondary = self.authorization = False
        self._databases = {DEFAULT_DATABASE: StoredDatabase()}
        self._denied: set[tuple[str, str]] = set()
        self._read_grants: dict[str, set[tuple[str, ReadGrant]]] = {"public": set()}
        self._lock = threading.RLock()

    @property
    def is_lite(self) -> bool:
        return self.flavour is Flavour.LITE

    def has(self, database: str) -> bool:
        return database in self._databases

    @contextmanager
    def opened(self, name: str) -> Iterator[StoredDatabase]:
        with self._lock:
            if name not in self._databases:
                raise DatabaseNotFound(f'there is no database "{name}"')
            yield self._databases[name]

    @property
    def databases(self) -> frozenset[str]:
        with self._lock:
            return frozenset(self._databases)

    def check_permitted(self, privilege: str, name: str) -> None:
        """Raise `PermissionDenied` for a privilege that was denied, everywhere or on this collection or alias."""
        if self._denied & {(privilege, ""), (privilege, name)}:
            raise PermissionDenied(f"the privilege {privilege} is missing", privilege=privilege)

    def read_grants(self, database: str) -> dict[str, frozenset[ReadGrant]]:
        """Return what each role may read in a database."""
        return {
            role: frozenset(grant for place, grant in granted if place in ("*", database))
            for role, granted in self._read_grants.items()
        }

    def shown_id(self, collection: StoredCollection) -> int | None:
        return None if self.is_lite else collection.id
