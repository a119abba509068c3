"""A bare mirror of one ref of a remote repository: where the ref points, and the files of a commit.

There is no work tree, so no file can be changed between check and use. The mirror is shallow, and partial where the
server supports it: of each commit that was fetched it has the files below one folder, and of earlier ones no files. All
of them are fetched together with the commit, none later. It keeps the commits that were passed to `keep`, under refs of
its own.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from threading import Event

from msgspec import Struct

from reconciler.core.text import printable, shortened
from reconciler.files import MIB
from reconciler.git.access import Access
from reconciler.git.command import Done, Git, check_version, complaint
from reconciler.git.errors import GitError, OutOfMemory, RefNotFound, TooLarge
from reconciler.git.remote import FETCH_SECONDS, OID, PARTIAL, Remote

DEPTH = 32
"""Commits to fetch: in most repositories enough to detect a rewritten history."""
MOST_FETCHES = 4
"""Limit of the mirror, as a multiple of the limit of a fetch."""
MAX_PACKS = 50
"""Git gets slower with each; a fetch adds one or two."""
MAX_ENTRIES = 10_000
MAX_TEXT = 200
"""Characters of an author or subject."""
LINK, SUBMODULE = "120000", "160000"
DEFAULT_BRANCH = "HEAD"
SHORT_OID = re.compile("[0-9a-f]{4,39}")
KEPT = "refs/aliasctl/"
COMPLETE = "aliasctl-complete"
"""A file in a mirror whose server supports partial fetches, but does not send the files that they left out."""


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
        path: the folder or file that is needed; empty for the whole repository.
        folder: where the mirror is; `prepare` makes it.
        stop: ends a running git process, which then raises `Interrupted`.
    """

    def __init__(
        self, access: Access, ref: str, path: str, folder: Path, *, max_fetch_mib: int = 256, stop: Event | None = None
    ) -> None:
        self._git = Git(stop=stop or Event())
        self._remote = Remote(access, self._git)
        self._ref = ref
        self._path = path.rstrip("/")
        self._folder = folder
        self._max_fetch_mib = max_fetch_mib
        self._listed: tuple[str, Sequence[tuple[str, str, str]] | GitError] | None = None

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

        The commits that were kept are fetched again, if the server still has them.
        """
        if self._is_intact():
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

    def _is_intact(self) -> bool:
        """Return whether git can read the mirror. Files that a fetch left out, or did not get yet, may be missing."""
        check = ("fsck", "--connectivity-only", "--no-dangling", "--no-progress")
        if self._git.run(*check, folder=self._folder, settings=PARTIAL).code:
            return False
        packs = [str(path) for path in self._folder.glob("objects/pack/*.pack")]
        return not packs or self._git.run("verify-pack", *packs, folder=self._folder, seconds=FETCH_SECONDS).code == 0

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
            whole = f"; a commit is given by its whole ID: run git rev-parse {self._ref} in a clone"
            hint = whole if SHORT_OID.fullmatch(self._ref) else ""
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
        self._listed = None
        # That the commit exists here is no proof: a server may have sent it without its files.
        if self._local("rev-parse", "--verify", "--quiet", f"{KEPT}fetched").output.decode().strip() != oid:
            self._fetch_commit(oid, files=(self._folder / COMPLETE).exists())
        if missing := self._missing_unless_refused(oid):
            self._fetch_files(oid, missing)
        self._shrink()
        return self.commit(oid)

    def _fetch_commit(self, oid: str, *, files: bool, again: bool = False) -> None:
        """Fetch a commit and some of those before it, with all files, or without any where the server supports that."""

        def fetch(depth: int) -> Done:
            refspec = f"+{oid}:{KEPT}fetched"
            return self._remote.fetch(self._folder, refspec, depth, self._max_fetch_mib, files=files, again=again)

        try:
            self._within_limit(oid, lambda: fetch(DEPTH))
        except TooLarge:
            self._within_limit(oid, lambda: fetch(1))

    def _missing_unless_refused(self, oid: str) -> Sequence[str]:
        """Return the missing files of a commit; none if `tree` refuses it, which is reported where it is read."""
        try:
            return self._missing(oid)
        except GitError:
            return ()

    def _fetch_files(self, oid: str, ids: Sequence[str]) -> None:
        """Fetch files of a commit that a partial fetch left out, or the whole commit where that is impossible."""
        try:
            self._within_limit(oid, lambda: self._remote.fetch_files(self._folder, ids, self._max_fetch_mib))
        except RefNotFound:  # a server with the protocol of version 0, as behind most sshd, sends commits only
            self._fetch_commit(oid, files=True, again=True)
            (self._folder / COMPLETE).touch()

    def _within_limit(self, oid: str, fetch: Callable[[], Done]) -> None:
        limit = f"the limit of {self._max_fetch_mib} MiB (--max-fetch-mib)"
        try:
            done = fetch()
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

    def tree(self, commit: str) -> Mapping[str, Blob]:
        """Return the files of a commit below the folder, by their paths from the top.

        Raises:
            TooLarge: there are more than `MAX_ENTRIES` files.
            GitError: git cannot read the tree, or a file was not fetched.
        """
        entries = self._entries(commit)
        sizes = self._sizes(entries)
        found: dict[str, Blob] = {}
        for mode, oid, name in entries:
            # A reviewer of such a tree may be shown another file than the one that would be used.
            if name in found or any(part in ("", ".", "..") for part in name.split("/")):
                raise GitError(f"the tree of {commit[:12]} is malformed: {printable(name)[:MAX_TEXT]}")
            if oid not in sizes and mode != SUBMODULE:
                raise GitError(f"the mirror lacks a file of {commit[:12]}: {printable(name)[:MAX_TEXT]}")
            found[name] = Blob(mode, oid, sizes.get(oid, 0))
        return found

    def _entries(self, commit: str) -> Sequence[tuple[str, str, str]]:
        """Return mode, ID and path of each file of a commit below the folder. Raises as `tree`.

        The last result is kept until the next fetch, because `fetch` and `tree` need the same one, and a commit may be
        made so that listing it takes long.
        """
        if self._listed is None or self._listed[0] != commit:
            try:
                self._listed = commit, self._list(commit)
            except GitError as error:
                self._listed = commit, error
        if isinstance(listed := self._listed[1], GitError):
            raise listed
        return listed

    def _list(self, commit: str) -> Sequence[tuple[str, str, str]]:
        """List the files for `_entries`."""
        pathspec = [f":(literal,top){self._path}"] if self._path else []
        try:
            done = self._local("ls-tree", "-r", "-z", "--full-tree", commit, "--", *pathspec)
        except TooLarge:
            raise TooLarge(too_many(self._path)) from None
        if done.code:
            raise GitError(f"cannot read the tree of {commit[:12]}: {complaint(done)}")
        lines = done.output.rstrip(b"\0").split(b"\0") if done.output else []
        if len(lines) > MAX_ENTRIES:
            raise TooLarge(too_many(self._path))
        return [_entry(line) for line in lines]

    def _sizes(self, entries: Iterable[tuple[str, str, str]]) -> Mapping[str, int]:
        """Return the sizes of those files that are in the mirror, by ID."""
        ids = "".join(f"{oid}\n" for mode, oid, _ in entries if mode != SUBMODULE).encode()
        form = "--batch-check=%(objectname) %(objectsize)"
        done = self._git.run("cat-file", form, folder=self._folder, given=ids)
        lines = (line.partition(b" ") for line in done.output.splitlines())
        return {oid.decode(): int(size) for oid, _, size in lines if size != b"missing"}

    def _missing(self, commit: str) -> Sequence[str]:
        """Return the IDs of the files of a commit below the folder that are not in the mirror. Raises as `tree`."""
        entries = self._entries(commit)
        sizes = self._sizes(entries)
        return [oid for mode, oid, _ in entries if mode != SUBMODULE and oid not in sizes]

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
        """Combine many packs, and drop the history once the mirror is too large, but not the commits that are kept."""
        packs = list(self._folder.glob("objects/pack/*.pack"))
        too_large = sum(path.stat().st_size for path in packs) > MOST_FETCHES * self._max_fetch_mib * MIB
        if too_large:
            kept = self._local("rev-list", "--no-walk", "--all")
            if kept.code:
                raise GitError(f"cannot shrink the mirror {self._folder}: {complaint(kept)}")
            # A commit in the file `shallow` counts as one without parents (`git help repository-layout`).
            (self._folder / "shallow").write_bytes(kept.output)
        if too_large or len(packs) > MAX_PACKS:
            self._combine(packs)

    def _combine(self, packs: Iterable[Path]) -> None:
        """Replace packs by one of all that is used; `git repack` drops nothing of a partial fetch."""
        command = ("pack-objects", "--all", "--missing=allow-any", "--quiet", str(self._folder / "objects/pack/pack"))
        most = MOST_FETCHES * self._max_fetch_mib
        done = self._git.run(*command, folder=self._folder, seconds=FETCH_SECONDS, mib=most)
        name = f"pack-{done.output.decode('ascii', 'replace').strip()}"
        if done.code or not (self._folder / f"objects/pack/{name}.pack").exists():
            raise GitError(f"cannot shrink the mirror {self._folder}: {complaint(done)}")
        (self._folder / f"objects/pack/{name}.promisor").touch()  # files that it refers to may be missing
        for pack in packs:
            if pack.stem != name:
                for path in pack.parent.glob(f"{pack.stem}.*"):
                    path.unlink()

    def _local(self, *arguments: str, mib: int = 8) -> Done:
        return self._git.run(*arguments, folder=self._folder, mib=mib)


def _entry(line: bytes) -> tuple[str, str, str]:
    head, _, name = line.partition(b"\t")
    mode, _, oid = head.decode().split()
    return mode, oid, name.decode("utf-8", "backslashreplace")


def _shown(text: str) -> str:
    """Return untrusted text in a form that is safe to log."""
    return printable(shortened(text, MAX_TEXT))


def too_many(path: str) -> str:
    """Say that there are more than `MAX_ENTRIES` files below a folder."""
    return f"there are more than {MAX_ENTRIES:,} files in {path or 'the repository'}; give a folder with --path"
