"""Which changes of a revision are still to be made for the first time, and which have to be made again."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.core.plan import Step
from reconciler.core.report import Report
from reconciler.sync.last_applied import is_there


class Progress:
    """How far the runs of this process have come with one revision.

    A change that was made, verified or not, or was not needed, is drift when it is needed later: others moved the
    alias. One that has waited until now, for a gate or a collection, is none.
    """

    def __init__(self) -> None:
        self._commit = ""
        self._waiting: frozenset[tuple[str, str]] = frozenset()

    def begin(self, commit: str, *, applied: bool) -> None:
        """Say which commit it is about from now on, and whether an earlier process has made all its changes."""
        if applied:
            self._commit, self._waiting = commit, frozenset()
        elif commit != self._commit:
            self._commit = ""

    def ended(self, commit: str, report: Report) -> None:
        """A run has ended."""
        if not report.plan.refusals:
            left = (result.step for result in report.results if not is_there(result))
            self._commit, self._waiting = commit, frozenset((step.set, step.alias) for step in left)

    def again(self, steps: Iterable[Step]) -> list[Step]:
        """Those of the changes that were made before."""
        return [step for step in steps if self._commit and (step.set, step.alias) not in self._waiting]
