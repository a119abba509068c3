"""When to reconcile again, and how long to back off."""

from __future__ import annotations

import time

from reconciler.core.reasons import MEANINGS
from reconciler.service.backoff import backoff, jittered
from reconciler.sync.finding import Finding

FIRST_RETRY_SECONDS = 2.0
LONGEST_RETRY_SECONDS = 300.0
LONGEST_BACK_OFF_SECONDS = 3600.0
QUIET_INTERVALS = 5
JITTER = 0.1
"""Share of the interval, so that agents started together spread out."""


class Pace:
    """The pauses of one agent. `interval`: seconds between two reconciles when nothing happens."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._failures = 0

    def after(self, finding: Finding) -> float:
        """Return the seconds until the next reconcile: the interval, or for a retry twice as long each time."""
        if MEANINGS[finding.reason].reconciling:
            longest = min(max(self._interval, FIRST_RETRY_SECONDS), LONGEST_RETRY_SECONDS)
            delay = backoff(self._failures, FIRST_RETRY_SECONDS, longest)
            self._failures += 1
        else:
            self._failures = 0
            delay = self._interval
        return jittered(delay, JITTER)


class BackOff:
    """How often something is repeated while the manifests stay the same: corrections of drift, or verifications.

    The first repetition is made at once, and each further one after twice as long, so that a script that moves the same
    aliases again and again does not make them flap. `interval`: seconds between two reconciles.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._count = 0
        self._last = float("-inf")

    @property
    def seconds(self) -> float:
        """Return the seconds until the next repetition; 0 for now."""
        if self._count == 0:
            return 0.0
        return max(0.0, self._last + self._pause - time.monotonic())

    @property
    def count(self) -> int:
        return self._count

    def repeated(self) -> None:
        """Count a repetition."""
        self._count += 1
        self._last = time.monotonic()

    def not_needed(self) -> None:
        """Start afresh after a quiet time that is longer than the pauses were."""
        if time.monotonic() - self._last > max(2 * self._pause, QUIET_INTERVALS * self._interval):
            self._count = 0

    def reset(self) -> None:
        self._count = 0

    @property
    def _pause(self) -> float:
        return backoff(self._count - 2, self._interval, LONGEST_BACK_OFF_SECONDS) if self._count > 1 else 0.0
