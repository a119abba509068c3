"""Waiting for gates: a wave that may wait asks again until all of its steps pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from reconciler.catalog.port import Catalog
from reconciler.core.errors import CatalogError
from reconciler.core.plan import Step
from reconciler.execute.context import Halt
from reconciler.gates import evaluate_gates

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 15.0
"""Seconds between two rounds; each pause is twice the one before."""


def judged_in_time(
    wave: Sequence[Step], catalog: Catalog, seconds: float, halt: Halt, tell: Callable[[str], None]
) -> tuple[Step, ...]:
    """A wave as its gates judge it; where some fail, asked again until they pass or the time is up.

    Only what fails is asked again; when nothing is left, the whole wave is, because its other answers have aged.

    Args:
        wave: steps of one set.
        catalog: their database.
        seconds: how long to wait; 0 for one round.
        halt: ends the asking and the waiting; what comes back then is not judged to the end.
        tell: told what is waited for.

    Raises:
        CatalogError: the gates cannot be asked, and there is no time left to try again.
    """
    deadline = time.monotonic() + seconds
    pause = FIRST_PAUSE
    asked = tuple(wave)
    while True:
        try:
            judged = evaluate_gates(asked, catalog, halted=halt.is_set)
        except CatalogError as error:
            if not error.transient or not _time_left(deadline, halt):
                raise
            failing, reason = asked, str(error)
        else:
            failing = tuple(
                before for before, after in zip(asked, judged, strict=True) if not before.blocked and after.blocked
            )
            if not failing and len(asked) == len(wave):
                return judged
            waits_for = {step.alias for step in failing}
            reason = next((step.blocked.message for step in judged if step.blocked and step.alias in waits_for), "")
        if not failing:
            asked = tuple(wave)
        elif _time_left(deadline, halt):
            tell(f"waiting for gates ({_names(failing)}): {reason}")
            halt.pause(min(pause, max(0.0, deadline - time.monotonic())))
            pause = min(pause * 2, LONGEST_PAUSE)
            asked = failing
        else:
            return judged if len(asked) == len(wave) else evaluate_gates(wave, catalog, halted=halt.is_set)


def _time_left(deadline: float, halt: Halt) -> bool:
    return not halt.is_set() and time.monotonic() < deadline


def _names(steps: Sequence[Step]) -> str:
    names = [step.alias for step in steps]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
