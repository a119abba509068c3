"""Lines of styled text: what the text format is made of.

A style is one of Rich's, such as `bold red`, but Rich itself is imported only where a terminal shows colors. Lines are
wrapped at a terminal only: elsewhere they are searched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from reconciler.core.text import printable

Part = str | tuple[str, str]
"""A piece of a line: plain text, or text with its style."""

MIN_HANG = 4
"""Columns by which the continuation of a line is indented where its own hang would leave too little room."""
COLUMN, WORD = re.compile(r"\S+(?: {1,2}\S+)*"), re.compile(r"\S+")
"""Columns have at least three spaces between them, words fewer."""
GAP = 3
"""Spaces between two columns of a table."""
MAX_COLUMN = 60
"""Characters of the widest cell that a column is aligned to."""


class Line(tuple[Part, ...]):
    """One line of text, as its parts. `hang`: columns by which its continuation is indented where it is wrapped."""

    hang: int

    def __new__(cls, *parts: Part, hang: int = 4) -> Line:
        line = super().__new__(cls, parts)
        line.hang = hang
        return line

    @property
    def plain(self) -> str:
        """Return the text without styles."""
        return "".join(part if isinstance(part, str) else part[0] for part in self)

    def indented(self, columns: int) -> Line:
        """Return the line further to the right."""
        return Line(" " * columns, *self, hang=self.hang + columns) if columns else self

    def wrapped(self, width: int) -> Iterator[Line]:
        """Return the line as lines of at most `width` terminal columns; only a word that is longer sticks out."""
        text, hang = self.plain, self.hang if self.hang <= width // 2 else MIN_HANG
        first, *others = _pieces(text, width, hang)
        yield Line(*self._slice(*first))
        for piece in others:
            yield Line(" " * hang, *self._slice(*piece))

    def _slice(self, start: int, end: int) -> Iterator[Part]:
        at = 0
        for part in self:
            text = part if isinstance(part, str) else part[0]
            if piece := text[max(start - at, 0) : max(end - at, 0)]:
                yield piece if isinstance(part, str) else (piece, part[1])
            at += len(text)


def _pieces(text: str, width: int, hang: int) -> list[tuple[int, int]]:
    """Return where each line starts and ends. A line breaks at a gap between columns, or else between words.

    A column that does not fit behind others goes to a line of its own, unless it is too long for that as well.
    """
    from rich.cells import cell_len  # takes long to import, and only terminals need it

    pieces: list[tuple[int, int]] = []
    start, end, indent = 0, 0, 0

    def fits(until: int) -> bool:
        return indent + cell_len(text[start:until]) <= width

    def starts_column(at: int) -> bool:
        """Return whether a gap is before this place, so that a line that breaks here gains room."""
        return indent + cell_len(text[start:at]) > hang and end > start

    for column in COLUMN.finditer(text):
        alone = hang + cell_len(column[0]) <= width
        for word in WORD.finditer(text, column.start(), column.end()):
            until = column.end() if alone and word.start() == column.start() else word.end()
            if not fits(until) and starts_column(word.start()):
                pieces.append((start, end))
                start, indent = word.start(), hang
            end = word.end()
    return [*pieces, (start, end)]


def width_of(cells: Sequence[str]) -> int:
    """Return the width of a column; a cell wider than `MAX_COLUMN` sticks out instead of widening it."""
    return max((len(cell) for cell in cells if len(cell) <= MAX_COLUMN), default=0)


def columns(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    styles: Callable[[int], Mapping[int, str]] = lambda _: {},
) -> Iterator[Line]:
    """Draw a table without rules, each column as wide as its widest cell.

    `rows`: their cells; made printable here. `styles`: of a row, by its number: style by the number of the column.
    """
    cells = [tuple(map(printable, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    yield Line(("   ".join(map(str.ljust, heads, widths)).rstrip(), "bold"))
    for number, row in enumerate(cells):
        yield row_line(row, widths, styles(number))


def row_line(cells: Sequence[str], widths: Sequence[int], styles: Mapping[int, str]) -> Line:
    """Return one row of a table. `styles`: by the number of the column."""
    last = max((place for place, cell in enumerate(cells) if cell), default=0)
    padded = [*(cell.ljust(width + GAP) for cell, width in zip(cells[:last], widths, strict=False)), cells[last]]
    return Line(*((cell, styles.get(place, "")) for place, cell in enumerate(padded)))
