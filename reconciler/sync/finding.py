"""What a look found, for the log, `/status`, the metrics and the exit code."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reconciler.report import ExitCode, Report


class Reason(StrEnum):
    """The first that holds, from the top."""

    GIT_UNREACHABLE = "GitUnreachable"
    GIT_REFUSED = "GitRefused"
    REF_NOT_FOUND = "RefNotFound"
    UNVERIFIED = "Unverified"
    INVALID_REVISION = "InvalidRevision"
    MILVUS_FAILED = "MilvusFailed"
    LIMIT_EXCEEDED = "LimitExceeded"
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
    Reason.UNVERIFIED: "the newest commit has no signature that counts; the last good one is in force",
    Reason.INVALID_REVISION: "the newest commit cannot be used; the last good one is in force",
    Reason.MILVUS_FAILED: "Milvus, its credentials or the journal cannot be used; nothing further is changed",
    Reason.LIMIT_EXCEEDED: "a limit refuses the newest commit; what was applied last is in force",
    Reason.INCOMPLETE: "something was changed, and not all that is wanted is done; it is tried again",
    Reason.BLOCKED: "a gate or protection forbids some or all changes; it is tried again",
    Reason.DRIFT_HELD: "others keep moving aliases; they are corrected less and less often",
    Reason.DRIFT_DETECTED: "others have moved aliases of sets whose drift is only reported",
    Reason.INTERRUPTED: "the ref moved, or the agent was stopped, while a run was going on",
    Reason.SYNCED: "everything is as the newest commit says",
}
QUICKLY_RETRIED = frozenset(
    {Reason.GIT_UNREACHABLE, Reason.MILVUS_FAILED, Reason.INCOMPLETE, Reason.INTERRUPTED, Reason.REF_NOT_FOUND}
)
"""Worth another try before the interval is over, with growing pauses."""
UNSEEN = frozenset({Reason.GIT_UNREACHABLE, Reason.GIT_REFUSED, Reason.REF_NOT_FOUND, Reason.INTERRUPTED})
ERRORS = frozenset(
    {
        Reason.GIT_UNREACHABLE,
        Reason.GIT_REFUSED,
        Reason.REF_NOT_FOUND,
        Reason.UNVERIFIED,
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
        return ExitCode.INCOMPLETE if self.reason is Reason.INCOMPLETE else ExitCode.REFUSED
