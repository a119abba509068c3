"""Errors of repositories."""

from __future__ import annotations

from reconciler.core.errors import AliasctlError


class GitError(AliasctlError):
    """Git failed, or is not installed."""


class RepositoryUnreachable(GitError):
    """No answer in time."""

    transient = True


class RepositoryRefused(GitError):
    """Wrong credentials, unknown host key, or no such repository."""


class RefNotFound(GitError):
    """The repository has no such branch, tag or commit."""


class TooLarge(GitError):
    """Over one of our limits."""


class OutOfMemory(TooLarge):
    """Over the limit of memory."""
