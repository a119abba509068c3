"""A Milvus in memory that obeys the same contract as the real ones: for tests of your own pipelines, and of ours.

    server = MemoryServer(Flavour.MILVUS_2_3)
    server.create_collection("products_v1")
    catalog = server.connect(connection, "default")

Servers of different ages and kinds disagree in a few cases; `Flavour` says whose answers are given. What the flavours
are copied from is measured by `tests/catalog/test_contract.py`; MILVUS_2_6 was read in Milvus's sources.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from itertools import count

from reconciler.catalog.port import check_alias_name
from reconciler.errors import (
    AliasAlreadyExists,
    AliasNotFound,
    CollectionNotFound,
    DatabaseNotFound,
    NameTakenByCollection,
    NotSupported,
    UnexpectedAnswer,
)
from reconciler.model import DEFAULT_CONCURRENCY, DEFAULT_DATABASE, Collection, Connection, LoadState


class Flavour(Enum):
    """Whose answers a `MemoryServer` gives; the value is the version it reports."""

    MILVUS_2_3 = "v2.3.5"
    MILVUS_2_6 = "v2.6.4"
    LITE = "milvus_lite-3.2.2"


@dataclass(slots=True)
class _Collection:
    id: int
    replicas: int


@dataclass(slots=True)
class _Database:
    """Aliases keep the collection's id: they follow a rename, and dangle when the collection is gone.

    `unstored` aliases are in the server's memory only.
    """

    collections: dict[str, _Collection] = field(default_factory=dict)
    aliases: dict[str, int] = field(default_factory=dict)
    unstored: set[str] = field(default_factory=set)

    def name_of(self, collection_id: int) -> str | None:
        return next((name for name, found in self.collections.items() if found.id == collection_id), None)

    def target(self, alias: str) -> str | None:
        """The collection's name; None if there is no such alias, or it dangles."""
        return self.name_of(self.aliases[alias]) if alias in self.aliases else None

    def find(self, name: str) -> _Collection | None:
        """A collection by its name or an alias."""
        return self.collections.get(self.target(name) or name)


class MemoryServer:
    """Databases with collections and aliases, thread-safe. `connect` is a `Connect`; the rest is for administration."""

    def __init__(self, flavour: Flavour = Flavour.MILVUS_2_6) -> None:
        self.flavour = flavour
        self._databases = {DEFAULT_DATABASE: _Database()}
        self._ids = count(1)
        self._lock = threading.RLock()

    def connect(
        self,
        connection: Connection,
        database: str,
        *,
        create: bool = False,  # noqa: ARG002 - there is no file to create, but `Connect` has it
    ) -> MemoryCatalog:
        """Open a database; as with the real ones, a missing one shows at the first call."""
        return MemoryCatalog(self, database, connection.concurrency)

    def create_database(self, name: str) -> None:
        with self._lock:
            self._databases.setdefault(name, _Database())

    def create_collection(self, name: str, database: str = DEFAULT_DATABASE, *, replicas: int = 1) -> Collection:
        """Create a collection, loaded with so many replicas; 0 is not loaded. An existing one is left as it is."""
        with self.opened(database) as db:
            if name in db.aliases:
                raise UnexpectedAnswer(f"cannot create a collection named {name}: an alias has this name")
            found = db.collections.setdefault(name, _Collection(next(self._ids), replicas))
            return Collection(name, self.shown_id(found))

    def drop_collection(self, name: str, database: str = DEFAULT_DATABASE) -> None:
        """Drop a collection; a missing one is no error.

        Its aliases then dangle (2.3), or keep it from being dropped (2.6), or go with it (Lite). By an alias only Lite
        drops: the collection and its data.
        """
        with self.opened(database) as db:
            if name in db.aliases and self.flavour is not Flavour.LITE:
                raise UnexpectedAnswer(f"cannot drop a collection by its alias {name}")
            name = db.target(name) or name
            aliases = [alias for alias in db.aliases if db.target(alias) == name]
            if aliases and self.flavour is Flavour.MILVUS_2_6:
                raise UnexpectedAnswer(f"cannot drop {name}, which has aliases: {', '.join(sorted(aliases))}")
            if self.flavour is Flavour.LITE:
                for alias in aliases:
                    del db.aliases[alias]
            db.collections.pop(name, None)

    def rename_collection(self, name: str, new_name: str, database: str = DEFAULT_DATABASE) -> None:
        with self.opened(database) as db:
            if name not in db.collections:
                raise CollectionNotFound(f"there is no collection {name}")
            if new_name in db.collections or new_name in db.aliases:
                raise UnexpectedAnswer(f"cannot rename {name} to {new_name}: the name is taken")
            db.collections[new_name] = db.collections.pop(name)

    def restart(self) -> None:
        """Stop and start. Milvus 2.3 then forgets what drops by prefix took along (see `Catalog.drops_by_prefix`)."""
        with self._lock:
            for db in self._databases.values():
                for alias in db.unstored:
                    db.aliases.pop(alias, None)
                db.unstored.clear()

    def load(self, collection: str, database: str = DEFAULT_DATABASE, *, replicas: int = 1) -> None:
        with self.opened(database) as db:
            self._existing(db, collection).replicas = replicas

    def release(self, collection: str, database: str = DEFAULT_DATABASE) -> None:
        self.load(collection, database, replicas=0)

    @contextmanager
    def opened(self, name: str) -> Iterator[_Database]:
        with self._lock:
            if name not in self._databases:
                raise DatabaseNotFound(f'there is no database "{name}"')
            yield self._databases[name]

    def shown_id(self, collection: _Collection) -> int | None:
        return None if self.flavour is Flavour.LITE else collection.id

    @staticmethod
    def _existing(db: _Database, name: str) -> _Collection:
        if found := db.find(name):
            return found
        raise CollectionNotFound(f"there is no collection {name}")


