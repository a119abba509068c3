"""How many calls may be in flight: as many as were allowed while all is well, fewer while the server struggles.

The server says so itself when it limits rates, and shows it when calls take much longer than such calls usually do.
Then half as many are in flight; each round of calls without trouble allows one more (additive increase,
multiplicative decrease, as TCP does it).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition

log = logging.getLogger(__name__)

SLOW_SECONDS = 0.5
"""A call that ends sooner is never slow. On an idle Milvus 2.3.5 all that this tool asks takes under 0.2 s."""
SLOW_FACTOR = 5.0
"""How many times as long as usual a slow call takes."""
NEWEST_WEIGHT = 0.1
"""Of the newest call in what is usual: what lasts for some twenty calls is usual."""


class AdaptiveLimit:
    """Keeps the calls of several threads below a limit that follows how the server fares.

    Args:
        most: calls in flight that are never exceeded.
        clock: seconds that only grow.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._limit = float(most)
        self._in_flight = 0
        self._usual: dict[str, float] = {}
        self._lowered = float("-inf")
        self._changed = Condition()

    @property
    def limit(self) -> int:
        """Calls that may be in flight now."""
        return int(self._limit)

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Wait for the right to make one call, and hold it."""
        with self._changed:
            self._changed.wait_for(lambda: self._in_flight < self.limit)
            self._in_flight += 1
        try:
            yield
        finally:
            with self._changed:
                self._in_flight -= 1
                self._changed.notify()

    def learn(self, method: str, seconds: float, *, refused: bool) -> None:
        """Take a call that has ended into account.

        Args:
            method: calls are compared with those of the same method.
            seconds: how long it took.
            refused: whether the server said that it gets too many.
        """
        with self._changed:
            usual = self._usual.get(method, seconds)
            self._usual[method] = usual + NEWEST_WEIGHT * (seconds - usual)
            if refused or seconds > max(SLOW_SECONDS, SLOW_FACTOR * usual):
                self._lower(seconds, refused=refused)
            elif self._limit < self._most:
                self._limit = min(self._most, self._limit + 1 / self._limit)
                self._changed.notify()

    def _lower(self, seconds: float, *, refused: bool) -> None:
        """Half, once for all calls that were in flight together: they all met the same trouble."""
        now = self._clock()
        if now - seconds < self._lowered:
            return
        self._limit, self._lowered = max(1.0, self._limit / 2), now
        reason = "the server limits rates" if refused else "calls take much longer than before"
        log.info("fewer calls at a time", extra={"limit": self.limit, "reason": reason})
