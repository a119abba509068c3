"""Read from one database what a diff of the given sets needs, in as few calls as possible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from reconciler.catalog.port import Catalog
from reconciler.core.errors import PermissionDenied
from reconciler.core.model import AliasSet, Collection, LiveCatalog, Target

T = TypeVar("T")


def read_live(catalog: Catalog, target: Target, sets: Sequence[AliasSet]) -> LiveCatalog:
    """Read the live side for `sets`, all of them on `target` and none suspended.

    It takes 3 + T + A + D + G calls: version, aliases and collections; T collections whose aliases are listed, because
    two or more of the live aliases are desired on them or were found on them; A aliases that no list contained, each
    resolved; D collections that a change would involve and whose id is not known yet, each described: those that the
    caller may not see in the list, and on Milvus Lite all; G aliases that should be absent and are in no list, each
    checked for whether it dangles, except on Milvus Lite. Many aliases on few collections cost T, one alias per
    collection costs A. Raises `CatalogError`: a call failed. Only the list of collections may be forbidden; it then
    counts as empty.
    """
    calls = catalog.calls
    catalog.forget_version()  # a connection outlives an upgrade of Milvus
    version = catalog.server_version()  # before the others: it determines how many calls may be in flight
    with _pool(catalog) as pool:
        names, listed = pool.submit(catalog.alias_names), pool.submit(_collections, catalog)
        alias_names, collections = names.result(), listed.result()

        desired = {alias.name: alias.collection for each in sets for alias in each.aliases}
        droppable = _droppable(sets, sorted(alias_names), desired)
        of_interest = alias_names & (desired.keys() | droppable)
        known = _look_up(pool, catalog, {alias: desired.get(alias) for alias in of_interest}, catalog.resolve)
        pointing = _names(known)

        found_so_far = [*collections.values(), *known.values()]
        ids = {found.name: found for found in found_so_far if found and found.id is not None}
        involved = _involved(desired, pointing, droppable) - alias_names
        described = ids | _each(pool, catalog.describe, involved - ids.keys())
        dangling = _each(pool, catalog.dangles, _gone(desired, alias_names))
    return LiveCatalog(
        target=target,
        server_version=version,
        aliases=alias_names,
        pointing=pointing,
        collections=frozenset(collections),
        described={name: described[name] for name in sorted(involved)},
        dangling=dangling,
        drops_by_prefix=catalog.behaviour.drops_by_prefix,
        calls=catalog.calls - calls,
    )


def answers(live: LiveCatalog, sets: Sequence[AliasSet]) -> bool:
    """Return whether a catalog that was read, perhaps for other sets, has all that a diff of these sets needs."""
    desired = {alias.name: alias.collection for each in sets for alias in each.aliases}
    droppable = _droppable(sets, live.names, desired)
    if not (live.aliases & desired.keys()) | droppable <= live.pointing.keys():
        return False
    if not _gone(desired, live.aliases) <= live.dangling.keys():
        return False
    return _involved(desired, live.pointing, droppable) - live.aliases <= live.described.keys()


def locate(
    catalog: Catalog,
    desired: Mapping[str, str | None],
    note: Callable[[str, str | None], None] = lambda *_: None,
) -> dict[str, str | None]:
    """Return the collection that each alias points to now, or None for a missing one, sorted by alias.

    It takes T + A calls: T collections on which two or more of the aliases are desired or were found; A aliases that no
    list contained. `desired`: the aliases, each with the collection where it is most likely, None if nothing is known.
    `note`: called with the place of each alias that is resolved, also if another call fails. Raises `CatalogError`: a
    call failed.
    """

    def resolve(alias: str) -> Collection | None:
        found = catalog.resolve(alias)
        note(alias, found.name if found else None)
        return found

    with _pool(catalog) as pool:
        return _names(_look_up(pool, catalog, desired, resolve))


def read_all(catalog: Catalog) -> dict[str, str]:
    """Return every alias of the database and its collection, sorted by alias.

    It takes 3 + C calls for C visible collections, and one for each alias not returned by any collection; if there are
    fewer aliases than collections, 3 + A for A aliases, and 2 without any. Raises `CatalogError`: a call failed.
    """
    catalog.server_version()
    aliases = catalog.alias_names()
    collections = _collections(catalog) if aliases else {}
    with _pool(catalog) as pool:
        listed = _each(pool, catalog.aliases_of, collections) if len(collections) < len(aliases) else {}
        found = {
            alias: Collection(name) for name, owned in listed.items() for alias in (owned or ()) if alias in aliases
        }
        pointing = _names(found | _each(pool, catalog.resolve, aliases - found.keys()))
    return {alias: name for alias, name in sorted(pointing.items()) if name}


def _look_up(
    pool: ThreadPoolExecutor,
    catalog: Catalog,
    desired: Mapping[str, str | None],
    resolve: Callable[[str], Collection | None],
) -> dict[str, Collection | None]:
    """Return where each alias points.

    First, the aliases of each collection that should have several of them are listed. Those that no list contains are
    resolved one at a time; if two are on the same collection, its aliases are listed too, as after a re-index.
    """
    listed = {name for name, aliases in Counter(desired.values()).items() if name is not None and aliases > 1}
    found = _placed(pool, catalog, listed, desired)
    remaining, hits = sorted(desired.keys() - found.keys()), Counter[str]()
    while remaining:
        resolved = _each(pool, resolve, remaining[: 2 * catalog.concurrency])
        found |= resolved
        remaining = remaining[len(resolved) :]
        hits.update(collection.name for collection in resolved.values() if collection)
        shared = {name for name, aliases in hits.items() if aliases > 1} - listed
        if remaining and shared:
            listed |= shared
            found = _placed(pool, catalog, shared, desired) | found  # resolved aliases have more details
            remaining = [alias for alias in remaining if alias not in found]
    return dict(sorted(found.items()))


def _placed(
    pool: ThreadPoolExecutor, catalog: Catalog, collections: Iterable[str], desired: Mapping[str, str | None]
) -> dict[str, Collection | None]:
    """Return the desired aliases that some collections list as theirs."""
    return {
        alias: Collection(name)
        for name, aliases in _each(pool, catalog.aliases_of, collections).items()
        for alias in (aliases or frozenset()) & desired.keys()
    }


def _droppable(sets: Iterable[AliasSet], names: Sequence[str], desired: Mapping[str, str | None]) -> set[str]:
    """Return those of the sorted names that some set could drop."""
    unlisted = [(each.scope, each.scope.covered(names) - desired.keys()) for each in sets]
    return {name for scope, covered in unlisted for name in covered if not scope.protects(name)}


def _gone(desired: Mapping[str, str | None], aliases: frozenset[str]) -> set[str]:
    """Return the aliases that should be absent and are in no list; they may dangle."""
    return {alias for alias, collection in desired.items() if collection is None} - aliases


def _involved(
    desired: Mapping[str, str | None], pointing: Mapping[str, str | None], droppable: Iterable[str]
) -> set[str]:
    """Return the collections that aliases would be moved to or from."""
    involved = {pointing[alias] for alias in droppable}
    for alias, collection in desired.items():
        current = pointing.get(alias)
        if current != collection:
            involved |= {collection, current}
    return {name for name in involved if name is not None}


def _names(known: Mapping[str, Collection | None]) -> dict[str, str | None]:
    return {alias: found.name if found else None for alias, found in known.items()}


def _collections(catalog: Catalog) -> dict[str, Collection]:
    try:
        return catalog.collections()
    except PermissionDenied:
        return {}


@contextmanager
def _pool(catalog: Catalog) -> Iterator[ThreadPoolExecutor]:
    """Yield a pool with a thread per call that may be in flight; an error or Ctrl-C cancels calls not yet sent."""
    pool = ThreadPoolExecutor(catalog.concurrency, thread_name_prefix="read")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _each(pool: ThreadPoolExecutor, call: Callable[[str], T], names: Iterable[str]) -> dict[str, T]:
    ordered = sorted(names)
    return dict(zip(ordered, pool.map(call, ordered), strict=True))
