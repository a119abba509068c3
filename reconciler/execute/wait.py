"""Wait for gates: evaluate the gates of a wave until all of its steps pass or the time is up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from reconciler.catalog.port import Catalog
from reconciler.core.errors import CatalogError
from reconciler.core.plan import Step
from reconciler.core.run_events import GatesStarted, WaitingForGates
from reconciler.execute.context import Halt
from reconciler.gates import evaluate_gates
from reconciler.integrations.hooks import Hooks

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 15.0
"""Seconds between two rounds; each pause is twice the previous one."""


def evaluate_in_time(
    wave: Sequence[Step],
    catalog: Catalog,
    seconds: float,
    halt: Halt,
    report: Callable[[GatesStarted | WaitingForGates], None],
    hooks: Hooks | None = None,
) -> tuple[Step, ...]:
    """Evaluate the gates of a wave, and those that fail again, until they pass or the time is up.

    Only failed steps are evaluated again. When none is left, the whole wave is, because its earlier results have aged.

    Args:
        wave: steps of one set.
        catalog: their database.
        seconds: how long to wait; 0 for a single round.
        halt: ends evaluating and waiting; the steps returned then may be incomplete.
        report: called when it begins, and with what the wave waits for.
        hooks: those of the database's connection.

    Raises:
        CatalogError: the gates cannot be evaluated, and there is no time left to try again.
    """
    begun = time.monotonic()
    deadline = begun + seconds
    pause = FIRST_PAUSE
    pending = tuple(wave)
    report(GatesStarted(wave[0].set, wave[0].wave, len(wave)))
    while True:
        try:
            evaluated = evaluate_gates(pending, catalog, halted=halt.is_set, hooks=hooks)
        except CatalogError as error:
            if not error.transient or not _time_left(deadline, halt):
                raise
            failing, reasons = pending, {step.alias: str(error) for step in pending}
        else:
            failing = tuple(
                before for before, after in zip(pending, evaluated, strict=True) if not before.blocked and after.blocked
            )
            if not failing and len(pending) == len(wave):
                return evaluated
            waits_for = {step.alias for step in failing}
            reasons = {
                step.alias: step.blocked.message for step in evaluated if step.blocked and step.alias in waits_for
            }
        if not failing:
            pending = tuple(wave)
        elif _time_left(deadline, halt):
            now = time.monotonic()
            left = max(0.0, deadline - now)
            report(WaitingForGates(wave[0].set, reasons, now - begun, left))
            halt.pause(min(pause, left))
            pause = min(pause * 2, LONGEST_PAUSE)
            pending = failing
        else:
            if len(pending) == len(wave):
                return evaluated
            return evaluate_gates(wave, catalog, halted=halt.is_set, hooks=hooks)


def _time_left(deadline: float, halt: Halt) -> bool:
    return not halt.is_set() and time.monotonic() < deadline
