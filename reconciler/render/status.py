"""Status as text: desired and live state in columns, and loaded collections that no alias references."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from reconciler.core.plan import Plan
from reconciler.core.text import counted
from reconciler.inspect.alias_status import State, StatusRow
from reconciler.inspect.unreferenced import Unreferenced
from reconciler.render import wording
from reconciler.render.lines import Line, columns

STATES = {
    State.IN_SYNC: "green",
    State.PENDING_VERIFICATION: "yellow",
    State.PENDING_REVERT: "bold red",
    State.NOT_LOADED: "bold yellow",
    State.PENDING: "yellow",
    State.MISSING: "yellow",
    State.UNWANTED: "yellow",
    State.DRIFTED: "bold yellow",
    State.SUSPENDED: "dim",
}
BLOCKED = "bold red"
HEADS = ("TARGET", "SET", "ALIAS", "DESIRED", "LIVE", "STATE", "NOTE")
UNREFERENCED_HEADS = ("TARGET", "COLLECTION", "ROWS", "UNREFERENCED SINCE")


def alert_lines(plan: Plan) -> Iterator[Line]:
    """Draw what earlier runs did not finish."""
    yield from (Line((alert, "bold red")) for alert in wording.unfinished_reverts(plan))


def status_lines(rows: Sequence[StatusRow]) -> Iterator[Line]:
    """Draw one row per alias, and the number of aliases in each state."""
    column = HEADS.index("STATE")
    yield from columns(HEADS, [_cells(row) for row in rows], lambda number: {column: _style(rows[number])})
    counts = Counter(row.state for row in rows)
    yield Line((", ".join(f"{counts[state]} {state}" for state in State if counts[state]) or "No aliases.", "bold"))


def _style(row: StatusRow) -> str:
    return BLOCKED if row.blocked else STATES[row.state]


def _cells(row: StatusRow) -> tuple[str, ...]:
    place = f"{row.connection} / {row.target.database}"
    return (place, row.set, row.alias, row.desired or "-", row.live or "-", row.state, row.note or "")


def unreferenced_lines(collections: Sequence[Unreferenced]) -> Iterator[Line]:
    """Draw one row per loaded collection that no alias references."""
    if not collections:
        yield Line(("No loaded collection without an alias.", "bold"))
        return
    yield from columns(UNREFERENCED_HEADS, [_unreferenced_cells(collection) for collection in collections])
    yield Line((f"{counted(len(collections), 'loaded collection')} without an alias. Nothing was changed.", "bold"))


def _unreferenced_cells(collection: Unreferenced) -> tuple[str, ...]:
    place = f"{collection.connection} / {collection.target.database}"
    rows = "unknown" if collection.rows is None else str(collection.rows)
    return (place, collection.collection, rows, collection.since or "unknown")
