"""Deliver what waits in the outbox of each receiver, in the background.

Each receiver has a thread of its own, so that one that is down delays no other. A thread delivers in order, and goes on
to the next notification only when the receiver has accepted one. A process that delivers claims the outbox first:
two at once would change the order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Protocol, TypeAlias

from msgspec import Struct

from reconciler.core.errors import AliasctlError, IntegrationFailed, JournalError
from reconciler.core.model import Connection, Receiver
from reconciler.core.text import counted
from reconciler.credentials import Secrets
from reconciler.journal.outbox import Outbox, Waiting
from reconciler.notify.messages import Message, messages
from reconciler.notify.sending import send

BATCH = 100
"""Notifications that are read at once."""
FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 300.0
BUSY = "another process delivers"
OTHERS_SECONDS = 2.0
"""How soon to look again whether another process still delivers."""
REJECTED = frozenset({400, 413, 422})
"""Answers about the content of a message: it will be answered so each time."""
GIVE_UP_SECONDS = 3600.0
"""After this time a notification that the receiver rejects is dropped, so that it does not block the others."""

Report = Callable[[str], None]


class Queue(Protocol):
    """What waits for one receiver, as `journal.outbox.Outbox` has it. Every method may raise `AliasctlError`."""

    def waiting(self, limit: int) -> list[Waiting]: ...

    def count(self) -> int: ...

    def claim(self) -> bool: ...

    def delivered(self, waiting: Iterable[Waiting]) -> None: ...

    def drop(self, waiting: Iterable[Waiting]) -> None: ...

    def close(self) -> None: ...


OpenQueue: TypeAlias = Callable[[Connection, Receiver], Queue]


def in_journal(path: Path) -> OpenQueue:
    """Return how to open the outbox of a receiver in a journal."""
    return lambda connection, receiver: Outbox(path, connection.address, receiver)


class Left(Struct, frozen=True):
    """How many notifications a receiver has not got yet, and the last problem; empty if there was none."""

    address: str
    receiver: str
    count: int
    problem: str = ""


class Courier:
    """Delivers to the receivers of some connections.

    Args:
        open_queue: returns what waits for a receiver.
        report: takes sentences about what goes wrong; called by several threads.
        secrets: how Kubernetes Secrets are read; None if they cannot be.
    """

    def __init__(self, open_queue: OpenQueue, report: Report, secrets: Secrets | None = None) -> None:
        self._open = open_queue
        self._report = report
        self._secrets = secrets
        self._routes: dict[tuple[str, str, str], _Route] = {}

    def serve(self, connections: Iterable[Connection]) -> None:
        """Deliver to the receivers of these connections, and to no others, from now on."""
        served = {
            (each.namespace, each.address, item.name): (each, item) for each in connections for item in each.notify
        }
        for key, (connection, receiver) in served.items():
            if route := self._routes.get(key):
                route.receiver = receiver
            else:
                self._routes[key] = _Route(connection, receiver, self._open, self._report, self._secrets)
        for key in self._routes.keys() - served.keys():
            self._routes.pop(key).end(time.monotonic())

    def wake(self) -> None:
        """Look for new notifications now."""
        for route in self._routes.values():
            route.wake()

    def close(self, seconds: float) -> list[Left]:
        """Deliver what waits, for at most these seconds, and end. Return what is left, for each receiver."""
        deadline = time.monotonic() + seconds
        for route in self._routes.values():
            route.end(deadline)
        return [route.join(deadline) for route in self._routes.values()]


class _Busy(Exception):
    """Another process delivers to the receiver."""


class _Route:
    """The way to one receiver: a thread that delivers its outbox."""

    def __init__(
        self,
        connection: Connection,
        receiver: Receiver,
        open_queue: OpenQueue,
        report: Report,
        secrets: Secrets | None,
    ) -> None:
        self.receiver = receiver
        self._address = connection.address
        self._namespace = connection.namespace
        self._secrets = secrets
        self._outbox = open_queue(connection, receiver)
        self._report = report
        self._failures = 0
        self._reported = ""
        self._deadline = float("inf")  # until the thread is to end
        self._news, self._ending = Event(), Event()
        self._thread = Thread(target=self._run, name=f"notify {receiver.name}", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        self._news.set()

    def end(self, deadline: float) -> None:
        """Deliver until a deadline of the monotonic clock, and end."""
        self._deadline = deadline
        self._ending.set()
        self._news.set()

    def join(self, deadline: float) -> Left:
        """Wait for the end, and return what is left. The thread may still be in its last delivery."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        try:
            count = self._outbox.count()
        except JournalError as error:
            self._complain(str(error))
            count = 0
        problem = self._reported or ("it has not answered yet" if count else "")
        return Left(self._address, self.receiver.name, count, problem)

    def _run(self) -> None:
        """Deliver whenever there is news; after a failure again after a pause, and once more at the end."""
        while True:
            ending = self._ending.is_set()
            self._news.clear()
            try:
                self._deliver_all()
            except _Busy:
                self._reported = BUSY
                if not self._has_time(OTHERS_SECONDS):
                    return
                time.sleep(OTHERS_SECONDS)
            except (AliasctlError, OSError) as error:
                self._complain(str(error))
                if ending:
                    return
                self._ending.wait(min(FIRST_RETRY_SECONDS * 2.0 ** min(self._failures, 16), LONGEST_RETRY_SECONDS))
                self._failures += 1
            else:
                self._failures, self._reported = 0, ""
                if ending:
                    return
                self._news.wait()

    def _deliver_all(self) -> None:
        """Deliver until nothing waits, or the time is over. Raises `AliasctlError`, or `_Busy`."""
        try:
            while self._has_time() and self._outbox.count():
                if not self._outbox.claim():
                    raise _Busy
                for message in messages(self.receiver, self._outbox.waiting(BATCH)):
                    if self._has_time():
                        self._deliver(message)
        finally:
            self._outbox.close()  # another process may deliver while this one waits

    def _deliver(self, message: Message) -> None:
        """Send a message, and remove it from the outbox once it is accepted. Raises `AliasctlError`."""
        if not message.body:
            self._drop(message.waiting, "cannot be read, or were recorded for another format")
            return
        seconds = self._deadline - time.monotonic()
        answer = send(self.receiver, message, seconds, namespace=self._namespace, secrets=self._secrets)
        if answer.accepted:
            self._outbox.delivered(message.waiting)
        elif answer.status in REJECTED and time.time() - message.waiting[0].time > GIVE_UP_SECONDS:
            self._drop(message.waiting, f"it answers {answer.status}: {answer.text}")
        else:
            raise IntegrationFailed(f'receiver "{self.receiver.name}" answers {answer.status}: {answer.text}')

    def _drop(self, waiting: Sequence[Waiting], reason: str) -> None:
        self._outbox.drop(waiting)
        self._report(f'receiver "{self.receiver.name}": dropped {counted(len(waiting), "notification")}: {reason}')

    def _has_time(self, seconds: float = 0.0) -> bool:
        return self._deadline - time.monotonic() > seconds

    def _complain(self, problem: str) -> None:
        """Report a problem, once while it lasts."""
        if problem != self._reported:
            self._reported = problem
            self._report(problem)
