"""Determine which calls some sets need, and on which collections and aliases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from reconciler.catalog.port import DataRead
from reconciler.catalog.server_behaviour import ServerBehaviour
from reconciler.core.model import Alias, AliasSet, OnFailure
from reconciler.gates import GATES
from reconciler.gates.gate import Call, Ends


class Needs(msgspec.Struct, frozen=True):
    """Names to make calls with, sorted; none where a call is not needed.

    `aliases` and `collections` stand for calls that Milvus permits for a whole database, `by_collection` are those that
    it permits per collection. `grants` is whether a gate reads those of all roles, `named` whether the sets name any
    collection at all.
    """

    aliases: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()
    by_collection: Mapping[Call, tuple[str, ...]] = {}
    grants: bool = False
    points: bool = False
    drops: bool = False
    named: bool = True


def needs_of(sets: Sequence[AliasSet], current: Mapping[str, str | None]) -> Needs:
    """Return what planning and applying sets of one database need.

    `current`: the collection of each listed alias, None for an alias that does not exist, if that is known.
    """
    if not any(alias_set.aliases or alias_set.scope.include for alias_set in sets):
        return Needs(points=True, drops=True, named=False)
    pairs = [(alias_set, alias) for alias_set in sets for alias in alias_set.aliases if alias.collection is not None]
    reverts = any(alias_set.on_failure is OnFailure.REVERT for alias_set in sets)
    listed = [alias for alias_set in sets for alias in alias_set.aliases]
    return Needs(
        aliases=_names(alias.name for alias in listed),
        collections=_names(alias.collection for _, alias in pairs),
        by_collection={
            call: _names(name for alias_set, alias in pairs for name in _on(call, alias_set, alias, current))
            for call in Call
        },
        grants=any(gate.reads_grants and alias.gates.has(gate.name) for gate in GATES.values() for _, alias in pairs),
        points=bool(pairs) or reverts,
        drops=reverts
        or any(alias_set.scope.include for alias_set in sets)
        or any(alias.collection is None for alias in listed),
    )


def needs_of_endpoint(sets: Sequence[AliasSet], behaviour: ServerBehaviour) -> Needs:
    """Return what verification at an endpoint needs: queries through the aliases, now and after the moves.

    Where the server checks the privilege on the collection, it is needed on the desired collections, too.
    """
    by_collection = behaviour.checks_collection(DataRead.QUERY)
    aliases = [alias for alias_set in sets for alias in alias_set.aliases if alias.collection is not None]
    names = _names(name for alias in aliases for name in (alias.name, alias.collection if by_collection else None))
    return Needs(by_collection={Call.QUERY: names})


def _on(call: Call, desired: AliasSet, alias: Alias, current: Mapping[str, str | None]) -> Iterator[str | None]:
    """Yield the names that a call is made on for one alias.

    Reads through an alias can be permitted by its name, see `ServerBehaviour.rights_by`.
    """
    both = (alias.collection, current.get(alias.name))
    if call is Call.QUERY and (desired.verify.propagation or desired.verify.soak):
        yield from (alias.name, *both)
    for gate in GATES.values():
        if call in gate.needs and alias.gates.has(gate.name):
            yield from both if gate.needs[call] is Ends.BOTH else both[:1]


def _names(names: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({name for name in names if name is not None}))
