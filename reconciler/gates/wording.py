"""Numbers and other people's texts in the details of gates."""

from __future__ import annotations

from collections.abc import Sequence

MOST_DIGITS = 6
LONGEST_TEXT = 60
MOST_PARTS = 5


def rounded(value: float, *limits: float, digits: int = 1) -> str:
    """A number in few digits, but never so few that it looks like a limit which it is not: 94.96 against 95."""
    shown = round(value, digits)
    while digits < MOST_DIGITS and any(shown == limit != value for limit in limits):
        digits += 1
        shown = round(value, digits)
    return f"{shown:,}"


def shortened(text: str) -> str:
    """A text of somebody else's, cut where it gets long."""
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"


def listed(parts: Sequence[str], separator: str = "; ") -> str:
    """The first parts, and how many more there are."""
    more = f"{separator}and {len(parts) - MOST_PARTS:,} more" if len(parts) > MOST_PARTS else ""
    return separator.join(parts[:MOST_PARTS]) + more
