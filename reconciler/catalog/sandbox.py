"""A database in which `aliasctl check --exercise` creates, changes and drops what begins with
`SANDBOX_PREFIX`, nothing else.

A `Sandbox` is the catalog that every other command uses, so what is observed through it is what decisions are based on.
In addition it has calls on collections, and a few that show an answer as the server gives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential

from reconciler.catalog.milvus import MilvusCatalog
from reconciler.catalog.milvus_client import DataType
from reconciler.catalog.port import IMPOSSIBLE_NAME, SANDBOX_KEY, SANDBOX_PREFIX, SANDBOX_VECTOR
from reconciler.core.errors import (
    AliasNotFound,
    CallTimedOut,
    CatalogError,
    ConnectionFailed,
    RateLimited,
    UnexpectedAnswer,
)
from reconciler.core.model import Connection

DIMENSION = 2

RATE_LIMIT_SECONDS = 30.0
NOUNS = ("alias", "collection")


class Sandbox(MilvusCatalog):
    """A catalog that writes only names that begin with `SANDBOX_PREFIX`, and knows which of them it has made."""

    def __init__(self, connection: Connection, database: str) -> None:
        super().__init__(connection, database)
        self.made: set[tuple[str, str]] = set()
        """What this process has created, or may have, and not dropped: `alias` or `collection`, and its name."""
        self.mark = ""
        """The description of the collections that are created."""

    def create_collection(self, name: str, partitions: Sequence[str] = ()) -> None:
        """Create a collection without an index; it is not loaded, except on Milvus Lite."""
        schema = self._client.create_schema(description=self.mark)
        schema.add_field(SANDBOX_KEY, DataType.INT64, is_primary=True)
        schema.add_field(SANDBOX_VECTOR, DataType.FLOAT_VECTOR, dim=DIMENSION)
        self._write("create_collection", name, schema=schema)
        for partition in partitions:
            self._write("create_partition", name, partition_name=partition)

    def insert(self, collection: str, keys: Sequence[int], partition: str = "") -> None:
        """Insert rows with these keys."""
        rows = [{SANDBOX_KEY: key, SANDBOX_VECTOR: [float(key)] * DIMENSION} for key in keys]
        self._write("insert", collection, data=rows, partition_name=partition)

    def delete(self, collection: str, keys: Sequence[int]) -> None:
        """Delete the rows with these keys."""
        self._write("delete", collection, filter=f"{SANDBOX_KEY} in {list(keys)}")

    def load(self, collection: str) -> None:
        """Index a collection and start to load it."""
        index = self._client.prepare_index_params(SANDBOX_VECTOR, index_type="FLAT", metric_type="L2")
        self._write("create_index", collection, index_params=index, sync=False)
        self._write("load_collection", collection, _async=True)

    def release_partition(self, collection: str, partition: str) -> None:
        """Release one partition of a loaded collection."""
        self._write("release_partitions", collection, partition_names=[partition])

    def truncate_collection(self, collection: str) -> None:
        """Delete all rows of a collection. Raises `NotSupported` on servers without this call."""
        self._write("truncate_collection", collection)

    def rename_collection(self, name: str, new_name: str) -> None:
        """Rename a collection."""
        self._write("rename_collection", name, new_name)

    def drop_collection(self, name: str) -> None:
        """Drop a collection by its name, or by an alias on servers that allow it."""
        self._write("drop_collection", name)

    def remove_alias(self, alias: str) -> None:
        """Drop an alias if it exists, also on a server that refuses to drop one that does not."""
        with suppress(AliasNotFound):
            self.drop_alias(alias)

    def create_unchecked(self, alias: str, collection: str) -> None:
        """Create an alias whose name is not checked before the call."""
        self._write("create_alias", collection, alias)

    def listed_without_database(self) -> frozenset[str]:
        """Return the answer of ListAliases to a request that does not name the database."""
        return frozenset(self._read("list_aliases", "")["aliases"])

    def described_without_database(self, alias: str) -> str:
        """Return the collection in the answer of DescribeAlias to a request that does not name the database."""
        return str(self._read("describe_alias", alias)["collection_name"])

    def described_by_alias(self, alias: str) -> str:
        """Return the name of the collection in the answer of DescribeCollection about an alias."""
        return self._describe(alias).name

    def _write(self, method: str, *names: str, **options: Any) -> None:
        """Make a write; one that the server refuses because of its rate limits is repeated for a while."""
        foreign = [name for name in names if not name.startswith(SANDBOX_PREFIX) and name != IMPOSSIBLE_NAME]
        if foreign:
            raise ValueError(f"not a name of this sandbox: {foreign[0]}")
        verb, _, noun = method.partition("_")
        made, is_new = (noun, names[-1]), verb == "create" and (noun, names[-1]) not in self.made
        if is_new and noun in NOUNS:
            self.made.add(made)
        try:
            for attempt in Retrying(
                retry=retry_if_exception_type(RateLimited),
                stop=stop_after_delay(RATE_LIMIT_SECONDS),
                wait=wait_exponential(multiplier=0.1, max=5.0),
                reraise=True,
            ):
                with attempt:
                    super()._write(method, *names, **options)
        except CatalogError as error:
            if is_new and not _may_have_acted(error):
                self.made.discard(made)
            raise
        if verb == "drop":
            self.made.discard(made)
        elif verb == "rename":
            self.made = (self.made - {(noun, names[0])}) | {made}


def _may_have_acted(error: CatalogError) -> bool:
    """Return whether a write may have taken effect: it was not answered, or the answer cannot be read."""
    if isinstance(error, UnexpectedAnswer):
        return error.server_code is None
    return isinstance(error, (ConnectionFailed, CallTimedOut))
