"""When to look again."""

from __future__ import annotations

import time

from reconciler.service.backoff import backoff, jittered
from reconciler.sync.finding import QUICKLY_RETRIED, Finding

FIRST_RETRY_SECONDS = 2.0
LONGEST_RETRY_SECONDS = 300.0
LONGEST_HOLD_SECONDS = 3600.0
QUIET_INTERVALS = 5
JITTER = 0.1
"""Share of the interval, so that agents started together spread out."""


class Pace:
    """The pauses of one agent.

    Args:
        interval: seconds between two looks when nothing happens.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._failures = 0

    def after(self, finding: Finding) -> float:
        """Seconds until the next look: the interval, or after what may pass by itself, twice as long each time."""
        if finding.reason in QUICKLY_RETRIED:
            longest = min(max(self._interval, FIRST_RETRY_SECONDS), LONGEST_RETRY_SECONDS)
            delay = backoff(self._failures, FIRST_RETRY_SECONDS, longest)
            self._failures += 1
        else:
            self._failures = 0
            delay = self._interval
        return jittered(delay, JITTER)


class Corrections:
    """How often drift is corrected while nobody changes the wish.

    The first correction is made at once. If others move the aliases again and again, such as a script, or an agent that
    follows another branch, each further one waits twice as long: aliases that go to and fro are worse than either end.
    The same pace is kept where what could not be verified is verified again.

    Args:
        interval: seconds between two looks.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._made = 0
        self._last = float("-inf")

    @property
    def hold(self) -> float:
        """Seconds until the next correction may be made; 0 for now."""
        if self._made == 0:
            return 0.0
        return max(0.0, self._last + self._pause - time.monotonic())

    @property
    def made(self) -> int:
        """How many were made in a row."""
        return self._made

    def note(self) -> None:
        """A correction was made."""
        self._made += 1
        self._last = time.monotonic()

    def rest(self) -> None:
        """Nothing was to be corrected; after a quiet time, longer than the pauses were, all is forgotten."""
        if time.monotonic() - self._last > max(2 * self._pause, QUIET_INTERVALS * self._interval):
            self._made = 0

    def forget(self) -> None:
        """The wish is another one."""
        self._made = 0

    @property
    def _pause(self) -> float:
        return backoff(self._made - 2, self._interval, LONGEST_HOLD_SECONDS) if self._made > 1 else 0.0
