"""The choices of one execution, and the search through all of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

Found = TypeVar("Found")


class Option(NamedTuple):
    """What can happen at one point. The first option of a point is the ordinary course and costs nothing."""

    name: str
    cost: int = 0


class CutOff(BaseException):
    """The rest of an execution was explored before: nothing that the program does from here on counts."""


@dataclass
class Choices:
    """The choices of one execution: those of a prefix, then the ordinary course.

    Args:
        prefix: the number of the option to take at each of the first points.
        budget: how much the options of the execution may cost.
        visited: by state, the largest budget with which the rest was explored.
    """

    prefix: Sequence[int]
    budget: int
    visited: dict[Hashable, int]
    alternatives: list[tuple[int, ...]] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def choose(self, place: str, options: Sequence[Option], state: Hashable) -> Option:
        """Return what happens at a point.

        Raises:
            CutOff: this state was explored before.
        """
        if len(self.taken) < len(self.prefix):
            number = self.prefix[len(self.taken)]
        else:
            number = 0
            if self.visited.get((place, state), -1) >= self.budget:
                raise CutOff
            self.visited[place, state] = self.budget
            affordable = [index for index, option in enumerate(options) if index and option.cost <= self.budget]
            self.alternatives += [(*self.taken, index) for index in affordable]
        self.taken.append(number)
        option = options[number]
        self.budget -= option.cost
        if number:
            self.told.append(f"{place}: {option.name}")
        return option


def executions(
    execute: Callable[[Choices], Found], budget: int, visited: dict[Hashable, int]
) -> Iterator[tuple[Found, Choices]]:
    """Yield the result of each execution that is not cut off, with its choices, depth-first."""
    stack: list[tuple[int, ...]] = [()]
    while stack:
        choices = Choices(stack.pop(), budget, visited)
        with suppress(CutOff):
            yield execute(choices), choices
        stack += reversed(choices.alternatives)
