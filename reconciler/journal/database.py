"""The file of a journal: an SQLite database, which several processes may read and write at the same time.

Every write is a transaction that survives the process when `Writer.write` returns, and the machine too if it is
durable. Writes of several threads that come together share one.

On a local file system it uses a write-ahead log: one sync per durable transaction, none for others, and readers never
wait. Such a log needs memory that all processes share, and two hosts that share a folder would damage the file. So
everywhere else it uses SQLite's rollback journal, which needs locks only. On ext4, in ms per transaction: write-ahead
log 2.0 (durable) and 0.2, rollback journal 10, fsync of a text file 2.5.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar, cast

from reconciler.core.errors import JournalError
from reconciler.files import sync_folder

FORMAT_VERSION = 1
"""Increases when an older aliasctl would misread or damage the file."""
APPLICATION_ID = 0x616C6961
"""Marks the file as a journal: "alia"."""
BUSY_SECONDS = 10.0
"""How long to wait for other processes, which lock the file for milliseconds."""
LOCAL = frozenset({"btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs"})
"""File systems of which only one host can have a file open."""
INSTEAD = "name another file with --journal or ALIASCTL_JOURNAL"
SCHEMA = """
CREATE TABLE run (
  position INTEGER PRIMARY KEY,         -- the newest run has the largest
  id TEXT NOT NULL UNIQUE,
  ended INTEGER NOT NULL DEFAULT 0,
  changed INTEGER NOT NULL DEFAULT 0,   -- a call was made, or was about to be
  last REAL NOT NULL,                   -- time of its newest entry, in seconds since 1970
  finding TEXT                          -- digest of what it found, if it changed nothing
);
CREATE TABLE entry (
  number INTEGER PRIMARY KEY,
  run TEXT NOT NULL,
  event TEXT NOT NULL,
  address TEXT, database TEXT, set_key TEXT, alias TEXT, current TEXT, desired TEXT,
  outcome TEXT,
  concern INTEGER,                      -- 1: its alias is to be verified, 2: its move is or will be reverted
  text TEXT NOT NULL,
  checksum INTEGER NOT NULL             -- CRC-32 of the text
);
CREATE TABLE pruning (time REAL NOT NULL);
CREATE INDEX run_open ON run (id) WHERE NOT ended;
CREATE INDEX run_changed ON run (position) WHERE changed;
CREATE INDEX run_finding ON run (finding) WHERE finding IS NOT NULL;
CREATE INDEX entry_run ON entry (run, alias);
CREATE INDEX entry_alias ON entry (alias, address, database) WHERE alias IS NOT NULL;
CREATE INDEX entry_made ON entry (alias, address, database, desired) WHERE outcome IN ('done', 'noop');
CREATE INDEX entry_concern ON entry (alias, address, database) WHERE concern IS NOT NULL;
"""
DAMAGED = "it is damaged; restore a copy, or move it away to start an empty one"
_INTEGER, _TEXT, _TIME, _NULL = (int,), (str,), (int, float), (type(None),)
_TYPES: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("position", "number", "count(*)"), _INTEGER),
    **dict.fromkeys(("id", "run"), _TEXT),
    **dict.fromkeys(("address", "database", "set_key", "alias", "current", "desired"), _TEXT + _NULL),
    "concern": _INTEGER + _NULL,
    "time": _TIME,
    "min(last)": _TIME + _NULL,
}
"""Types of the columns that are used as they are. SQLite does not check them in a damaged file."""
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_CANNOT_WRITE = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY}
_NO_SPACE = "No space left on device"
_REASONS = {
    sqlite3.SQLITE_BUSY: f"another process has had it locked for {BUSY_SECONDS:g} s (fuser FILE shows which); end that "
    "process, or try again",
    sqlite3.SQLITE_FULL: _NO_SPACE,
    sqlite3.SQLITE_IOERR_SHMSIZE: _NO_SPACE,
    sqlite3.SQLITE_READONLY: "the file or its folder is read-only",
    sqlite3.SQLITE_CANTOPEN: "Permission denied, or its folder cannot be written",
    sqlite3.SQLITE_CORRUPT: DAMAGED,
}

Found = TypeVar("Found")


class Malformed(sqlite3.DatabaseError):
    """Raised for rows that no journal has, although SQLite can read them."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


class NotADatabase(Exception):
    """The file is not an SQLite database; it may be a text journal of an earlier version."""


