"""Find collections that are loaded but that no alias points to, and so may waste memory. They are never dropped."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

from msgspec import Meta

from reconciler.catalog.port import Catalog
from reconciler.catalog.read import read_all
from reconciler.core.errors import CatalogError
from reconciler.core.model import LoadState, Target
from reconciler.core.record import INLINE, INTERNAL, Count, Record, Time


class Unreferenced(Record, frozen=True):
    """A loaded collection that no alias points at. `connection` is the name of its connection."""

    target: Annotated[Target, INLINE]
    connection: Annotated[str, INTERNAL]
    collection: str
    rows: Annotated[Count | None, Meta(description="Exactly; absent where that could not be read.")] = None
    since: Annotated[
        Time | None, Meta(description="When a recorded run moved the last alias away from it; absent if none did.")
    ] = None


def unreferenced(
    catalog: Catalog, target: Target, connection: str, departures: Mapping[tuple[Target, str], str]
) -> list[Unreferenced]:
    """Return the loaded collections of a database that no alias points to, by name.

    An alias may be moved at the same time, to a collection that is new or was unreferenced. So collections are listed
    before aliases are read, and the aliases of those that seem unreferenced are read again at the end: a collection in
    use must not be listed here.

    It takes one more call than `read_all`, one per collection without an alias, and two per collection that is loaded.
    `departures`: when the last alias left a collection, by database and collection. Raises `CatalogError`: the catalog
    cannot be read.
    """
    known = catalog.collections().keys()
    idle = sorted(known - set(read_all(catalog).values()))
    with ThreadPoolExecutor(catalog.concurrency, thread_name_prefix="read") as pool:
        loaded = [
            name
            for name, state in zip(idle, pool.map(catalog.load_state, idle), strict=True)
            if state is LoadState.LOADED
        ]
        counts = list(pool.map(lambda name: _count(catalog, name), loaded))
        owned = list(pool.map(catalog.aliases_of, loaded))
    return [
        Unreferenced(target, connection, name, rows, departures.get((target, name)))
        for name, rows, aliases in zip(loaded, counts, owned, strict=True)
        if aliases == frozenset()  # None stands for a dropped collection
    ]


def _count(catalog: Catalog, collection: str) -> int | None:
    try:
        return catalog.count(collection)
    except CatalogError:
        return None
