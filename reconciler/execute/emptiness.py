"""Find out whether aliases are moved back to collections that have become empty.

A collection is emptied while nothing points to it by `truncate_collection` (Milvus 2.6.11 and later, read), by an
expired time to live, or by deletions. It is still loaded, so the gate `loaded` passes, and searches find nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from reconciler.catalog.port import Catalog
from reconciler.core.errors import CatalogError


def row_counts(catalog: Catalog, collections: Iterable[str]) -> Mapping[str, int | CatalogError]:
    """Return the exact number of rows of each collection, or why it cannot be counted; it takes one call each."""
    names = sorted(set(collections))
    with ThreadPoolExecutor(catalog.concurrency, thread_name_prefix="count") as pool:
        return dict(zip(names, pool.map(lambda name: _count(catalog, name), names), strict=True))


def _count(catalog: Catalog, collection: str) -> int | CatalogError:
    try:
        return catalog.count(collection)
    except CatalogError as error:
        return error
