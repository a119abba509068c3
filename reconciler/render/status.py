"""Status: desired and live state, by alias or by collection, and loaded collections that no alias references.

Without a terminal a row is one line, so that it can be searched. At a terminal rows are grouped by database and set,
names wrap, and notes stand below their row, so that everything fits the width:

    ALIAS             DESIRED       LIVE          STATE
    prod / default   search
      search_main     products_v8   products_v7   Drifted
          changed by someone else since run 20261123-230102-4f2a9c
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from textwrap import wrap

from msgspec import Struct

from reconciler.core.plan import Plan
from reconciler.core.text import counted, printable
from reconciler.inspect.alias_status import State, StatusRow
from reconciler.inspect.all_databases import UnreadDatabase
from reconciler.inspect.collection_status import CollectionRow, by_collection
from reconciler.inspect.unreferenced import Unreferenced
from reconciler.render import wording
from reconciler.render.fitted import fitted_columns
from reconciler.render.lines import Line, columns
from reconciler.render.tables import Table, TableRow, Tables, Tone

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
    State.UNMANAGED: "dim",
}
BLOCKED = "bold red"
TONES = {
    State.IN_SYNC: Tone.GOOD,
    State.PENDING_REVERT: Tone.BAD,
    State.SUSPENDED: Tone.QUIET,
    State.UNMANAGED: Tone.QUIET,
}
"""Of the states that are no changes."""
HEADS = ("TARGET", "SET", "ALIAS", "DESIRED", "LIVE", "STATE", "NOTE")
COLLECTION_HEADS = ("TARGET", "COLLECTION", "ALIASES", "EXPECTED", "STATE")
UNREFERENCED_HEADS = ("TARGET", "COLLECTION", "ROWS", "UNREFERENCED SINCE")
INDENT, NOTE_INDENT = 2, 6
NOTHING = "Nothing needs attention"


class Status(Struct, frozen=True):
    """What `status` found, and how it is shown.

    Args:
        rows: of all aliases.
        alerts: unfinished reverts of earlier runs.
        unread: databases whose aliases cannot be read; None unless all databases were requested.
        unreferenced: loaded collections without an alias; None unless requested.
        only_problems: show only what needs attention; the counts are of all.
        by_collection: show a row per collection.
    """

    rows: tuple[StatusRow, ...]
    alerts: tuple[str, ...] = ()
    unread: tuple[UnreadDatabase, ...] | None = None
    unreferenced: tuple[Unreferenced, ...] | None = None
    only_problems: bool = False
    by_collection: bool = False

    @property
    def problems(self) -> tuple[StatusRow, ...]:
        """Return the rows that need attention."""
        return tuple(row for row in self.rows if row.needs_attention)

    @property
    def warnings(self) -> list[str]:
        """Return the warnings above the rows."""
        unread = (f"Not read: {each.connection} / {each.target.database}: {each.message}" for each in self.unread or ())
        return [*self.alerts, *unread]

    @property
    def shown(self) -> tuple[StatusRow, ...]:
        """Return the rows that are shown."""
        return self.problems if self.only_problems else self.rows

    @property
    def collections(self) -> tuple[CollectionRow, ...] | None:
        """Return the rows of collections that are shown; None if those of aliases are."""
        if not self.by_collection:
            return None
        return tuple(row for row in by_collection(self.rows) if row.needs_attention or not self.only_problems)

    @property
    def counts(self) -> Mapping[State, int]:
        """Return the number of aliases in each state that there is, in the order of the states."""
        found = Counter(row.state for row in self.rows)
        return {state: found[state] for state in State if found[state]}


def alerts_of(plan: Plan) -> tuple[str, ...]:
    """Return what earlier runs did not finish."""
    return tuple(wording.unfinished_reverts(plan))


def status_lines(status: Status, width: int | None = None) -> Iterator[Line]:
    """Draw a status. `width`: of the terminal; None to leave lines as long as they are."""
    for warning in status.warnings:
        lines = _wrapped(warning, width, 0) if width else [printable(warning)]
        yield from (Line((line, "bold red")) for line in lines)
    if status.by_collection:
        yield from _collection_lines(status.collections or (), width)
    elif status.shown or not status.only_problems:
        yield from _grouped_lines(status.shown, width) if width else _row_lines(status.shown)
    yield Line((_summary(status), "bold"))
    if status.unreferenced is not None:
        yield Line()
        yield from _unreferenced_lines(status.unreferenced, width)


def _summary(status: Status) -> str:
    counts = ", ".join(f"{number} {state}" for state, number in status.counts.items()) or "No aliases"
    calm = f"{NOTHING}. " if status.only_problems and not status.problems else ""
    return f"{calm}{counts}" if status.rows else f"{counts}."


def _row_lines(rows: Sequence[StatusRow]) -> Iterator[Line]:
    column = HEADS.index("STATE")
    cells = [(_place(row), row.set or "-", row.alias, *_ends(row), row.state, row.note or "") for row in rows]
    return columns(HEADS, cells, lambda number: {column: _style(rows[number])})


def _grouped_lines(rows: Sequence[StatusRow], width: int) -> Iterator[Line]:
    """Draw rows under their database and set, each note once below its row, or below neighbors that share it."""
    heads = HEADS[2:6]
    cells = [(row.alias, *_ends(row), row.state) for row in rows]
    styles = [{len(heads) - 1: _style(row)} for row in rows]
    head, *drawn = fitted_columns(heads, cells, width - INDENT, styles)
    yield from (Line(" " * INDENT, *line) for line in head)
    for (place, name), group in groupby(zip(rows, drawn, strict=True), lambda item: (_place(item[0]), item[0].set)):
        of_set = (printable(name), "cyan") if name else ("not managed", "dim")
        yield Line((printable(place), "bold"), "   ", of_set)
        for note, alike in groupby(group, lambda item: item[0].note):
            of_rows = [lines for _, lines in alike]
            yield from (Line(" " * INDENT, *line) for lines in of_rows for line in lines)
            words = f"all {len(of_rows)}: {note}" if note and len(of_rows) > 1 else note or ""
            yield from (Line((line, "dim")) for line in _wrapped(words, width, NOTE_INDENT))


def _collection_lines(rows: Sequence[CollectionRow], width: int | None) -> Iterator[Line]:
    cells = [(row.collection or "-", _names(row.aliases), _names(row.expected), _states(row)) for row in rows]
    styles = ["yellow" if row.needs_attention else "green" for row in rows]
    return _by_target(COLLECTION_HEADS, rows, cells, width, styles) if rows else iter(())


def _unreferenced_lines(collections: Sequence[Unreferenced], width: int | None) -> Iterator[Line]:
    """Draw one row per loaded collection that no alias references."""
    if not collections:
        yield Line(("No loaded collection without an alias.", "bold"))
        return
    cells = [(row.collection, _rows(row), row.since or "unknown") for row in collections]
    yield from _by_target(UNREFERENCED_HEADS, collections, cells, width, [""] * len(cells))
    yield Line((f"{counted(len(collections), 'loaded collection')} without an alias. Nothing was changed.", "bold"))


def _by_target(
    heads: Sequence[str],
    rows: Sequence[CollectionRow | Unreferenced],
    cells: Sequence[Sequence[str]],
    width: int | None,
    styles: Sequence[str],
) -> Iterator[Line]:
    """Draw a table: a column for the databases, or at a terminal their names above their rows.

    `heads`: with that of the databases. `styles`: of the last cells.
    """
    if not width:
        last = len(heads) - 1
        placed = [(_place(row), *of_row) for row, of_row in zip(rows, cells, strict=True)]
        yield from columns(heads, placed, lambda number: {last: styles[number]})
        return
    head, *drawn = fitted_columns(heads[1:], cells, width - INDENT, [{len(heads) - 2: style} for style in styles])
    yield from (Line(" " * INDENT, *line) for line in head)
    for place, group in groupby(zip(rows, drawn, strict=True), lambda item: _place(item[0])):
        yield Line((printable(place), "bold"))
        yield from (Line(" " * INDENT, *line) for _, lines in group for line in lines)


def status_tables(status: Status) -> Tables:
    """Return a status as tables."""
    problems = status.problems
    total = counted(len(status.rows), "alias")
    verdict = f"attention needed by {len(problems):,} of {total}" if problems else NOTHING.lower()
    blocked = any(row.blocked for row in problems) or bool(status.warnings)
    tone = Tone.BAD if blocked else Tone.CHANGES if problems else Tone.GOOD
    collections = status.collections
    first = _alias_table(status.shown) if collections is None else _collection_table(collections)
    tables = [first] if status.unreferenced is None else [first, _unreferenced_table(status.unreferenced)]
    return Tables("status", verdict, tone, _summary(status), [*map(printable, status.warnings)], tables)


def _alias_table(rows: Sequence[StatusRow]) -> Table:
    heads = ("connection", "database", "set", "alias", "desired", "live", "state", "note")
    cells = [
        _table_row(row, row.set, row.alias, row.desired, row.live, row.state, row.note or "", tone=_tone(row))
        for row in rows
    ]
    return Table("aliases", heads, cells, heads.index("state"))


def _collection_table(rows: Sequence[CollectionRow]) -> Table:
    heads = ("connection", "database", "collection", "aliases", "expected", "state")
    cells = [
        _table_row(
            row,
            row.collection,
            ", ".join(row.aliases),
            ", ".join(row.expected),
            _states(row),
            tone=Tone.CHANGES if row.needs_attention else Tone.GOOD,
        )
        for row in rows
    ]
    return Table("collections", heads, cells, heads.index("state"))


def _unreferenced_table(collections: Sequence[Unreferenced]) -> Table:
    heads = ("connection", "database", "collection", "rows", "unreferenced since")
    cells = [_table_row(row, row.collection, _rows(row), row.since or "unknown") for row in collections]
    return Table("loaded collections without an alias", heads, cells)


def _table_row(row: StatusRow | CollectionRow | Unreferenced, *cells: str | None, tone: Tone = Tone.QUIET) -> TableRow:
    """Return a row of a table, with printable cells, that begins with its database."""
    return TableRow(tuple(None if cell is None else printable(cell) for cell in (*_of_target(row), *cells)), tone)


def _of_target(row: StatusRow | CollectionRow | Unreferenced) -> tuple[str, str]:
    return row.connection, row.target.database


def _place(row: StatusRow | CollectionRow | Unreferenced) -> str:
    return " / ".join(_of_target(row))


def _ends(row: StatusRow) -> tuple[str, str]:
    return row.desired or "-", row.live or "-"


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) or "-"


def _states(row: CollectionRow) -> str:
    return ", ".join(f"{row.states[state]} {state}" for state in State if state in row.states)


def _rows(row: Unreferenced) -> str:
    return "unknown" if row.rows is None else str(row.rows)


def _style(row: StatusRow) -> str:
    return BLOCKED if row.blocked else STATES[row.state]


def _tone(row: StatusRow) -> Tone:
    return Tone.BAD if row.blocked else TONES.get(row.state, Tone.CHANGES)


def _wrapped(text: str, width: int, indent: int) -> list[str]:
    spaces = " " * indent
    return wrap(
        printable(text),
        max(width, 2 * indent + 1),
        initial_indent=spaces,
        subsequent_indent=spaces,
        break_on_hyphens=False,
    )
