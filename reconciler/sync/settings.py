"""Settings of the agent."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath
from threading import Event

from msgspec import Struct

from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.model import Source
from reconciler.git import Access, Repository, Signers
from reconciler.manifest import Overrides


class Settings(Struct, frozen=True):
    """What the command line sets.

    Args:
        ref: a branch, tag, full ref or commit.
        path: the folder or file of the manifests in it; empty for the whole repository.
        connections: the file or folder of the MilvusConnections, which is outside the repository.
        signers: whose signature a commit needs; without any, none is needed.
        interval: seconds between two reconciles.
        state: the folder of the mirror, for this agent only.
        max_fetch_mib: how much one fetch may write, in MiB.
        publish: the file of the published resolution (see `resolution`); None for none.
    """

    access: Access
    ref: str
    path: str
    connections: Path
    overrides: Overrides
    signers: Signers
    interval: float
    state: Path
    max_fetch_mib: int
    publish: Path | None = None

    def check(self) -> None:
        """Raise `InvalidInput` for an invalid setting."""
        self.access.check()
        self.signers.check()
        parts = PurePosixPath(self.path).parts
        if self.path.startswith("/") or ".." in parts:
            raise InvalidInput(Problem("expected a path inside the repository", Source("--path")))

    def mirror(self, stop: Event) -> Repository:
        """Return the mirror of the repository, whose git processes end when `stop` is set."""
        folder = self.state / "mirror.git"
        return Repository(self.access, self.ref, self.path, folder, max_fetch_mib=self.max_fetch_mib, stop=stop)

    @property
    def key(self) -> str:
        return key_of(self.access.url, self.ref, self.path)

    @property
    def place(self) -> str:
        """Return the repository, ref and path, for people."""
        return f"{self.access.url}@{self.ref}" + (f":{self.path}" if self.path else "")


def key_of(url: str, ref: str, path: str) -> str:
    """Return a short name that stands for a repository, ref and path."""
    return hashlib.sha256("\0".join((url, ref, path)).encode()).hexdigest()[:16]
