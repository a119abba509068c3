"""What a look found, for the log, `/status`, the metrics and the exit code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from reconciler.core.plan import PendingVerification, Plan, Step
from reconciler.core.report import ACHIEVED, ExitCode, Report
from reconciler.core.text import counted, listed
from reconciler.sync.pending_verification import NOT_VERIFIED_CODES


class Reason(StrEnum):
    """The first that holds, from the top."""

    GIT_UNREACHABLE = "GitUnreachable"
    GIT_REFUSED = "GitRefused"
    REF_NOT_FOUND = "RefNotFound"
    SIGNATURE_INVALID = "SignatureInvalid"
    INVALID_REVISION = "InvalidRevision"
    MILVUS_FAILED = "MilvusFailed"
    LIMIT_EXCEEDED = "LimitExceeded"
    VERIFICATION_FAILED = "VerificationFailed"
    INCOMPLETE = "Incomplete"
    BLOCKED = "Blocked"
    DRIFT_HELD = "DriftHeld"
    DRIFT_DETECTED = "DriftDetected"
    INTERRUPTED = "Interrupted"
    SYNCED = "Synced"


MEANINGS: dict[Reason, str] = {
    Reason.GIT_UNREACHABLE: "the repository does not answer; nothing is changed",
    Reason.GIT_REFUSED: "the repository refuses us, or is not there; nothing is changed",
    Reason.REF_NOT_FOUND: "the branch, tag or commit is gone; nothing is changed",
    Reason.SIGNATURE_INVALID: "the newest commit has no signature that counts; the last good one is in force",
    Reason.INVALID_REVISION: "the newest commit cannot be used; the last good one is in force",
    Reason.MILVUS_FAILED: "Milvus, a connection, the journal or the state cannot be used; nothing further is changed",
    Reason.LIMIT_EXCEEDED: "a limit refuses the newest commit; what was applied last is in force",
    Reason.VERIFICATION_FAILED: "aliases were moved, and not found good where they are; they are verified again",
    Reason.INCOMPLETE: "something was changed, and not all that is wanted is done; it is tried again",
    Reason.BLOCKED: "a gate or protection forbids some or all changes; it is tried again",
    Reason.DRIFT_HELD: "others keep moving aliases; they are corrected less and less often",
    Reason.DRIFT_DETECTED: "others have moved aliases of sets whose drift is only reported",
    Reason.INTERRUPTED: "the ref moved, or the agent was stopped, while a run was going on",
    Reason.SYNCED: "everything is as the newest commit says",
}
QUICKLY_RETRIED = frozenset(
    {
        Reason.GIT_UNREACHABLE,
        Reason.MILVUS_FAILED,
        Reason.VERIFICATION_FAILED,
        Reason.INCOMPLETE,
        Reason.INTERRUPTED,
        Reason.REF_NOT_FOUND,
    }
)
"""Worth another try before the interval is over, with growing pauses."""
UNSEEN = frozenset({Reason.GIT_UNREACHABLE, Reason.GIT_REFUSED, Reason.REF_NOT_FOUND, Reason.INTERRUPTED})
LEFT_OVER = frozenset({Reason.VERIFICATION_FAILED, Reason.INCOMPLETE})
"""Something was written, by this run or an earlier one, and not all is well."""
ERRORS = frozenset(
    {
        Reason.GIT_UNREACHABLE,
        Reason.GIT_REFUSED,
        Reason.REF_NOT_FOUND,
        Reason.SIGNATURE_INVALID,
        Reason.INVALID_REVISION,
        Reason.MILVUS_FAILED,
    }
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look found.

    Args:
        reason: the gist, for programs.
        message: the same for people.
        attempted: the commit that the ref was last seen at; empty if it never was.
        in_force: the commit that the aliases are kept at; empty if there is none.
        report: of the run, if there was one.
    """

    reason: Reason
    message: str
    attempted: str = ""
    in_force: str = ""
    report: Report | None = None

    @property
    def saw_the_ref(self) -> bool:
        """Whether the repository told where the ref is."""
        return self.reason not in UNSEEN

    @property
    def exit_code(self) -> ExitCode:
        """Of `--once`."""
        if self.report and self.report.wrote and self.reason is not Reason.SYNCED:
            return ExitCode.INCOMPLETE
        if self.reason in ERRORS:
            return ExitCode.ERROR
        if self.reason is Reason.SYNCED:
            return ExitCode.DONE
        return ExitCode.INCOMPLETE if self.reason in LEFT_OVER else ExitCode.REFUSED


def of_run(synced: Finding, report: Report, watched: Plan, pending: Sequence[PendingVerification] = ()) -> Finding:
    """What a run came to.

    Args:
        synced: what there is to say if all went well.
        report: of the run.
        watched: the drift that is only reported.
        owed: what is not verified, and was not tried now.
    """
    what = counted(len(watched.steps), "alias")
    drift = f"{what} not as applied; drift is only reported: {names(watched.steps)}" if watched.steps else ""
    found = replace(synced, report=report)
    if report.exit_code is not ExitCode.DONE or report.interrupted or pending:
        reason, message = _of_trouble(report, pending)
        return replace(found, reason=reason, message=f"{message}; {drift}" if drift else message)
    return replace(found, reason=Reason.DRIFT_DETECTED, message=drift) if drift else found


def _of_trouble(report: Report, pending: Sequence[PendingVerification]) -> tuple[Reason, str]:
    if report.plan.refusals:
        return Reason.LIMIT_EXCEEDED, "; ".join(report.plan.refusals)
    left = [result for result in report.results if result.outcome not in ACHIEVED or result.code]
    told = [f'"{item.step.alias}": {item.message or item.outcome}' for item in left]
    told += [f'"{item.step.alias}": run {item.run} moved it and did not verify it ({item.reason})' for item in pending]
    message = listed(told, 3, "; ")
    if report.interrupted:
        return Reason.INTERRUPTED, message or "the run was ended early"
    if pending or any(item.code in NOT_VERIFIED_CODES for item in left):
        return Reason.VERIFICATION_FAILED, message
    return (Reason.INCOMPLETE if report.exit_code is ExitCode.INCOMPLETE else Reason.BLOCKED), message


def names(steps: Sequence[Step]) -> str:
    """The aliases of some steps, or the first of many."""
    return listed(sorted(step.alias for step in steps))
