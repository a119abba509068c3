"""What the core needs of a Milvus database, and nothing more.

Two things implement it: `milvus.MilvusCatalog` over pymilvus and `memory.MemoryCatalog` in memory. The contract
suite (`tests/catalog/test_contract.py`) runs on both, and defines what this protocol means.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Protocol, TypeAlias

from reconciler.catalog.server_behaviour import ServerBehaviour
from reconciler.core.errors import InvalidName
from reconciler.core.fields import NAME_PATTERN
from reconciler.core.model import (
    Collection,
    Connection,
    Index,
    LoadState,
    PrimaryKey,
    Row,
    Schema,
    SecretKeyRef,
    Vector,
)

Secrets: TypeAlias = Callable[[str, SecretKeyRef], bytes]
"""Reads a key of a Kubernetes Secret in a namespace. Raises `InvalidInput`, naming the Secret, if it is not there."""
Observe: TypeAlias = Callable[[str, str, float], None]
"""Told of each call to Milvus: pymilvus's name of the method, `ok` or the name of our error, and the seconds."""


class AliasWrite(StrEnum):
    """A call that changes an alias, by Milvus's name."""

    CREATE = "CreateAlias"
    ALTER = "AlterAlias"
    DROP = "DropAlias"

    @property
    def privilege(self) -> str:
        """What the caller must have been granted: Milvus has none of its own for altering."""
        return str(AliasWrite.CREATE if self is AliasWrite.ALTER else self)


class Catalog(Protocol):
    """One database of one Milvus server.

    Every method is one call to the server unless it says otherwise; the first of all also reads the version. Calls are
    bounded by the connection's timeout. Reads are retried a few times within it on transient failures; writes never
    are, because a repeated write could undo somebody else's. All raise `CatalogError`; a write that ends in
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
    def behaviour(self) -> ServerBehaviour:
        """How the server behaves, by its version."""

    @property
    def calls(self) -> int:
        """Calls made to the server so far, each attempt counted; connecting is not."""

    def server_version(self) -> str:
        """Return what the server reports as its version: `v2.3.5`, `milvus_lite-3.2.2`, or "unknown".

        Of a server that reports no number it is the build tags of its `Connect` answer, which takes a second call, or
        else what the connection states.
        """

    def alias_names(self) -> frozenset[str]:
        """All aliases of the database. Dangling ones are hidden by the server."""

    def aliases_of(self, collection: str) -> frozenset[str] | None:
        """Return the aliases that point to a collection, or None if there is no such collection.

        Milvus Lite answers an empty set for a collection that does not exist.
        """

    def resolve(self, alias: str) -> Collection | None:
        """Where an alias points now, never from a cache; None if there is no such alias, or it dangles.

        `id` is given where the same call tells it. The name of a collection is not an alias: None.
        """

    def collections(self) -> dict[str, Collection]:
        """Return the collections that the caller may see, by name.

        `id` is given where the same call tells it: on Milvus 2.3.5 (measured), on newer ones (read, not measured).
        """

    def describe(self, collection: str) -> Collection | None:
        """Return a collection by its own name, or None if it does not exist or the name is an alias."""

    def load_state(self, collection: str) -> LoadState:
        """Whether a collection is loaded; `MISSING` if there is none."""

    def partitions(self, collection: str) -> dict[str, bool]:
        """Return the partitions of a collection, each with whether it is fully loaded; it takes two calls.

        `load_state` is `LOADED` as soon as any partition is, and reads leave the others out (measured on 2.3.5).
        Milvus Lite loads all or none. Raises `CollectionNotFound`.
        """

    def replicas(self, collection: str) -> int:
        """Return how many replicas of a collection are serving: every shard has a leader. It takes two calls.

        Raises `NotSupported` on Milvus Lite, `CollectionNotFound`.
        """

    def schema(self, collection: str) -> Schema:
        """Return the schema of a collection. Raises `CollectionNotFound`.

        Milvus Lite forgets the description of a collection, and how long the texts in an array may be; Milvus 2.3.5
        forgets functions.
        """

    def indexes(self, collection: str) -> tuple[Index, ...]:
        """All indexes of a collection, those of scalar fields too: one call, and one for each index.

        Milvus counts flushed rows only in `pending_rows` (measured on 2.3.5). Raises `CollectionNotFound`.
        """

    def count(self, collection: str) -> int:
        """Count the rows of a collection exactly: with strong consistency, including unflushed rows and deletions.

        As with every read of data here, the name may be an alias: the answer then comes from wherever a proxy sends
        it. All of them raise `CollectionNotFound`, and `NotLoaded` where the server says so; a collection that is not
        loaded is counted by Milvus Lite all the same. A question that makes no sense there, such as an unknown field,
        a filter that cannot be parsed or another dimension, is `UnexpectedAnswer`; some of them Milvus Lite overlooks.
        More than `MAX_KEYS`, `MAX_VECTORS` or `MAX_LIMIT` is a `ValueError`.
        """

    def sample_keys(self, collection: str, primary: str, limit: int) -> tuple[PrimaryKey, ...]:
        """Up to `limit` primary keys that a collection has; `primary` is the name of its primary key's field."""

    def rows(
        self, collection: str, primary: str, keys: Sequence[PrimaryKey], fields: Sequence[str], *, strong: bool = True
    ) -> dict[PrimaryKey, Row]:
        """Those rows of a collection that have one of `keys`, each with `fields`; no keys, no call.

        Args:
            fields: a dynamic field is left out where a row does not have it.
            strong: see what was written before the call; without it the answer is cheaper (measured on 2.3.5: no wait
                for the next time tick), and may lack rows that were written moments ago.
        """

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
        """Return the keys of the nearest rows of each vector, nearest first by the index's metric.

        Args:
            field: a field of dense float vectors.
            limit: hits for each vector.
            where: a filter in Milvus's language.
            strong: as for `rows`. On 2.3.5 a strong search of a small collection took 200 ms, and 5 ms without
                (measured): the wait hides how long the search takes.
        """

    def create_alias(self, alias: str, collection: str) -> None:
        """Create an alias. Raises `AliasAlreadyExists` also when it dangles, which no read can show.

        One that points there already is no error, except on Milvus Lite.
        """

    def alter_alias(self, alias: str, collection: str) -> None:
        """Point an existing alias, a dangling one too, at another collection, atomically on the server."""

    def drop_alias(self, alias: str) -> None:
        """Drop an alias; dropping one that does not exist is no error."""

    def permits(self, write: AliasWrite) -> bool | None:
        """Whether the caller may make such a call, found out without changing anything; None if it cannot be told.

        Milvus checks the privilege before anything else (measured on 2.3.5, read in later sources). So the call is
        made with names that no alias and no collection can have: a caller without the privilege is refused, any other
        gets an error about the name, or success for the drop of an alias that does not exist. Milvus 2.3.5 checks no
        privilege to alter: True.

        A drop is not tried where the server would record it (see `ServerBehaviour.records_missing_drops`). There the
        caller's own grants are read, with two kinds of calls, one of them per role; for an API key, which does not
        name a user, the answer is None.

        Milvus Lite knows no privileges: True, without a call.
        """

    def close(self) -> None:
        """Release the connection. Further calls are errors."""


