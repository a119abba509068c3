"""Notifications that wait for their delivery, in the journal: recorded in the transaction of their cause.

Each receiver has its own rows, in the order in which they are to be delivered, so that one that is down delays no
other. A row is removed once its receiver has accepted it. Per receiver at most `MAX_WAITING` rows wait, and none longer
than `MAX_AGE`; what is dropped is counted and logged.

The tables are created by the first run that notifies somebody. Journals of other runs do not have them, and older
versions ignore them.
"""

from __future__ import annotations

import logging
import os
import socket
import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeVar

from msgspec import Struct

from reconciler.core import json_strict
from reconciler.core.model import Receiver
from reconciler.core.notifications import Notification, StatusState
from reconciler.core.text import counted
from reconciler.documents.codec import decode, encode
from reconciler.journal.database import Writer, failing, reading
from reconciler.journal.past_run import is_alive

MAX_WAITING = 10_000
MAX_AGE = 7 * 86_400.0
"""Seconds."""
CLAIM_SECONDS = 90.0
"""How long a process may deliver to a receiver without a sign of life; longer than one delivery may take."""
TABLES = """
CREATE TABLE IF NOT EXISTS outbox (
  number INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order of delivery
  address TEXT NOT NULL,
  receiver TEXT NOT NULL,
  time REAL NOT NULL,                        -- seconds since 1970
  kind TEXT NOT NULL,                        -- event, or status (of a commit)
  text TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS outbox_receiver ON outbox (address, receiver, number);
CREATE TABLE IF NOT EXISTS notified (        -- what was last reported of aliases that are not as desired
  address TEXT NOT NULL, database TEXT NOT NULL, alias TEXT NOT NULL,
  set_key TEXT NOT NULL,
  text TEXT NOT NULL,
  PRIMARY KEY (address, database, alias)
);
CREATE TABLE IF NOT EXISTS receiver (
  address TEXT NOT NULL, name TEXT NOT NULL,
  dropped INTEGER NOT NULL DEFAULT 0,        -- notifications that were never delivered
  status TEXT NOT NULL DEFAULT '',           -- the status of a commit that was last reported
  owner TEXT NOT NULL DEFAULT '',            -- the process that delivers
  owned REAL NOT NULL DEFAULT 0,             -- its last sign of life
  PRIMARY KEY (address, name)
);
"""
OF_RECEIVER = "FROM outbox WHERE address = ? AND receiver = ?"

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")


def create_tables(connection: sqlite3.Connection) -> None:
    """Create the tables of notifications, if the journal does not have them."""
    for statement in TABLES.split(";"):
        connection.execute(statement)


def put(connection: sqlite3.Connection, address: str, receiver: Receiver, kind: str, text: str) -> None:
    """Put a notification into the outbox, and drop what exceeds its bounds."""
    key, moment = (address, receiver.name), time.time()
    connection.execute(
        "INSERT INTO outbox (address, receiver, time, kind, text) VALUES (?, ?, ?, ?, ?)", (*key, moment, kind, text)
    )
    first = connection.execute(f"SELECT number, time {OF_RECEIVER} ORDER BY number LIMIT 1", key).fetchone()
    excess = connection.execute(
        f"SELECT number {OF_RECEIVER} ORDER BY number DESC LIMIT 1 OFFSET ?", (*key, MAX_WAITING)
    ).fetchone()
    if excess or first[1] < moment - MAX_AGE:
        dropped = connection.execute(
            f"DELETE {OF_RECEIVER} AND (number <= ? OR time < ?)", (*key, excess[0] if excess else 0, moment - MAX_AGE)
        ).rowcount
        _count_dropped(connection, key, dropped)
        log.warning(
            f'dropped {counted(dropped, "notification")} for receiver "{receiver.name}": not delivered for '
            f"{MAX_AGE / 86_400:.0f} days, or more than {MAX_WAITING:,} wait"
        )


def _count_dropped(connection: sqlite3.Connection, key: tuple[str, str], dropped: int) -> None:
    connection.execute(
        "INSERT INTO receiver (address, name, dropped) VALUES (?, ?, ?) ON CONFLICT (address, name) DO UPDATE SET "
        "dropped = dropped + excluded.dropped",
        (*key, dropped),
    )


def record_status(path: Path, address: str, receiver: Receiver, status: StatusState, reason: str) -> None:
    """Record the status of a commit, unless one with this reason was the last. Raises `JournalError`."""
    reported = json_strict.dumps([status.commit, status.state, reason])

    def change(connection: sqlite3.Connection) -> None:
        create_tables(connection)
        known = connection.execute(
            "SELECT status FROM receiver WHERE address = ? AND name = ?", (address, receiver.name)
        ).fetchone()
        if known == (reported,):
            return
        connection.execute(
            "INSERT INTO receiver (address, name, status) VALUES (?, ?, ?) ON CONFLICT (address, name) DO UPDATE SET "
            "status = excluded.status",
            (address, receiver.name, reported),
        )
        put(connection, address, receiver, "status", json_strict.dumps(encode(status)))

    with closing(Writer(path)) as writer:
        writer.write(change)


