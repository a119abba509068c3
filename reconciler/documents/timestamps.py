"""The time of day as documents have it."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> str:
    """Return the current time, RFC 3339, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_time(text: str) -> bool:
    """Whether a text is such a time."""
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
