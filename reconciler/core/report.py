"""The report: what became of each step of a plan, and the exit code that says it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from reconciler.core.plan import Plan, Step, TargetPlan


class ExitCode(IntEnum):
    """What the process tells its caller; the table in docs/pipelines.md."""

    DONE = 0
    ERROR = 1
    CHANGES = 2
    REFUSED = 3
    STALE = 4
    INCOMPLETE = 5


class Outcome(StrEnum):
    """The end of one step.

    `noop`: the alias was already where it should be. `blocked`: the plan or a gate forbade it. `failed`: it was not
    done, or is not to be relied on; the message says where the alias is. `unknown`: it may or may not have been done,
    and could not be read back. `notAttempted`: something before it ended the run. `reverted`: it was done, and undone
    after a failure, as `onFailure: Revert` says.
    """

    DONE = "done"
    NOOP = "noop"
    BLOCKED = "blocked"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_ATTEMPTED = "notAttempted"
    REVERTED = "reverted"


ACHIEVED = frozenset({Outcome.DONE, Outcome.NOOP})

VERIFY_MISMATCH = "VerifyMismatch"
PROPAGATION_STUCK = "PropagationStuck"
PROPAGATION_INTERRUPTED = "PropagationInterrupted"
SOAK_FAILED = "SoakFailed"
SOAK_INTERRUPTED = "SoakInterrupted"
VERIFICATION_FAILED = frozenset({PROPAGATION_STUCK, SOAK_FAILED})
"""The codes of an alias that was moved where it should be, and did not do well there."""
NOT_VERIFIED = VERIFICATION_FAILED | {VERIFY_MISMATCH, PROPAGATION_INTERRUPTED, SOAK_INTERRUPTED}
"""The codes of an alias that was moved, and of which it is not known that its readers are well served there."""
NO_RECORDED_END = "the run has no recorded end"
"""The reason for what a run was to move, if nobody heard of it again."""


class Reach(StrEnum):
    """Whether readers get the new collection. `unknown`: nothing told the two collections apart, or nobody could read.

    `stuck`: the catalog is right, and reads through the alias are still answered by the old collection.
    """

    VERIFIED = "verified"
    STUCK = "stuck"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Propagated:
    """What reads through an alias proved at one endpoint (an address), after how many reads and repeated alters."""

    endpoint: str
    reach: Reach
    detail: str = ""
    reads: int = 0
    heals: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step's outcome. `code` names an error's class; `message` is a sentence; times are RFC 3339, UTC.

    A step that is `done` or `noop` with a code is at its target, and something that was asked for besides is not, or
    the journal does not have it: the run does not count as complete.

    `wrote` says that a call was sent which took effect or may have: also where the outcome is `failed`, because
    somebody undid it, or because it may yet take effect.
    """

    step: Step
    outcome: Outcome
    code: str | None = None
    message: str | None = None
    started: str | None = None
    ended: str | None = None
    wrote: bool = False
    propagation: tuple[Propagated, ...] = ()


def missing_proof(result: StepResult) -> str:
    """Why an alias that may be where a step was to put it is not verified there; empty if it is, or cannot be there."""
    if result.step.desired is None or result.outcome is Outcome.REVERTED:
        return ""
    adrift = result.outcome is Outcome.UNKNOWN or (result.outcome is Outcome.FAILED and result.wrote)
    if adrift or result.code in NOT_VERIFIED:
        return result.message or result.code or str(result.outcome)
    return ""


@dataclass(frozen=True, slots=True)
class TargetReport:
    """What became of one database's steps."""

    plan: TargetPlan
    results: tuple[StepResult, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a plan. With a refusal in the plan nothing was written. Times are RFC 3339, UTC.

    `run` is the run's name in the journal; empty without one.
    """

    plan: Plan
    targets: tuple[TargetReport, ...]
    started: str
    ended: str
    interrupted: bool = False
    run: str = ""

    @property
    def results(self) -> tuple[StepResult, ...]:
        return tuple(result for target in self.targets for result in target.results)

    @property
    def counts(self) -> Counter[Outcome]:
        return Counter(result.outcome for result in self.results)

    @property
    def wrote(self) -> bool:
        """Whether anything may have been written at all."""
        return any(result.wrote for result in self.results)

    @property
    def exit_code(self) -> ExitCode:
        outcomes = set(self.counts)
        if not self.plan.refusals and outcomes <= ACHIEVED and not any(result.code for result in self.results):
            return ExitCode.DONE
        if self.wrote:
            return ExitCode.INCOMPLETE
        marred = any(result.code for result in self.results if result.outcome in ACHIEVED)
        if Outcome.FAILED in outcomes or marred or self.interrupted:
            return ExitCode.ERROR
        return ExitCode.REFUSED


def plan_exit_code(plan: Plan, *, detailed: bool = False) -> ExitCode:
    """What `plan` ends with: 3 if a guard refuses or every change is blocked, 2 (if asked for) if there are changes."""
    if plan.refusals or (plan.steps and not plan.runnable):
        return ExitCode.REFUSED
    return ExitCode.CHANGES if detailed and plan.steps else ExitCode.DONE
