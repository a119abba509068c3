"""The protocol of a Milvus database, with only the calls that aliases need.

Two classes implement it: `milvus.MilvusCatalog` over pymilvus and `memory.MemoryCatalog` in memory. The contract suite
(`tests/catalog/test_contract.py`) runs on both, and defines what this protocol means.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

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
    Vector,
)

if TYPE_CHECKING:
    from reconciler.catalog.server_behaviour import ServerBehaviour  # its table is not needed offline

Observe: TypeAlias = Callable[[str, str, float], None]
"""Called after each call to Milvus: pymilvus's name of the method, `ok` or the name of our error, and the seconds."""


class DataRead(StrEnum):
    """A read of data, by the privilege that it requires."""

    QUERY = "Query"
    SEARCH = "Search"


class ReadGrant(NamedTuple):
    """A permitted read of the collection or alias of this name; `*` for all of a database."""

    read: DataRead
    name: str


class AliasWrite(StrEnum):
    """A call that changes an alias, by Milvus's name."""

    CREATE = "CreateAlias"
    ALTER = "AlterAlias"
    DROP = "DropAlias"

    @property
    def privilege(self) -> str:
        """Return the privilege that the caller needs: Milvus has none of its own for altering."""
        return str(AliasWrite.CREATE if self is AliasWrite.ALTER else self)


