"""The reasons why an AliasSet, or a revision of a repository, is in its state, and what each of them means.

The operator and the Git sync agent share this list. `docs/operator.md` and `docs/gitops.md` explain it to users.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from reconciler.core.errors import ExitCode


class Reason(StrEnum):
    """The reason of the conditions `Ready`, `Reconciling` and `Stalled`, in the words of Kubernetes and Flux."""

    SUCCEEDED = "Succeeded"
    PROGRESSING = "Progressing"
    PROGRESSING_WITH_RETRY = "ProgressingWithRetry"
    SUSPENDED = "Suspended"
    READ_ONLY = "ReadOnly"
    APPROVAL_REQUIRED = "ApprovalRequired"
    DEPENDENCY_NOT_READY = "DependencyNotReady"
    GATE_FAILED = "GateFailed"
    LIMIT_EXCEEDED = "LimitExceeded"
    OWNERSHIP_CONFLICT = "OwnershipConflict"
    BLOCKED = "Blocked"
    REJECTED = "Rejected"
    VERIFICATION_FAILED = "VerificationFailed"
    DRIFT_DETECTED = "DriftDetected"
    DRIFT_BACK_OFF = "DriftBackOff"
    CONNECTION_FAILED = "ConnectionFailed"
    STORAGE_OPERATION_FAILED = "StorageOperationFailed"
    INVALID_SPEC = "InvalidSpec"
    INVALID_REVISION = "InvalidRevision"
    SIGNATURE_INVALID = "SignatureInvalid"
    REF_NOT_FOUND = "RefNotFound"
    GIT_REFUSED = "GitRefused"
    GIT_UNREACHABLE = "GitUnreachable"


class Ready(StrEnum):
    """The status of the condition `Ready`."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Meaning(Struct, frozen=True):
    """What a reason means.

    Args:
        summary: the reason in words, for `/status` of the sync agent.
        ready: the status of the condition `Ready`.
        reconciling: the condition `Reconciling`: it is retried before the interval is over, with growing pauses.
        stalled: the condition `Stalled`: it stays until a person changes something.
        warning: logged as a warning, and a warning as an Event.
        exit_code: of `aliasctl sync --once` if nothing was written.
    """

    summary: str
    ready: Ready = Ready.FALSE
    reconciling: bool = False
    stalled: bool = False
    warning: bool = True
    exit_code: ExitCode = ExitCode.REFUSED


MEANINGS = {
    Reason.SUCCEEDED: Meaning("everything is up to date", Ready.TRUE, warning=False, exit_code=ExitCode.DONE),
    Reason.PROGRESSING: Meaning("a run is in progress or about to start", Ready.UNKNOWN, True, warning=False),
    Reason.PROGRESSING_WITH_RETRY: Meaning(
        "not all changes were made; will retry", reconciling=True, exit_code=ExitCode.ERROR
    ),
    Reason.SUSPENDED: Meaning("suspended; nothing is read or changed", Ready.UNKNOWN, warning=False),
    Reason.READ_ONLY: Meaning("read-only; nothing is changed", warning=False),
    Reason.APPROVAL_REQUIRED: Meaning("the plan waits for approval", warning=False),
    Reason.DEPENDENCY_NOT_READY: Meaning(
        "a connection, Secret or collection is missing, or another set is not ready; will retry", reconciling=True
    ),
    Reason.GATE_FAILED: Meaning("blocked by a gate; will retry", reconciling=True),
    Reason.LIMIT_EXCEEDED: Meaning("refused by a limit", stalled=True),
    Reason.OWNERSHIP_CONFLICT: Meaning("an older set has authority over some of the names", stalled=True),
    Reason.BLOCKED: Meaning("blocked by protection, by a name, or by what a drop would lose", stalled=True),
    Reason.REJECTED: Meaning("reverted after a failure; not retried until the set changes", stalled=True),
    Reason.VERIFICATION_FAILED: Meaning(
        "aliases were moved but verification failed", stalled=True, exit_code=ExitCode.INCOMPLETE
    ),
    Reason.DRIFT_DETECTED: Meaning("drift was found and is only reported"),
    Reason.DRIFT_BACK_OFF: Meaning("something else keeps moving aliases; corrections back off"),
    Reason.CONNECTION_FAILED: Meaning(
        "Milvus or a connection cannot be used; will retry", reconciling=True, exit_code=ExitCode.ERROR
    ),
    Reason.STORAGE_OPERATION_FAILED: Meaning(
        "the journal or the state folder cannot be used; will retry", reconciling=True, exit_code=ExitCode.ERROR
    ),
    Reason.INVALID_SPEC: Meaning("the spec is invalid", stalled=True, exit_code=ExitCode.ERROR),
    Reason.INVALID_REVISION: Meaning(
        "the newest commit is invalid; the last valid commit stays active", stalled=True, exit_code=ExitCode.ERROR
    ),
    Reason.SIGNATURE_INVALID: Meaning(
        "the newest commit has no accepted signature; the last valid commit stays active",
        stalled=True,
        exit_code=ExitCode.ERROR,
    ),
    Reason.REF_NOT_FOUND: Meaning(
        "the branch, tag or commit does not exist; nothing is changed; will retry",
        reconciling=True,
        exit_code=ExitCode.ERROR,
    ),
    Reason.GIT_REFUSED: Meaning(
        "the repository refuses access or does not exist; nothing is changed", stalled=True, exit_code=ExitCode.ERROR
    ),
    Reason.GIT_UNREACHABLE: Meaning(
        "the repository cannot be reached; nothing is changed; will retry", reconciling=True, exit_code=ExitCode.ERROR
    ),
}
