"""Send samples, or what waits, to receivers, and report what came back: `aliasctl notify`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from reconciler.core.errors import AliasctlError
from reconciler.core.model import Connection, Receiver
from reconciler.journal.outbox import Outbox
from reconciler.notify.courier import Courier, in_journal
from reconciler.notify.messages import sample
from reconciler.notify.report import ReceiverReport
from reconciler.notify.sending import send


def send_samples(connections: Iterable[Connection]) -> Iterator[ReceiverReport]:
    """Send a sample to each receiver, and yield what it answered. A sample is about no alias."""
    for connection in connections:
        for receiver in connection.notify:
            try:
                answer = send(receiver, sample(receiver))
            except AliasctlError as error:
                yield _report(connection, receiver, ok=False, detail=str(error))
            else:
                detail = f"{answer.status} {answer.text}".strip()
                yield _report(connection, receiver, ok=answer.accepted, detail=detail)


def deliver_now(path: Path, connections: Iterable[Connection], seconds: float) -> Iterator[ReceiverReport]:
    """Deliver what waits, for at most these seconds, and yield how that went for each receiver."""
    connections = [connection for connection in connections if connection.notify]
    before = {
        (connection.address, receiver.name): Outbox(path, connection.address, receiver).count()
        for connection in connections
        for receiver in connection.notify
    }
    courier = Courier(in_journal(path), lambda _: None)
    courier.serve(connections)
    left = {(item.address, item.receiver): item for item in courier.close(seconds)}
    for connection in connections:
        for receiver in connection.notify:
            item = left[connection.address, receiver.name]
            delivered = max(0, before[connection.address, receiver.name] - item.count)
            yield _report(
                connection,
                receiver,
                ok=not item.count,
                detail=item.problem,
                delivered=delivered,
                waiting=item.count,
            )


def _report(
    connection: Connection, receiver: Receiver, *, ok: bool, detail: str, delivered: int = 0, waiting: int = 0
) -> ReceiverReport:
    return ReceiverReport(connection.name, receiver.name, receiver.format, ok, detail, delivered, waiting)
