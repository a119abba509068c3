"""Resolve which set has authority over a name that two sets claim: the older object keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from reconciler.core.model import AliasSet, Claim, Scope
from reconciler.core.patterns import Effort, Undecided, common_name, pairs_to_compare
from reconciler.operator.objects import Ref

MAX_EFFORT = 50_000
"""Characters to try when a set's scope is compared with those of all older sets: some 0.2 s."""


class Contest(Struct, frozen=True):
    """A name that an older set has authority over; for two scopes that overlap, an example of such a name."""

    name: str
    owner: Ref


class Claims:
    """Which set has authority over which names of one database. `sets`: all sets of the database, the oldest first."""

    def __init__(self, sets: Mapping[Ref, AliasSet]) -> None:
        self._sets = sets
        self._listed: dict[str, Ref] = {}
        for ref, desired in sets.items():
            for alias in desired.aliases:
                self._listed.setdefault(alias.name, ref)
        self._scoped = [ref for ref, desired in sets.items() if desired.scope.include]
        self._order = {ref: position for position, ref in enumerate(sets)}

    def resolved(self, ref: Ref) -> tuple[AliasSet, tuple[Contest, ...]]:
        """Return a set without the names that older sets have authority over, and those names."""
        desired = self._sets[ref]
        scopes = [(other, self._sets[other].scope) for other in self._scoped if self._order[other] < self._order[ref]]
        owners = {alias.name: self._owner(alias.name, ref, scopes) for alias in desired.aliases}
        contests = {name: owner for name, owner in owners.items() if owner != ref}
        resolved = replace(desired, aliases=tuple(alias for alias in desired.aliases if alias.name not in contests))
        if desired.scope.include:
            older = {name for name, owner in self._listed.items() if self._order[owner] < self._order[ref]}
            covered = {name: self._owner(name, ref, scopes) for name in older if desired.scope.covers(name)}
            contests = self._overlaps(desired, [other for other, _ in scopes]) | covered | contests
            yields = (Claim(frozenset(older), Scope()), *(Claim(frozenset(), scope) for _, scope in scopes))
            resolved = replace(resolved, scope=replace(desired.scope, yields=yields))
        return resolved, tuple(Contest(name, owner) for name, owner in sorted(contests.items()))

    def _owner(self, name: str, ref: Ref, older: Sequence[tuple[Ref, Scope]]) -> Ref:
        """Return the oldest set with a claim on a name that `ref` claims; `older` are the scopes of older sets."""
        scoped = next((other for other, scope in older if scope.covers(name)), ref)
        return min(scoped, self._listed.get(name, ref), key=self._order.__getitem__)

    def _overlaps(self, desired: AliasSet, older: list[Ref]) -> dict[str, Ref]:
        """Return an example of a common name for each older scope that overlaps with the scope of this set."""
        found: dict[str, Ref] = {}
        # Other tenants' patterns must not make this set expensive: what is left undecided counts as an overlap.
        effort = Effort(MAX_EFFORT)
        ours = desired.scope
        pairs = pairs_to_compare([ours.include, *(self._sets[other].scope.include for other in older)])
        for other in (older[number - 1] for first, number in pairs if first == 0):
            theirs = self._sets[other].scope
            try:
                name = common_name(theirs.include, ours.include, (*theirs.exclude, *ours.exclude), effort)
            except Undecided:
                name = ours.include[0]
            if name is not None:
                found[name] = other
        return found
