"""The exit code of `--once`, and the reason for an error."""

from __future__ import annotations

import pytest

from reconciler.core.errors import CallTimedOut, ExitCode, Interrupted, InvalidInput, JournalError, Problem
from reconciler.core.reasons import Reason
from reconciler.core.report import Report
from reconciler.git import GitError, RefNotFound, RepositoryRefused, RepositoryUnreachable
from reconciler.reconcile import apply_plan, make_plan
from reconciler.sync.finding import Finding, reason_of
from reconciler.sync.revision import ConnectionsUnusable
from tests.builders import alias_set, catalogs, server
from tests.reasons import OPERATOR_ONLY

DONE, ERROR, REFUSED, INCOMPLETE = ExitCode.DONE, ExitCode.ERROR, ExitCode.REFUSED, ExitCode.INCOMPLETE
WITHOUT_A_WRITE = {
    Reason.SUCCEEDED: DONE,
    Reason.PROGRESSING: REFUSED,
    Reason.PROGRESSING_WITH_RETRY: ERROR,
    Reason.DEPENDENCY_NOT_READY: REFUSED,
    Reason.GATE_FAILED: REFUSED,
    Reason.LIMIT_EXCEEDED: REFUSED,
    Reason.BLOCKED: REFUSED,
    Reason.REJECTED: REFUSED,
    Reason.VERIFICATION_FAILED: INCOMPLETE,
    Reason.DRIFT_DETECTED: REFUSED,
    Reason.DRIFT_BACK_OFF: REFUSED,
    Reason.CONNECTION_FAILED: ERROR,
    Reason.STORAGE_OPERATION_FAILED: ERROR,
    Reason.INVALID_REVISION: ERROR,
    Reason.SIGNATURE_INVALID: ERROR,
    Reason.REF_NOT_FOUND: ERROR,
    Reason.GIT_REFUSED: ERROR,
    Reason.GIT_UNREACHABLE: ERROR,
}


def report_of(*, wrote: bool, blocked: bool) -> Report:
    aliases = {**({"a": "v1"} if wrote else {}), **({"b": "nowhere"} if blocked else {})}
    made = server("v1")
    return apply_plan(make_plan([alias_set(aliases)], catalogs=catalogs(made)), catalogs=catalogs(made))


@pytest.mark.parametrize("reason", sorted(set(Reason) - OPERATOR_ONLY))
def test_each_reason_has_its_exit_code(reason: Reason) -> None:
    assert Finding(reason, "").exit_code is WITHOUT_A_WRITE[reason]
    after_a_write = Finding(reason, "", report=report_of(wrote=True, blocked=False)).exit_code
    assert after_a_write is (DONE if reason is Reason.SUCCEEDED else INCOMPLETE)


@pytest.mark.parametrize("reason", sorted(set(Reason) - OPERATOR_ONLY - {Reason.SUCCEEDED}))
def test_what_is_blocked_at_the_last_valid_commit_hides_no_error(reason: Reason) -> None:
    blocked = Finding(reason, "", report=report_of(wrote=False, blocked=True))
    assert blocked.exit_code is WITHOUT_A_WRITE[reason]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Interrupted("git fetch was interrupted"), Reason.PROGRESSING),
        (RefNotFound("no branch"), Reason.REF_NOT_FOUND),
        (RepositoryUnreachable("no route"), Reason.GIT_UNREACHABLE),
        (RepositoryRefused("wrong key"), Reason.GIT_REFUSED),
        (GitError("no git"), Reason.GIT_REFUSED),
        (CallTimedOut("no answer"), Reason.CONNECTION_FAILED),
        (InvalidInput(Problem("no such token")), Reason.CONNECTION_FAILED),
        (ConnectionsUnusable("connections.yaml"), Reason.CONNECTION_FAILED),
        (JournalError("read-only file system"), Reason.STORAGE_OPERATION_FAILED),
        (OSError("disk full"), Reason.STORAGE_OPERATION_FAILED),
    ],
)
def test_each_error_has_its_reason(error: Exception, reason: Reason) -> None:
    assert reason_of(error) is reason
