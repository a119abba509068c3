"""Call the server of a repository, and interpret its errors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from msgspec import Struct

from reconciler.git.access import Access
from reconciler.git.command import Done, Git, complaint
from reconciler.git.errors import GitError, RefNotFound, RepositoryRefused, RepositoryUnreachable, TooLarge

LIST_SECONDS = 30.0
FETCH_SECONDS = 300.0
OID = re.compile("[0-9a-f]{40}(?:[0-9a-f]{24})?")
NAME = "mirrored"
PARTIAL = {f"remote.{NAME}.promisor": "true"}
"""The settings with which git accepts that files are missing. No other call has them, so none can fetch on its own."""
WITHOUT_FILES = "--filter=blob:none"
# Messages of git and ssh after which a retry does not help; read in their sources, and seen in the tests.
REFUSALS = (
    "authentication failed",
    "could not read username",
    "could not read password",
    "returned error: 401",
    "returned error: 403",
    "permission denied",
    "host key verification failed",
    "not found",
    "does not appear to be a git repository",
    "does not exist",
    "access denied",
    "dubious ownership",
    "certificate",
)


class Remote(Struct, frozen=True):
    """The repository on its server."""

    access: Access
    git: Git

    def refs(self, desired: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Yield the ids and names of those refs that exist. Raises as `raise_error`."""
        done = self._run(
            "ls-remote", "--quiet", "--", self.access.address, *desired, folder=None, seconds=LIST_SECONDS, mib=8
        )
        if done.code:
            self.raise_error(done)
        for line in done.output.decode("utf-8", "replace").splitlines():
            oid, _, name = line.partition("\t")
            if OID.fullmatch(oid):
                yield oid, name

    def fetch(self, folder: Path, refspec: str, depth: int, mib: int, *, files: bool, again: bool) -> Done:
        """Fetch commits into a repository here.

        Args:
            refspec: what to fetch, and the name of the ref here.
            files: whether to fetch the files too; without, a server that does not support that sends them anyway.
            again: whether to fetch what is already here too.

        Raises:
            TooLarge: it is over the limit.
            RepositoryUnreachable: no answer in time.
        """
        options = ["--no-filter" if files else WITHOUT_FILES, f"--depth={depth}"]
        return self._fetch(folder, *options, "--", NAME, refspec, mib=mib, noop=again)

    def fetch_files(self, folder: Path, ids: Iterable[str], mib: int) -> Done:
        """Fetch files that a partial fetch left out, as git does when it needs them. Raises as `fetch`."""
        given = "".join(f"{oid}\n" for oid in ids).encode()
        return self._fetch(folder, WITHOUT_FILES, "--stdin", "--", NAME, mib=mib, given=given, noop=True)

    def _fetch(self, folder: Path, *arguments: str, mib: int, noop: bool, given: bytes = b"") -> Done:
        options = ["--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"]
        settings = {**PARTIAL, f"remote.{NAME}.url": self.access.address}
        if noop:
            settings["fetch.negotiationAlgorithm"] = "noop"  # name nothing that is here already
        return self._run(
            "fetch", *options, *arguments, folder=folder, seconds=FETCH_SECONDS, mib=mib, given=given, settings=settings
        )

    def _run(
        self,
        *arguments: str,
        folder: Path | None,
        seconds: float,
        mib: int,
        given: bytes = b"",
        settings: Mapping[str, str] | None = None,
    ) -> Done:
        """Run git over the network; the credentials are read for this call only."""
        special = Git(
            {**self.git.settings, **self.access.settings()},
            {**self.git.variables, **self.access.variables()},
            self.git.stop,
        )
        try:
            return special.run(*arguments, folder=folder, given=given, seconds=seconds, mib=mib, settings=settings)
        except TooLarge:
            raise
        except GitError as error:
            raise RepositoryUnreachable(str(error)) from error

    def raise_error(self, done: Done) -> NoReturn:
        """Raise the error that git's messages stand for.

        Raises:
            RefNotFound: the server does not have the ref.
            RepositoryRefused: access is denied, or the repository does not exist.
            RepositoryUnreachable: no answer.
        """
        # Without the address, which may contain any word.
        said = done.error.replace(self.access.address, "").lower()
        message = complaint(done)
        if "host key verification failed" in said:
            message = "the server's host key is not among the known hosts (--ssh-known-hosts)"
        elif "certificate" in said:
            message += " (--git-ca names a private authority)"
        elif "dubious ownership" in said:
            message = "the folder belongs to another user; run the agent as that user, or follow it over ssh or https"
        if "not our ref" in said or "unadvertised object" in said or "couldn't find remote ref" in said:
            raise RefNotFound(f"the server does not have the ref any more: {message}")
        if any(words in said for words in REFUSALS):
            raise RepositoryRefused(f"the repository cannot be read: {message}")
        raise RepositoryUnreachable(f"the repository cannot be reached: {message}")
