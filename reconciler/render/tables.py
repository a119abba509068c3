"""Results that are tables: what the formats Markdown, HTML and CSV make of them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct


class Tone(StrEnum):
    """How a row is highlighted."""

    GOOD = "good"
    CHANGES = "changes"
    BAD = "bad"
    QUIET = "quiet"


class TableRow(Struct, frozen=True):
    """A row. `cells`: printable; None for what does not exist. `tone`: of the cell in the highlighted column."""

    cells: Sequence[str | None]
    tone: Tone = Tone.QUIET


class Table(Struct, frozen=True):
    """A table.

    Args:
        title: in a few words.
        heads: of the columns, lower case.
        rows: the most important ones have the tones `bad` and `changes`; they are left out last.
        highlighted: the number of the column whose cells have the tone of their row; None for no column.
        empty: what stands in place of a table without rows.
    """

    title: str
    heads: Sequence[str]
    rows: Sequence[TableRow]
    highlighted: int | None = None
    empty: str = "None."


class Tables(Struct, frozen=True):
    """The result of a command as tables.

    Args:
        kind: of the result, as its JSON document names it, lower case.
        verdict: the result in a few words.
        tone: of the verdict.
        summary: the numbers behind it.
        alerts: warnings above the tables; printable.
        tables: the main one first.
    """

    kind: str
    verdict: str
    tone: Tone
    summary: str
    alerts: Sequence[str]
    tables: Sequence[Table]
