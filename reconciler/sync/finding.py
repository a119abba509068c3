"""The result of reconciling once, for the log, `/status`, the metrics and the exit code."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from reconciler.core.errors import CatalogError, ExitCode, Interrupted, InvalidInput
from reconciler.core.reasons import MEANINGS, Reason
from reconciler.core.report import Report
from reconciler.git import GitError, RefNotFound, RepositoryUnreachable
from reconciler.sync.revision import ConnectionsUnusable

ERRORS: Sequence[tuple[type[Exception], Reason]] = (
    (Interrupted, Reason.PROGRESSING),
    (RefNotFound, Reason.REF_NOT_FOUND),
    (RepositoryUnreachable, Reason.GIT_UNREACHABLE),
    (GitError, Reason.GIT_REFUSED),
    (CatalogError, Reason.CONNECTION_FAILED),
    (InvalidInput, Reason.CONNECTION_FAILED),
    (ConnectionsUnusable, Reason.CONNECTION_FAILED),
)
"""The reason for each error; the first that fits counts. Any other error is about the journal or the state folder."""
REF_NOT_READ = frozenset({Reason.GIT_UNREACHABLE, Reason.GIT_REFUSED, Reason.REF_NOT_FOUND, Reason.PROGRESSING})
MOST_SEVERE_FIRST = (ExitCode.INCOMPLETE, ExitCode.ERROR, ExitCode.REFUSED, ExitCode.DONE)


class Finding(Struct, frozen=True):
    """What reconciling once found and did.

    Args:
        attempted: the commit that the ref was last at; empty if it was never read.
        in_force: the commit that the aliases are kept at; empty if there is none.
        report: of the run, or of the plan that was not applied; None if nothing was compared.
    """

    reason: Reason
    message: str
    attempted: str = ""
    in_force: str = ""
    report: Report | None = None

    @property
    def saw_the_ref(self) -> bool:
        """Return whether the position of the ref was read."""
        return self.reason not in REF_NOT_READ

    @property
    def exit_code(self) -> ExitCode:
        """Return the exit code of `--once`."""
        if self.report and self.report.wrote and self.reason is not Reason.SUCCEEDED:
            return ExitCode.INCOMPLETE
        codes = {MEANINGS[self.reason].exit_code, self.report.exit_code if self.report else ExitCode.DONE}
        return next(code for code in MOST_SEVERE_FIRST if code in codes)


def reason_of(error: Exception) -> Reason:
    """Return the reason for an error that ended a reconcile."""
    return next((reason for kind, reason in ERRORS if isinstance(error, kind)), Reason.STORAGE_OPERATION_FAILED)
