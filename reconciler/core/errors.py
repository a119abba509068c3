"""The errors that users can see: all are an `AliasctlError`, and those of calls to Milvus a `CatalogError`.

`transient` says whether the same call can succeed later without anyone changing anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from reconciler.core.model import Source
from reconciler.core.record import Record


class ExitCode(IntEnum):
    """The exit code of the process; see the table in docs/pipelines.md."""

    DONE = 0
    ERROR = 1
    CHANGES = 2
    REFUSED = 3
    STALE = 4
    INCOMPLETE = 5


class AliasctlError(Exception):
    """Base class of all errors: nothing was written.

    `str(error)` is one line for a person; `code` is for programs; `problems` are all things wrong, one at least.
    """

    exit_code = ExitCode.ERROR
    transient = False

    def __init__(self, message: str = "") -> None:
        self.problems: tuple[Problem, ...] = (Problem(message),)
        super().__init__(message)

    @property
    def code(self) -> str:
        return type(self).__name__


MAX_PROBLEMS = 100


class Problem(Record, frozen=True):
    """One thing wrong with the input, where it stands, and (in the message) how to fix it."""

    message: str
    source: Source | None = None

    def __str__(self) -> str:
        return f"{self.source}: {self.message}" if self.source else self.message


def _first(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    if len(problems) <= MAX_PROBLEMS:
        return problems
    return (*problems[:MAX_PROBLEMS], Problem(f"these are the first {MAX_PROBLEMS} problems; there are more"))


class InvalidInput(AliasctlError):
    """Manifest, plan file, export or option that cannot be used.

    `problems`: in the order a reader would fix them: by file, line and column. The first hundred only.
    """

    def __init__(self, *problems: Problem) -> None:
        problems = _first(problems)
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems

    @property
    def in_one_line(self) -> str:
        """Return the messages without their places."""
        return "; ".join(problem.message for problem in self.problems)


class CatalogError(AliasctlError):
    """A call to Milvus failed.

    `message`: one line, without the server's stack or the token. `server_code`: Milvus's error code
    (`pkg/util/merr/errors.go`), None when the server did not answer.
    """

    def __init__(self, message: str, *, server_code: int | None = None) -> None:
        self.server_code = server_code
        super().__init__(message)


class ConnectionFailed(CatalogError):
    """No server, or none that can be used."""

    transient = True


class TlsFailed(ConnectionFailed):
    """The server answers, but no TLS connection is possible. `by_server`: whether the server refused the connection."""

    def __init__(self, message: str, *, server_code: int | None = None, by_server: bool = False) -> None:
        self.by_server = by_server
        super().__init__(message, server_code=server_code)


class CallTimedOut(CatalogError):
    """No answer in time; a write may have happened."""

    transient = True


class RateLimited(CatalogError):
    """The server refused to act for now."""

    transient = True


class AuthenticationFailed(CatalogError):
    """Wrong or missing token."""


class PermissionDenied(CatalogError):
    """A privilege is missing.

    `privilege`: the privilege to grant, by Milvus's name; None where the server does not say which.
    """

    def __init__(self, message: str, *, server_code: int | None = None, privilege: str | None = None) -> None:
        self.privilege = privilege
        super().__init__(message, server_code=server_code)


class DatabaseNotFound(CatalogError):
    pass


class CollectionNotFound(CatalogError):
    pass


class AliasNotFound(CatalogError):
    pass


class AliasAlreadyExists(CatalogError):
    """Create of an alias that exists, perhaps dangling."""


class NameTakenByCollection(CatalogError):
    pass


class NotLoaded(CatalogError):
    """A read of data from a collection that is not loaded."""


class InvalidName(CatalogError):
    pass


class NotPrimary(CatalogError):
    """A secondary cluster refuses writes; the call wrote nothing."""


class NotSupported(CatalogError):
    """This server has no such call."""


class UnexpectedAnswer(CatalogError):
    """Any other code."""


class IntegrationFailed(AliasctlError):
    """A system beside Milvus, such as a hook, did not answer, or not as required.

    `message`: one line that names the system, without its secret and without the path of its address.
    """

    def __init__(self, message: str, *, transient: bool = False) -> None:
        self.transient = transient
        super().__init__(message)


class JournalError(AliasctlError):
    """An intent or result cannot be recorded."""


class StalePlan(AliasctlError):
    """The live state, or what is desired, has changed since the plan.

    `message`: what is stale, and what to do. `differences`: one sentence each, which names its aliases.
    """

    exit_code = ExitCode.STALE

    def __init__(self, message: str, differences: Iterable[str] = ()) -> None:
        problems = _first((Problem(message), *map(Problem, differences)))
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems


class UsageError(AliasctlError):
    """A command line that is not valid."""


class Interrupted(AliasctlError):
    """The user stopped it, or did not confirm."""
