"""The picture of an HTML page: collections before and after, and between them the aliases that change.

Only coordinates are computed here, in the units of the drawing; the page's template draws. A picture has at most `MOST`
aliases, so that a person can follow it; the most important ones are drawn, the others counted.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from reconciler.core.text import shortened
from reconciler.render.view import Row, Section

MOST = 30
"""Maximum number of aliases in a picture."""
PITCH, HEIGHT = 36, 26
"""Distance from one box to the next, and height of a box."""
WIDTH, BOX = 960, 240
"""Width of the picture, and of a box."""
LETTERS = 29
"""Maximum number of characters in a box."""


class Box(Struct, frozen=True):
    """A box with a name; `short` is the part that fits."""

    x: float
    y: float
    name: str
    short: str
    kind: str


class Line(Struct, frozen=True):
    """A line between two boxes, as an SVG path; `words` describe it to screen readers."""

    path: str
    kind: str
    words: str


class Picture(Struct, frozen=True):
    """Boxes and lines; `left_out` is the number of changes that are not drawn."""

    height: float
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    left_out: int


def picture(section: Section) -> Picture | None:
    """Return the picture of a database's changes; None without changes."""
    weighty = sorted(range(len(section.rows)), key=lambda number: section.rows[number].weight)[:MOST]
    rows = sorted((section.rows[number] for number in weighty), key=lambda row: (row.desired, row.current, row.alias))
    if not rows:
        return None
    before, after = (tuple(dict.fromkeys(filter(None, names))) for names in zip(*map(_ends, rows), strict=True))
    most = max(len(rows), len(before), len(after))
    middle = _column(1, [(row.alias, f"alias {row.kind}") for row in rows], most)
    left, right = (
        dict(zip(names, _column(column, [(name, "collection") for name in names], most), strict=True))
        for column, names in ((0, before), (2, after))
    )
    lines = []
    for row, alias in zip(rows, middle, strict=True):
        if row.current:
            lines.append(_line(left[row.current], alias, "before", f"{row.alias} was at {row.current}"))
        if row.desired:
            lines.append(_line(alias, right[row.desired], row.kind, f"{row.alias} to {row.desired}: {row.label}"))
    boxes = (*left.values(), *right.values(), *middle)
    return Picture(most * PITCH, boxes, tuple(lines), len(section.rows) - len(rows))


def _ends(row: Row) -> tuple[str, str]:
    return row.current, row.desired


def _column(column: int, names: Sequence[tuple[str, str]], most: int) -> list[Box]:
    """Return boxes (name and kind), evenly spread over the height of the longest column, which has `most`."""
    x = column * (WIDTH - BOX) / 2
    pitch = PITCH * most / len(names) if names else 0
    return [
        Box(x, round((number + 0.5) * pitch - HEIGHT / 2, 1), name, shortened(name, LETTERS), kind)
        for number, (name, kind) in enumerate(names)
    ]


def _line(left: Box, right: Box, kind: str, words: str) -> Line:
    """Return a curve from the right side of a box to the left side of another."""
    x1, x2 = left.x + BOX, right.x
    y1, y2 = (round(box.y + HEIGHT / 2, 1) for box in (left, right))
    half = (x1 + x2) / 2
    return Line(f"M{x1:g} {y1:g} C{half:g} {y1:g} {half:g} {y2:g} {x2:g} {y2:g}", kind, words)
