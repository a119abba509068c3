"""Files: reading with a limit, and replacing in one step."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, TextIO

KIB, MIB = 1024, 1024 * 1024


class FileTooLarge(OSError):
    """Raised for a file that is larger than a limit in bytes."""

    def __init__(self, limit: int) -> None:
        size = f"{limit // MIB} MiB" if limit >= MIB else f"{limit // KIB} KiB"
        super().__init__(errno.EFBIG, f"larger than {size}")


def read_limited(path: Path, limit: int) -> bytes:
    """Return the content of a file.

    Args:
        path: what to read.
        limit: the most bytes it may have; hardly more are read.

    Raises:
        FileTooLarge: it has more.
        OSError: it cannot be read; `FileNotFoundError` also for a name that no file can have.
    """
    try:
        with path.open("rb") as file:
            return read_stream(file, limit)
    except ValueError:  # a null character
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None


def read_stream(stream: BinaryIO | TextIO, limit: int) -> bytes:
    """Return what a stream has left, as bytes. Raises `FileTooLarge` if that is more than `limit` bytes."""
    content = stream.read(limit + 1)
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    if len(data) > limit:
        raise FileTooLarge(limit)
    return data


def replace_file(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Create or replace a file in one step, so that readers and crashes find the old content or the new one.

    Raises:
        OSError: nothing was changed.
    """
    new = write_beside(path, content, mode=mode)
    try:
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    with suppress(OSError):  # not all file systems can; the new name nearly always survives a power failure anyway
        sync_folder(path.parent)


def write_beside(path: Path, content: bytes, *, mode: int = 0o600, owner: tuple[int, int] | None = None) -> Path:
    """Write a new file into the folder of another one, to replace it later.

    Args:
        path: the file to be replaced, which need not exist.
        content: what to write; it is on the disk on return.
        mode: permissions of the new file.
        owner: user and group of the new file, as far as this process may give it away.

    Returns:
        The path of the new file.

    Raises:
        OSError: it cannot be written; none is left behind.
    """
    from tempfile import mkstemp  # not needed to read

    descriptor, name = mkstemp(dir=path.parent, prefix=".aliasctl.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            if owner:
                with suppress(PermissionError):
                    os.fchown(descriptor, *owner)
            os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def sync_folder(folder: Path) -> None:
    """Write the entries of a folder to the disk: only then do new names in it survive a power failure."""
    entry = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(entry)
    finally:
        os.close(entry)
