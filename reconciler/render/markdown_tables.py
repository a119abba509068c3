"""Tables as a comment on a pull request; see `markdown`, which does this for plans and reports."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.text import counted
from reconciler.render.markdown import FRAME, LIMIT, LONG, SENTENCE, Room, code
from reconciler.render.tables import Table, TableRow, Tables, Tone

IMPORTANCE = (Tone.BAD, Tone.CHANGES, Tone.GOOD, Tone.QUIET)


def markdown_tables(result: Tables) -> str:
    """Render tables; rows that do not fit are left out, the least important first, and counted."""
    room = Room(LIMIT - FRAME)
    alerts = [line for line in map(_alert, result.alerts) if room.take(line)]
    bodies = [(table, _rows_that_fit(table, room)) for table in result.tables]
    left_out = sum(len(table.rows) - len(rows) for table, rows in bodies)
    return (
        "\n\n".join(
            [
                f"<!-- aliasctl:{result.kind} -->\n## aliasctl {result.kind}: {result.verdict}",
                *alerts,
                f"**{result.summary}**",
                *([f"**Left out, because a comment must be short: {counted(left_out, 'row')}.**"] if left_out else []),
                *(part for table, rows in bodies for part in _table(table, rows)),
            ]
        )
        + "\n"
    )


def _alert(alert: str) -> str:
    return f"<p><b>Attention:</b> {code(alert, SENTENCE)}</p>"


def _rows_that_fit(table: Table, room: Room) -> list[str]:
    numbered = sorted(enumerate(table.rows), key=lambda item: IMPORTANCE.index(item[1].tone))
    fitting: dict[int, str] = {}
    for number, row in numbered:
        text = _row(table, row)
        if not room.take(text):
            break
        fitting[number] = text
    return [text for _, text in sorted(fitting.items())]


def _row(table: Table, row: TableRow) -> str:
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in _cells(table, row)) + "</tr>"


def _cells(table: Table, row: TableRow) -> Iterator[str]:
    for number, cell in enumerate(row.cells):
        if cell is None:
            yield "–"
        elif number == table.highlighted:
            yield f"<b>{cell}</b>" if row.tone in (Tone.BAD, Tone.CHANGES) else cell
        else:
            yield code(cell, SENTENCE)


def _table(table: Table, rows: list[str]) -> Iterator[str]:
    title = f"<b>{table.title}</b>"
    if not table.rows:
        yield f"<p>{title}: {table.empty}</p>"
        return
    heads = "".join(f"<th>{head}</th>" for head in table.heads)
    body = "\n".join(["<table>", f"<tr>{heads}</tr>", *rows, "</table>"])
    if len(table.rows) <= LONG:
        yield f"<p>{title}</p>\n{body}"
    else:
        yield f"<details><summary>{title}: {counted(len(table.rows), 'row')}</summary>\n{body}\n</details>"
