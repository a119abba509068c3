"""Tell changes of a revision that are made for the first time from those that are made again."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.core.decide import Change
from reconciler.core.plan import Step
from reconciler.core.report import Report, is_applied


class Progress:
    """Which changes of one revision the runs of this process have made.

    A change that was made, verified or not, or was not needed, is drift when it is needed later. One that has waited
    until now, for a gate or a collection, is not.
    """

    def __init__(self) -> None:
        self._commit = ""
        self._waiting: frozenset[Change] = frozenset()

    def begin(self, commit: str, *, applied: bool) -> None:
        """Set the commit, and whether an earlier process has made all of its changes."""
        if applied:
            self._commit, self._waiting = commit, frozenset()
        elif commit != self._commit:
            self._commit = ""

    def record(self, commit: str, report: Report) -> None:
        if not report.plan.refusals:
            left = (result.step for result in report.results if not is_applied(result))
            self._commit, self._waiting = commit, frozenset((step.set, step.alias) for step in left)

    def made(self, steps: Iterable[Step]) -> frozenset[Change]:
        """Return those of the changes that were made before."""
        changes = frozenset((step.set, step.alias) for step in steps)
        return changes - self._waiting if self._commit else frozenset()
