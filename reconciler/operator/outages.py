"""Share the failure of an unreachable server among its sets.

A call to a server that hangs takes its whole timeout. So the failure of one set is the result of the others too, until
it is `LASTS_SECONDS` old. Only a set that was edited, and the set that failed, try the server themselves. When the
server responds again, all sets that failed are reconciled.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from msgspec import Struct

from reconciler.core.model import Connection
from reconciler.operator.objects import Ref

LASTS_SECONDS = 10.0
"""How long a failure counts for other sets."""


class _Outage(Struct):
    """The failure of one set at one moment (seconds of the monotonic clock), and the sets that wait for its end."""

    finder: Ref
    message: str
    at: float
    waiting: set[Ref] = set()


class Outages:
    """The unreachable servers, by connection. Used by several threads.

    `wake`: called for each waiting set when its server responds again.
    """

    def __init__(self, wake: Callable[[Ref], None]) -> None:
        self._wake = wake
        self._lock = Lock()
        self._outages: dict[Connection | None, _Outage] = {}

    def found_by_others(self, ref: Ref, connection: Connection | None) -> str | None:
        """Return the recent failure of another set at this server; None if the server should be tried."""
        with self._lock:
            outage = self._outages.get(connection)
            if outage is None or outage.finder == ref or time.monotonic() - outage.at > LASTS_SECONDS:
                return None
            outage.waiting.add(ref)
            return outage.message

    def met(self, ref: Ref, connection: Connection | None, message: str) -> None:
        """Record that a set got no response."""
        with self._lock:
            earlier = self._outages.get(connection)
            waiting = earlier.waiting if earlier else set()
            self._outages[connection] = _Outage(ref, message, time.monotonic(), waiting | {ref})

    def over(self, ref: Ref, connection: Connection | None) -> None:
        """Record that a set got a response, and wake the sets that wait for it."""
        with self._lock:
            outage = self._outages.pop(connection, None)
        for other in outage.waiting - {ref} if outage else ():
            self._wake(other)

    def forget(self, in_use: frozenset[Connection]) -> None:
        """Forget the failures of all connections but these."""
        with self._lock:
            for connection in self._outages.keys() - in_use:
                del self._outages[connection]
