"""Rules across entries, sets and files. Every problem names both places, and stands at the later one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from msgspec import Struct

from reconciler.core.errors import Problem
from reconciler.core.model import Alias, AliasSet, Source
from reconciler.core.patterns import Effort, Undecided, common_name, pairs_to_compare
from reconciler.manifest.specs.alias_set import SELF_ALIAS

TargetKey: TypeAlias = tuple[str, ...]

MAX_EFFORT = 250_000
"""Characters to try when the scopes of a database are compared: about a second."""


def target_key(desired: AliasSet) -> TargetKey:
    """Return what two sets of one target have in common: address and database; names where the address is unknown."""
    if desired.connection:
        return (desired.connection.address, desired.database)
    return (desired.namespace, desired.connection_name, desired.database)


def conflicts(sets: Iterable[AliasSet]) -> list[Problem]:
    """Return all contradictions in the sets of one run, sorted.

    `sets`: with the connections and databases they will be applied to; a set without a connection is compared with the
    sets that name the same one.
    """
    sets = list(sets)
    problems = _duplicate_sets(sets)
    by_target: dict[TargetKey, list[AliasSet]] = defaultdict(list)
    for desired in sets:
        by_target[target_key(desired)].append(desired)
        problems += wrong_among_aliases(desired.aliases)
    for neighbours in by_target.values():
        target = _Target(neighbours)
        problems += target.listed_twice()
        problems += target.listed_and_covered()
        problems += target.overlapping_scopes()
        problems += target.aliases_that_are_collections()
    return in_order(problems)


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Sort problems by file, line and column, each once."""

    def place(problem: Problem) -> tuple[str, int, int, str]:
        source = problem.source or Source("")
        return source.file, source.line, source.column, problem.message

    return sorted(dict.fromkeys(problems), key=place)


def wrong_among_aliases(aliases: Sequence[Alias]) -> list[Problem]:
    """Return the contradictions among the aliases of one set."""
    problems = []
    first: dict[str, Alias] = {}
    for alias in aliases:
        if alias.collection == alias.name:
            problems.append(Problem(SELF_ALIAS, alias.source))
        if alias.protect and alias.collection is None:
            problems.append(Problem(f'alias "{alias.name}" is protected and to be absent', alias.source))
        if first.setdefault(alias.name, alias) is not alias:
            where = _at(first[alias.name].source)
            problems.append(Problem(f'alias "{alias.name}" is listed twice in this set; first{where}', alias.source))
    return problems


def _duplicate_sets(sets: Iterable[AliasSet]) -> list[Problem]:
    first: dict[str, AliasSet] = {}
    return [
        Problem(f'AliasSet "{alias_set.key}" is given twice; first{_at(first[alias_set.key].source)}', alias_set.source)
        for alias_set in sets
        if first.setdefault(alias_set.key, alias_set) is not alias_set
    ]


def _at(source: Source | None) -> str:
    return f" at {source}" if source else ""


class _Entry(Struct, frozen=True):
    alias: Alias
    owner: AliasSet


class _Target:
    """The sets of one target, and what they list there, by alias name in the order given."""

    def __init__(self, sets: Sequence[AliasSet]) -> None:
        self._sets = sets
        self._listed: dict[str, list[_Entry]] = defaultdict(list)
        for desired in sets:
            for alias in desired.aliases:
                self._listed[alias.name].append(_Entry(alias, desired))
        self._names = sorted(self._listed)

    def listed_twice(self) -> Iterator[Problem]:
        for name, (first, *others) in self._listed.items():
            for other in others:
                if other.owner is not first.owner:
                    place = f'AliasSet "{first.owner.key}"{_at(first.alias.source)}'
                    yield Problem(
                        f'alias "{name}" is also listed by {place}, for the same database', other.alias.source
                    )

    def listed_and_covered(self) -> Iterator[Problem]:
        for desired in self._sets:
            for name in desired.scope.covered(self._names):
                for entry in self._listed[name]:
                    if entry.owner is not desired:
                        place = f'the scope of AliasSet "{desired.key}"{_at(desired.source)}'
                        yield Problem(f'alias "{name}" is also covered by {place}', entry.alias.source)

    def overlapping_scopes(self) -> Iterator[Problem]:
        effort = Effort(MAX_EFFORT)
        pairs = pairs_to_compare([desired.scope.include for desired in self._sets])
        for first, other in ((self._sets[item], self._sets[later]) for item, later in pairs):
            if effort.left <= 0:
                message = (
                    "the scopes of the sets of this database are too tangled to compare them all; use fewer patterns"
                )
                yield Problem(f"{message}, each with a prefix of its own", other.source)
                return
            a, b = first.scope, other.scope
            place = f'the scope of AliasSet "{first.key}"{_at(first.source)}'
            try:
                name = common_name(a.include, b.include, (*a.exclude, *b.exclude), effort)
            except Undecided:
                message = f"this scope and {place} are too tangled to tell apart; use fewer and simpler patterns"
                yield Problem(message, other.source)
            else:
                if name is not None:
                    yield Problem(f'this scope and {place} both cover "{name}", for example', other.source)

    def aliases_that_are_collections(self) -> Iterator[Problem]:
        users: dict[str, Alias] = {}
        for entries in self._listed.values():
            for entry in entries:
                users.setdefault(entry.alias.collection or "", entry.alias)
        for name, entries in self._listed.items():
            user = users.get(name)
            for alias in (entry.alias for entry in entries if entry.alias.collection is not None):
                if user and user.name != name:
                    reason = f'is also the collection of alias "{user.name}"{_at(user.source)}'
                    yield Problem(f'alias "{name}" {reason}; a name is one or the other', alias.source)
