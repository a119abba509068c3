"""What happens during a run, as it happens: records without words, which each front door shows or logs.

Seconds are those of the run's own timing, so that nobody who receives an event late counts them again.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from reconciler.core.report import StepResult


class Planning(Struct, frozen=True):
    """A database is read for a plan, or the gates of its changes are evaluated.

    `number` of `databases`; `calls` returns how many were made so far; `changes` is None while it is read.
    """

    connection: str
    database: str
    number: int
    databases: int
    calls: Callable[[], int]
    changes: int | None = None
    evaluated: int = 0


class GatesStarted(Struct, frozen=True):
    """The gates of a wave are evaluated, right before it starts."""

    set: str
    wave: int
    aliases: int


class WaitingForGates(Struct, frozen=True):
    """Gates of a wave do not pass yet; repeated after each evaluation. `reasons`: by alias."""

    set: str
    reasons: dict[str, str]
    elapsed: float
    remaining: float


class WaveStarted(Struct, frozen=True):
    """The changes of a wave are made from now on."""

    set: str
    wave: int
    changes: int
    blocked: int


class VerificationStarted(Struct, frozen=True):
    """Aliases that an earlier run moved and did not verify are verified now."""

    set: str
    aliases: tuple[str, ...]


class PropagationStarted(Struct, frozen=True):
    """Altered aliases are read through until the desired collections answer."""

    set: str
    aliases: int
    seconds: float


class PropagationProbed(Struct, frozen=True):
    """A round of reads has ended. `problem`: of the first alias that is not verified yet, empty if none is known."""

    set: str
    aliases: int
    verified: int
    elapsed: float
    remaining: float
    problem: str = ""


class PropagationEnded(Struct, frozen=True):
    """Nothing is read any more to verify propagation."""

    set: str
    aliases: int
    verified: int
    elapsed: float


class SoakStarted(Struct, frozen=True):
    """A wave is monitored before the next one starts."""

    set: str
    aliases: int
    seconds: float


class SoakProbed(Struct, frozen=True):
    """Each alias of the wave was probed. `problem`: of the first bad one, empty if all are good."""

    set: str
    elapsed: float
    remaining: float
    problem: str = ""


class SoakPassed(Struct, frozen=True):
    """The soak ended, and nothing was wrong at its end."""

    set: str
    elapsed: float


class RevertStarted(Struct, frozen=True):
    """The changes of the set are reverted, newest first."""

    set: str
    changes: int
    reason: str


class SetEnded(Struct, frozen=True):
    """Nothing further happens in the set."""

    set: str


RunEvent = (
    GatesStarted
    | WaitingForGates
    | WaveStarted
    | StepResult
    | VerificationStarted
    | PropagationStarted
    | PropagationProbed
    | PropagationEnded
    | SoakStarted
    | SoakProbed
    | SoakPassed
    | RevertStarted
    | SetEnded
)
"""A step is reported with its result whenever that changes."""
