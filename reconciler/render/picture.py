"""The pictures of an HTML page: collections before and after, and between them the aliases that change.

Only coordinates are computed here, in the units of the drawing; the page's template draws. A picture has at most `MOST`
aliases, so that a person can follow it; the most important ones are drawn, the others counted.

`picture` draws three columns, for wide windows. `narrow_picture` draws the moves below each other, for phones.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from reconciler.core.text import shortened
from reconciler.render.groups import Group, groups_of
from reconciler.render.view import Row, Section, Weight

MOST = 30
"""Maximum number of aliases in a picture."""
PITCH, HEIGHT = 36, 26
"""Distance from one box to the next, and height of a box."""
WIDTH, BOX = 960, 270
"""Width of the wide picture, and of its boxes."""
NARROW, INDENT, RAIL = 360, 40, 18
"""Width of the narrow picture, where the boxes of aliases begin, and the line that leads to them."""
LETTER, PADDING = 8.0, 10
"""Width of a character and of the space around a name. The stylesheet sets the size of the font."""
ABSENT = "no collection"


class Box(Struct, frozen=True):
    """A box with a name; `short` is the part that fits."""

    x: float
    y: float
    width: float
    name: str
    kind: str
    height: float = HEIGHT

    @property
    def short(self) -> str:
        return shortened(self.name, int((self.width - PADDING) / LETTER))

    @property
    def middle(self) -> float:
        return round(self.y + HEIGHT / 2, 1)


class Line(Struct, frozen=True):
    """A line between two boxes, as an SVG path; `words` describe it to screen readers."""

    path: str
    kind: str
    words: str


class Picture(Struct, frozen=True):
    """Boxes and lines; `titles` with their places; `left_out` is the number of changes that are not drawn."""

    width: float
    height: float
    titles: tuple[tuple[str, float], ...]
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    left_out: int


def picture(section: Section) -> Picture | None:
    """Return the picture of a database's changes in three columns; None without changes."""
    rows = sorted(_drawn(section).rows, key=lambda row: (row.desired, row.current, row.alias))
    if not rows:
        return None
    before, after = (tuple(dict.fromkeys(filter(None, names))) for names in zip(*map(_ends, rows), strict=True))
    most = max(len(rows), len(before), len(after))
    middle = _column(1, [(row.alias, _alias(row)) for row in rows], most)
    left, right = (
        dict(zip(names, _column(column, [(name, "collection") for name in names], most), strict=True))
        for column, names in ((0, before), (2, after))
    )
    lines = []
    for row, alias in zip(rows, middle, strict=True):
        if row.current:
            lines.append(_curve(left[row.current], alias, "before", f"{row.alias} was at {row.current}"))
        if row.desired:
            lines.append(_curve(alias, right[row.desired], row.kind, f"{row.alias} to {row.desired}: {row.label}"))
    return Picture(
        width=WIDTH,
        height=most * PITCH,
        titles=(("before", BOX / 2), ("alias", WIDTH / 2), ("after", WIDTH - BOX / 2)),
        boxes=(*left.values(), *right.values(), *middle),
        lines=tuple(lines),
        left_out=len(section.rows) - len(rows),
    )


def narrow_picture(section: Section) -> Picture | None:
    """Return the same changes below each other: the collection before, its aliases, the collection after."""
    drawn = _drawn(section)
    if not drawn.rows:
        return None
    boxes: list[Box] = []
    lines: list[Line] = []
    y = 0.0
    for group in groups_of(drawn):
        own_boxes, own_lines = _move(group, y)
        boxes += own_boxes
        lines += own_lines
        y = own_boxes[-1].y + HEIGHT + PITCH / 2
    titles = (("before, aliases, after", NARROW / 2),)
    return Picture(NARROW, y, titles, tuple(boxes), tuple(lines), len(section.rows) - len(drawn.rows))


def _drawn(section: Section) -> Section:
    """Return a section with the most important rows only."""
    numbers = sorted(range(len(section.rows)), key=lambda number: section.rows[number].weight)[:MOST]
    return replace(section, rows=tuple(section.rows[number] for number in sorted(numbers)))


def _ends(row: Row) -> tuple[str, str]:
    return row.current, row.desired


def _alias(row: Row) -> str:
    return f"alias {row.kind} risky" if row.weight is Weight.RISKY else f"alias {row.kind}"


def _column(column: int, names: Sequence[tuple[str, str]], most: int) -> list[Box]:
    """Return boxes (name and kind), evenly spread over the height of the longest column, which has `most`."""
    x = column * (WIDTH - BOX) / 2
    pitch = PITCH * most / len(names) if names else 0
    return [
        Box(x, round((number + 0.5) * pitch - HEIGHT / 2, 1), BOX, name, kind)
        for number, (name, kind) in enumerate(names)
    ]


def _curve(left: Box, right: Box, kind: str, words: str) -> Line:
    """Return a curve from the right side of a box to the left side of another."""
    x1, x2 = left.x + BOX, right.x
    half = (x1 + x2) / 2
    return Line(
        f"M{x1:g} {left.middle:g} C{half:g} {left.middle:g} {half:g} {right.middle:g} {x2:g} {right.middle:g}",
        kind,
        words,
    )


def _move(group: Group, y: float) -> tuple[list[Box], list[Line]]:
    """Return the boxes of one move, its last collection at the end, and the lines along its left side."""
    ends = [group.current or ABSENT, group.desired or ABSENT]
    first, *aliases, last = (
        Box(x, y + number * PITCH, NARROW - x, name, kind)
        for number, (x, name, kind) in enumerate(
            [
                (0, ends[0], "collection"),
                *((INDENT, row.alias, _alias(row)) for row in group.rows),
                (0, ends[1], "collection"),
            ]
        )
    )
    lines = [
        Line(f"M{RAIL} {first.y + HEIGHT:g} V{box.middle:g} H{INDENT}", "before", f"{row.alias} was at {ends[0]}")
        for box, row in zip(aliases, group.rows, strict=True)
    ]
    row = group.rows[-1]
    lines.append(Line(f"M{RAIL} {aliases[-1].middle:g} V{last.y:g}", row.kind, f"to {ends[1]}: {row.label}"))
    return [first, *aliases, last], lines
