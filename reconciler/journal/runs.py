"""What recorded runs did, counted and in words. Pure."""

from __future__ import annotations

from collections import Counter

from reconciler.core.report import Outcome
from reconciler.journal import Act, PastRun


def counts_of(run: PastRun) -> tuple[Counter[Outcome], int]:
    """Return the number of steps by outcome, and the number of started calls without a recorded outcome."""
    if run.end:
        return Counter(run.end.counts), 0
    steps = run.steps
    recorded = Counter(step.outcome for step in steps if step.outcome and not step.begun)
    return recorded, sum(step.begun is not None for step in steps)


def begun_words(act: Act) -> str:
    """Describe a step at which the record of its run ends."""
    if act is Act.REVERT:
        return "interrupted: it may or may not have been moved back"
    return "interrupted: the call may or may not have been made"
