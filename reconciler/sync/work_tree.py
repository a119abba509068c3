"""Predict what the agent will refuse, or not see, once a folder of a work tree is committed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.model import Source
from reconciler.files import MIB, git_work_tree, read_limited
from reconciler.git import Blob
from reconciler.git.checkout import read_checkout
from reconciler.git.repository import LINK, MAX_ENTRIES, SUBMODULE, too_many
from reconciler.manifest import AliasSetManifest, read_tree
from reconciler.sync.tree import FollowedTree

FILE = "100644"
IN_LFS = "Git LFS keeps this file, so the commit has only a pointer to it"


def refused_by_sync(folder: str, sets: Iterable[AliasSetManifest]) -> list[Problem]:
    """Return why `aliasctl sync` would refuse a folder as its `--path`, or which sets it would not see.

    Args:
        folder: as the user wrote it. Nothing is predicted outside of a Git work tree, and of a folder that Git ignores,
            such as one of rendered manifests.
        sets: those that were read from the folder, and others.
    """
    top = git_work_tree(Path(folder))
    path = os.path.relpath(Path(folder).resolve(), top) if top else ""
    path = "" if path == os.curdir else path
    names = _names(top, path) if top else None
    if top is None or not names:
        return []

    def shown(name: str) -> str:
        return folder if name in ("/", path) else str(Path(folder) / os.path.relpath(name, path or os.curdir))

    try:
        tree = WorkTree(top, path, names)
        read_tree(tree.names, tree)
    except InvalidInput as error:
        return [_refusal(problem, shown) for problem in error.problems]
    except OSError as error:
        message = f"what aliasctl sync refuses cannot be predicted: {error.strerror}"
        return [Problem(message, Source(str(error.filename or folder)))]
    followed = {shown(name) for name in tree.names}
    unseen = [each for each in sets if Path(folder) in Path(each.source.file).parents]
    unseen = [each for each in unseen if each.source.file not in followed]
    submodules = [shown(name) for name in tree.submodules]
    return [
        Problem(
            f'aliasctl sync does not see AliasSet "{each.name}": {_cause(each.source.file, submodules)}', each.source
        )
        for each in unseen
    ]


def _refusal(problem: Problem, shown: Callable[[str], str]) -> Problem:
    source = problem.source and replace(problem.source, file=shown(problem.source.file))
    return Problem(f"aliasctl sync refuses this: {problem.message}", source)


def _cause(file: str, submodules: Iterable[str]) -> str:
    submodule = next((place for place in submodules if Path(place) in Path(file).parents), None)
    return f"{submodule} is a Git submodule, which is not followed" if submodule else "Git ignores this file"


class WorkTree(FollowedTree):
    """The files of a work tree, as they would be in its next commit.

    Args:
        top: the folder of the work tree.
        path: the folder in it that is followed; empty for the top.
        names: of the files, from the top.

    Raises as `FollowedTree`, and `OSError`: a file cannot be read.
    """

    def __init__(self, top: Path, path: str, names: Sequence[str]) -> None:
        if len(names) > MAX_ENTRIES:
            raise InvalidInput(Problem(too_many(path), Source(path or "/")))
        self._folder = top
        blobs = {name: blob for name in names if (blob := _blob(top, name))}
        self._in_lfs = _in_lfs(top, [name for name, blob in blobs.items() if blob.is_file])
        self.submodules = [name for name, blob in blobs.items() if blob.mode == SUBMODULE]
        super().__init__(blobs, path)

    def content(self, name: str) -> bytes:
        if self._links.get(name, name) in self._in_lfs:
            raise ValueError(IN_LFS)
        return super().content(name)

    def _read(self, blobs: Sequence[Blob], mib: int) -> Iterator[bytes]:
        for blob in blobs:
            place = self._folder / blob.id
            yield os.fsencode(place.readlink()) if blob.is_link else read_limited(place, mib * MIB)

    def _leads_to_a_folder(self, end: str) -> bool:
        return (self._folder / end).is_dir() and bool(_names(self._folder, end))

    def _submodules(self) -> Sequence[str]:
        return self.submodules

    def _provide(self, name: str, blob: Blob) -> Path:
        if blob.id in self._in_lfs:
            raise OSError(errno.EPERM, IN_LFS)
        return self._folder / name


def _names(top: Path, path: str) -> Sequence[str] | None:
    """Return the files below a folder that Git has or would add, from the top; None if it cannot tell."""
    listing = ("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", f":(top,literal){path}")
    answer = read_checkout(top, *listing)
    if answer is None or answer.returncode:
        return None
    return sorted({name.rstrip("/") for name in answer.stdout.split("\0") if name})


def _blob(top: Path, name: str) -> Blob | None:
    """Return what a file would be in a commit; None if it was deleted."""
    try:
        found = (top / name).lstat()
    except OSError:
        return None
    kinds: Mapping[int, str] = {stat.S_IFLNK: LINK, stat.S_IFREG: FILE, stat.S_IFDIR: SUBMODULE}
    mode = kinds.get(stat.S_IFMT(found.st_mode))
    return Blob(mode, name, found.st_size) if mode else None


def _in_lfs(top: Path, names: Iterable[str]) -> frozenset[str]:
    """Return those files that Git LFS replaces by pointers."""
    answer = read_checkout(top, "check-attr", "-z", "--stdin", "filter", given="".join(f"{name}\0" for name in names))
    fields = answer.stdout.split("\0") if answer else []
    return frozenset(name for name, value in zip(fields[::3], fields[2::3], strict=False) if value == "lfs")
