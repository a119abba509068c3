"""Which calls some sets need, and on which collections and aliases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from reconciler.core.model import Alias, AliasSet, OnFailure


@dataclass(frozen=True, slots=True)
class Needs:
    """Names to ask about, sorted; none where a call is not needed.

    `aliases` and `collections` stand for calls that Milvus permits for a whole database. `load_state`, `index`,
    `query` and `search` are permitted collection by collection. `named` is whether the sets name any collection at all.
    """

    aliases: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()
    load_state: tuple[str, ...] = ()
    index: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    points: bool = False
    drops: bool = False
    named: bool = True


def needs_of(sets: Sequence[AliasSet], current: Mapping[str, str | None]) -> Needs:
    """What planning and applying sets of one database need.

    Args:
        sets: as for `check_access`.
        current: where the listed aliases point now, None for one that does not exist; as far as that is known.
    """
    if not any(alias_set.aliases or alias_set.scope.include for alias_set in sets):
        return Needs(points=True, drops=True, named=False)
    pairs = [(alias_set, alias) for alias_set in sets for alias in alias_set.aliases if alias.collection is not None]
    reverts = any(alias_set.on_failure is OnFailure.REVERT for alias_set in sets)
    listed = [alias for alias_set in sets for alias in alias_set.aliases]
    return Needs(
        aliases=_names(alias.name for alias in listed),
        collections=_names(alias.collection for _, alias in pairs),
        load_state=_names(name for _, pair in pairs if pair.gates.has("loaded") for name in _ends(pair, current)),
        index=_names(name for _, pair in pairs for name in _indexes(pair, current)),
        query=_names(name for each, pair in pairs for name in _queried(each, pair, current)),
        search=_names(name for _, pair in pairs if pair.gates.has("canary") for name in _ends(pair, current)),
        points=bool(pairs) or reverts,
        drops=reverts
        or any(alias_set.scope.include for alias_set in sets)
        or any(alias.collection is None for alias in listed),
    )


def needs_of_endpoint(sets: Sequence[AliasSet]) -> Needs:
    """What proving at an endpoint needs: reads through the aliases."""
    return Needs(
        query=_names(alias.name for alias_set in sets for alias in alias_set.aliases if alias.collection is not None)
    )


def _queried(desired: AliasSet, alias: Alias, current: Mapping[str, str | None]) -> Iterator[str | None]:
    """What data are read from. Before 2.6 reads through an alias are permitted by the alias's own name (#47850)."""
    if desired.verify.propagation or desired.verify.soak:
        yield alias.name
    if desired.verify.propagation or desired.verify.soak or alias.gates.has("rows") or alias.gates.has("canary"):
        yield from _ends(alias, current)


def _indexes(alias: Alias, current: Mapping[str, str | None]) -> Iterator[str | None]:
    """Whose indexes are read: `schema` compares their metrics."""
    if alias.gates.has("indexed"):
        yield alias.collection
    if alias.gates.has("schema"):
        yield from _ends(alias, current)


def _ends(alias: Alias, current: Mapping[str, str | None]) -> tuple[str | None, str | None]:
    return alias.collection, current.get(alias.name)


def _names(names: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({name for name in names if name is not None}))
