"""Compare the results and the duration of the same queries on two collections."""

from __future__ import annotations

import time
from collections.abc import Sequence

from msgspec import Struct

from reconciler.catalog.port import MAX_VECTORS
from reconciler.core.errors import CatalogError, CollectionNotFound, NotLoaded, PermissionDenied
from reconciler.core.model import Field, PrimaryKey, Vector
from reconciler.core.plan import Verdict
from reconciler.gates.probe import CannotTell, Probe, of_current, of_desired
from reconciler.gates.query_vectors import Query

BUDGET_SECONDS = 60.0
"""After this time no further search is started; a running one may take the connection's timeout longer."""
TIMED_ROUNDS = 5
"""Timed rounds, after a first one that is not timed and fills the caches on both sides.

They are without strong consistency, whose wait for the server's clock takes longer than most searches: on 2.3.5
searches that take 5 ms take 200 ms with it (measured).
"""

OF_THE_COLLECTION = (CollectionNotFound, NotLoaded, PermissionDenied)
"""Errors that depend on the collection, not on a query."""

Hits = tuple[PrimaryKey, ...]


class Side(Struct, frozen=True):
    """One of the two collections, with the fields that are used."""

    collection: str
    primary: Field
    vector: Field


class NamedQuery(Struct, frozen=True):
    """A query, its name for people, and the key of the row that it was made from, which never counts as a hit."""

    name: str
    query: Query
    own: PrimaryKey | None = None


class Comparison(Struct, frozen=True):
    """The result of a comparison.

    `overlaps` has for each query the share of the current collection's hits that the other finds too; None if the
    current one finds nothing. `seconds` is the median time of all queries on the current and on the other collection.
    """

    overlaps: tuple[float | None, ...]
    seconds: tuple[float, float] | None = None


def compare(
    probe: Probe, current: Side, desired: Side, queries: Sequence[NamedQuery], k: int, *, timed: bool
) -> Comparison:
    """Search both collections.

    Args:
        probe: measurements on the database.
        current: the collection that the alias serves now.
        desired: the one that it should serve.
        queries: at least one.
        k: hits of each query that are compared.
        timed: measure times as well; that takes several rounds, which alternate between the two.

    Raises:
        CannotTell: a search failed, or the time is up.
        CatalogError: a transient error.
    """
    limit = k + any(query.own is not None for query in queries)
    filters = [query.query.where for query in queries]
    deadline = time.monotonic() + BUDGET_SECONDS
    on_current = _Searches(probe, current, [query.query.current for query in queries], filters, limit, deadline)
    on_desired = _Searches(probe, desired, [query.query.desired for query in queries], filters, limit, deadline)
    before, after = _first_round(on_current, on_desired)
    overlaps = tuple(_overlap(old, new, query.own, k) for query, old, new in zip(queries, before, after, strict=True))
    if not timed:
        return Comparison(overlaps)
    from statistics import median  # not needed to read a manifest

    times = [(on_current.timed(), on_desired.timed()) for _ in range(TIMED_ROUNDS)]
    return Comparison(overlaps, (median(time for time, _ in times), median(other for _, other in times)))


class _Searches:
    """All queries on one collection, in as few calls as possible."""

    def __init__(
        self, probe: Probe, side: Side, vectors: Sequence[Vector], filters: Sequence[str], limit: int, deadline: float
    ) -> None:
        self._probe = probe
        self._side = side
        self._vectors = vectors
        self._filters = filters
        self._limit = limit
        self._deadline = deadline
        self.failure = f"{side.collection} cannot be searched"

    def run(self, *, strong: bool = True) -> list[Hits]:
        """Return the hits of each query."""
        found: dict[int, Hits] = {}
        for where in dict.fromkeys(self._filters):
            numbers = [number for number, filter_ in enumerate(self._filters) if filter_ == where]
            for start in range(0, len(numbers), MAX_VECTORS):
                batch = numbers[start : start + MAX_VECTORS]
                hits = self._search([self._vectors[number] for number in batch], where, strong)
                found.update(zip(batch, hits, strict=True))
        return [found[number] for number in range(len(self._vectors))]

    def timed(self) -> float:
        """Return the duration of all queries in seconds."""
        start = time.perf_counter()
        self.run(strong=False)
        return time.perf_counter() - start

    def _search(self, vectors: Sequence[Vector], where: str, strong: bool) -> tuple[Hits, ...]:
        if time.monotonic() > self._deadline:
            remedy = "give fewer queries or a smaller sample, or leave maxLatencyRatio out"
            raise CannotTell(Verdict.UNKNOWN, f"the searches take longer than {BUDGET_SECONDS:g} s; {remedy}")
        return self._probe.search(
            self._side.collection, self._side.vector.name, vectors, limit=self._limit, where=where, strong=strong
        )


def _first_round(on_current: _Searches, on_desired: _Searches) -> tuple[list[Hits], list[Hits]]:
    """Return the hits on both sides.

    If the current collection cannot answer, the gate is not applicable; but a query that both refuse is wrong, such as
    in its filter, and must not make the gate inapplicable.
    """
    refused = None
    try:
        with of_current(on_current.failure):
            before = on_current.run()
    except CannotTell as cannot:
        if not isinstance(cannot.__cause__, CatalogError) or isinstance(cannot.__cause__, OF_THE_COLLECTION):
            raise
        refused = cannot
    with of_desired(on_desired.failure, Verdict.FAIL):
        after = on_desired.run()
    if refused:
        raise refused
    return before, after


def _overlap(before: Hits, after: Hits, own: PrimaryKey | None, k: int) -> float | None:
    """Return the share of the first k hits before that are among the first k after, or None without hits."""
    expected, found = ([key for key in hits if key != own][:k] for hits in (before, after))
    return len(set(found).intersection(expected)) / len(expected) if expected else None
