"""The description of the collections of a run, which shows other runs who created them and since when it runs."""

from __future__ import annotations

from datetime import UTC, datetime
from secrets import token_hex

RUNNING_SECONDS = 120.0
"""Seconds after its start within which a run is taken to be running still; most end after half a minute."""

_STARTED = ", started "


def new_mark(started: datetime) -> str:
    """Return the description for the collections of one run."""
    return f"aliasctl check --exercise, run {token_hex(4)}{_STARTED}{started.astimezone(UTC).isoformat()}"


def seconds_since_start(description: str) -> float | None:
    """Return the age in seconds of the run that wrote a description; None if no run did."""
    _, _, started = description.partition(_STARTED)
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(started)).total_seconds()
    except (ValueError, TypeError):
        return None
