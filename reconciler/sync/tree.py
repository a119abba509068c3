"""The files that the agent follows, as the manifest reader takes them: from Git's objects, which nobody can change."""

from __future__ import annotations

import errno
import os
import posixpath
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.model import Source
from reconciler.core.text import listed
from reconciler.files import MIB, FileTooLarge, replace_file
from reconciler.gates import query_vectors
from reconciler.git import Blob, Repository
from reconciler.manifest import is_manifest
from reconciler.manifest.files import MAX_BYTES

MAX_TOTAL_MIB = 4
"""Of manifests: some 50,000 aliases. Reading YAML takes some 200 bytes of memory for each byte of the worst."""
MAX_COPIES_MIB = 64
MAX_LINKS = 40
"""Symbolic links on the way to a file, as on Linux."""
MAX_LINK_BYTES = 4096


class FollowedTree(ABC):
    """A `manifest.Tree`: the files below a folder of a repository, and the rules for them.

    A symbolic link counts as the file that it leads to. One that is named like a manifest and leads out of the folder,
    or to no file, is refused, and so is one to a folder, whose manifests would be missed. Others are ignored.

    Args:
        blobs: the files, by their paths from the top of the repository.
        path: the folder or file; empty for the whole repository.

    Raises:
        InvalidInput: every file that is refused, by its name, or that there is no manifest.
        GitError: a file cannot be read.
    """

    def __init__(self, blobs: Mapping[str, Blob], path: str) -> None:
        self._top = PurePosixPath(path)
        self._blobs = blobs
        self._link_ends = self._read_link_ends()
        self._links = {
            name: end for name, end in self._link_ends.items() if end in self._blobs and self._blobs[end].is_file
        }
        problems = list(self._refused())
        manifests = (
            {name: self._blobs[self._links.get(name, name)] for name in self._manifests()} if not problems else {}
        )
        problems += [Problem(reason, Source(name)) for name, blob in manifests.items() if (reason := _too_large(blob))]
        if not problems and sum(blob.size for blob in manifests.values()) > MAX_TOTAL_MIB * MIB:
            message = f"the manifests have more than {MAX_TOTAL_MIB} MiB together; give a folder with --path"
            problems.append(Problem(message, Source(path or "/")))
        if not problems and not manifests:
            problems.append(Problem(f"there is no manifest here in this commit{self._cause()}", Source(path or "/")))
        if problems:
            raise InvalidInput(*problems)
        self._needed: dict[str, int] = {}  # on disk: the bytes by ID
        self._contents = dict(zip(manifests, self._read(list(manifests.values()), MAX_TOTAL_MIB * 2), strict=True))

    @abstractmethod
    def _read(self, blobs: Sequence[Blob], mib: int) -> Iterator[bytes]:
        """Yield the contents of files; see `Repository.contents`."""

    @abstractmethod
    def _leads_to_a_folder(self, end: str) -> bool:
        """Return whether there is a folder at a path from the top."""

    @abstractmethod
    def _submodules(self) -> Sequence[str]:
        """Return the Git submodules below the folder, or the one that leads to it."""

    @abstractmethod
    def _provide(self, name: str, blob: Blob) -> Path:
        """Return the path of a file on disk. Raises `OSError` as opening it would."""

    @property
    def names(self) -> tuple[str, ...]:
        """The manifests."""
        return tuple(self._contents)

    def content(self, name: str) -> bytes:
        return self._contents[name]

    def on_disk(self, name: str) -> Path:
        plain = posixpath.normpath(name)
        blob = self._blobs.get(self._links.get(plain, plain))
        if not self._inside(plain):
            raise OSError(errno.EPERM, "it is outside of the folder that is followed")
        if blob is None or not blob.is_file:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if blob.size > query_vectors.MAX_BYTES:
            raise FileTooLarge(query_vectors.MAX_BYTES)
        needed = {**self._needed, blob.id: blob.size}
        if sum(needed.values()) > MAX_COPIES_MIB * MIB:
            raise OSError(errno.EFBIG, f"this commit's queries have more than {MAX_COPIES_MIB} MiB together")
        self._needed = needed
        return self._provide(plain, blob)

    def _manifests(self) -> Iterator[str]:
        return (
            name
            for name, blob in self._blobs.items()
            if (blob.is_file or name in self._links) and self._is_named_like_a_manifest(name)
        )

    def _is_named_like_a_manifest(self, name: str) -> bool:
        inside = PurePosixPath(name).relative_to(self._top) if name != str(self._top) else PurePosixPath(name).name
        return is_manifest(PurePosixPath(inside))

    def _read_link_ends(self) -> dict[str, str]:
        """Return where each symbolic link leads in the end."""
        links = {name: blob for name, blob in self._blobs.items() if blob.is_link and blob.size <= MAX_LINK_BYTES}
        texts = self._read(list(links.values()), MAX_COPIES_MIB) if links else iter(())
        steps = {
            name: posixpath.normpath(posixpath.join(posixpath.dirname(name), text.decode("utf-8", "backslashreplace")))
            for name, text in zip(links, texts, strict=True)
        }
        ends = {}
        for name in steps:
            place, seen = name, set[str]()
            while place in steps and place not in seen and len(seen) < MAX_LINKS:
                seen.add(place)
                place = steps[place]
            ends[name] = place
        return ends

    def _refused(self) -> Iterator[Problem]:
        for name, blob in self._blobs.items():
            if not blob.is_link or name in self._links:
                continue
            if self._is_named_like_a_manifest(name):
                yield Problem("a symbolic link that leads to no file of this folder is not followed", Source(name))
            elif self._is_to_a_folder(name):
                yield Problem("a symbolic link to a folder is not followed; name the folder with --path", Source(name))

    def _is_to_a_folder(self, name: str) -> bool:
        end = self._link_ends.get(name, "/")
        return not end.startswith(("/", "../")) and self._leads_to_a_folder(end)

    def _cause(self) -> str:
        """Return why manifests that somebody sees in a checkout may not be in the commit."""
        submodules = self._submodules()
        return f"; {listed(submodules)} is a Git submodule, which is not followed" if submodules else ""

    def _inside(self, name: str) -> bool:
        return not name.startswith(("/", "../")) and PurePosixPath(name).is_relative_to(self._top)


