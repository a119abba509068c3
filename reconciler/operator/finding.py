"""What one look at a set found; how a report, or a plan that cannot go on, becomes one reason and one sentence."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.core.errors import NotPrimary
from reconciler.core.model import AliasSet
from reconciler.core.plan import BlockReason, Plan, Step
from reconciler.core.report import VERIFICATION_FAILED, ExitCode, Outcome, Report, StepResult
from reconciler.core.text import counted, listed
from reconciler.operator.claims import Contest
from reconciler.operator.reasons import Reason

BLOCKS = {
    BlockReason.COLLECTION_MISSING: Reason.DEPENDENCY_NOT_READY,
    BlockReason.COLLECTION_IS_ALIAS: Reason.BLOCKED,
    BlockReason.NAME_TAKEN: Reason.BLOCKED,
    BlockReason.PROTECTED: Reason.BLOCKED,
    BlockReason.LOSES_OTHERS: Reason.BLOCKED,
    BlockReason.GATE_FAILED: Reason.GATE_FAILED,
    BlockReason.REJECTED: Reason.REJECTED,
    BlockReason.MOVED: Reason.PROGRESSING_WITH_RETRY,
}
"""What each kind of block means for the set; those that only follow from another block have no meaning of their own."""

SEVERITY_ORDER = (
    Reason.REJECTED,
    Reason.BLOCKED,
    Reason.GATE_FAILED,
    Reason.DEPENDENCY_NOT_READY,
    Reason.PROGRESSING_WITH_RETRY,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look at a set found.

    Args:
        reason: in a word.
        message: in a sentence, with names and numbers.
        wanted: the set without the names that it must leave to others; None where it could not be made out.
        contests: those names.
        plan: what it would change; None where nothing was compared.
        pending: whether the plan waits for somebody.
        drift: whether the plan corrects what somebody else has changed since all was in place.
        run: the name of the run that begins with this finding; empty if none does.
        report: what became of the plan.
        unreachable: the server does not answer, or not us.
        stalled: only a person can help, whatever the reason says otherwise.
        approved_by: who approved the plan, by their own word.
    """

    reason: Reason
    message: str
    desired: AliasSet | None = None
    contests: tuple[Contest, ...] = ()
    plan: Plan | None = None
    pending: bool = False
    drift: bool = False
    run: str = ""
    report: Report | None = None
    unreachable: bool = False
    stalled: bool = False
    approved_by: str = ""


def in_sync(desired: AliasSet, contests: tuple[Contest, ...]) -> tuple[Reason, str]:
    """Nothing is to be changed; unless there are names that others hold, that is success."""
    if contests:
        shown = listed([f'"{contest.name}" (AliasSet {contest.owner})' for contest in contests], 3)
        return Reason.OWNERSHIP_CONFLICT, f"left to an older set that has authority: {shown}"
    return Reason.SUCCEEDED, f"{counted(len(desired.aliases), 'alias')} in place"


def of_blocked(steps: tuple[Step, ...]) -> tuple[Reason, str]:
    """Every change is blocked: the gravest reason, and the first alias that has it."""
    found = [
        (SEVERITY_ORDER.index(BLOCKS[step.blocked.reason]), f'"{step.alias}": {step.blocked.message}')
        for step in steps
        if step.blocked and step.blocked.reason in BLOCKS
    ]
    return _most_severe(found)


def of_report(report: Report) -> tuple[Reason, str]:
    """What a run came to; of a success `in_sync` knows more."""
    if report.exit_code is ExitCode.DONE:
        return Reason.SUCCEEDED, ""
    pending_verification = [result for result in report.results if result.code in VERIFICATION_FAILED]
    reverted = [result for result in report.results if result.outcome is Outcome.REVERTED]
    if reverted:
        return Reason.REJECTED, f"moved back: {_told(reverted)}"
    if pending_verification:
        return Reason.VERIFICATION_FAILED, _told(pending_verification)
    failed = [result for result in report.results if result.outcome in (Outcome.FAILED, Outcome.UNKNOWN)]
    if any(result.code == NotPrimary.__name__ for result in failed):
        return Reason.BLOCKED, _told(failed)
    if failed:
        return Reason.PROGRESSING_WITH_RETRY, _told(failed)
    if report.interrupted:
        return Reason.PROGRESSING_WITH_RETRY, "stopped before it was done"
    found = [
        (SEVERITY_ORDER.index(BLOCKS[BlockReason(result.code)]), f'"{result.step.alias}": {result.message}')
        for result in report.results
        if result.outcome is Outcome.BLOCKED and result.code in BLOCKS
    ]
    if found:
        return _most_severe(found)
    return Reason.PROGRESSING_WITH_RETRY, _told([result for result in report.results if result.code])


def _most_severe(found: list[tuple[int, str]]) -> tuple[Reason, str]:
    position, message = min(found, key=lambda item: item[0])
    more = f" ({len(found) - 1} more blocked)" if len(found) > 1 else ""
    return SEVERITY_ORDER[position], message + more


def _told(results: list[StepResult]) -> str:
    return listed([f'"{result.step.alias}": {result.message}' for result in results], 1, "; ") or "not complete"
