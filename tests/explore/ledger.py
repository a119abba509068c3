"""A journal in memory: its entries, and the decisions that follow from them, are the real ones."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass

from reconciler.core.decisions import Decisions
from reconciler.core.model import Target
from reconciler.core.plan import Plan, Step
from reconciler.core.rejections import Rejected
from reconciler.core.report import Report, StepResult
from reconciler.journal import Act, Origins, PastRun, PastStep, entries
from reconciler.journal.decisions import decisions_of
from reconciler.journal.entries import Entry, RunEnded, RunStarted

Before = Callable[[str, Sequence[Entry]], None]
"""Called before entries are recorded that belong together, with a name for them; may raise `JournalError`."""


@dataclass
class MemoryLedger:
    """A `Ledger` in memory.

    Args:
        entries: what was recorded before.
        run: the ID of the next run.
        before: see `Before`.
    """

    entries: list[Entry]
    run: str = ""
    before: Before = lambda event, added: None

    def begin(self, plan: Plan, origins: Origins) -> MemoryRun:
        run = MemoryRun(self, self.run)
        self.add("begin", *entries.run_started(run.id, plan, origins))
        return run

    def decisions(self) -> Decisions:
        return decisions_of(self.entries, self.ended)

    def newest(self) -> list[PastRun]:
        """Return the recorded runs, newest first, as `Journal.newest` does."""
        ends = {entry.run: entry for entry in self.entries if isinstance(entry, RunEnded)}
        starts = [entry for entry in self.entries if isinstance(entry, RunStarted)]
        return [PastRun(start, ends.get(start.run), self._loader(start.run)) for start in reversed(starts)]

    @property
    def ended(self) -> set[str]:
        return {entry.run for entry in self.entries if isinstance(entry, RunEnded)}

    def summary(self, *, with_history: bool) -> Hashable:
        """Return all that later runs can learn from it, without times and reasons; what each run did only if asked."""
        found = self.decisions()
        steps = tuple(
            (run.origins.command, run.origins.source, run.end is None, tuple(map(_past, run.steps)))
            for run in (self.newest() if with_history else ())
        )
        return (
            tuple(sorted((alias, item.collection, item.spec_hash) for (_, alias), item in found.rejected.items())),
            tuple(
                sorted((alias, name, _ends(item.step)) for (_, alias, name), item in found.pending_verification.items())
            ),
            tuple(sorted((alias, _ends(item.step)) for (_, alias), item in found.pending_reverts.items())),
            tuple(item for item in steps if item[3]),
        )

    def add(self, event: str, *added: Entry) -> None:
        self.before(event, added)
        self.entries += added

    def _loader(self, run: str) -> Callable[[str | None], Collection[Entry]]:
        def load(alias: str | None) -> list[Entry]:
            mine = [entry for entry in self.entries if entry.run == run]
            abouts = [(entry, entries.step_of(entry)) for entry in mine]
            return [entry for entry, step in abouts if alias is None or step is None or step.alias == alias]

        return load


@dataclass
class MemoryRun:
    """A `RecordedRun` in memory."""

    ledger: MemoryLedger
    id: str

    def rejected(self, aliases: Collection[str], /) -> Rejected:
        others = [entry for entry in self.ledger.entries if entry.run != self.id]
        about = [
            entry
            for entry in others
            if isinstance(entry, RunStarted) or ((step := entries.step_of(entry)) and step.alias in aliases)
        ]
        return decisions_of(about, self.ledger.ended).rejected

    def decide_revert(self, target: Target, steps: Sequence[Step], reason: str) -> None:
        self.ledger.add("decide", *entries.reverts_decided(self.id, target, steps, reason))

    def intend(self, target: Target, step: Step, act: Act) -> None:
        self.ledger.add("intend", entries.intent(self.id, target, step, act))

    def note(self, target: Target, result: StepResult) -> None:
        self.ledger.add("note", entries.result(self.id, target, result))

    def end(self, report: Report) -> str:
        self.ledger.add("end", entries.run_ended(self.id, report))
        return self.id


def _ends(step: Step) -> Hashable:
    return (step.current or "", step.desired or "", step.wave, step.set)


def _past(past: PastStep) -> Hashable:
    result = past.result
    said = (result.outcome, result.code, result.wrote, result.moved_by) if result else ()
    return (past.step.alias, _ends(past.step), past.begun, said)
