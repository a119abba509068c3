"""Access to Git repositories through the `git` program, independent of manifests.

command the program itself: its settings, its timeout and the limits of its output access access to a repository:
transport, credentials, keys repository a bare mirror of one ref: its position, and the files of a commit, without any
work tree signatures who signed a commit provenance which commit a folder has checked out, and which pipeline runs
aliasctl
"""

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
