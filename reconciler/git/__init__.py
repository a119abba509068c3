"""Access to Git repositories through the `git` program, independent of manifests."""

from __future__ import annotations

from reconciler.git.access import Access
from reconciler.git.errors import GitError, RefNotFound, RepositoryRefused, RepositoryUnreachable, TooLarge
from reconciler.git.repository import Blob, Commit, Repository
from reconciler.git.signatures import Signature, Signers

__all__ = [
    "Access",
    "Blob",
    "Commit",
    "GitError",
    "RefNotFound",
    "Repository",
    "RepositoryRefused",
    "RepositoryUnreachable",
    "Signature",
    "Signers",
    "TooLarge",
]