class MemoryCatalog:
    """See `Catalog`: one database of a `MemoryServer`."""

    def __init__(self, server: MemoryServer, database: str, concurrency: int = DEFAULT_CONCURRENCY) -> None:
        self.database = database
        self._server = server
        self._is_lite = server.flavour is Flavour.LITE
        self._concurrency = 1 if self._is_lite else concurrency
        self._calls = 0
        self._calls_lock = threading.Lock()
        self._knows_version = False

    @property
    def concurrency(self) -> int:
        return self._concurrency

    @property
    def drops_by_prefix(self) -> bool:
        return self._server.flavour is Flavour.MILVUS_2_3

    @property
    def calls(self) -> int:
        return self._calls

    def server_version(self) -> str:
        with self._calls_lock:
            self._calls += not self._knows_version
            self._knows_version = True
        return self._server.flavour.value

    def alias_names(self) -> frozenset[str]:
        with self._call() as db:
            return frozenset(alias for alias in db.aliases if db.target(alias))

    def aliases_of(self, collection: str) -> frozenset[str] | None:
        with self._call() as db:
            if collection not in db.collections:
                return frozenset() if self._is_lite and collection not in db.aliases else None
            return frozenset(alias for alias in db.aliases if db.target(alias) == collection)

    def resolve(self, alias: str) -> Collection | None:
        with self._call() as db:
            name = db.target(alias)
            if name is None:
                return None
            tells_id = self._server.flavour is Flavour.MILVUS_2_3
            return Collection(name, db.collections[name].id if tells_id else None)

    def collection_names(self) -> frozenset[str]:
        with self._call() as db:
            return frozenset(db.collections)

    def describe(self, collection: str) -> Collection | None:
        with self._call() as db:
            found = db.collections.get(collection)
            return Collection(collection, self._server.shown_id(found)) if found else None

    def load_state(self, collection: str) -> LoadState:
        with self._call() as db:
            found = db.find(collection)
            if found is None:
                return LoadState.MISSING
            return LoadState.LOADED if found.replicas else LoadState.NOT_LOADED

    def replicas(self, collection: str) -> int:
        with self._call(sends=2) as db:
            found = db.find(collection)
            if found is None:
                raise CollectionNotFound(f"there is no collection {collection}")
            if self._is_lite:
                raise NotSupported("Milvus Lite knows no replicas")
            return found.replicas

    def create_alias(self, alias: str, collection: str) -> None:
        check_alias_name(alias)
        with self._call() as db:
            if alias in db.collections:
                raise NameTakenByCollection(f"there is a collection {alias}")
            wanted = self._target(db, collection)
            if alias in db.aliases and (self._is_lite or db.aliases[alias] != wanted):
                raise AliasAlreadyExists(f"there is an alias {alias}")
            db.aliases[alias] = wanted
            db.unstored.discard(alias)

    def alter_alias(self, alias: str, collection: str) -> None:
        check_alias_name(alias)
        with self._call() as db:
            if alias in db.collections and not self._is_lite:
                raise NameTakenByCollection(f"there is a collection {alias}")
            if alias not in db.aliases:
                raise AliasNotFound(f"there is no alias {alias}")
            db.aliases[alias] = self._target(db, collection)
            db.unstored.discard(alias)

    def drop_alias(self, alias: str) -> None:
        with self._call() as db:
            db.aliases.pop(alias, None)
            if self.drops_by_prefix:
                db.unstored |= {name for name in db.aliases if name.startswith(alias)}

    def close(self) -> None:
        """Nothing to release."""

    def _target(self, db: _Database, name: str) -> int:
        """The id to point at. Milvus Lite accepts an alias for a collection here, and resolves it."""
        found = db.find(name) if self._is_lite else db.collections.get(name)
        if found is None:
            raise CollectionNotFound(f"there is no collection {name}")
        return found.id

    @contextmanager
    def _call(self, sends: int = 1) -> Iterator[_Database]:
        """One call to the server; as with `MilvusCatalog`, the first one asks for the version besides."""
        self.server_version()
        with self._calls_lock:
            self._calls += sends
        with self._server.opened(self.database) as db:
            yield db
