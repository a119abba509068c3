"""The paths of `-f` → the texts behind them."""

from __future__ import annotations

import codecs
import os
import posixpath
import stat
import sys
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import BinaryIO, Protocol, TextIO

from msgspec import Struct
from msgspec.structs import replace

from reconciler.core.errors import Problem
from reconciler.core.model import Source
from reconciler.files import MIB, FileTooLarge, read_limited, read_stream

MAX_BYTES = 16 * MIB
STDIN = "<stdin>"
_SUFFIXES = (".yaml", ".yml", ".json")


def is_manifest(path: PurePath) -> bool:
    """Return whether a file in a folder is taken for a manifest, by its name."""
    return path.suffix.lower() in _SUFFIXES and not any(part.startswith(".") for part in path.parts)


class Tree(Protocol):
    """Files that are in no folder, such as those of a commit; their names are paths from the top."""

    def content(self, name: str) -> bytes:
        """Return a file's content. Raises `ValueError`, with a message for the user, if it cannot be used."""

    def on_disk(self, name: str) -> Path:
        """Return the path of a copy of a file that does not change. Raises `OSError` as opening it would."""


class File(Struct, frozen=True):
    """A file to read: `name` is how the user knows it, `path` is None for standard input and for a file of a `tree`.

    `named` says that the user named this very file; `folders` are the named folders it is in.
    """

    name: str
    path: Path | None
    named: bool
    folders: tuple[str, ...] = ()
    tree: Tree | None = None

    @property
    def base(self) -> Path:
        """Where relative paths in this file start."""
        return self.path.absolute().parent if self.path else Path.cwd()

    def beside(self, name: str) -> Path:
        """Return the file that a path in this file means. Raises `OSError` where a tree has none."""
        if self.tree:
            return self.tree.on_disk(posixpath.join(posixpath.dirname(self.name), name))
        return self.base / name


def found(
    paths: Sequence[str | os.PathLike[str]], problems: list[Problem], warnings: list[Problem], exclude: Sequence[str]
) -> tuple[list[File], list[str]]:
    """Return the files behind the paths, each once, in the order of the paths, sorted in a folder; and the folders.

    Args:
        paths: files, folders, and `-` for standard input.
        problems: gets a line for each path that leads nowhere.
        warnings: gets a line for each symbolic link in a folder that leads nowhere.
        exclude: glob patterns of files and folders below the folders that are left out, relative to the folder.
    """
    files: dict[str, File] = {}
    folders: dict[str, None] = {}
    for path in (os.fspath(path) for path in paths):
        if path == "-":
            files[STDIN] = File(STDIN, None, named=True)
            continue
        try:
            is_folder = stat.S_ISDIR(Path(path).stat().st_mode)
        except (OSError, ValueError) as error:
            problems.append(Problem(_reason(error), Source(path)))
            continue
        if is_folder:
            folders[path] = None
        for place in _inside(Path(path), problems, warnings, exclude) if is_folder else [Path(path)]:
            real = os.path.realpath(place)
            known = files.get(real) or File(str(place) if is_folder else path, place, named=False)
            within = (*known.folders, path) if is_folder else known.folders
            files[real] = replace(known, named=known.named or not is_folder, folders=within)
    return list(files.values()), list(folders)


def _inside(folder: Path, problems: list[Problem], warnings: list[Problem], exclude: Sequence[str]) -> Iterator[Path]:
    """Yield the manifests in a folder and below, like `**/*.yaml`: nothing hidden, and no symbolic link in circles."""

    def refused(error: OSError) -> None:
        problems.append(Problem(_reason(error), Source(str(error.filename))))

    def excluded(path: Path) -> bool:
        relative = os.path.relpath(path, folder)
        return any(fnmatchcase(relative, pattern.removeprefix("./").rstrip("/")) for pattern in exclude)

    seen = set()
    for parent, folders, names in os.walk(folder, onerror=refused, followlinks=True):
        real = os.path.realpath(parent)
        known = real in seen
        seen.add(real)
        folders[:] = (
            []
            if known
            else sorted(name for name in folders if not name.startswith(".") and not excluded(Path(parent, name)))
        )
        for path in (Path(parent) / name for name in ([] if known else sorted(names))):
            if not is_manifest(Path(path.name)) or excluded(path):
                continue
            try:
                if stat.S_ISREG(path.stat().st_mode):
                    yield path
            except FileNotFoundError:
                warnings.append(Problem("skipped this symbolic link: it leads nowhere", Source(str(path))))
            except OSError as error:
                refused(error)


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError | ValueError):
        return "no such file or folder"
    return f"cannot be read: {error.strerror}"


def text_of(file: File, stdin: TextIO | BinaryIO | None) -> str:
    """Return the text of a file.

    `stdin`: what to read for `-`; None is the process's standard input. Raises `ValueError`: with a message for the
    user, where it cannot be read, is too large, or is not UTF-8.
    """
    try:
        if file.tree:
            data = file.tree.content(file.name)
        else:
            data = (
                read_limited(file.path, MAX_BYTES) if file.path else read_stream(stdin or sys.stdin.buffer, MAX_BYTES)
            )
    except FileTooLarge as error:
        raise ValueError(error.strerror) from error
    except OSError as error:
        raise ValueError(_reason(error)) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise ValueError("this is UTF-16 text; save it as UTF-8") from error
        raise ValueError(f"not UTF-8 text (byte {error.start + 1})") from error
    return as_yaml(text, file.name)


def as_yaml(text: str, name: str) -> str:
    """Return a file's text for the YAML reader, every character at its place.

    JSON may be indented with tabs, YAML may not; inside JSON's strings a raw tab is illegal anyway.
    """
    return text.replace("\t", " ") if name.lower().endswith(".json") else text
