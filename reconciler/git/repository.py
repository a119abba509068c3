"""A bare mirror of one ref of a remote repository: where the ref points, and the files of a commit.

There is no work tree, so no file can be changed between check and use. The mirror is shallow. It keeps the commits that
were passed to `keep`, under refs of its own.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from threading import Event

from msgspec import Struct

from reconciler.core.text import printable, shortened
from reconciler.files import MIB
from reconciler.git.access import Access
from reconciler.git.command import Done, Git, check_version, complaint
from reconciler.git.errors import GitError, OutOfMemory, RefNotFound, TooLarge
from reconciler.git.remote import FETCH_SECONDS, OID, Remote

DEPTH = 32
"""Commits to fetch: in most repositories enough to detect a rewritten history."""
MOST_FETCHES = 4
"""Limit of the mirror, as a multiple of the limit of a fetch."""
MAX_ENTRIES = 10_000
MAX_TEXT = 200
"""Characters of an author or subject."""
LINK = "120000"
DEFAULT_BRANCH = "HEAD"
SHORT_OID = re.compile("[0-9a-f]{4,39}")
KEPT = "refs/aliasctl/"


class Commit(Struct, frozen=True):
    """A commit. `time` is when it was committed, RFC 3339; `author` as `Name <address>`."""

    id: str
    author: str
    time: str
    subject: str


class Blob(Struct, frozen=True):
    """A file of a commit, with its size in bytes. A symbolic link is a file that holds a path."""

    mode: str
    id: str
    size: int

    @property
    def is_link(self) -> bool:
        return self.mode == LINK

    @property
    def is_file(self) -> bool:
        return self.mode.startswith("100")


class Repository:
    """The mirror.

    Args:
        ref: a branch, a tag, a full `refs/…`, `HEAD` for the default branch, or the whole id of a commit.
        folder: where the mirror is; `prepare` makes it.
        stop: ends a running git process, which then raises `Interrupted`.
    """

    def __init__(
        self, access: Access, ref: str, folder: Path, *, max_fetch_mib: int = 256, stop: Event | None = None
    ) -> None:
        self._git = Git(stop=stop or Event())
        self._remote = Remote(access, self._git)
        self._ref = ref
        self._folder = folder
        self._max_fetch_mib = max_fetch_mib

    def prepare(self) -> None:
        """Create the mirror if it does not exist.

        Raises `GitError`: git is missing or too old, the mirror cannot be created, or the name of the ref is invalid.
        """
        check_version()
        if OID.fullmatch(self._ref) is None:
            full = self._ref if self._ref.startswith("refs/") else f"refs/heads/{self._ref}"
            if self._git.run("check-ref-format", full).code:
                raise GitError(f"--ref {self._ref}: not a valid name of a branch, tag or commit")
        if not (self._folder / "HEAD").exists():
            self._create()
        self._tidy()

    def _create(self) -> None:
        done = self._git.run("init", "--quiet", "--bare", "--template=", str(self._folder))
        if done.code:
            raise GitError(f"cannot create the mirror {self._folder}: {complaint(done)}")

    def repair(self) -> bool:
        """Create the mirror again if its files are damaged, as after a power cut; return whether they were.

        The commits that were kept are fetched again, as far as the server still has them.
        """
        if self._local("fsck", "--connectivity-only", "--no-dangling", "--no-progress").code == 0:
            return False
        kept = {}
        for path in (self._folder / KEPT).rglob("*"):
            if path.is_file() and OID.fullmatch(oid := path.read_text("ascii", "replace").strip()):
                kept[str(path.relative_to(self._folder / KEPT))] = oid
        shutil.rmtree(self._folder)
        self._create()
        for name, oid in kept.items():
            with suppress(GitError):
                self.keep(name, self.fetch(oid).id)
        return True

    def head(self) -> str:
        """Return the id that the ref points at now, by one short call to the server.

        Raises:
            RefNotFound: there is no branch or tag of this name, or one of each.
            RepositoryUnreachable: no answer.
            RepositoryRefused: access is denied, or the repository does not exist.
        """
        if OID.fullmatch(self._ref):
            return self._ref
        full = self._ref.startswith("refs/") or self._ref == DEFAULT_BRANCH
        desired = [self._ref] if full else [f"refs/heads/{self._ref}", f"refs/tags/{self._ref}"]
        found = {name: oid for oid, name in self._remote.refs(desired) if name in desired}
        if not found:
            hint = "; a commit is given by its whole ID" if SHORT_OID.fullmatch(self._ref) else ""
            raise RefNotFound(f"the repository has no branch or tag {self._ref}{hint}")
        if len(found) > 1:
            raise RefNotFound(f"{self._ref} is a branch and a tag; say --ref {' or '.join(desired)}")
        return next(iter(found.values()))

    def fetch(self, oid: str) -> Commit:
        """Fetch a commit, or the commit that a tag points at, and return it.

        Raises:
            RefNotFound: the server no longer has it, or it is no commit.
            TooLarge: it is over the limit.
            RepositoryUnreachable: no answer.
            RepositoryRefused: access is denied.
        """
        # That the commit exists here is no proof: a server may have sent it without its files.
        if self._local("rev-parse", "--verify", "--quiet", f"{KEPT}fetched").output.decode().strip() != oid:
            try:
                self._fetch(oid, DEPTH)
            except TooLarge:
                self._fetch(oid, 1)
            self._shrink()
        return self.commit(oid)

    def _fetch(self, oid: str, depth: int) -> None:
        limit = f"the limit of {self._max_fetch_mib} MiB (--max-fetch-mib)"
        try:
            done = self._remote.fetch(self._folder, f"+{oid}:{KEPT}fetched", depth, self._max_fetch_mib)
            full = bool(done.code) and self._is_full()
        except OutOfMemory:
            raise
        except TooLarge:
            full = True
        finally:
            self._tidy()
        if full:
            raise TooLarge(f"fetching {oid[:12]} would write more than {limit}")
        if done.code:
            self._remote.raise_error(done)

    def _is_full(self) -> bool:
        """Return whether a pack has reached the limit; git does not always report why its child failed."""
        return any(
            path.stat().st_size >= self._max_fetch_mib * MIB for path in self._folder.glob("objects/pack/tmp_pack_*")
        )

    def commit(self, oid: str) -> Commit:
        """Return a commit of the mirror. Raises `RefNotFound`."""
        form = "--format=%H%x00%an <%ae>%x00%cI%x00%s"
        done = self._local("log", "-1", "--no-show-signature", form, "--end-of-options", f"{oid}^{{commit}}")
        parts = done.output.decode("utf-8", "backslashreplace").rstrip("\n").split("\0")
        if done.code or len(parts) != 4:
            raise RefNotFound(f"{oid[:12]} is no commit of this repository")
        return Commit(*(_shown(part) for part in parts))

    def rewritten(self, new: str, old: str) -> bool:
        """Return whether `old` is certainly not in the history of `new`, of which only a part was fetched."""
        if self._local("merge-base", "--is-ancestor", old, new).code == 0:
            return False
        if self._local("merge-base", old, new).code == 0:
            return True
        shallow = self._folder / "shallow"
        cut = shallow.read_text(encoding="ascii").split() if shallow.exists() else []
        roots = self._local("rev-list", "--max-parents=0", new).output.decode("ascii", "replace").split()
        return not set(roots).intersection(cut)

    def tree(self, commit: str, path: str) -> Mapping[str, Blob]:
        """Return the files of a commit below a folder, by their paths from the top.

        Args:
            path: a folder or file; empty for all.

        Raises:
            TooLarge: there are more than `MAX_ENTRIES` files.
            GitError: git cannot read the tree.
        """
        pathspec = [f":(literal,top){path}"] if path else []
        try:
            done = self._local("ls-tree", "-r", "-l", "-z", "--full-tree", commit, "--", *pathspec, mib=8)
        except TooLarge:
            raise TooLarge(_too_many(path)) from None
        if done.code:
            raise GitError(f"cannot read the tree of {commit[:12]}: {complaint(done)}")
        entries = done.output.rstrip(b"\0").split(b"\0") if done.output else []
        if len(entries) > MAX_ENTRIES:
            raise TooLarge(_too_many(path))
        found: dict[str, Blob] = {}
        for name, blob in map(_entry, entries):
            # A reviewer of such a tree may be shown another file than the one that would be used.
            if name in found or any(part in ("", ".", "..") for part in name.split("/")):
                raise GitError(f"the tree of {commit[:12]} is malformed: {printable(name)[:MAX_TEXT]}")
            found[name] = blob
        return found

    def is_folder(self, commit: str, path: str) -> bool:
        """Return whether a commit has a folder at a path; the top, `.`, is one."""
        done = self._local("ls-tree", "-d", "-z", "--full-tree", commit, "--", f":(literal,top){path}")
        return path == "." or b" tree " in done.output

    def submodules(self, commit: str, path: str) -> Sequence[str]:
        """Return the Git submodules of a commit below a path, or the one that the path leads through."""
        parents = [str(parent) for parent in PurePosixPath(path).parents if str(parent) != "."] if path else []
        pathspecs = [f":(literal,top){place}" for place in (path, *parents)] if path else []
        done = self._local("ls-tree", "-r", "-z", "--full-tree", commit, "--", *pathspecs)
        entries = [entry.partition(b"\t") for entry in done.output.rstrip(b"\0").split(b"\0")]
        return [_shown(name.decode("utf-8", "backslashreplace")) for head, _, name in entries if b" commit " in head]

    def contents(self, blobs: Sequence[Blob], mib: int) -> Iterator[bytes]:
        """Yield the contents of files, in their order.

        Args:
            mib: limit of all contents together, in MiB.

        Raises:
            TooLarge: they are over the limit.
            GitError: git cannot read a file.
        """
        ids = "".join(f"{blob.id}\n" for blob in blobs).encode()
        done = self._git.run("cat-file", "--batch", folder=self._folder, given=ids, mib=mib)
        position = 0
        for blob in blobs:
            head, _, _ = done.output[position : position + 200].partition(b"\n")
            if head != f"{blob.id} blob {blob.size}".encode():
                raise GitError(f"cannot read {blob.id[:12]}: {complaint(done) if done.code else 'it is not a file'}")
            start = position + len(head) + 1
            yield done.output[start : start + blob.size]
            position = start + blob.size + 1

    def keep(self, name: str, commit: str) -> None:
        """Keep a commit in the mirror, under a name by which `kept` finds it. Raises `GitError`."""
        done = self._local("update-ref", f"{KEPT}{name}", commit)
        if done.code:
            raise GitError(f"cannot write to the mirror {self._folder}: {complaint(done)}")

    def kept(self, name: str) -> Commit | None:
        """Return the commit that was kept under a name; None if there is none."""
        done = self._local("rev-parse", "--verify", "--quiet", f"{KEPT}{name}^{{commit}}")
        return None if done.code else self.commit(done.output.decode().strip())

    def local(self, *arguments: str, settings: Mapping[str, str], variables: Mapping[str, str]) -> Done:
        """Run git on the mirror with further settings and environment variables."""
        special = Git({**self._git.settings, **settings}, {**self._git.variables, **variables}, self._git.stop)
        return special.run(*arguments, folder=self._folder)

    def _tidy(self) -> None:
        """Remove what a killed git leaves behind; no other process uses the mirror."""
        for pattern in ("objects/pack/tmp_*", "objects/tmp_*", "*.lock", "refs/**/*.lock"):
            for path in self._folder.glob(pattern):
                path.unlink(missing_ok=True)

    def _shrink(self) -> None:
        """Drop the history once the mirror is too large, but not the commits that are kept."""
        most = MOST_FETCHES * self._max_fetch_mib
        if sum(path.stat().st_size for path in self._folder.glob("objects/pack/*")) > most * MIB:
            kept = self._local("rev-list", "--no-walk", "--all")
            # A commit in the file `shallow` counts as one without parents (`git help repository-layout`).
            (self._folder / "shallow").write_bytes(kept.output)
            done = self._git.run("repack", "-adq", folder=self._folder, seconds=FETCH_SECONDS, mib=most)
            if kept.code or done.code:
                raise GitError(f"cannot shrink the mirror {self._folder}: {complaint(kept if kept.code else done)}")

    def _local(self, *arguments: str, mib: int = 8) -> Done:
        return self._git.run(*arguments, folder=self._folder, mib=mib)


def _entry(line: bytes) -> tuple[str, Blob]:
    head, _, name = line.partition(b"\t")
    mode, _, oid, size = head.split()
    return name.decode("utf-8", "backslashreplace"), Blob(mode.decode(), oid.decode(), int(size) if size != b"-" else 0)


def _shown(text: str) -> str:
    """Return untrusted text in a form that is safe to log."""
    return printable(shortened(text, MAX_TEXT))


def _too_many(path: str) -> str:
    return f"there are more than {MAX_ENTRIES:,} files in {path or 'the repository'}; give a folder with --path"
