"""Pauses between attempts: exponential back-off, and jitter."""

from __future__ import annotations

import random


def backoff(failures: int, first: float, longest: float) -> float:
    """Return the seconds to wait: twice as long after each failure, up to a limit."""
    return float(min(first * 2 ** min(failures, 16), longest))


def jittered(seconds: float, share: float) -> float:
    """Return a time that differs at random by up to a share of it, so that what started together spreads out."""
    return seconds * random.uniform(1 - share, 1 + share)  # noqa: S311
