"""A file to which whole lines are appended, and which is on disk when `append` returns.

Many threads and processes may append. Each append is one `write` under a lock of the whole file, so that lines never
mix; a line that a crash left incomplete is ended first, so that it does not corrupt the next. Written lines survive the
process; to survive the machine they need a sync, which takes milliseconds. One sync serves all threads that have
written before it began, and threads that do not need one do not wait.

Locks are `flock`, which Windows does not have.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Condition, Lock

from reconciler.core.errors import JournalError
from reconciler.files import sync_folder

LOCK_SECONDS = 10.0
"""How long to wait for another process to finish its write, which takes microseconds."""
LOCK_PAUSE = 0.002


class AppendOnly:
    """A file opened for appending; it and its folders are created if they do not exist.

    Raises:
        JournalError: with the path and the reason.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writing = Lock()
        self._turn = Condition()
        self._written = self._synced = 0  # appends so far
        self._syncing = self._broken = False
        self._new = False
        try:
            with suppress(FileExistsError):  # if that is no folder, `open` reports it
                path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        except OSError as error:
            raise self._failure(error.strerror) from error
        if not stat.S_ISREG(os.fstat(self._file).st_mode):
            os.close(self._file)
            raise self._failure("it is not a file")

    def append(self, lines: Sequence[bytes], *, sync: bool = True) -> None:
        """Append lines, each with its line end.

        Args:
            lines: one or more.
            sync: whether they must be on disk on return; otherwise they are after the next append that syncs.

        Raises:
            JournalError: they may not have been written, or may not be on disk.
        """
        with self._writing:
            self._append(b"".join(lines))
            self._written += 1
            mine = self._written
        if sync:
            self._sync(mine)

    def close(self) -> None:
        """Close the file. Further appends are errors."""
        os.close(self._file)

    def _append(self, data: bytes) -> None:
        if self._broken:
            raise self._failure("an earlier write did not reach the disk")
        try:
            with self._locked():
                size = os.fstat(self._file).st_size
                self._new |= size == 0
                torn = size > 0 and os.pread(self._file, 1, size - 1) != b"\n"
                self._write(b"\n" + data if torn else data, size)
        except OSError as error:
            raise self._failure(error.strerror) from error

    def _sync(self, mine: int) -> None:
        """Wait for a sync that began after an append, or make one for all appends so far."""
        with self._turn:
            self._turn.wait_for(lambda: not self._syncing or self._synced >= mine)
            if self._synced >= mine:
                return
            self._syncing, upto = True, self._written
        try:
            if self._broken:
                raise self._failure("an earlier write did not reach the disk")
            os.fsync(self._file)
            if self._new:
                sync_folder(self._path.parent)
                self._new = False
            self._synced = upto
        except OSError as error:
            self._broken = True  # after a failed sync the next one may succeed without the lost data
            raise self._failure(error.strerror) from error
        finally:
            with self._turn:
                self._syncing = False
                self._turn.notify_all()

    def _write(self, data: bytes, size: int) -> None:
        """Write data; retry after a partial write, which reveals the reason, and undo it if that fails."""
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError:
            with suppress(OSError):  # readers skip incomplete lines too
                os.ftruncate(self._file, size)
            raise

    @contextmanager
    def _locked(self) -> Iterator[None]:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise TimeoutError(0, "another process keeps it locked") from error
                time.sleep(LOCK_PAUSE)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _failure(self, reason: str | None) -> JournalError:
        return JournalError(
            f"{self._path}: the journal cannot be written: {reason}; name another file with --journal or "
            "ALIASCTL_JOURNAL"
        )
