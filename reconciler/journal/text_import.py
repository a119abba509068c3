"""Import the text journal of an earlier version, which had one entry per line.

It happens once, at the first use of a journal: of a file that is a text journal, which is then replaced and kept as
`FILE.backup`, or of `NAME.jsonl` beside a `NAME.db` that does not exist yet, which is left where it is.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from reconciler.core.errors import JournalError
from reconciler.core.text import counted
from reconciler.journal.database import BUSY_SECONDS, INSTEAD, Writer
from reconciler.journal.entries import MAX_BYTES, RunEnded, entry_of
from reconciler.journal.recording import count_repetition, record

PAUSE = 0.01
DATABASE_HEAD = b"SQLite format 3\0"

log = logging.getLogger(__name__)


def import_beside(path: Path) -> None:
    """Import `NAME.jsonl` into a journal `NAME.db` that does not exist yet. Raises `JournalError`."""
    if path.suffix == ".db" and not path.exists():
        text = path.with_suffix(".jsonl")
        if text.is_file() and text.stat().st_size:
            _import(text, path)


def import_in_place(path: Path) -> None:
    """Replace a text journal by a database with its entries. Raises `JournalError`."""
    _import(path, path)


def _import(text: Path, path: Path) -> None:
    new = path.with_name(f".{path.name}.{token_hex(4)}")
    try:
        with text.open("rb") as file, _locked(file):
            if _is_imported(text, path, file):
                return
            imported, left_out = _fill(new, file)
            if not imported:
                raise JournalError(f"{path}: is not a journal, and not a text journal to import; {INSTEAD}")
            backup = text if text != path else _keep(text)
            new.replace(path)
    except OSError as error:
        raise JournalError(f"{text}: this text journal cannot be imported: {error.strerror}; {INSTEAD}") from error
    finally:
        for left in new.parent.glob(f"{new.name}*"):
            left.unlink(missing_ok=True)
    lost = f", left out {counted(left_out, 'damaged line')}" if left_out else ""
    log.warning(f"{path}: imported {counted(imported, 'entry')} of a text journal{lost}; it is kept as {backup}")


def _keep(text: Path) -> Path:
    """Keep a text journal under another name, which is returned. Raises `OSError`."""
    backup = text.with_name(f"{text.name}.backup")
    try:
        backup.hardlink_to(text)
    except FileExistsError:
        if not backup.samefile(text):
            raise FileExistsError(errno.EEXIST, f"{backup} exists, move it away") from None
    except OSError:  # not all file systems have links
        shutil.copy2(text, backup)
    return backup


def _is_imported(text: Path, path: Path, file: BinaryIO) -> bool:
    """Return whether another process imported the text while this one waited for it, or before it was opened."""
    if text != path:
        return path.exists()
    head = file.read(len(DATABASE_HEAD))
    file.seek(0)
    return head == DATABASE_HEAD or not os.path.samestat(path.stat(), os.fstat(file.fileno()))


def _fill(new: Path, file: BinaryIO) -> tuple[int, int]:
    """Write the entries of a text journal to a new database; return how many, and how many lines cannot be read."""

    def change(connection: sqlite3.Connection) -> tuple[int, int]:
        imported = left_out = 0
        for line in iter(partial(file.readline, MAX_BYTES), b""):
            try:
                entry = entry_of(line)
            except ValueError:
                entry = None
            if entry is None:
                left_out += line.endswith(b"\n")  # others may be pieces of a longer one, or were being written
                continue
            record(connection, entry, line.decode().rstrip("\n"))
            imported += 1
            if isinstance(entry, RunEnded):
                count_repetition(connection, entry.run)
        return imported, left_out

    with closing(Writer(new)) as writer:
        return writer.write(change)


@contextmanager
def _locked(file: BinaryIO) -> Iterator[None]:
    """Keep earlier versions from writing to a text journal. Raises `OSError`."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                reason = f"another process has had it locked for {BUSY_SECONDS:g} s (fuser FILE shows which)"
                raise OSError(0, reason) from error
            time.sleep(PAUSE)
    yield
