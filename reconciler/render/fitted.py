"""Tables that fit the width of a terminal: cells wrap, so that nothing is cut."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest
from textwrap import wrap

from reconciler.core.text import printable
from reconciler.render.lines import GAP, Line, columns, row_line

SEPARATOR = re.compile("[ _./-]")
"""After which a word is broken that is wider than its column."""
NARROWEST = 8
"""Characters of a column at least, however narrow the terminal is."""


def fitted_table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int | None,
    styles: Sequence[dict[int, str]],
    *,
    whole: int,
) -> Iterator[Line]:
    """Draw a table without rules, as `columns` does where it fits or `width` is None, and else as `fitted_columns`."""
    lines = list(columns(heads, rows, lambda number: styles[number]))
    if width is None or all(len(line.plain) <= width for line in lines):
        return iter(lines)
    return chain.from_iterable(fitted_columns(heads, rows, width, styles, whole=whole))


def fitted_columns(
    heads: Sequence[str], rows: Sequence[Sequence[str]], width: int, styles: Sequence[dict[int, str]], *, whole: int = 0
) -> Iterator[tuple[Line, ...]]:
    """Yield the lines of the heads, and then those of each row.

    Args:
        heads: of the columns.
        rows: their cells; made printable here.
        width: characters of a line at most.
        styles: of each row: style by the number of the column.
        whole: how many of the first columns are never narrowed.
    """
    cells = [tuple(map(printable, row)) for row in rows]
    natural = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    room = width - sum(natural[:whole]) - GAP * (len(natural) - 1)
    widths = [*natural[:whole], *_narrowed(natural[whole:], room)]
    yield tuple(_lines(heads, widths, dict.fromkeys(range(len(heads)), "bold")))
    for row, style in zip(cells, styles, strict=True):
        yield tuple(_lines(row, widths, style))


def wrapped(text: str, width: int) -> list[str]:
    """Return a text as lines of at most `width` characters, broken between words; within them only if one is longer."""
    lines = wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
    return [part for line in lines for part in _broken(line, width)]


def _broken(line: str, width: int) -> Iterator[str]:
    """Yield the parts of a line, broken after a separator where there is one."""
    while len(line) > width:
        at = max((found.end() for found in SEPARATOR.finditer(line[:width])), default=width)
        yield line[:at].rstrip()
        line = line[at:].lstrip()
    yield line


def _narrowed(natural: Sequence[int], room: int) -> list[int]:
    """Return the widths of columns: the widest ones are narrowed, equally, until all fit."""
    most = max(natural)
    while most > NARROWEST and sum(min(each, most) for each in natural) > room:
        most -= 1
    return [min(each, most) for each in natural]


def _lines(cells: Sequence[str], widths: Sequence[int], styles: dict[int, str]) -> Iterator[Line]:
    parts = [wrapped(cell, width) for cell, width in zip(cells, widths, strict=True)]
    for row in zip_longest(*parts, fillvalue=""):
        yield row_line(row, widths, styles)
