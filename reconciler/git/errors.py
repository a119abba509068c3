"""Errors of repositories.

GitError                  git failed, or is not installed
├── RepositoryUnreachable     no answer in time               (transient)
├── RepositoryRefused         wrong credentials, unknown host key, or no such repository
├── RefNotFound               the repository has no such branch, tag or commit
└── TooLarge                  over one of our limits
    └── OutOfMemory               in memory
"""

from __future__ import annotations

from reconciler.core.errors import AliasctlError


class GitError(AliasctlError):
    pass


class RepositoryUnreachable(GitError):
    transient = True


class RepositoryRefused(GitError):
    pass


class RefNotFound(GitError):
    pass


class TooLarge(GitError):
    pass


class OutOfMemory(TooLarge):
    pass
