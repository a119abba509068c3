"""The server of a Milvus in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count

from reconciler.catalog.memory.catalog import MemoryCatalog
from reconciler.catalog.memory.data import DEFAULT_SCHEMA, StoredCollection, existing, flat_indexes
from reconciler.catalog.memory.store import Flavour, Store, StoredDatabase, StuckReaders
from reconciler.catalog.port import DataRead, ReadGrant
from reconciler.core.errors import CollectionNotFound, UnexpectedAnswer
from reconciler.core.model import DEFAULT_DATABASE, Collection, Connection, Index, PrimaryKey, Row, Schema


class MemoryServer(Store):
    """Databases with collections and aliases, thread-safe. `connect` is a `Connect`; the rest is for administration.

    Args:
        flavour: the server that it emulates.
        version: the version to report instead of the flavour's.

    Set `secondary` for a secondary cluster, which refuses every change of an alias, and `authorization` for one that
    requires a token. Grants are what roles may read; what a caller may not do is set with `deny`.
    """

    def __init__(self, flavour: Flavour = Flavour.MILVUS_2_6, version: str | None = None) -> None:
        super().__init__(flavour, version)
        self._ids = count(1)

    def connect(
        self,
        connection: Connection,
        database: str,
        *,
        create: bool = False,  # noqa: ARG002 - there is no file to create, but `Connect` has it
    ) -> MemoryCatalog:
        """Open a database; as with real servers, a missing one is detected by the first call."""
        return MemoryCatalog(self, database, connection.concurrency, connection.address)

    def create_database(self, name: str) -> None:
        with self._lock:
            self._databases.setdefault(name, StoredDatabase())

    def create_collection(
        self,
        name: str,
        database: str = DEFAULT_DATABASE,
        *,
        replicas: int = 1,
        schema: Schema = DEFAULT_SCHEMA,
        rows: Iterable[Row] = (),
        indexes: Sequence[Index] | None = None,
    ) -> Collection:
        """Create a collection. An existing one is not changed.

        Args:
            replicas: how many are loaded; 0 for a collection that is not loaded.
            rows: field name → value, as for `insert`.
            indexes: None for an index with metric L2 on each vector field. A search on a field without an index uses
                L2.
        """
        with self.opened(database) as db:
            if name in db.aliases:
                raise UnexpectedAnswer(f"cannot create a collection named {name}: an alias has this name")
            if name not in db.collections:
                made = flat_indexes(schema) if indexes is None else tuple(indexes)
                db.collections[name] = StoredCollection(next(self._ids), replicas, schema, made)
                db.collections[name].insert(rows)
            return Collection(name, self.shown_id(db.collections[name]))

    def insert(self, collection: str, rows: Iterable[Row], database: str = DEFAULT_DATABASE) -> None:
        """Add rows; a row replaces an earlier one with the same primary key."""
        with self.opened(database) as db:
            existing(db.find(collection), collection).insert(rows)

    def delete(self, collection: str, keys: Iterable[PrimaryKey], database: str = DEFAULT_DATABASE) -> None:
        """Delete rows; a key that does not exist is no error."""
        with self.opened(database) as db:
            data = existing(db.find(collection), collection).data
            for key in keys:
                data.pop(key, None)

    def drop_collection(self, name: str, database: str = DEFAULT_DATABASE) -> None:
        """Drop a collection; a missing one is no error.

        Its aliases then dangle (2.3), prevent the drop (2.6), or are dropped too (Lite). Only Lite accepts an alias
        here, and drops the collection and its data.
        """
        with self.opened(database) as db:
            if name in db.aliases and not self.is_lite:
                raise UnexpectedAnswer(f"cannot drop a collection by its alias {name}")
            name = db.target(name) or name
            aliases = [alias for alias in db.aliases if db.target(alias) == name]
            if aliases and self.flavour is Flavour.MILVUS_2_6:
                raise UnexpectedAnswer(f"cannot drop {name}, which has aliases: {', '.join(sorted(aliases))}")
            if self.is_lite:
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
        """Stop and start. Milvus 2.3 then forgets the aliases that drops by prefix deleted."""
        with self._lock:
            for db in self._databases.values():
                for alias in db.unstored:
                    db.aliases.pop(alias, None)
                db.unstored.clear()

    def deny(self, privilege: str, on: str = "") -> None:
        """Revoke a privilege from all users, by Milvus's name of it; on one collection or alias, or everywhere.

        As on the emulated server, 2.3 requires `Load` for `GetLoadState`, and no privilege to alter an alias. The name
        to deny is that of a collection or, where the version checks the privilege on the name of an alias (see
        `ServerBehaviour.checks_collection`), of the alias that a call uses.
        """
        self._denied.add((privilege, on))

    def grant(self, role: str, read: DataRead, name: str, database: str = DEFAULT_DATABASE) -> None:
        """Permit a role to read a collection or alias, or with `*` all of a database; `*` also for all databases."""
        self._read_grants.setdefault(role, set()).add((database, ReadGrant(read, name)))

    def create_partition(self, collection: str, name: str, database: str = DEFAULT_DATABASE) -> None:
        with self.opened(database) as db:
            existing(db.find(collection), collection).partitions.add(name)

    def release_partition(self, collection: str, name: str, database: str = DEFAULT_DATABASE) -> None:
        """Release one partition; Milvus Lite ignores it. Loading the collection loads all of them."""
        with self.opened(database) as db:
            if not self.is_lite:
                existing(db.find(collection), collection).released.add(name)

    def load(self, collection: str, database: str = DEFAULT_DATABASE, *, replicas: int = 1) -> None:
        with self.opened(database) as db:
            found = existing(db.find(collection), collection)
            found.replicas = replicas
            found.released.clear()

    def release(self, collection: str, database: str = DEFAULT_DATABASE) -> None:
        self.load(collection, database, replicas=0)

    def stick_readers(
        self, alias: str, database: str = DEFAULT_DATABASE, *, alters: int = 1, address: str | None = None
    ) -> None:
        """Keep reads of data through an alias on its old collection when it is altered: a fault of Milvus 2.3.5.

        The catalog, and with it every answer about aliases, is right. Altering again refreshes the readers; to the same
        collection only on servers that do not ignore that. `unstick_readers` stands for an expired cache entry.
        `alters`: how many of the next alters are not noticed. `address`: the proxy concerned, as `Connection.address`;
        None for all.
        """
        with self.opened(database) as db:
            db.stuck[alias] = StuckReaders(alters, address)

    def unstick_readers(self, alias: str, database: str = DEFAULT_DATABASE) -> None:
        with self.opened(database) as db:
            db.stuck.pop(alias, None)
