"""Group things that share something, so that it is shown once and not once per thing."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

from reconciler.core.text import listed

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

SHOWN = 3
"""Aliases, and reasons, that a message lists."""
NAMED = 20
"""Aliases that a sentence lists which is about nothing else."""


def grouped(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """Return the items by key, keys and items in the order in which they come."""
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def with_reasons(reasons: Iterable[tuple[str, str]]) -> str:
    """Return each reason once behind the aliases that it concerns: `"a", "b" and 3 more: out of memory`.

    `reasons`: an alias and its reason each.
    """
    by_reason = grouped(reasons, lambda pair: pair[1])
    parts = [f"{quoted_names([alias for alias, _ in pairs])}: {reason}" for reason, pairs in by_reason.items()]
    return listed(parts, SHOWN, "; ")


def subject(aliases: Sequence[str]) -> str:
    """Return `alias "a"`, or `aliases "a", "b"`, at most twenty of them by name."""
    names = listed([f'"{alias}"' for alias in aliases], NAMED)
    return f"{'alias' if len(aliases) == 1 else 'aliases'} {names}"


def quoted_names(aliases: Iterable[str]) -> str:
    """Return `"a", "b", "c" and 4 more`."""
    return listed([f'"{alias}"' for alias in aliases], SHOWN)
