"""What the core needs of a Milvus database, and nothing more.

Two things implement it: `milvus.MilvusCatalog` over pymilvus and `memory.MemoryCatalog` in memory. The contract
suite (`tests/catalog/test_contract.py`) runs on both, and defines what this protocol means.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from reconciler.errors import InvalidName
from reconciler.model import (
    NAME_PATTERN,
    Collection,
    Connection,
    Index,
    LoadState,
    PrimaryKey,
    Row,
    Schema,
    Vector,
)


class Catalog(Protocol):
    """One database of one Milvus server.

    Every method is one call to the server unless it says otherwise (`replicas` is two; the first of all asks for the
    version besides), bounded
    by the connection's timeout. Reads are retried a few times within it on transient failures; writes never are,
    because a repeated write could undo somebody else's. All raise `CatalogError`; a write that ends in
    `ConnectionFailed`, `CallTimedOut` or `UnexpectedAnswer` may have been done. Implementations may be called from
    several threads, and keep to `concurrency` calls in flight.

    In a database that does not exist, writes and lists raise `DatabaseNotFound`. Reads of one name need not: Milvus
    2.3.5 answers there that the collection does not exist.
    """

    database: str

    @property
    def concurrency(self) -> int:
        """Calls that may be in flight at once: 1 on Milvus Lite, which corrupts its catalog under concurrent writes."""

    @property
    def drops_by_prefix(self) -> bool:
        """Whether `drop_alias` also deletes the stored records of all aliases whose names begin with the dropped name.

        They go on working until the server restarts, and are gone then. Measured on Milvus 2.3.5; its catalog removes
        by key prefix (milvus-io/milvus#33288). Taken to hold for every version before 2.5 (read, not measured).
        """

    @property
    def calls(self) -> int:
        """Calls made to the server so far, each attempt counted; connecting is not."""

    def server_version(self) -> str:
        """The server's version as it says it (`v2.3.5`, `milvus_lite-3.2.2`), "unknown" if it may not be asked."""

    def alias_names(self) -> frozenset[str]:
        """All aliases of the database. Dangling ones are hidden by the server."""

    def aliases_of(self, collection: str) -> frozenset[str] | None:
        """The aliases that point at a collection; None if there is no such collection.

        Milvus Lite answers an empty set for a collection that does not exist.
        """

    def resolve(self, alias: str) -> Collection | None:
        """Where an alias points now, never from a cache; None if there is no such alias, or it dangles.

        `id` is given where the same call tells it. The name of a collection is not an alias: None.
        """

    def collection_names(self) -> frozenset[str]:
        """The collections that the caller may see."""

    def describe(self, collection: str) -> Collection | None:
        """A collection by its own name; None if it does not exist, or the name is an alias."""

    def load_state(self, collection: str) -> LoadState:
        """Whether a collection is loaded; `MISSING` if there is none."""

    def replicas(self, collection: str) -> int:
        """How many replicas of a collection are loaded. Raises `NotSupported` on Milvus Lite, `CollectionNotFound`."""

    def schema(self, collection: str) -> Schema:
        """The schema of a collection. Raises `CollectionNotFound`."""

    def indexes(self, collection: str) -> tuple[Index, ...]:
        """The indexes of a collection's vector fields: one call, and one for each. Raises `CollectionNotFound`."""

    def count(self, collection: str) -> int:
        """The rows of a collection, exactly: with strong consistency, unflushed rows and deletions included.

        As with every read of data here, the name may be an alias: the answer then comes from wherever a proxy sends
        it. All of them raise `NotLoaded` where the server says so, and `CollectionNotFound`.
        """

    def sample_keys(self, collection: str, primary: str, limit: int) -> tuple[PrimaryKey, ...]:
        """Up to `limit` primary keys that a collection has; `primary` is the name of its primary key's field."""

    def rows(
        self, collection: str, primary: str, keys: Sequence[PrimaryKey], fields: Sequence[str], *, strong: bool = True
    ) -> dict[PrimaryKey, Row]:
        """Those rows of a collection that have one of `keys`, each with `fields`.

        Args:
            strong: see what was written before the call; without it the answer is cheaper (measured on 2.3.5: no wait
                for the next time tick), and may lack rows that were written moments ago.
        """

    def search(
        self, collection: str, field: str, vectors: Sequence[Vector], *, limit: int, where: str = ""
    ) -> tuple[tuple[PrimaryKey, ...], ...]:
        """The nearest rows of each vector, nearest first, in one call; `where` is a filter in Milvus's language."""

    def create_alias(self, alias: str, collection: str) -> None:
        """Create an alias. Raises `AliasAlreadyExists` also when it dangles, which no read can show.

        One that points there already is no error, except on Milvus Lite.
        """

    def alter_alias(self, alias: str, collection: str) -> None:
        """Point an existing alias, a dangling one too, at another collection, atomically on the server."""

    def drop_alias(self, alias: str) -> None:
        """Drop an alias; dropping one that does not exist is no error."""

    def close(self) -> None:
        """Release the connection. Further calls are errors."""


class Connect(Protocol):
    """Opens a database. `create` lets it make a Milvus Lite file that does not exist."""

    def __call__(self, connection: Connection, database: str, *, create: bool = False) -> Catalog: ...


_ALIAS_NAME = re.compile(NAME_PATTERN, re.ASCII)


def check_alias_name(name: str) -> None:
    """Raise `InvalidName` for a name that Milvus would refuse with code 1100 (measured on 2.3.5).

    For implementations to call before they create or alter: Milvus Lite would accept nearly anything.
    """
    if not _ALIAS_NAME.fullmatch(name):
        raise InvalidName(f"{name!a:.300} is no alias name: a letter or _, then up to 254 letters, digits or _")
