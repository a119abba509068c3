"""Git repositories, by the `git` program. Nothing here knows what manifests are.

command      the program itself: which settings it may see, how long it may take, how much it may write
access       how a repository is reached: transport, credentials, keys
repository   a bare mirror of one ref: what it is at, and the files of a commit, without any work tree
signatures   who signed a commit
provenance   which commit a folder has checked out, and which pipeline runs us
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
