"""Tables as CSV (RFC 4180, with line feeds), to be opened as a spreadsheet.

Spreadsheets take a cell that begins with one of `FORMULA` for a formula, which could run programs or send data, and
names on a server may be hostile. An apostrophe before it makes the cell text. Where a spreadsheet separates cells at
semicolons, a cell may also begin after one. No alias that Milvus accepts, and no collection, is changed by that.
"""

from __future__ import annotations

import csv as standard
import io
import re

from reconciler.render.tables import Table

FORMULA = re.compile(r"(^|[;,|])(?=\s*[=+\-@\uff1d\uff0b\uff0d\uff20])")
"""Where a cell could begin, before what begins a formula; the last four are the full-width forms of the others."""


def csv(table: Table) -> str:
    """Render a table with its heads as the first line; what does not exist is an empty cell."""
    text = io.StringIO()
    writer = standard.writer(text, lineterminator="\n")
    writer.writerow(table.heads)
    writer.writerows([_cell(cell or "") for cell in row.cells] for row in table.rows)
    return text.getvalue()


def _cell(text: str) -> str:
    return FORMULA.sub(r"\1'", text)