def reading(path: Path) -> sqlite3.Connection | None:
    """Open a journal to read it, without a lock between two queries. None if there is no file.

    Raises:
        JournalError: it is not a journal that this version reads.
        NotADatabase: see there.
    """
    with failing(path, "read"):
        if not _exists(path):
            return None
        try:
            return _opened_to_read(path, "mode=rw")
        except sqlite3.OperationalError as error:
            logs = [path.with_name(path.name + suffix) for suffix in ("-wal", "-journal")]
            in_use = any(log.exists() and log.stat().st_size for log in logs)
            if in_use or primary_code(error) not in _CANNOT_WRITE:
                raise
            return _opened_to_read(path, "immutable=1")  # a log cannot be made, not even to read


def looking(path: Path) -> sqlite3.Connection | None:
    """Open a journal for one quick look that creates no file, and waits for and blocks no other process.

    Returns and raises as `reading`. What a log has is seen only if it can be read so.
    """
    with failing(path, "read"):
        if not _exists(path):
            return None
        if path.with_name(path.name + "-wal").exists():  # a reader of a log blocks nobody
            with suppress(sqlite3.OperationalError):
                return _opened_to_read(path, "mode=ro")
        return _opened_to_read(path, "immutable=1")


def _opened_to_read(path: Path, mode: str) -> sqlite3.Connection | None:
    connection = _connect(path, mode)
    with _closed_on_error(connection):
        connection.execute("PRAGMA query_only = 1")
        if _format_of(connection, path):
            return connection
    connection.close()
    return None