class CommitTree(FollowedTree):
    """The files of a commit in a mirror.

    Args:
        path: the folder or file of the mirror; empty for the whole repository.
        copies: a folder, only ours, for files that are needed after the manifests are read.

    Raises as `FollowedTree`, and `TooLarge`: there are too many files.
    """

    def __init__(self, repository: Repository, commit: str, path: str, copies: Path) -> None:
        self._repository = repository
        self._commit = commit
        self._copies = copies
        self.copied: set[Path] = set()
        """The files that were copied, or found as copies."""
        super().__init__(repository.tree(commit), path)

    def _read(self, blobs: Sequence[Blob], mib: int) -> Iterator[bytes]:
        return self._repository.contents(blobs, mib)

    def _leads_to_a_folder(self, end: str) -> bool:
        return self._repository.is_folder(self._commit, end)

    def _submodules(self) -> Sequence[str]:
        top = "" if self._top == PurePosixPath() else str(self._top)
        return self._repository.submodules(self._commit, top)

    def _provide(self, name: str, blob: Blob) -> Path:
        copy = self._copies / f"{blob.id}{PurePosixPath(name).suffix}"
        self.copied.add(copy)
        if not copy.exists():
            self._copies.mkdir(mode=0o700, parents=True, exist_ok=True)
            [content] = self._repository.contents([blob], 2 * query_vectors.MAX_BYTES // MIB)
            replace_file(copy, content)
        return copy


def _too_large(blob: Blob) -> str:
    return f"larger than {MAX_BYTES // MIB} MiB" if blob.size > MAX_BYTES else ""
