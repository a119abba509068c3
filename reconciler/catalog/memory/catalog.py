"""The catalog of a Milvus in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from reconciler.catalog.memory.data import StoredCollection, as_on_lite, existing
from reconciler.catalog.memory.filters import parse_filter
from reconciler.catalog.memory.store import Flavour, Store, StoredDatabase
from reconciler.catalog.port import AliasWrite, DataRead, ReadGrant, check_alias_name, check_sizes
from reconciler.catalog.server_behaviour import ServerBehaviour, behaviour_of
from reconciler.core.errors import (
    AliasAlreadyExists,
    AliasNotFound,
    NameTakenByCollection,
    NotLoaded,
    NotPrimary,
    NotSupported,
    PermissionDenied,
)
from reconciler.core.model import DEFAULT_CONCURRENCY, Collection, Index, LoadState, PrimaryKey, Row, Schema, Vector


class MemoryCatalog:
    """A `Catalog`: one database of a Milvus in memory."""

    def __init__(self, server: Store, database: str, concurrency: int = DEFAULT_CONCURRENCY, address: str = "") -> None:
        self.database = database
        self._address = address
        self._server = server
        self._behaviour = behaviour_of(server.version)
        self._version = server.version
        self._is_lite = server.is_lite
        self._is_2_3 = server.flavour is Flavour.MILVUS_2_3
        self._concurrency = 1 if self._is_lite else concurrency
        self._calls = 0
        self._calls_lock = threading.Lock()
        self._knows_version = False

    @property
    def concurrency(self) -> int:
        return self._concurrency

    @property
    def behaviour(self) -> ServerBehaviour:
        return self._behaviour

    @property
    def calls(self) -> int:
        return self._calls

    @property
    def outdated(self) -> bool:
        return False

    def server_version(self) -> str:
        with self._calls_lock:
            if not self._knows_version:
                self._calls += 1
                self._version = self._server.version
                self._behaviour = behaviour_of(self._version)
                self._knows_version = True
            return self._version

    def forget_version(self) -> None:
        self._knows_version = False

    def databases(self) -> frozenset[str]:
        with self._call("ListDatabases"):
            return self._server.databases

    def alias_names(self) -> frozenset[str]:
        with self._call("ListAliases") as db:
            return frozenset(alias for alias in db.aliases if db.target(alias))

    def aliases_of(self, collection: str) -> frozenset[str] | None:
        with self._call("ListAliases") as db:
            if collection not in db.collections:
                return frozenset() if self._is_lite and collection not in db.aliases else None
            return frozenset(alias for alias in db.aliases if db.target(alias) == collection)

    def resolve(self, alias: str) -> Collection | None:
        with self._call("DescribeAlias" if self._behaviour.describes_aliases else "DescribeCollection") as db:
            name = db.target(alias)
            if name is None:
                return None
            return Collection(name, db.collections[name].id if self._is_2_3 else None)

    def dangles(self, alias: str) -> bool | None:
        if self._is_lite:
            return False
        try:
            with self._call("ShowPartitions", alias) as db:
                return alias in db.aliases and db.target(alias) is None
        except PermissionDenied:
            return None

    def collections(self) -> dict[str, Collection]:
        with self._call() as db:
            return {name: Collection(name, self._server.shown_id(found)) for name, found in db.collections.items()}

    def describe(self, collection: str) -> Collection | None:
        with self._call("DescribeCollection") as db:
            found = db.collections.get(collection)
            return Collection(collection, self._server.shown_id(found)) if found else None

    def load_state(self, collection: str) -> LoadState:
        with self._call("Load" if self._is_2_3 else "GetLoadState", collection) as db:
            found = db.find(collection)
            if found is None:
                return LoadState.MISSING
            return LoadState.LOADED if found.replicas else LoadState.NOT_LOADED

    def partitions(self, collection: str) -> dict[str, bool]:
        with self._call("ShowPartitions", collection, sends=2) as db:
            found = existing(db.find(collection), collection)
            return {name: found.replicas > 0 and name not in found.released for name in sorted(found.partitions)}

    def replicas(self, collection: str) -> int:
        with self._call("DescribeCollection", sends=2) as db:
            found = existing(db.find(collection), collection)
            if self._is_lite:
                raise NotSupported("Milvus Lite knows no replicas")
            return found.replicas

    def schema(self, collection: str) -> Schema:
        with self._call("DescribeCollection") as db:
            found = existing(db.find(collection), collection).schema
        return as_on_lite(found) if self._is_lite else found

    def indexes(self, collection: str) -> tuple[Index, ...]:
        with self._call("IndexDetail", collection) as db:
            found = existing(db.find(collection), collection)
        with self._calls_lock:
            self._calls += len(found.indexes)
        return found.indexes

    def count(self, collection: str, where: str = "") -> int:
        passes = parse_filter(where)
        with self._data(collection, works_released=self._is_lite) as found:
            return sum(map(passes, found.data.values()))

    def sample_keys(self, collection: str, primary: str, limit: int) -> tuple[PrimaryKey, ...]:
        check_sizes(limit=limit)
        with self._data(collection) as found:
            return found.keys(primary, limit)

    def rows(
        self,
        collection: str,
        primary: str,
        keys: Sequence[PrimaryKey],
        fields: Sequence[str],
        *,
        strong: bool = True,  # noqa: ARG002 - whatever was written is seen here
    ) -> dict[PrimaryKey, Row]:
        check_sizes(keys=keys)
        if not keys:
            return {}
        with self._data(collection) as found:
            return found.rows(primary, keys, fields, unknown_too=self._is_lite)

    def search(
        self,
        collection: str,
        field: str,
        vectors: Sequence[Vector],
        *,
        limit: int,
        where: str = "",
        strong: bool = True,  # noqa: ARG002 - whatever was written is seen here
    ) -> tuple[tuple[PrimaryKey, ...], ...]:
        check_sizes(vectors=vectors, limit=limit)
        if not vectors:
            return ()
        with self._data(collection, DataRead.SEARCH) as found:
            return found.search(field, vectors, limit, where)

    def create_alias(self, alias: str, collection: str) -> None:
        check_alias_name(alias)
        with self._change(AliasWrite.CREATE) as db:
            if alias in db.collections:
                raise NameTakenByCollection(f"there is a collection {alias}")
            desired = self._target(db, collection)
            if alias in db.aliases and (self._is_lite or db.aliases[alias] != desired):
                raise AliasAlreadyExists(f"there is an alias {alias}")
            db.aliases[alias] = desired
            db.unstored.discard(alias)

    def alter_alias(self, alias: str, collection: str) -> None:
        check_alias_name(alias)
        with self._change(AliasWrite.ALTER) as db:
            if alias in db.collections and not self._is_lite:
                raise NameTakenByCollection(f"there is a collection {alias}")
            if alias not in db.aliases:
                raise AliasNotFound(f"there is no alias {alias}")
            before, desired = db.aliases[alias], self._target(db, collection)
            if before == desired and self._server.flavour is Flavour.MILVUS_2_6:
                return
            if alias in db.stuck and not db.stuck[alias].notice_alter(before):
                del db.stuck[alias]
            db.aliases[alias] = desired
            db.unstored.discard(alias)

    def drop_alias(self, alias: str) -> None:
        with self._change(AliasWrite.DROP) as db:
            db.aliases.pop(alias, None)
            db.stuck.pop(alias, None)
            if self._is_2_3:
                db.unstored |= {name for name in db.aliases if name.startswith(alias)}

    def permits(self, write: AliasWrite) -> bool | None:
        try:
            with self._call(self._required_privilege(write)):
                return True
        except PermissionDenied:
            return False

    def read_grants(self) -> Mapping[str, frozenset[ReadGrant]]:
        if self._is_lite:
            return {}
        with self._call("SelectOwnership"):
            return self._server.read_grants(self.database)

    def requires_token(self) -> bool:
        return self._server.authorization

    def close(self) -> None:
        """Do nothing: there is nothing to release."""

    def _required_privilege(self, write: AliasWrite) -> str | None:
        """Return the privilege that a write needs; Milvus 2.3 needs none for altering."""
        return None if write is AliasWrite.ALTER and self._is_2_3 else write.privilege

    @contextmanager
    def _change(self, write: AliasWrite) -> Iterator[StoredDatabase]:
        with self._call(self._required_privilege(write)) as db:
            if self._server.secondary:
                raise NotPrimary("this is a secondary cluster, which refuses changes: this call wrote nothing")
            yield db

    def _target(self, db: StoredDatabase, name: str) -> int:
        """Return the id to point to. Milvus Lite accepts an alias as a collection, and resolves it."""
        return existing(db.find(name) if self._is_lite else db.collections.get(name), name).id

    @contextmanager
    def _data(
        self, name: str, read: DataRead = DataRead.QUERY, *, works_released: bool = False
    ) -> Iterator[StoredCollection]:
        with self._call(read, self._required_on(read, name)) as db:
            found = existing(db.serving(name, self._address), name)
            if not found.replicas and not works_released:
                raise NotLoaded(f"{name} is not loaded")
            yield found

    def _required_on(self, read: DataRead, name: str) -> str:
        """Return the collection or alias on which a read requires the privilege."""
        if not self._behaviour.checks_collection(read) or not self._server.has(self.database):
            return name
        with self._server.opened(self.database) as db:
            return db.target(name) or name

    @contextmanager
    def _call(self, privilege: str | None = None, name: str = "", *, sends: int = 1) -> Iterator[StoredDatabase]:
        """Make one call to the server; as with `MilvusCatalog`, the first call also reads the version.

        Privileges are checked before everything else, even the existence of the database.
        """
        self.server_version()
        with self._calls_lock:
            self._calls += sends
        if privilege:
            self._server.check_permitted(privilege, name)
        with self._server.opened(self.database) as db:
            yield db