class Waiting(Struct, frozen=True):
    """A notification that waits.

    Args:
        number: its place in the order.
        time: when it was recorded, in seconds since 1970.
        content: None if it is damaged.
    """

    number: int
    time: float
    content: Notification | StatusState | None


class Outbox:
    """The outbox of one receiver, for the process that delivers. May be used by one thread at a time.

    Args:
        path: the journal, which must exist.
        address: of the Milvus server.
        receiver: whose outbox it is.
    """

    def __init__(self, path: Path, address: str, receiver: Receiver) -> None:
        self._path = path
        self._key = (address, receiver.name)
        self._owner = f"{socket.gethostname()} {os.getpid()} {token_hex(4)}"
        self._writer: Writer | None = None

    def waiting(self, limit: int) -> list[Waiting]:
        """Return the oldest notifications that wait. Raises `JournalError`."""
        found = self._read(f"SELECT number, time, kind, text {OF_RECEIVER} ORDER BY number LIMIT ?", limit)
        return [Waiting(int(number), float(time), _content(kind, text)) for number, time, kind, text in found]

    def count(self) -> int:
        """Return how many notifications wait. Raises `JournalError`."""
        found = self._read(f"SELECT count(*) {OF_RECEIVER}")
        return int(found[0][0]) if found else 0

    def claim(self) -> bool:
        """Return whether this process delivers; False while another one does. Raises `JournalError`.

        Two that deliver at once would change the order.
        """

        def change(connection: sqlite3.Connection) -> bool:
            create_tables(connection)
            found = connection.execute("SELECT owner, owned FROM receiver WHERE address = ? AND name = ?", self._key)
            owner, owned = found.fetchone() or ("", 0.0)
            if owner not in ("", self._owner) and time.time() - owned < CLAIM_SECONDS and not _is_gone(owner, owned):
                return False
            self._own(connection, self._owner)
            return True

        return self._write(change)

    def delivered(self, waiting: Iterable[Waiting]) -> None:
        """Remove what was delivered, and keep the claim. Raises `JournalError`."""
        self._remove(waiting, dropped=False)

    def drop(self, waiting: Iterable[Waiting]) -> None:
        """Remove and count what is not delivered, and keep the claim. Raises `JournalError`."""
        self._remove(waiting, dropped=True)

    def _remove(self, waiting: Iterable[Waiting], *, dropped: bool) -> None:
        numbers = [(item.number,) for item in waiting]

        def change(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM outbox WHERE number = ?", numbers)
            self._own(connection, self._owner)
            if dropped:
                _count_dropped(connection, self._key, len(numbers))

        self._write(change)

    def close(self) -> None:
        """Give the claim back. Raises `JournalError`."""
        if self._writer is None:
            return

        def change(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE receiver SET owner = '' WHERE address = ? AND name = ? AND owner = ?", (*self._key, self._owner)
            )

        try:
            self._write(change)
        finally:
            self._writer.close()
            self._writer = None

    def _own(self, connection: sqlite3.Connection, owner: str) -> None:
        connection.execute(
            "INSERT INTO receiver (address, name, owner, owned) VALUES (?, ?, ?, ?) ON CONFLICT (address, name) DO "
            "UPDATE SET owner = excluded.owner, owned = excluded.owned",
            (*self._key, owner, time.time()),
        )

    def _write(self, change: Callable[[sqlite3.Connection], _Result]) -> _Result:
        self._writer = self._writer or Writer(self._path)
        return self._writer.write(change, durable=False)

    def _read(self, query: str, *values: object) -> list[Any]:
        connection = reading(self._path)
        if connection is None:
            return []
        with failing(self._path, "read"), closing(connection):
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'outbox'").fetchone():
                return []
            return connection.execute(query, (*self._key, *values)).fetchall()


def _content(kind: object, text: object) -> Notification | StatusState | None:
    """Return what waits; None if it is damaged."""
    try:
        document = json_strict.loads(str(text).encode())
        if kind == "status":
            return decode(document, StatusState, lenient=True)
        return decode(document, Notification, lenient=True)
    except ValueError:
        return None


def _is_gone(owner: str, owned: float) -> bool:
    """Return whether a process of this host that claimed an outbox does not exist any more."""
    host, _, rest = owner.partition(" ")
    pid = rest.partition(" ")[0]
    if host != socket.gethostname() or not pid.isdecimal():
        return False
    return not is_alive(int(pid), datetime.fromtimestamp(owned, UTC))
