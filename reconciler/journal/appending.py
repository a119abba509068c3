"""A file that grows by whole lines, and is on the disk when it says so.

Many threads and processes may append. Each append is one `write` under a lock of the whole file, so that lines never
mix; a line that a crash left torn is ended first, so that it spoils no other. Syncing takes milliseconds: threads that
come while a sync is running are written and synced together by one of them.

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
from threading import Condition

from reconciler.errors import JournalError

LOCK_SECONDS = 10.0
"""How long to wait for another process to finish its write, which takes microseconds."""
LOCK_PAUSE = 0.002


class AppendOnly:
    """Opens a file for appending, and makes it and its folders where they do not exist.

    Raises:
        JournalError: with the path and the reason.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = Condition()
        self._waiting: list[_Batch] = []
        self._busy = False
        self._broken = False
        try:
            with suppress(FileExistsError):  # and if that is no folder, `open` says so
                path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        except OSError as error:
            raise self._failure(error.strerror) from error
        if not stat.S_ISREG(os.fstat(self._file).st_mode):
            os.close(self._file)
            raise self._failure("it is not a file")

    def append(self, lines: Sequence[bytes]) -> None:
        """Append lines, each with its end; they are on the disk, with the lines of other threads, on return.

        Raises:
            JournalError: they may not be on the disk.
        """
        mine = _Batch(lines)
        if batches := self._wait_for_turn(mine):
            self._commit(batches)
        if mine.error:
            raise mine.error

    def close(self) -> None:
        """Further appends are errors."""
        os.close(self._file)

    def _wait_for_turn(self, mine: _Batch) -> list[_Batch]:
        """Wait until another thread has committed these lines, or it is for this one to commit all that wait."""
        with self._turn:
            self._waiting.append(mine)
            while self._busy and not mine.done:
                self._turn.wait()
            if mine.done:
                return []
            self._busy = True
            batches, self._waiting = self._waiting, []
            return batches

    def _commit(self, batches: Sequence[_Batch]) -> None:
        """Write and sync for everybody who waits."""
        error: JournalError | None = self._failure("the writer was interrupted")
        try:
            error = self._write_and_sync(b"".join(line for batch in batches for line in batch.lines))
        finally:
            with self._turn:
                for batch in batches:
                    batch.done, batch.error = True, error
                self._busy = False
                self._turn.notify_all()

    def _write_and_sync(self, data: bytes) -> JournalError | None:
        if self._broken:
            return self._failure("an earlier write did not reach the disk")
        try:
            with self._locked():
                size = os.fstat(self._file).st_size
                torn = size > 0 and os.pread(self._file, 1, size - 1) != b"\n"
                self._write(b"\n" + data if torn else data)
        except OSError as error:
            return self._failure(error.strerror)
        try:
            os.fsync(self._file)
            if size == 0:
                _sync_folder(self._path.parent)
        except OSError as error:
            self._broken = True  # after a failed sync the next one may succeed without the lost data
            return self._failure(error.strerror)
        return None

    def _write(self, data: bytes) -> None:
        """One write; what a full disk cuts off is tried once more, for the reason."""
        while data:
            data = data[os.write(self._file, data) :]

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


class _Batch:
    """The lines of one thread on their way to the disk."""

    __slots__ = ("done", "error", "lines")

    def __init__(self, lines: Sequence[bytes]) -> None:
        self.lines = lines
        self.done = False
        self.error: JournalError | None = None


def _sync_folder(folder: Path) -> None:
    """A new file is safe when its folder's entry is."""
    entry = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(entry)
    finally:
        os.close(entry)