class Connect(Protocol):
    """Opens a database. `create` lets it make a Milvus Lite file that does not exist."""

    def __call__(self, connection: Connection, database: str, *, create: bool = False) -> Catalog: ...


IMPOSSIBLE_NAME = "0-aliasctl-check"
"""No alias or collection can be called so, and no name can begin with it: a name begins with a letter or _."""

_ALIAS_NAME = re.compile(NAME_PATTERN, re.ASCII)


def check_alias_name(name: str) -> None:
    """Raise `InvalidName` for a name that Milvus would refuse with code 1100 (measured on 2.3.5).

    For implementations to call before they create or alter: Milvus Lite would accept nearly anything.
    """
    if not _ALIAS_NAME.fullmatch(name):
        raise InvalidName(f"{name!a:.300} is no alias name: a letter or _, then up to 254 letters, digits or _")


MAX_KEYS = 1_000
"""Rows asked for in one call: 13 MB of answer for vectors of 3,072 dimensions."""
MAX_VECTORS = 100
"""Vectors searched for in one call: 13 MB of request at Milvus's largest dimension, 32,768."""
MAX_LIMIT = 16_384
"""Keys, or hits for each vector, that one call may ask for: Milvus's own limit (measured on 2.3.5)."""


def check_sizes(*, keys: Sequence[PrimaryKey] = (), vectors: Sequence[Vector] = (), limit: int = 1) -> None:
    """Raise `ValueError` for a read of data that asks too much, or for less than one row."""
    if len(keys) > MAX_KEYS or len(vectors) > MAX_VECTORS or not 1 <= limit <= MAX_LIMIT:
        raise ValueError(f"{len(keys)} keys, {len(vectors)} vectors, limit {limit}: too much for one call, or nothing")
