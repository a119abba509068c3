"""Decide what to do about a plan, and conclude the reason from its result.

    plan, policy, memory ─▶ decide ─▶ Nothing | Wait(reason) | Apply(plan) ─▶ run ─▶ report ─▶ conclude ─▶ reason

The operator and the sync agent share both functions; the table in `decide` also says what the command line does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from math import inf
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from reconciler.core.dependencies import block_dependents, dependents
from reconciler.core.errors import ExitCode, NotPrimary
from reconciler.core.grouping import with_reasons
from reconciler.core.plan import BlockReason, PendingVerification, Plan, SetPlan, Step
from reconciler.core.reasons import Reason
from reconciler.core.report import ACHIEVED, VERIFICATION_FAILED, Outcome, Report, StepResult
from reconciler.core.text import counted, listed

Change: TypeAlias = tuple[str, str]
"""The key of a set and the name of an alias."""

BLOCKS = {
    BlockReason.REJECTED: Reason.REJECTED,
    BlockReason.COLLECTION_IS_ALIAS: Reason.BLOCKED,
    BlockReason.NAME_TAKEN: Reason.BLOCKED,
    BlockReason.PROTECTED: Reason.BLOCKED,
    BlockReason.LOSES_OTHERS: Reason.BLOCKED,
    BlockReason.GATE_FAILED: Reason.GATE_FAILED,
    BlockReason.COLLECTION_MISSING: Reason.DEPENDENCY_NOT_READY,
    BlockReason.DEPENDENCY: Reason.DEPENDENCY_NOT_READY,
    BlockReason.MOVED: Reason.PROGRESSING_WITH_RETRY,
}
"""The reason for each kind of block, the most severe first, without blocks that only follow from another one."""
SEVERITY_ORDER = tuple(dict.fromkeys(BLOCKS.values()))

RUN_CASES: Sequence[tuple[Reason, str, Callable[[StepResult], bool]]] = (
    (Reason.REJECTED, "reverted: ", lambda result: result.outcome is Outcome.REVERTED),
    (Reason.VERIFICATION_FAILED, "", lambda result: result.code in VERIFICATION_FAILED),
    (Reason.BLOCKED, "", lambda result: result.code == NotPrimary.__name__),
    (Reason.PROGRESSING_WITH_RETRY, "", lambda result: result.outcome in (Outcome.FAILED, Outcome.UNKNOWN)),
)
"""The reason for a run, the beginning of its message, and which result decides it; the first case that holds."""


class Policy(Struct, frozen=True):
    """What may be done about a plan.

    `manual`: changes need the approval of a person. `report_drift`: keys of the sets whose drift is reported and not
    corrected. `waits`: what the changes wait for (`spec.dependsOn`), where other runs apply it.
    """

    read_only: bool = False
    manual: bool = False
    report_drift: frozenset[str] = frozenset()
    waits: str = ""


class Memory(Struct, frozen=True):
    """What is known from earlier runs."""

    approved: str = ""
    applied: frozenset[str] = frozenset()
    verification_failed: str = ""
    made: frozenset[Change] = frozenset()
    corrections: int = 0
    back_off: float = 0.0


class Nothing(Struct, frozen=True):
    """Everything is up to date."""

    plan: Plan


class Wait(Struct, frozen=True):
    """Change nothing now. `plan` is without the drift that is only reported."""

    plan: Plan
    reason: Reason
    message: str


class Apply(Struct, frozen=True):
    """Apply `plan`. `drift` are the changes that were left out of it because they are only reported."""

    plan: Plan
    drift: tuple[Step, ...] = ()


Decision: TypeAlias = Nothing | Wait | Apply


def decide(plan: Plan, policy: Policy, memory: Memory) -> Decision:
    """Return what to do about a plan: the first case that holds.

    Drift that is only reported (`drift: Report`) is left out of the plan first: its changes are not made and its limits
    refuse nothing. A suspended set has no changes; the operator does not even read it.

        condition                           decision                    operator            sync agent      CLI apply
        ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
     1  a limit refuses a set               Wait: LimitExceeded         stalled             last applied    exit 3,
                                                                                            commit stays    --max-drops
     2  the newest verification failed and  Wait: VerificationFailed    until requestedAt   back-off, at    verifies
        must not be repeated yet, and no                                or another spec     most 1 h        again
        change can be made before it
     3  no change, nothing unfinished       Nothing                     Succeeded           Succeeded       exit 0
     4  read-only                           Wait: ReadOnly              --read-only         never           `plan`
     5  only drift, which is reported       Wait: DriftDetected         drift: Report       drift: Report   corrects it
     6  all changes blocked, nothing        Wait: the most severe       retries by reason   as operator     exit 3,
        unfinished                          block                                                           --wait
     7  a change waits for another set      Wait: DependencyNotReady    until it is ready   its changes are blocked, or
                                                                                            not attempted by the run
     8  a change needs approval             Wait: ApprovalRequired      approval: Manual    set left out    asks, --yes,
                                                                                                            --plan
     9  a change was made before and        Wait: DriftBackOff          never               at most 1 h     never
        corrections back off
    10  otherwise                           Apply

    Unfinished is what an earlier run did not verify, or decided to revert and did not move back. Such a revert belongs
    to the run that was approved, so 2, 7 and 8 do not delay it. The approval of this very plan lifts 2, 5 and 8. The
    CLI decides in `cli.confirm_and_apply`, which asks, and in `apply_plan`, which writes nothing for 1, 3 and 6.
    """
    approved = bool(memory.approved) and memory.approved == plan.digest
    drifting = frozenset[str]() if approved else policy.report_drift & memory.applied
    drift = tuple(step for step in plan.steps if step.set in drifting)
    left_out = {step.set: "drift is only reported" for step in drift}
    rest = block_dependents(_without_changes(plan, left_out), left_out) if drift else plan
    repeated = [step for step in rest.runnable if (step.set, step.alias) in memory.made]

    def wait(reason: Reason, message: str) -> Wait:
        return Wait(rest, reason, _with_drift(message, drift))

    if rest.refusals:
        return wait(Reason.LIMIT_EXCEEDED, "; ".join(rest.refusals))
    if memory.verification_failed and not approved and _verification_waits(plan, rest):
        return wait(Reason.VERIFICATION_FAILED, memory.verification_failed)
    if not plan.steps and not plan.earlier_moves:
        return Nothing(plan)
    if policy.read_only:
        return wait(Reason.READ_ONLY, _read_only(rest))
    if not rest.steps and not rest.earlier_moves:
        return wait(Reason.DRIFT_DETECTED, "")
    if not rest.runnable and not rest.earlier_moves:
        blocks = [(step.alias, step.blocked.reason, step.blocked.message) for step in rest.steps if step.blocked]
        return wait(*_most_severe(blocks))
    if policy.waits and rest.runnable and not rest.pending_reverts:
        return wait(Reason.DEPENDENCY_NOT_READY, policy.waits)
    if policy.manual and rest.runnable and not approved:
        return wait(Reason.APPROVAL_REQUIRED, f"{counted(len(rest.steps), 'change')} to approve")
    if repeated and memory.back_off:
        return wait(Reason.DRIFT_BACK_OFF, _back_off(repeated, memory))
    return Apply(rest, drift)


def conclude(report: Report, drift: Sequence[Step] = ()) -> tuple[Reason, str]:
    """Return the reason and the message after a run; the message of a success is empty.

    `drift`: what the run left out because it is only reported.
    """
    reason, message = _conclude_run(report)
    if reason is Reason.SUCCEEDED and drift:
        reason = Reason.DRIFT_DETECTED
    return reason, _with_drift(message, drift)


def not_tried(report: Report) -> list[PendingVerification]:
    """Return what a run was to verify again and did not."""
    tried = {(result.step.set, result.step.alias) for result in report.results}
    pending = report.plan.pending_verification
    return [item for item in pending if (item.step.set, item.step.alias) not in tried]


def _conclude_run(report: Report) -> tuple[Reason, str]:
    pending = not_tried(report)
    if report.exit_code is ExitCode.DONE and not pending:
        return Reason.SUCCEEDED, ""
    left = [result for result in report.results if result.outcome not in ACHIEVED or result.code]
    for reason, prefix, decides in RUN_CASES:
        if decisive := [result for result in left if decides(result)]:
            return reason, prefix + _described([*decisive, *(result for result in left if not decides(result))])
    if report.interrupted:
        return Reason.PROGRESSING_WITH_RETRY, "stopped before it was done"
    if report.journal_error:
        return Reason.STORAGE_OPERATION_FAILED, f"the end of the run is not recorded: {report.journal_error}"
    blocked = [result for result in left if result.outcome is Outcome.BLOCKED]
    if blocked:
        return _most_severe([(result.step.alias, result.code or "", result.message or "") for result in blocked])
    return Reason.PROGRESSING_WITH_RETRY, _described(left) or "not complete"


def _verification_waits(plan: Plan, rest: Plan) -> bool:
    """Return whether a failed verification keeps everything else from being done.

    It does not if its aliases are to be moved anyway, or if a change or a revert comes before them.
    """
    behind = dependents(rest, {pending.step.set for pending in rest.pending_verification})
    goes_first = rest.pending_reverts or any(
        _has_earlier_change(each) for each in rest.set_plans if each.set not in behind
    )
    return bool(plan.pending_verification or not plan.steps) and not goes_first


def _has_earlier_change(plan: SetPlan) -> bool:
    first = min((pending.step.wave for pending in plan.pending_verification), default=inf)
    return any(step.wave <= first and not step.blocked for step in plan.steps)


def _without_changes(plan: Plan, sets: Collection[str]) -> Plan:
    """Return a plan in which some sets change nothing and only verify what earlier runs moved."""
    return plan.with_sets(lambda _, each: replace(each, steps=(), refusals=()) if each.set in sets else each)


def _most_severe(blocked: Sequence[tuple[str, str, str]]) -> tuple[Reason, str]:
    """Return the most severe reason of blocked changes (alias, block reason, message), and all messages with it first.

    Blocks that only follow from another one are left out, if that is known.
    """
    causes = [(alias, BLOCKS[BlockReason(code)], message) for alias, code, message in blocked if code in BLOCKS]
    causes = causes or [(alias, Reason.PROGRESSING_WITH_RETRY, message) for alias, _, message in blocked]
    causes = sorted(causes, key=lambda cause: SEVERITY_ORDER.index(cause[1]))
    return causes[0][1], with_reasons((alias, message) for alias, _, message in causes)


def _described(results: Sequence[StepResult]) -> str:
    return with_reasons((result.step.alias, result.message or result.outcome) for result in results)


def _read_only(plan: Plan) -> str:
    if plan.pending_reverts:
        return f"read-only: {counted(len(plan.pending_reverts), 'alias')} would be moved back"
    if plan.steps:
        return f"read-only: {counted(len(plan.steps), 'change')} would be made"
    if plan.pending_verification:
        return f"read-only: {counted(len(plan.pending_verification), 'alias')} would be verified again"
    return "read-only"


def _back_off(repeated: Sequence[Step], memory: Memory) -> str:
    return (
        f"corrected {counted(memory.corrections, 'time')}, and moved again by others: {_names(repeated)}; "
        f"corrected again in {memory.back_off:.0f} s, or when the manifests change"
    )


def _with_drift(message: str, drift: Sequence[Step]) -> str:
    if not drift:
        return message
    reported = f"{counted(len(drift), 'alias')} not as applied; drift is only reported: {_names(drift)}"
    return f"{message}; {reported}" if message else reported


def _names(steps: Sequence[Step]) -> str:
    return listed(sorted(step.alias for step in steps))
