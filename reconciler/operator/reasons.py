"""Why a set is as it is, in one word, and what that means for its conditions. `docs/operator.md` shows this table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """The reason of the conditions `Ready`, `Reconciling` and `Stalled`."""

    SUCCEEDED = "Succeeded"
    PROGRESSING = "Progressing"
    PROGRESSING_WITH_RETRY = "ProgressingWithRetry"
    SUSPENDED = "Suspended"
    DEPENDENCY_NOT_READY = "DependencyNotReady"
    APPROVAL_REQUIRED = "ApprovalRequired"
    GATE_FAILED = "GateFailed"
    LIMIT_EXCEEDED = "LimitExceeded"
    OWNERSHIP_CONFLICT = "OwnershipConflict"
    DRIFT_DETECTED = "DriftDetected"
    CONNECTION_FAILED = "ConnectionFailed"
    INVALID_SPEC = "InvalidSpec"
    BLOCKED = "Blocked"
    REJECTED = "Rejected"
    VERIFICATION_FAILED = "VerificationFailed"
    READ_ONLY = "ReadOnly"


class Ready(StrEnum):
    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Next(StrEnum):
    """When the set is looked at again without anybody asking: at its interval, or before, further and further apart."""

    INTERVAL = "interval"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a reason stands for. `reconciling`: it goes on by itself; `stalled`: only a person can help."""

    ready: Ready
    reconciling: bool = False
    stalled: bool = False
    next: Next = Next.INTERVAL
    warning: bool = False


MEANINGS = {
    Reason.SUCCEEDED: Meaning(Ready.TRUE),
    Reason.PROGRESSING: Meaning(Ready.UNKNOWN, reconciling=True, next=Next.RETRY),
    Reason.PROGRESSING_WITH_RETRY: Meaning(Ready.FALSE, reconciling=True, next=Next.RETRY, warning=True),
    Reason.SUSPENDED: Meaning(Ready.UNKNOWN),
    Reason.DEPENDENCY_NOT_READY: Meaning(Ready.FALSE, reconciling=True, next=Next.RETRY, warning=True),
    Reason.APPROVAL_REQUIRED: Meaning(Ready.FALSE),
    Reason.GATE_FAILED: Meaning(Ready.FALSE, reconciling=True, next=Next.RETRY, warning=True),
    Reason.LIMIT_EXCEEDED: Meaning(Ready.FALSE, stalled=True, warning=True),
    Reason.OWNERSHIP_CONFLICT: Meaning(Ready.FALSE, stalled=True, warning=True),
    Reason.DRIFT_DETECTED: Meaning(Ready.FALSE, warning=True),
    Reason.CONNECTION_FAILED: Meaning(Ready.FALSE, reconciling=True, next=Next.RETRY, warning=True),
    Reason.INVALID_SPEC: Meaning(Ready.FALSE, stalled=True, warning=True),
    Reason.BLOCKED: Meaning(Ready.FALSE, stalled=True, warning=True),
    Reason.REJECTED: Meaning(Ready.FALSE, stalled=True, warning=True),
    Reason.VERIFICATION_FAILED: Meaning(Ready.FALSE, stalled=True, warning=True),
    Reason.READ_ONLY: Meaning(Ready.FALSE),
}
