"""The state of aliases by collection: which point to it, which should, and how many of them are in which state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated

from msgspec import Meta

from reconciler.core.model import Target
from reconciler.core.record import INLINE, INTERNAL, Count, Record
from reconciler.inspect.alias_status import State, StatusRow


class CollectionRow(Record, frozen=True):
    """One collection. `connection` is the name of its connection."""

    target: Annotated[Target, INLINE]
    connection: Annotated[str, INTERNAL]
    collection: Annotated[str | None, Meta(description="null: for aliases that point to none, and should not.")]
    aliases: Annotated[tuple[str, ...], Meta(description="The aliases that point to it.")]
    expected: Annotated[tuple[str, ...], Meta(description="The aliases that should point to it, and do not.")]
    states: Annotated[Mapping[State, Count], Meta(description="Aliases of either kind, by state.")]
    needs_attention: Annotated[bool, INTERNAL]


def by_collection(rows: Iterable[StatusRow]) -> list[CollectionRow]:
    """Return a row for each collection that an alias points to, or should, by target and name."""
    found: dict[tuple[Target, str, str | None], list[StatusRow]] = {}
    for row in rows:
        for collection in dict.fromkeys((row.live, row.desired)):
            if collection or not (row.live or row.desired):
                found.setdefault((row.target, row.connection, collection), []).append(row)
    return [
        CollectionRow(
            target,
            connection,
            collection,
            tuple(row.alias for row in of_it if row.live == collection),
            tuple(row.alias for row in of_it if row.live != collection),
            dict(Counter(row.state for row in of_it)),
            any(row.needs_attention for row in of_it),
        )
        for (target, connection, collection), of_it in sorted(
            found.items(), key=lambda item: (item[0][0], item[0][1], item[0][2] or "")
        )
    ]
