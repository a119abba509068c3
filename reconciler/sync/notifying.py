"""The notifications of the agent: of what it plans and does, and the status of the commit that it follows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from secrets import token_hex
from typing import TYPE_CHECKING

import structlog

from reconciler.core.errors import AliasctlError
from reconciler.core.model import AliasSet, Connection, Target
from reconciler.core.plan import Plan
from reconciler.core.reasons import MEANINGS, Ready, Reason
from reconciler.documents.timestamps import now
from reconciler.journal import Journal, Origins

if TYPE_CHECKING:
    from reconciler.notify.courier import Courier

END_SECONDS = 5.0
"""How long the end of the agent may wait for receivers that answer slowly."""

log = structlog.get_logger()


class Notifications:
    """Records and delivers the notifications of an agent; without receivers it does, and imports, nothing.

    Args:
        journal: whose outbox is used.
        connections: returns those of the agent. Raises `AliasctlError`: they cannot be read.
    """

    def __init__(self, journal: Journal, connections: Callable[[], Iterable[Connection]]) -> None:
        self._journal = journal
        self._read = connections
        self._connections: tuple[Connection, ...] = ()
        self._courier: Courier | None = None

    def refresh(self) -> None:
        """Read the receivers again, and deliver to them; those that cannot be read stay as they are."""
        try:
            self._connections = tuple(connection for connection in self._read() if connection.notify)
        except AliasctlError:
            return  # each reconcile reports it
        if self._connections and self._courier is None:
            from reconciler.notify.courier import Courier, in_journal

            def report(problem: str) -> None:
                log.warning("notifications", problem=problem)

            self._courier = Courier(in_journal(self._journal.path), report)
        if self._courier:
            self._courier.serve(self._connections)

    def planned(
        self, plan: Plan, origins: Origins, sets: Sequence[AliasSet], drifted: Collection[tuple[Target, str]]
    ) -> None:
        """Record what follows from a plan. Raises `JournalError`."""
        self._journal.notify(plan, origins, sets=sets, drifted=drifted)
        self.wake()

    def commit(self, commit: str, reason: Reason, message: str) -> None:
        """Record the status of a commit. Raises `JournalError`."""
        receivers = [
            (connection.address, receiver)
            for connection in self._connections
            for receiver in connection.notify
            if receiver.format.is_status
        ]
        if not receivers:
            return
        from reconciler.core.notifications import StatusState
        from reconciler.journal.outbox import record_status

        description = f"{reason}: {message}" if message else str(reason)
        status = StatusState(token_hex(16), now(), commit, _state(reason), description)
        for address, receiver in receivers:
            record_status(self._journal.path, address, receiver, status, reason)
        self.wake()

    def wake(self) -> None:
        """Deliver what was recorded."""
        if self._courier:
            self._courier.wake()

    def close(self) -> None:
        """Deliver what waits, for a moment; the next process delivers the rest."""
        if self._courier:
            for left in self._courier.close(END_SECONDS):
                if left.count:
                    log.warning("notifications are not delivered yet", receiver=left.receiver, count=left.count)


def _state(reason: Reason) -> str:
    """Return the state of a commit: that of `Ready`, and a failure only where nothing is retried."""
    meaning = MEANINGS[reason]
    if meaning.ready is Ready.TRUE:
        return "success"
    return "failure" if meaning.stalled else "pending"
