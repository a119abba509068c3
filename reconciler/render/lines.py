"""Lines of styled text: what the text format is made of.

A style is one of Rich's, such as `bold red`, but Rich itself is imported only where a terminal shows colors. Lines are
never cut or wrapped, so that they can be searched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from reconciler.core.text import printable

Part = str | tuple[str, str]
"""A piece of a line: plain text, or text with its style."""

MAX_COLUMN = 60
"""Characters of the widest cell that a column is aligned to."""


class Line(tuple[Part, ...]):
    """One line of text, as its parts."""

    __slots__ = ()

    def __new__(cls, *parts: Part) -> Line:
        return super().__new__(cls, parts)

    @property
    def plain(self) -> str:
        """Return the text without styles."""
        return "".join(part if isinstance(part, str) else part[0] for part in self)


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
        style = styles(number)
        last = max((place for place, cell in enumerate(row) if cell), default=0)
        padded = [*(cell.ljust(width + 3) for cell, width in zip(row[:last], widths, strict=False)), row[last]]
        yield Line(*((cell, style.get(place, "")) for place, cell in enumerate(padded)))
