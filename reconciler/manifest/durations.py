"""Durations as Kubernetes and Go write them: `10s`, `1m30s`, `500ms`."""

from __future__ import annotations

import re

PATTERN = r"([0-9]{1,9}(\.[0-9]{1,9})?(ms|s|m|h))+"
MAX_SECONDS = 3600.0
FORMATS = {1: "go-duration", 24: "go-duration-24h"}
"""What a schema calls a duration of at most so many hours."""
EXPECTED = "expected a duration such as 10s, 1m30s or 500ms"

_PART = re.compile(r"([0-9.]+)(ms|s|m|h)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str, *, hours: int = 1) -> float:
    """A duration in seconds.

    Args:
        text: as the user wrote it.
        hours: the most it may be.

    Raises:
        ValueError: with a message for the user, where it is no duration, not positive, or too long.
    """
    if not re.fullmatch(PATTERN, text):
        raise ValueError(EXPECTED)
    total = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if not 0 < total <= hours * 3600:
        raise ValueError(f"expected more than 0s and at most {hours}h")
    return total
