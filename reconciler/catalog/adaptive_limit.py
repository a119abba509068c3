"""An adaptive limit for calls in flight: it falls while the server is overloaded and rises again afterwards.

A server is overloaded if it limits rates, or if calls take much longer than usual. Then the limit is halved; each round
of calls without a problem raises it by one (additive increase, multiplicative decrease, as in TCP).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition

log = logging.getLogger(__name__)

SLOW_SECONDS = 0.5
"""A faster call is never slow. On an idle Milvus 2.3.5 every call that this tool makes takes under 0.2 s."""
SLOW_FACTOR = 5.0
"""A call is slow if it takes this many times its usual duration."""
NEWEST_WEIGHT = 0.1
"""Weight of the newest call in the moving average: after about twenty calls a new duration is usual."""


class AdaptiveLimit:
    """A limit for the calls of several threads. `clock`: monotonic time in seconds."""

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
        return int(self._limit)

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Wait for a free slot for one call, and hold it."""
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
        """Record a finished call.

        `method`: calls are compared with those of the same method. `refused`: whether the server refused it because of
        a rate limit.
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
        """Halve the limit, once for all calls that were in flight together, because they met the same overload."""
        now = self._clock()
        if now - seconds < self._lowered:
            return
        self._limit, self._lowered = max(1.0, self._limit / 2), now
        reason = "the server limits rates" if refused else "calls take much longer than before"
        log.info("fewer calls at a time", extra={"limit": self.limit, "reason": reason})
