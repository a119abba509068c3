"""Deliver the notifications that wait in the status of the sets, in the background."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from threading import Lock
from typing import TYPE_CHECKING

import structlog

from reconciler.core.errors import InvalidInput
from reconciler.core.model import Connection, Receiver
from reconciler.core.text import counted
from reconciler.operator.clients import Secrets
from reconciler.operator.objects import ConnectionObject, Ref
from reconciler.operator.publisher import Publisher
from reconciler.operator.world import View, World

if TYPE_CHECKING:
    from reconciler.journal.outbox import Waiting
    from reconciler.notify.courier import Courier

log = structlog.get_logger()


class Notifier:
    """Delivers to the receivers of all connections; without receivers it does, and imports, nothing. Thread-safe.

    Args:
        world: has the sets and their connections.
        publisher: writes their status.
        secrets: of the receivers.
        may_deliver: whether this process holds the Lease.
    """

    def __init__(self, world: World, publisher: Publisher, secrets: Secrets, may_deliver: Callable[[], bool]) -> None:
        self._world = world
        self._publisher = publisher
        self._secrets = secrets
        self._may_deliver = may_deliver
        self._lock = Lock()
        self._view: View | None = None
        self._courier: Courier | None = None

    def reconciled(self) -> None:
        """Deliver what a set has by now, to the receivers that there are by now."""
        view = self._world.view()
        with self._lock:
            if view is not self._view:
                self._view = view
                self._serve([each for each in map(_connection, view.connections.values()) if each and each.notify])
        if self._courier:
            self._courier.wake()

    def close(self, seconds: float) -> None:
        """Deliver what waits, for at most these seconds; the next process delivers the rest."""
        if self._courier:
            for left in self._courier.close(seconds):
                if left.count:
                    log.warning("notifications are not delivered yet", receiver=left.receiver, count=left.count)

    def _serve(self, connections: Sequence[Connection]) -> None:
        if connections and self._courier is None:
            from reconciler.notify.courier import Courier

            def report(problem: str) -> None:
                log.warning("notifications", problem=problem)

            self._courier = Courier(self._outbox, report, self._secrets.value)
        if self._courier:
            self._courier.serve(connections)

    def _outbox(self, connection: Connection, receiver: Receiver) -> _StatusOutbox:
        return _StatusOutbox(connection, receiver, self._publisher, self._may_deliver)


def _connection(connection_object: ConnectionObject) -> Connection | None:
    """Return what is needed of a connection to deliver, whether a set uses it or not; None if it is invalid."""
    spec = connection_object.spec
    if isinstance(spec, InvalidInput):
        return None
    return Connection(spec.name, spec.uri, spec.address, namespace=spec.namespace, notify=spec.notify)


class _StatusOutbox:
    """What waits for one receiver in the status of the sets of its namespace. For one thread at a time."""

    def __init__(
        self,
        connection: Connection,
        receiver: Receiver,
        publisher: Publisher,
        may_deliver: Callable[[], bool],
    ) -> None:
        self._namespace, self._address, self._receiver = connection.namespace, connection.address, receiver.name
        self._publisher = publisher
        self._may_deliver = may_deliver
        self._delivered: dict[str, set[str]] = {}  # by set: IDs of entries that are not delivered as a whole yet

    def waiting(self, limit: int) -> list[Waiting]:
        """Return the oldest notifications that wait."""
        from reconciler.journal.outbox import Waiting
        from reconciler.operator.notifications import waiting

        found = []
        for set_object in self._publisher.with_notifications(self._namespace):
            delivered = self._delivered.get(str(set_object.ref), set())
            for number, content in waiting(set_object, self._address, self._receiver):
                if content.id not in delivered:
                    found.append(Waiting(number, datetime.fromisoformat(content.time).timestamp(), content))
        return sorted(found, key=lambda item: item.number)[:limit]

    def count(self) -> int:
        """Return how many notifications wait. Raises `ClusterError`: what was delivered cannot be removed."""
        self._remove_delivered()
        return len(self.waiting(10**9))

    def claim(self) -> bool:
        """Return whether this process delivers: it holds the Lease."""
        return self._may_deliver()

    def delivered(self, waiting: Iterable[Waiting]) -> None:
        """Remove what was delivered, once all aliases of an entry are. Raises `ClusterError`."""
        from reconciler.core.notifications import Notification

        for item in waiting:
            if isinstance(item.content, Notification):
                self._delivered.setdefault(item.content.set, set()).add(item.content.id)
        self._remove_delivered()

    def drop(self, waiting: Iterable[Waiting]) -> None:
        """Remove what is not delivered. Raises `ClusterError`."""
        dropped = list(waiting)
        self.delivered(dropped)
        log.warning("notifications dropped", receiver=self._receiver, count=counted(len(dropped), "notification"))

    def close(self) -> None:
        """Do nothing: the Lease is the claim."""

    def _remove_delivered(self) -> None:
        for name in list(self._delivered):
            ref, ids = Ref(*name.split("/")), self._delivered[name]
            self._publisher.notified(ref, self._address, self._receiver, ids.__contains__)
            self._forget(name)

    def _forget(self, name: str) -> None:
        """Forget the IDs of what the status does not have any more."""
        from reconciler.operator.notifications import waiting

        left = {
            content.id
            for set_object in self._publisher.with_notifications(self._namespace)
            if str(set_object.ref) == name
            for _, content in waiting(set_object, self._address, self._receiver)
        }
        self._delivered[name] &= left
        if not self._delivered[name]:
            del self._delivered[name]
