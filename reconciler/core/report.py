"""The report: the outcome of each step of a plan, and the exit code that sums it up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct, field

from reconciler.core.errors import ExitCode
from reconciler.core.metrics import MAX_POINTS, Metric
from reconciler.core.plan import Plan, Step, TargetPlan, Verdict
from reconciler.core.record import ALWAYS, INLINE, Count, Record, Time

ExitStatus = Annotated[int, Meta(ge=0, le=5)]
"""An exit code in a document."""


class Outcome(StrEnum):
    """How one step ended.

    `noop`: the alias was already where it should be. `blocked`: the plan or a gate forbade it. `failed`: it was not
    done, or cannot be relied on; the message says where the alias is. `unknown`: it may or may not have been done, and
    could not be read back. `notAttempted`: something before it ended the run. `reverted`: it was done, and undone after
    a failure (`onFailure: Revert`).
    """

    DONE = "done"
    NOOP = "noop"
    BLOCKED = "blocked"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_ATTEMPTED = "notAttempted"
    REVERTED = "reverted"


ACHIEVED = frozenset({Outcome.DONE, Outcome.NOOP})

REVERT_FAILED = "RevertFailed"
"""The code of a step that should have been reverted and was not."""
VERIFY_MISMATCH = "VerifyMismatch"
PROPAGATION_STUCK = "PropagationStuck"
PROPAGATION_DENIED = "PropagationDenied"
PROPAGATION_INTERRUPTED = "PropagationInterrupted"
SOAK_FAILED = "SoakFailed"
SOAK_INTERRUPTED = "SoakInterrupted"
VERIFICATION_FAILED = frozenset({PROPAGATION_STUCK, PROPAGATION_DENIED, SOAK_FAILED})
"""The codes of an alias that was moved to its desired collection, and failed its verification there."""
NOT_VERIFIED = VERIFICATION_FAILED | {VERIFY_MISMATCH, PROPAGATION_INTERRUPTED, SOAK_INTERRUPTED}
"""The codes of an alias that was moved but is not verified."""
NO_RECORDED_END = "the run has no recorded end"
"""The reason for pending verifications of a run whose end is not recorded."""


class Reach(StrEnum):
    """Whether reads through the alias are answered by the new collection.

    `stuck`: the catalog is right, and reads are still answered by another collection. `denied`: reads are denied that
    are not known to have been denied before the move. `unknown`: nothing distinguishes the two collections, or reads
    failed, also because they were denied before the move.
    """

    VERIFIED = "verified"
    STUCK = "stuck"
    DENIED = "denied"
    UNKNOWN = "unknown"


class Propagated(Record, frozen=True):
    """What reads through an alias proved at one endpoint."""

    endpoint: Annotated[str, Meta(description="The address of a proxy.")]
    reach: Reach = field(name="result")
    detail: Annotated[str, ALWAYS] = ""
    reads: Annotated[Count, Meta(description="Reads through the alias."), ALWAYS] = 0
    heals: Annotated[
        Count, Meta(description="Times that the alias was altered again to the same collection."), ALWAYS
    ] = 0
    seconds: Annotated[float, Meta(ge=0), ALWAYS] = 0.0
    connection: Annotated[
        str, Meta(description="The MilvusConnection of verify.endpoints with whose token it was read.")
    ] = ""


class MetricResult(Record, frozen=True):
    """What Prometheus showed about the readers of an alias, around its move."""

    metric: Metric
    verdict: Annotated[Verdict, Meta(description="unknown: nothing to judge, or Prometheus did not answer.")] = field(
        name="result"
    )
    detail: Annotated[str, ALWAYS] = ""
    before: Annotated[float | None, Meta(description="Median of the windows before the move.")] = None
    after: Annotated[float | None, Meta(description="The last window since the move.")] = None
    windows: Annotated[Count, Meta(description="Windows with a value since the move."), ALWAYS] = 0
    window_seconds: Annotated[float, Meta(ge=0), ALWAYS] = 0.0
    points: Annotated[
        tuple[tuple[float, float], ...],
        Meta(description=f"Seconds since the move (negative: before it) and value; at most {MAX_POINTS}."),
    ] = ()

    @property
    def in_words(self) -> str:
        """Return the value before the move and after."""
        return f"{self.metric.title} {self.metric.shown(self.before)} → {self.metric.shown(self.after)}"


def unknown_of(results: Iterable[MetricResult]) -> list[MetricResult]:
    """Return the metrics that could not be judged."""
    return [result for result in results if result.verdict is Verdict.UNKNOWN]


class StepResult(Record, frozen=True):
    """One step and its outcome.

    A step that is `done` or `noop` with a code is at its desired collection, but something else that was requested
    failed, or the journal does not have it: the run does not count as complete.
    """

    step: Annotated[Step, INLINE]
    outcome: Outcome
    code: Annotated[str | None, Meta(description="The class of an error.")] = None
    message: str | None = None
    started: Time | None = None
    ended: Time | None = None
    wrote: Annotated[
        bool, Meta(description="A call was sent that took effect, or may have; also where it was undone since."), ALWAYS
    ] = False
    propagation: tuple[Propagated, ...] = ()
    metrics: tuple[MetricResult, ...] = ()
    moved_by: Annotated[
        str, Meta(description="The earlier run that moved the alias, if this run only verified or reverted that.")
    ] = ""


def at_desired(result: StepResult) -> bool:
    """Return whether the alias is at its desired collection; not if it was read elsewhere after an accepted call."""
    return result.outcome in ACHIEVED or result.code in NOT_VERIFIED - {VERIFY_MISMATCH} | {REVERT_FAILED}


def missing_proof(result: StepResult) -> str:
    """Return why an alias that a step may have moved is not verified there; empty if it is, or cannot be there."""
    if result.step.desired is None or result.outcome is Outcome.REVERTED:
        return ""
    uncertain = result.outcome is Outcome.UNKNOWN or (result.outcome is Outcome.FAILED and result.wrote)
    if uncertain or result.code in NOT_VERIFIED | {REVERT_FAILED}:
        return result.message or result.code or str(result.outcome)
    return ""


def is_applied(result: StepResult) -> bool:
    """Return whether an alias is where the step was to put it, verified or not."""
    return result.outcome in ACHIEVED or result.code in VERIFICATION_FAILED


class TargetReport(Struct, frozen=True):
    """The outcomes of one database's steps."""

    plan: TargetPlan
    results: tuple[StepResult, ...]


