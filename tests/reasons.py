"""Which reasons only one of the two front doors gives."""

from __future__ import annotations

from reconciler.core.reasons import Reason

OPERATOR_ONLY = frozenset(
    {
        Reason.SUSPENDED,
        Reason.READ_ONLY,
        Reason.APPROVAL_REQUIRED,
        Reason.OWNERSHIP_CONFLICT,
        Reason.INVALID_SPEC,
    }
)
SYNC_ONLY = frozenset(
    {
        Reason.DRIFT_BACK_OFF,
        Reason.STORAGE_OPERATION_FAILED,
        Reason.INVALID_REVISION,
        Reason.SIGNATURE_INVALID,
        Reason.REF_NOT_FOUND,
        Reason.GIT_REFUSED,
        Reason.GIT_UNREACHABLE,
    }
)
