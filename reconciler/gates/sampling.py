"""Queries for the gate `canary`: from a file, or else rows that both collections have, each with its own vectors.

Searching each collection with its own vector of the same row compares neighbourhoods. So a new embedding model can be
compared with the old one, although their vectors are not comparable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from reconciler.core.gates import ContentError
from reconciler.core.model import PrimaryKey, Row, Vector
from reconciler.core.plan import Verdict
from reconciler.core.text import counted, shortened
from reconciler.gates.comparison import NamedQuery, Side
from reconciler.gates.probe import CannotTell, Probe, of_current, of_desired
from reconciler.gates.query_vectors import Query, read_queries

KEYS_TO_PICK_FROM = 1_000
"""A server returns sampled keys in its own order, often from one segment; more keys are more varied."""


def from_file(path: str, sha256: str | None, current: Side, desired: Side) -> tuple[NamedQuery, ...]:
    """Return the queries of a file.

    Raises:
        CannotTell: its content is not the one that the plan was made with, or does not fit the two collections.
    """
    queries = queries_of(path, sha256)
    _check_dimensions(queries[0], current, desired)
    return tuple(NamedQuery(str(number), query) for number, query in enumerate(queries, 1))


def queries_of(path: str, sha256: str | None) -> tuple[Query, ...]:
    """Return the queries of a file. Raises `CannotTell` if its content is not the one that the plan was made with."""
    changed = CannotTell(Verdict.FAIL, f"{path} changed since the plan was made; plan again")
    try:
        queries, found = read_queries(Path(path))
    except OSError as error:
        raise CannotTell(Verdict.UNKNOWN, f"{path} cannot be read: {error.strerror}") from error
    except ContentError as error:
        raise changed from error
    if found != sha256:
        raise changed
    return queries


def _check_dimensions(query: Query, current: Side, desired: Side) -> None:
    """Check the first query, which has the same dimensions as all others of a file."""
    differ = current.vector.dimension != desired.vector.dimension
    remedy = 'give each collection its own, {"from": […], "to": […]}' if differ else "give others"
    check_dimension(query.current, current, remedy)
    check_dimension(query.desired, desired, remedy)


def check_dimension(vector: Vector, side: Side, remedy: str) -> None:
    """Raise `CannotTell` if a vector cannot be searched for in a collection."""
    if len(vector) != side.vector.dimension:
        found = f"the queries for {side.collection} have {counted(len(vector), 'number')}"
        field = f"its field {side.vector.name} has dimension {side.vector.dimension}"
        raise CannotTell(Verdict.FAIL, f"{found}, {field}; {remedy}")


def sampled(probe: Probe, current: Side, desired: Side, size: int) -> tuple[tuple[NamedQuery, ...], int]:
    """Return rows of the current collection as queries, and how many rows of the sample the other one lacks.

    Raises:
        CannotTell: there are no rows, or most of them are missing in the other collection.
    """

    with of_current(f"no sample can be taken of {current.collection}"):
        before = sample(probe, current, size)
    if not before:
        raise CannotTell(Verdict.NOT_APPLICABLE, f"{current.collection} has no rows to take a sample of")
    with of_desired(f"rows of {desired.collection} cannot be read"):
        after = _vectors(
            probe.rows(desired.collection, desired.primary.name, list(before), [desired.vector.name]), desired
        )
    queries = tuple(
        NamedQuery(shortened(str(key)), Query(before[key], after[key]), key) for key in before if key in after
    )
    missing = len(before) - len(queries)
    if missing * 2 > len(before) or not queries:
        lacks = f"{desired.collection} lacks {missing} of {counted(len(before), 'row')} of {current.collection}"
        raise CannotTell(Verdict.UNKNOWN, f"{lacks}, so no sample can be compared; give gates.canary.queriesFile")
    return queries, missing


def sample(probe: Probe, side: Side, size: int) -> dict[PrimaryKey, Vector]:
    """Return the vectors of up to `size` rows of a collection, by primary key. Raises `CatalogError`."""
    keys = _evenly(probe.sample_keys(side.collection, side.primary.name, KEYS_TO_PICK_FROM), size)
    return _vectors(probe.rows(side.collection, side.primary.name, keys, [side.vector.name]), side)


def _evenly(keys: Sequence[PrimaryKey], size: int) -> list[PrimaryKey]:
    size = min(size, len(keys))
    return [keys[number * len(keys) // size] for number in range(size)]


def _vectors(rows: Mapping[PrimaryKey, Row], side: Side) -> dict[PrimaryKey, Vector]:
    """Return the vectors of the rows that have one: in Milvus 2.6 and later it may be null."""
    found = {key: row.get(side.vector.name) for key, row in rows.items()}
    return {key: cast("Vector", vector) for key, vector in found.items() if isinstance(vector, tuple)}
