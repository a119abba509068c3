"""A collection in memory: its schema, its indexes, and rows that can be searched."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import cast

from msgspec import Struct, field
from msgspec.structs import replace

from reconciler.catalog.memory.filters import parse_filter
from reconciler.core.errors import CollectionNotFound, UnexpectedAnswer
from reconciler.core.model import Field, Index, PrimaryKey, Row, Schema, Vector

DEFAULT_SCHEMA = Schema(
    fields=(Field("id", "INT64", primary=True), Field("vector", "FLOAT_VECTOR", dimension=4)), dynamic=True
)
"""The schema of a collection that is created without one."""


def flat_indexes(schema: Schema, metric: str = "L2") -> tuple[Index, ...]:
    """Return an index for each vector field of a schema."""
    return tuple(Index(vector.name, "FLAT", metric) for vector in schema.vectors)


def as_on_lite(schema: Schema) -> Schema:
    """Return a schema as Milvus Lite returns it: without the description, and the length of texts in arrays."""
    fields = (replace(field, length=None) if field.type.startswith("ARRAY") else field for field in schema.fields)
    return replace(schema, fields=tuple(fields), description="")


class StoredCollection(Struct):
    """A collection with its rows, each under its primary key, in the order of insertion.

    `released` are partitions that are not loaded although the collection is. Their rows are read all the same.
    """

    id: int
    replicas: int
    schema: Schema = DEFAULT_SCHEMA
    indexes: tuple[Index, ...] = ()
    data: dict[PrimaryKey, Row] = {}
    partitions: set[str] = field(default_factory=lambda: {"_default"})
    released: set[str] = set()

    @property
    def primary(self) -> str:
        found = self.schema.primary
        if found is None:
            raise UnexpectedAnswer("the schema has no primary key")
        return found.name

    def insert(self, rows: Iterable[Row]) -> None:
        """Add rows; a row replaces an earlier one with the same key, as in an upsert."""
        for row in rows:
            key = cast("PrimaryKey", row[self.primary])
            self.data[key] = {name: tuple(v) if isinstance(v, list | tuple) else v for name, v in row.items()}

    def keys(self, primary: str, limit: int) -> tuple[PrimaryKey, ...]:
        return tuple(islice(self._by_key(primary), limit))

    def rows(
        self, primary: str, keys: Sequence[PrimaryKey], fields: Sequence[str], *, unknown_too: bool
    ) -> dict[PrimaryKey, Row]:
        """Return rows; a dynamic field that a row lacks is omitted, and a field of the schema is None.

        `unknown_too`: ignore fields that no row can have, as Milvus Lite does.
        """
        data = self._by_key(primary)
        for name in () if unknown_too else fields:
            self._known(name)
        declared = {field.name for field in self.schema.fields}
        return {
            key: {name: data[key].get(name) for name in fields if name in declared or name in data[key]}
            for key in dict.fromkeys(keys)
            if key in data
        }

    def search(
        self, name: str, vectors: Sequence[Vector], limit: int, where: str
    ) -> tuple[tuple[PrimaryKey, ...], ...]:
        """Compare every row with each vector; of equally near rows the older comes first."""
        dimension = self._known(name)
        for vector in vectors:
            if len(vector) != dimension:
                raise UnexpectedAnswer(f"vector dimension mismatch, expected {dimension}, actual {len(vector)}")
        passes = parse_filter(where)
        candidates = {key: cast("Vector", row[name]) for key, row in self.data.items() if row.get(name) and passes(row)}
        metric = next((index.metric for index in self.indexes if index.field == name), None) or "L2"
        if metric not in _DISTANCES:
            raise UnexpectedAnswer(f"metric type {metric} is not known in memory")
        distance = _DISTANCES[metric]

        def nearest(vector: Vector) -> tuple[PrimaryKey, ...]:
            return tuple(sorted(candidates, key=lambda key: distance(vector, candidates[key]))[:limit])

        return tuple(map(nearest, vectors))

    def _by_key(self, primary: str) -> Mapping[PrimaryKey, Row]:
        """Return the rows by primary key, for a query that uses this name for it."""
        if primary != self.primary:
            raise UnexpectedAnswer(f"{primary} is not the primary key")
        return self.data

    def _known(self, name: str) -> int | None:
        """Return the dimension of a field, if it has one."""
        found = next((field for field in self.schema.fields if field.name == name), None)
        if found is None and not self.schema.dynamic:
            raise UnexpectedAnswer(f"field {name} not exist")
        return found.dimension if found else None


def existing(found: StoredCollection | None, name: str) -> StoredCollection:
    """Return what was found under a name. Raises `CollectionNotFound` for None."""
    if found is None:
        raise CollectionNotFound(f"there is no collection {name}")
    return found


def _product(vector: Vector, other: Vector) -> float:
    return math.fsum(a * b for a, b in zip(vector, other, strict=True))


def _cosine(vector: Vector, other: Vector) -> float:
    length = math.hypot(*vector) * math.hypot(*other)
    return _product(vector, other) / length if length else 0.0


# Smaller is nearer.
_DISTANCES: Mapping[str, Callable[[Vector, Vector], float]] = {
    "L2": math.dist,
    "IP": lambda item, other: -_product(item, other),
    "COSINE": lambda item, other: -_cosine(item, other),
}
