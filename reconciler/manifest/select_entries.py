"""Find the manifest entries for given alias names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.model import Alias
from reconciler.core.text import did_you_mean, listed
from reconciler.manifest.records import AliasSetManifest, Manifests


class Change(Struct, frozen=True):
    """The desired collection of an entry; the entry is as it was read."""

    owner: AliasSetManifest
    alias: Alias
    collection: str

    @property
    def needed(self) -> bool:
        return self.alias.collection != self.collection

    @property
    def protected(self) -> bool:
        return self.alias.protect or self.owner.scope.protects(self.alias.name)


def chosen(manifests: Manifests, desired: Mapping[str, str], set_name: str | None) -> list[Change]:
    """Return the entries to change, in the order of the names.

    `set_name`: the one AliasSet to look in, as `name` or `namespace/name`; None is all of them. Raises `InvalidInput`:
    for every alias that no set lists, or several do; or there is no such set.
    """
    sets = _sets(manifests, set_name)
    changes, problems = [], []
    for name, collection in desired.items():
        listings = [(alias_set, alias) for alias_set in sets for alias in alias_set.aliases if alias.name == name]
        if len(listings) == 1:
            changes.append(Change(*listings[0], collection))
        elif listings:
            places = listed([f'"{listing.key}" ({alias.source})' for listing, alias in listings])
            message = f'alias "{name}" is listed in {len(listings)} AliasSets: {places}; choose one with --set'
            problems.append(Problem(message, listings[0][1].source))
        else:
            problems.append(_unlisted(name, collection, sets, manifests))
    if problems:
        raise InvalidInput(*problems)
    return changes


def _sets(manifests: Manifests, set_name: str | None) -> Sequence[AliasSetManifest]:
    if not manifests.sets:
        raise InvalidInput(Problem("there is no AliasSet in these manifests; -f must lead to one"))
    if set_name is None:
        return manifests.sets
    if named := [alias_set for alias_set in manifests.sets if set_name in (alias_set.name, alias_set.key)]:
        return named
    known = [alias_set.key for alias_set in manifests.sets]
    hint = did_you_mean(set_name, known) or f"; there are {_names(known)}"
    raise InvalidInput(Problem(f"--set {set_name}: no AliasSet has this name{hint}"))


def _unlisted(name: str, collection: str, sets: Sequence[AliasSetManifest], manifests: Manifests) -> Problem:
    """Return a problem that names a close alias, or the entry to add; at the set, if there is only one."""
    elsewhere = [
        (alias_set, alias) for alias_set in manifests.sets for alias in alias_set.aliases if alias.name == name
    ]
    names = _names(alias_set.key for alias_set in sets)
    source = sets[0].source if len(sets) == 1 else None
    if elsewhere:
        places = listed([f'"{item.key}" ({alias.source})' for item, alias in elsewhere])
        return Problem(f'alias "{name}" is not in AliasSet {names} but in {places}', source)
    hint = did_you_mean(name, (alias.name for alias_set in sets for alias in alias_set.aliases))
    entry = f"{{name: {name}, collection: {collection}}}"
    by_hand = f"a new one is added by hand, {entry} under spec.aliases of AliasSet {names}"
    return Problem(f'no entry lists alias "{name}"; {by_hand}{hint}', source)


def _names(keys: Iterable[str]) -> str:
    return listed([f'"{key}"' for key in keys])