def rows(connection: sqlite3.Connection, query: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
    """Return all rows of a query at once: the file is locked while it is read. Raises `sqlite3.Error`."""
    cursor = connection.execute(query, values)
    types = [_TYPES.get(column[0]) for column in cursor.description]
    found = cursor.fetchall()
    for place, expected in enumerate(types):
        if expected and not all(isinstance(row[place], expected) for row in found):
            raise Malformed(f"a value of {cursor.description[place][0]} has the wrong type")
    return found


class Writer:
    """A journal that is open to be written, by several threads. It and its folder are created if they do not exist.

    Args:
        path: the file.

    Raises:
        JournalError: with the path and the reason.
        NotADatabase: see there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queueing, self._writing = Lock(), Lock()
        self._queue: list[_Queued] = []
        self._broken = False
        with failing(path, "written", INSTEAD):
            created = _create(path)
            self._connection = _connect(path, "mode=rw")
            with _closed_on_error(self._connection):
                found = _format_of(self._connection, path)
                self._has_log = _use_log(self._connection, path)
                if not found:
                    with _transaction(self._connection):
                        _create_tables(self._connection)
            if created:
                with suppress(OSError):  # not all file systems can
                    sync_folder(path.parent)

    def write(self, change: Callable[[sqlite3.Connection], Found], *, durable: bool = True) -> Found:
        """Make a change and return its result.

        Args:
            change: is made in a transaction, perhaps with those that other threads queued before.
            durable: whether it must be on the disk on return; otherwise it is after the next durable change.

        Raises:
            JournalError: the change may not be written.
        """
        queued = _Queued(change, durable)
        with self._queueing:
            self._queue.append(queued)
        with self._writing:
            if not queued.done:
                with self._queueing:
                    batch, self._queue = self._queue, []
                self._write(batch)
        if queued.error:
            raise queued.error
        return cast("Found", queued.result)

    def _write(self, batch: list[_Queued]) -> None:
        """Make queued changes; an error is raised by each thread whose change was not made."""
        error: BaseException | None = None
        try:
            with failing(self._path, "written", INSTEAD):
                self._make(batch)
        except BaseException as failure:  # noqa: BLE001 - see above
            error = failure
            cause = failure.__cause__  # after a failed sync the next one may succeed without the lost data
            self._broken |= isinstance(cause, sqlite3.Error) and primary_code(cause) == sqlite3.SQLITE_IOERR
        for queued in batch:
            queued.done, queued.error = True, error

    def _make(self, batch: list[_Queued]) -> None:
        """Make changes in one transaction, all or none."""
        if self._broken:
            raise OSError(0, "an earlier write did not reach the disk")
        durable = not self._has_log or any(queued.durable for queued in batch)
        self._connection.execute(f"PRAGMA synchronous = {'EXTRA' if durable else 'NORMAL'}")
        with _transaction(self._connection):
            for queued in batch:
                queued.result = queued.change(self._connection)

    def check(self) -> None:
        """Compare the indexes with the tables, 10 ms per 1,000 runs (measured): what they lack would be forgotten.

        SQLite itself notices pages that are no pages, but not one that was replaced by another page of the file.

        Raises:
            JournalError: the file is damaged.
        """
        with failing(self._path, "written", INSTEAD):
            ((finding,),) = self._connection.execute("PRAGMA integrity_check(1)").fetchall()
            if finding != "ok":
                raise Malformed(finding)

    def compact(self) -> None:
        """Return free space to the file system. Raises `JournalError`."""
        with failing(self._path, "compacted"):
            self._connection.execute("VACUUM")

    def close(self) -> None:
        """Close the file. Further writes are errors."""
        self._connection.close()


class _Queued:
    """A change that waits to be written."""

    def __init__(self, change: Callable[[sqlite3.Connection], object], durable: bool) -> None:
        self.change = change
        self.durable = durable
        self.result: object = None
        self.done = False
        self.error: BaseException | None = None


@contextmanager
def failing(path: Path, action: str, instead: str = "") -> Iterator[None]:
    """Raise `JournalError` for errors of SQLite and the system: that the journal cannot be read, or written."""
    try:
        yield
    except sqlite3.Error as error:
        if primary_code(error) == sqlite3.SQLITE_NOTADB:
            raise NotADatabase from error
        code = getattr(error, "sqlite_errorcode", 0)
        reason = _REASONS.get(code) or _REASONS.get(primary_code(error), str(error))
        raise _failure(path, action, reason, instead) from error
    except OSError as error:
        raise _failure(path, action, error.strerror or str(error), instead) from error


def primary_code(error: sqlite3.Error) -> int:
    """Return SQLite's code of an error, without its details."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _failure(path: Path, action: str, reason: str, instead: str) -> JournalError:
    return JournalError(f"{path}: the journal cannot be {action}: {reason}" + (f"; {instead}" if instead else ""))


def _exists(path: Path) -> bool:
    """Return whether a file exists. Raises `OSError` for what cannot be a journal, without opening it."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    for is_kind, kind in _KINDS:
        if is_kind(mode):
            raise OSError(0, f"it is {kind}, not a file")
    return True


def _create(path: Path) -> bool:
    """Create the file, for its owner only, and its folder. Return whether it was created."""
    if _exists(path):
        return False
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        if not path.exists():
            raise OSError(0, "it is a symbolic link to a file that does not exist") from None
        return False  # another process was faster
    return True


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    """Open an existing file.

    The file is opened by nothing else: closing it would drop all locks that this process has on it (POSIX).
    """
    address = f"{path.absolute().as_uri()}?{mode}"
    connection = sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA trusted_schema = 0")  # who may write the file may not have it run functions
    connection.text_factory = lambda data: data.decode(errors="replace")  # damaged text must not be an error
    return connection


def _use_log(connection: sqlite3.Connection, path: Path) -> bool:
    """Use a write-ahead log where that is safe, otherwise the rollback journal; return which."""
    if not _is_local(path):
        connection.execute("PRAGMA journal_mode = TRUNCATE")
        return False
    with suppress(sqlite3.OperationalError):  # another process uses the file: the next one will
        connection.execute("PRAGMA journal_mode = WAL")
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    return bool(mode == "wal")


def _is_local(path: Path) -> bool:
    """Return whether only processes of this host can use a file; False if that is not known."""
    device = path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    with suppress(OSError):  # without Linux's `/proc`
        for line in Path("/proc/self/mountinfo").read_text(errors="replace").splitlines():
            mount, _, file_system = line.partition(" - ")
            if mount.split()[2] == number:
                return file_system.split()[0] in LOCAL
    return False


@contextmanager
def _closed_on_error(connection: sqlite3.Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


def _format_of(connection: sqlite3.Connection, path: Path) -> int:
    """Return the format version of a journal; 0 if it is empty. Raises `JournalError` if it is not ours to use."""
    connection.execute("BEGIN")  # of one moment: another process may create the tables now
    try:
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (views,) = connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'view'").fetchone()
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    finally:
        connection.execute("ROLLBACK")
    if views or (application != APPLICATION_ID and (application or version or tables)):  # a view may never end
        raise JournalError(f"{path}: is the database of another program, not a journal; {INSTEAD}")
    if version > FORMAT_VERSION:
        raise JournalError(
            f"{path}: the journal has format {version} of a newer aliasctl, this one uses {FORMAT_VERSION}: "
            f"upgrade aliasctl, or {INSTEAD}"
        )
    return int(version)


def _create_tables(connection: sqlite3.Connection) -> None:
    if connection.execute("PRAGMA user_version").fetchone() == (0,):  # no other process was faster
        for statement in SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise
