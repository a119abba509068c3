"""Replace several files by new versions of themselves: all of them or none, each in one step, keeping their mode."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.model import Source
from reconciler.files import sync_folder, write_beside


class Replacement(Struct, frozen=True):
    """A file by the name that the user gave, its content as it was read, and its new content."""

    name: str
    before: bytes
    after: bytes

    @property
    def path(self) -> Path:
        """The file itself, if the name is a symbolic link."""
        return Path(self.name).resolve()


def ensure_replaceable(replacements: Sequence[Replacement]) -> None:
    """Raise `InvalidInput` for files that are read-only or in a folder that is."""
    problems = [
        Problem(obstacle, Source(replacement.name))
        for replacement in replacements
        if (obstacle := _obstacle(replacement.path)) is not None
    ]
    if problems:
        raise InvalidInput(*problems)


def replace_all(replacements: Sequence[Replacement]) -> None:
    """Replace all files, or none.

    Raises `InvalidInput`: a file could not be written, or was changed since it was read.
    """
    with ExitStack() as stack:
        ready: list[tuple[Replacement, Path]] = []
        for replacement in replacements:
            new = _attempt_beside(replacement)
            stack.callback(new.unlink, missing_ok=True)
            ready.append((replacement, new))
        _ensure_unchanged(replacements)
        done: list[Replacement] = []
        try:
            for replacement, new in ready:
                new.replace(replacement.path)
                done.append(replacement)
        except BaseException as error:
            left = _put_back(done)
            if isinstance(error, OSError):
                raise _refused(replacement, error, left) from error
            raise
    for folder in {replacement.path.parent for replacement in replacements}:
        with suppress(OSError):  # not all file systems can
            sync_folder(folder)


def _obstacle(path: Path) -> str | None:
    # Root may write to any file; one without any write permission is left alone all the same.
    if not path.stat().st_mode & 0o222 or not os.access(path, os.W_OK):
        return "is read-only; make it writable first (chmod u+w)"
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return f"cannot be replaced: permission denied in the folder {path.parent}"
    return None


def _ensure_unchanged(replacements: Sequence[Replacement]) -> None:
    problems = []
    for replacement in replacements:
        try:
            same = replacement.path.read_bytes() == replacement.before
        except OSError:
            same = False
        if not same:
            message = "was changed while it was read; nothing was written, run it again"
            problems.append(Problem(message, Source(replacement.name)))
    if problems:
        raise InvalidInput(*problems)


def _attempt_beside(replacement: Replacement) -> Path:
    """Call `_beside`; raise `InvalidInput` if it fails."""
    try:
        return _beside(replacement)
    except OSError as error:
        raise _refused(replacement, error, ()) from error


def _beside(replacement: Replacement) -> Path:
    """Write a new file beside the old one, with its owner and mode and the new content, synced to disk."""
    old = replacement.path.stat()
    owner = (old.st_uid, old.st_gid)
    return write_beside(replacement.path, replacement.after, mode=stat.S_IMODE(old.st_mode), owner=owner)


def _put_back(done: Sequence[Replacement]) -> list[Replacement]:
    """Restore what was replaced; return what could not be restored."""
    left = []
    for replacement in done:
        try:
            _beside(replace(replacement, after=replacement.before)).replace(replacement.path)
        except OSError:
            left.append(replacement)
    return left


def _refused(replacement: Replacement, error: OSError, left: Sequence[Replacement]) -> InvalidInput:
    outcome = f"already changed: {', '.join(other.name for other in left)}" if left else "no file was changed"
    return InvalidInput(Problem(f"cannot be written: {error.strerror}; {outcome}", Source(replacement.name)))