def not_applied(plan: TargetPlan, *, refused: bool, waiting: Mapping[str, str] = {}) -> TargetReport:
    """Return the report of a database that nothing was done to. `waiting`: what sets waited for."""
    return TargetReport(plan, tuple(not_attempted(step, waiting, refused=refused) for step in plan.steps))


def not_attempted(step: Step, waiting: Mapping[str, str], *, refused: bool = False) -> StepResult:
    """Return the result of a step that was not started. `waiting`: as for `not_applied`."""
    if step.blocked and not refused:
        return StepResult(step, Outcome.BLOCKED, step.blocked.reason, step.blocked.message)
    return StepResult(step, Outcome.NOT_ATTEMPTED, message=waiting.get(step.set))


class Report(Struct, frozen=True):
    """The outcome of a plan. With a refusal in the plan nothing was written.

    `run` is the run's name in the journal; empty without one. `journal_error` says why its end is not recorded there:
    the run does not count as complete.
    """

    plan: Plan
    targets: tuple[TargetReport, ...]
    started: Time
    ended: Time
    interrupted: bool = False
    run: str = ""
    journal_error: str = ""

    @property
    def results(self) -> tuple[StepResult, ...]:
        return tuple(result for target in self.targets for result in target.results)

    @property
    def counts(self) -> Counter[Outcome]:
        return Counter(result.outcome for result in self.results)

    @property
    def wrote(self) -> bool:
        """Return whether anything may have been written."""
        return any(result.wrote for result in self.results)

    @property
    def exit_code(self) -> ExitCode:
        outcomes = set(self.counts)
        marred = bool(self.journal_error) or any(result.code for result in self.results if result.outcome in ACHIEVED)
        if not self.plan.refusals and outcomes <= ACHIEVED and not marred:
            return ExitCode.DONE
        if self.wrote:
            return ExitCode.INCOMPLETE
        if Outcome.FAILED in outcomes or marred or self.interrupted:
            return ExitCode.ERROR
        return ExitCode.REFUSED


def plan_exit_code(plan: Plan, *, detailed: bool = False) -> ExitCode:
    """Return what `plan` ends with: 3 if a limit refuses or every change is blocked, with `detailed` 2 for changes."""
    if plan.refusals or (plan.steps and not plan.writes):
        return ExitCode.REFUSED
    return ExitCode.CHANGES if detailed and plan.writes else ExitCode.DONE