class Catalog(Protocol):
    """One database of one Milvus server.

    Every method is one call to the server unless its documentation says otherwise; the first one, also after
    `forget_version` or `ConnectionFailed`, reads the version as well. Calls are limited by the connection's timeout.
    Reads are retried within it a few times on transient failures; writes never are, because a repeated write could undo
    one of another client. All raise `CatalogError`; a write that ends in `ConnectionFailed`, `CallTimedOut` or
    `UnexpectedAnswer` may have taken effect. Implementations may be called from several threads, and keep to
    `concurrency` calls in flight.

    In a database that does not exist, writes and lists raise `DatabaseNotFound`. Reads of a single name need not: there
    Milvus 2.3.5 reports that the collection does not exist.
    """

    database: str

    @property
    def concurrency(self) -> int:
        """Return the maximum of calls in flight: 1 on Milvus Lite, whose catalog concurrent writes corrupt."""

    @property
    def behaviour(self) -> ServerBehaviour:
        """Return how the server behaves, by its version; by the last one that was read if it cannot be read again."""

    @property
    def calls(self) -> int:
        """Return the number of calls made so far, each attempt counted; connecting is not."""

    @property
    def outdated(self) -> bool:
        """Return whether the database should be opened again, because a global cluster may have another primary now.

        True from the first call that failed as calls do after a fail-over: without a connection, or refused by what is
        a secondary now. Always False for any other address, where gRPC reconnects by itself.
        """

    def server_version(self) -> str:
        """Return the version that the server reports: `v2.3.5`, `milvus_lite-3.2.2`, or "unknown".

        If the server reports no Milvus version, return the build tags of its `Connect` answer, which takes a second
        call. The version that the connection states is added where it narrows the reported one or contradicts it.
        """

    def forget_version(self) -> None:
        """Read the version again before the next call: the server can be upgraded behind an open connection."""

    def databases(self) -> frozenset[str]:
        """Return the databases of the server that the caller may list.

        Milvus 2.3.5 requires the privilege `ListDatabases` (measured). Raises `NotSupported` on a server without them.
        """

    def alias_names(self) -> frozenset[str]:
        """Return all aliases of the database. The server hides dangling ones."""

    def aliases_of(self, collection: str) -> frozenset[str] | None:
        """Return the aliases that point to a collection, or None if there is no such collection.

        Milvus Lite returns an empty set for a collection that does not exist.
        """

    def resolve(self, alias: str) -> Collection | None:
        """Return where an alias points now, never from a cache; None if it does not exist or dangles.

        `id` is set if the same call returns it. The name of a collection is not an alias: None.
        """

    def dangles(self, alias: str) -> bool | None:
        """Return whether a dangling alias holds this name; None if the server does not say, or forbids the read.

        Where a name is looked up, an alias comes before a collection, and the error for a missing collection names what
        was looked up: the id of a dangling alias's collection, or the name itself (measured on 2.3.5; read in
        `internal/rootcoord/meta_table.go` up to 3.0). ShowPartitions passes that error on unchanged in all versions,
        also for an alias whose collection is still being removed, which DescribeAlias answers like a missing one.
        Milvus Lite drops aliases with their collection: False, without a call.
        """

    def collections(self) -> dict[str, Collection]:
        """Return the collections that the caller may see, by name.

        `id` is set if the same call returns it: on Milvus 2.3.5 (measured), on newer ones (read, not measured).
        """

    def describe(self, collection: str) -> Collection | None:
        """Return a collection by its own name, or None if it does not exist or the name is an alias."""

    def load_state(self, collection: str) -> LoadState:
        """Return whether a collection is loaded; `MISSING` if it does not exist."""

    def partitions(self, collection: str) -> dict[str, bool]:
        """Return the partitions of a collection, each with whether it is fully loaded; it takes two calls.

        `load_state` is `LOADED` once any partition is loaded, and reads omit the others (measured on 2.3.5). Milvus
        Lite loads all partitions or none. Raises `CollectionNotFound`.
        """

    def replicas(self, collection: str) -> int:
        """Return how many replicas of a collection serve reads, with a leader for every shard; it takes two calls.

        Raises `NotSupported` on Milvus Lite, `CollectionNotFound`.
        """

    def schema(self, collection: str) -> Schema:
        """Return the schema of a collection. Raises `CollectionNotFound`.

        Milvus Lite does not keep the description of a collection or the maximum length of texts in an array; Milvus
        2.3.5 does not keep functions.
        """

    def indexes(self, collection: str) -> tuple[Index, ...]:
        """Return all indexes of a collection, including those of scalar fields: one call, and one per index.

        `pending_rows` of Milvus contains flushed rows only (measured on 2.3.5). Raises `CollectionNotFound`.
        """

    def count(self, collection: str, where: str = "") -> int:
        """Return the exact number of rows of a collection: strongly consistent, with unflushed rows and deletions.

        `where` is a filter in Milvus's language. As in every read of data here, the name may be an alias, which the
        proxy resolves. All of these reads raise `CollectionNotFound`, and `NotLoaded` if the server reports it (Milvus
        Lite counts all the same). A request that is not valid for the collection is `UnexpectedAnswer`; Milvus Lite
        ignores some of these errors. More than `MAX_KEYS`, `MAX_VECTORS` or `MAX_LIMIT` is a `ValueError`.
        """

    def sample_keys(self, collection: str, primary: str, limit: int) -> tuple[PrimaryKey, ...]:
        """Return up to `limit` primary keys of a collection; `primary` is the name of its primary key field."""

    def rows(
        self, collection: str, primary: str, keys: Sequence[PrimaryKey], fields: Sequence[str], *, strong: bool = True
    ) -> dict[PrimaryKey, Row]:
        """Return the rows of a collection that have any of `keys`, each with `fields`; without keys no call is made.

        `fields`: a dynamic field is omitted from rows that do not have it. `strong`: include all writes that ended
        before the call; without it the read is faster (measured on 2.3.5: no wait for the next time tick), and may miss
        rows that were written moments before.
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
        """Return the keys of the rows nearest to each vector, nearest first by the index's metric.

        Args:
            field: a field of dense float vectors.
            limit: hits for each vector.
            where: a filter in Milvus's language.
            strong: as for `rows`. On 2.3.5 a strong search of a small collection took 200 ms, and 5 ms without
                (measured): the wait hides how long the search takes.
        """

    def create_alias(self, alias: str, collection: str) -> None:
        """Create an alias. Raises `AliasAlreadyExists` also if it dangles, which no read can detect.

        An alias that already points to the collection is no error, except on Milvus Lite.
        """

    def alter_alias(self, alias: str, collection: str) -> None:
        """Point an existing alias, even a dangling one, to another collection, atomically on the server."""

    def drop_alias(self, alias: str) -> None:
        """Drop an alias; dropping one that does not exist is no error."""

    def permits(self, write: AliasWrite) -> bool | None:
        """Return whether the caller may make a call, without changing anything; None if that cannot be determined.

        Milvus checks the privilege first (measured on 2.3.5, read in later sources). So the call is made with names
        that no alias and no collection can have: without the privilege it is refused. Milvus 2.3.5 checks none for
        altering: True. A drop is not tried on servers that would record it (see
        `ServerBehaviour.records_missing_drops`): the caller's own grants are read, one call per role; for an API key,
        which names no user, the result is None. Milvus Lite has no privileges: True, without a call.
        """

    def read_grants(self) -> Mapping[str, frozenset[ReadGrant]]:
        """Return what each role may read in this database, with groups of privileges resolved.

        Without the role `admin`, which may do everything. It takes one call, one per role, and one for groups if any is
        granted that is not Milvus's own. The caller needs the privileges `SelectOwnership` and, for groups,
        `ListPrivilegeGroups`. Empty, without a call, on Milvus Lite, which has no privileges.
        """

    def requires_token(self) -> bool:
        """Return whether the server refuses calls without a token: otherwise no privilege counts.

        It takes a connection without a token and one call there, unless this one has none.
        """

    def close(self) -> None:
        """Release the connection. Further calls are errors."""


class Connect(Protocol):
    """A function that opens a database. `create` lets it create a missing Milvus Lite file."""

    def __call__(self, connection: Connection, database: str, *, create: bool = False) -> Catalog: ...


IMPOSSIBLE_NAME = "0-aliasctl-check"
"""A name that no alias or collection can have or begin with: names begin with a letter or an underscore."""

SANDBOX_PREFIX = "aliasctl_check_"
"""What the names of everything begin with that `aliasctl check --exercise` creates."""
SANDBOX_KEY, SANDBOX_VECTOR = "aliasctl_check", "vector"
"""The fields of the collections that it creates; they are recognized by the first, the primary key."""

_ALIAS_NAME = re.compile(NAME_PATTERN, re.ASCII)


def check_alias_name(name: str) -> None:
    """Raise `InvalidName` for a name that Milvus would refuse with code 1100 (measured on 2.3.5).

    Implementations call it before they create or alter, because Milvus Lite accepts nearly any name.
    """
    if not _ALIAS_NAME.fullmatch(name):
        raise InvalidName(f"{name!a:.300} is no alias name: a letter or _, then up to 254 letters, digits or _")


MAX_KEYS = 1_000
"""Maximum rows read by one call: an answer of 13 MB for vectors of 3,072 dimensions."""
MAX_VECTORS = 100
"""Maximum vectors searched by one call: a request of 13 MB at Milvus's highest dimension, 32,768."""
MAX_LIMIT = 16_384
"""Maximum keys, or hits per vector, of one call: Milvus's own limit (measured on 2.3.5)."""


def check_sizes(*, keys: Sequence[PrimaryKey] = (), vectors: Sequence[Vector] = (), limit: int = 1) -> None:
    """Raise `ValueError` for a read of data that exceeds a maximum, or requests less than one row."""
    if len(keys) > MAX_KEYS or len(vectors) > MAX_VECTORS or not 1 <= limit <= MAX_LIMIT:
        raise ValueError(f"{len(keys)} keys, {len(vectors)} vectors, limit {limit}: too much for one call, or nothing")
