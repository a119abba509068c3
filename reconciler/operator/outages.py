"""A server that does not answer: one set finds out, and the others need not each wait for the same silence.

A call to a server that hangs takes its whole timeout, and only a few sets of a server are looked at at once. So what
one set has just found is the answer for the others too, until it is `LASTS_SECONDS` old; only a set that somebody has
edited asks for itself, and so does the one that found out. When the server answers again, all that were let down look
again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

from reconciler.core.model import Connection
from reconciler.operator.objects import Ref

LASTS_SECONDS = 10.0
"""How long a server that did not answer is taken to be down."""


@dataclass(slots=True)
class _Outage:
    """What one set found at one moment (seconds of the monotonic clock), and which ones wait for the end of it."""

    finder: Ref
    message: str
    at: float
    waiting: set[Ref] = field(default_factory=set)


class Outages:
    """By connection. Used by several threads.

    Args:
        wake: called for each set that waits, when its server answers again.
    """

    def __init__(self, wake: Callable[[Ref], None]) -> None:
        self._wake = wake
        self._lock = Lock()
        self._outages: dict[Connection | None, _Outage] = {}

    def found_by_others(self, ref: Ref, connection: Connection | None) -> str | None:
        """What another set has just met at this server; None if it is to be asked."""
        with self._lock:
            outage = self._outages.get(connection)
            if outage is None or outage.finder == ref or time.monotonic() - outage.at > LASTS_SECONDS:
                return None
            outage.waiting.add(ref)
            return outage.message

    def met(self, ref: Ref, connection: Connection | None, message: str) -> None:
        """A set that asked for itself got no answer."""
        with self._lock:
            earlier = self._outages.get(connection)
            waiting = earlier.waiting if earlier else set()
            self._outages[connection] = _Outage(ref, message, time.monotonic(), waiting | {ref})

    def over(self, ref: Ref, connection: Connection | None) -> None:
        """A set got an answer."""
        with self._lock:
            outage = self._outages.pop(connection, None)
        for other in outage.waiting - {ref} if outage else ():
            self._wake(other)

    def forget(self, in_use: frozenset[Connection]) -> None:
        """Only these connections matter still."""
        with self._lock:
            for connection in self._outages.keys() - in_use:
                del self._outages[connection]
