"""Alias name patterns: `*` for any run of characters, `?` for one; case-sensitive, matching the whole name.

`matches` tests one name. `common_name` decides whether two groups of patterns can ever match the same name: it runs all
of them at once as automata, a character at a time, until a name is in both groups or no new state is left to reach.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from string import ascii_letters, digits
from typing import NamedTuple

from msgspec import Struct

MAX_NAME_LENGTH = 255
MAX_STEPS = 50_000
"""Characters that one comparison may try, well under a second."""
_FIRST_CHARACTERS = ascii_letters + "_"
_CHARACTERS = _FIRST_CHARACTERS + digits


@lru_cache(maxsize=4096)
def _compiled(glob: str) -> re.Pattern[str]:
    runs = [re.escape(run).replace(r"\?", ".") for run in glob.split("*")]
    if len(runs) == 1:
        return re.compile(runs[0], re.DOTALL)
    # A run between two stars matches at its first place only (atomic group): no pattern takes exponential time.
    middle = "".join(f"(?>.*?{run})" for run in runs[1:-1])
    return re.compile(f"{runs[0]}{middle}.*{runs[-1]}", re.DOTALL)


def matches(glob: str, name: str) -> bool:
    """Return whether the whole of `name` matches `glob`; only one with `?` is compiled, which takes some 0.3 ms."""
    if "?" in glob:
        return _compiled(glob).fullmatch(name) is not None
    first, *runs = glob.split("*")
    if not runs:
        return name == first
    *middle, last = runs
    place, end = len(first), len(name) - len(last)
    if place > end or not name.startswith(first) or not name.endswith(last):
        return False
    for run in middle:
        found = name.find(run, place, end)
        if found < 0:
            return False
        place = found + len(run)
    return True


def beginning_like(glob: str, names: Sequence[str]) -> Sequence[str]:
    """Return those of some sorted names that have the literal prefix of a pattern, before its first `*` or `?`."""
    start = _prefix(glob)
    first = bisect_left(names, start)
    return names[first : bisect_right(names, start, lo=first, key=lambda name: name[: len(start)])]


def pairs_to_compare(groups: Sequence[Sequence[str]]) -> list[tuple[int, int]]:
    """Return the pairs of groups that may match the same name, by the literal prefixes of their patterns.

    Of many groups with prefixes of their own there are none, so that the number of groups hardly matters.
    """
    beginnings = sorted({(_prefix(glob), number) for number, globs in enumerate(groups) for glob in globs})
    pairs, enclosing = set(), list[tuple[str, int]]()
    for prefix, number in beginnings:
        while enclosing and not prefix.startswith(enclosing[-1][0]):
            enclosing.pop()
        pairs |= {(min(number, other), max(number, other)) for _, other in enclosing if other != number}
        enclosing.append((prefix, number))
    return sorted(pairs)


def _prefix(glob: str) -> str:
    return re.split(r"[*?]", glob, maxsplit=1)[0]


class Undecided(Exception):
    """The patterns are too complex for an answer in reasonable time."""


class Effort(Struct):
    """What several comparisons may cost together: `left` is a number of characters to try, some 4 µs each."""

    left: int = MAX_STEPS


def common_name(
    included: Sequence[str], also_included: Sequence[str], excluded: Sequence[str], effort: Effort
) -> str | None:
    """Return a shortest valid alias name that both groups of patterns match and no excluded one; None without one.

    A group matches what any of its patterns matches. `effort` is reduced by what this comparison tries. Raises
    `Undecided`: nothing of it is left, or this comparison alone takes more than `MAX_STEPS`.
    """
    least = max(0, effort.left - MAX_STEPS)
    item, other, without = _Automaton.of(included), _Automaton.of(also_included), _Automaton.of(excluded)
    alphabet = _alphabet([*included, *also_included, *excluded])
    level = {(item.start, other.start, without.start): ""}
    seen: set[tuple[int, int, int]] = set()  # without the start state: the empty name is not valid, so it is not tried
    for length in range(MAX_NAME_LENGTH):
        longer: dict[tuple[int, int, int], str] = {}
        for (one_state, other_state, without_state), name in level.items():
            for character in alphabet:
                if not length and character in digits:
                    continue
                if effort.left <= least:
                    raise Undecided
                effort.left -= 1
                a, b = item.step(one_state, character), other.step(other_state, character)
                x = without.step(without_state, character)
                if not a or not b or without.accepts_everything_after(x) or (a, b, x) in seen:
                    continue
                if item.accepts(a) and other.accepts(b) and not without.accepts(x):
                    return name + character
                seen.add((a, b, x))
                longer[a, b, x] = name + character
        level = longer
    return None


def _alphabet(globs: Iterable[str]) -> str:
    """Return the characters to try: those in the patterns, and one letter and one digit that stand for all others."""
    named = set("".join(globs)).intersection(_CHARACTERS)
    others = [next((c for c in group if c not in named), "") for group in (_FIRST_CHARACTERS, digits)]
    return "".join(sorted(named)) + "".join(others)


class _Automaton(NamedTuple):
    """A nondeterministic automaton of several patterns; the bits of an integer are its active positions.

    A position stands before a token of a pattern (`*`, `?` or a character), or at the pattern's end:

        s e a r c h _ * .        bit set at `*`: stays on any character, and is at the end as well
    """

    start: int
    ends: int
    stars: int
    singles: int
    literals: Mapping[str, int]

    @classmethod
    def of(cls, globs: Sequence[str]) -> _Automaton:
        start = ends = position = 0
        tokens: dict[str, int] = {"*": 0, "?": 0}
        for glob in globs:
            start |= 1 << position
            for token in re.sub(r"\*+", "*", glob):
                tokens[token] = tokens.get(token, 0) | 1 << position
                position += 1
            ends |= 1 << position
            position += 1
        stars = tokens.pop("*")
        return cls(start | (start & stars) << 1, ends, stars, tokens.pop("?"), tokens)

    def step(self, state: int, character: str) -> int:
        stays = state & self.stars
        moved = (state & (self.singles | self.literals.get(character, 0))) << 1
        return (stays | moved) | ((stays | moved) & self.stars) << 1

    def accepts(self, state: int) -> bool:
        return bool(state & self.ends)

    def accepts_everything_after(self, state: int) -> bool:
        return bool(state & self.stars & self.ends >> 1)
