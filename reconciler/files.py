"""Read files with a limit, and replace them in one step."""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, TextIO

KIB, MIB = 1024, 1024 * 1024


class FileTooLarge(OSError):
    """A file is larger than a limit in bytes."""

    def __init__(self, limit: int) -> None:
        size = f"{limit // MIB} MiB" if limit >= MIB else f"{limit // KIB} KiB"
        super().__init__(errno.EFBIG, f"larger than {size}")


def at_home(path: str) -> str:
    """Return a path with a leading `~/` replaced by the home folder, as a shell does for what it is given itself.

    Variables that a service manager or container sets are not expanded by any shell.
    """
    return os.path.expanduser(path) if path.startswith("~/") else path  # noqa: PTH111 - Path raises without a home


def lfs_pointer(text: str) -> str:
    """Return the words for a Git LFS pointer and its remedy, if a text is one; empty for others."""
    pointer = text.startswith("version https://git-lfs")
    return 'a Git LFS pointer; get the file itself with "git lfs pull"' if pointer else ""


def git_work_tree(folder: Path) -> Path | None:
    """Return the top of the Git work tree that a folder is in; None outside of Git."""
    real = folder.resolve()
    return next((parent for parent in (real, *real.parents) if (parent / ".git").exists()), None)


def read_limited(path: Path, limit: int) -> bytes:
    """Return the content of a file.

    Args:
        limit: maximum size in bytes; hardly more are read.

    Raises:
        FileTooLarge: the file is larger.
        OSError: it cannot be read; `FileNotFoundError` also for a name that is not possible for a file.
    """
    try:
        with path.open("rb") as file:
            return read_stream(file, limit)
    except ValueError:  # a null character
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None


def read_stream(stream: BinaryIO | TextIO, limit: int) -> bytes:
    """Return the rest of a stream as bytes. Raises `FileTooLarge` if it has more than `limit` bytes."""
    content = stream.read(limit + 1)
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    if len(data) > limit:
        raise FileTooLarge(limit)
    return data


def write_output(path: Path, content: bytes) -> None:
    """Write a file that the user named: replace a regular file in one step, and write to anything else in place.

    A regular file keeps its mode and owner. One that cannot be replaced, because it is mounted or its folder is
    read-only, is written in place. Raises `OSError`: it is not written, or, if that happens in place, not completely.
    """
    if (descriptor := _own_descriptor(path)) is not None:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(content)
    elif path.is_symlink() or (path.exists() and not path.is_file()):
        path.write_bytes(content)
    elif not path.exists():
        replace_file(path, content, mode=None)
    else:
        old = path.stat()
        try:
            replace_file(path, content, mode=stat.S_IMODE(old.st_mode), owner=(old.st_uid, old.st_gid))
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            path.write_bytes(content)


def _own_descriptor(path: Path) -> int | None:
    """Return the open descriptor of this process that a path names, such as 1 for /dev/stdout.

    To open the path instead would truncate the file behind standard output, or write from its beginning.
    """
    numbers = [1, 2]
    if named := re.fullmatch(r"/(?:dev|proc/self)/fd/([0-9]{1,6})", str(path)):
        numbers.append(int(named[1]))
    for number in numbers:
        with suppress(OSError):
            if os.path.samestat(path.stat(), os.fstat(number)):
                return number
    return None


def replace_file(path: Path, content: bytes, *, mode: int | None = 0o600, owner: tuple[int, int] | None = None) -> None:
    """Create or replace a file in one step, so that readers and crashes find the old content or the new one.

    `mode, owner`: see `write_beside`. Raises `OSError`: nothing was changed.
    """
    new = write_beside(path, content, mode=mode, owner=owner)
    try:
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    with suppress(OSError):  # not all file systems can; the new name nearly always survives a power failure even so
        sync_folder(path.parent)


def write_beside(path: Path, content: bytes, *, mode: int | None = 0o600, owner: tuple[int, int] | None = None) -> Path:
    """Write a new file into the folder of another one, to replace it later; return its path once it is on the disk.

    `mode`: of the new file; None for what the umask leaves. `owner`: user and group, if this process may change them.
    Raises `OSError`: the file cannot be written; nothing is left behind.
    """
    from secrets import token_hex  # not needed to read

    new = path.parent / f".aliasctl.{token_hex(8)}"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if owner:
                with suppress(PermissionError):
                    os.fchown(descriptor, *owner)
            if mode is not None:
                os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    return new


def sync_folder(folder: Path) -> None:
    """Sync a folder to disk: only then do new names in it survive a power failure."""
    entry = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(entry)
    finally:
        os.close(entry)
