"""Publish which collection each alias resolves to, while a run moves them.

Query vectors must be made by the model that made the vectors of the collection, so an encoder has to change together
with the alias. It is published before the first change, in each wave as soon as its aliases have moved, and when they
are moved back. What cannot be published does not stop the run: `problem` says why.

    runs = NamedRuns(journal)
    publication = Publication(PublishedFile(path), plan, catalogs, runs, sets=sets)
    publication.begin()
    apply_plan(plan, …, journal=runs, on_event=publication.take)
    publication.flush()
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from reconciler.catalog import Catalogs
from reconciler.core.decisions import Decisions
from reconciler.core.errors import AliasctlError
from reconciler.core.gates import Gates
from reconciler.core.model import Alias, AliasSet, Target
from reconciler.core.plan import Plan, SetPlan, TargetPlan
from reconciler.core.report import Outcome, StepResult, at_desired
from reconciler.core.run_events import RunEvent
from reconciler.documents.resolution_file import ResolvedAlias, load_resolution, resolution_document
from reconciler.files import write_output
from reconciler.gates.contract import ContractGate, described
from reconciler.journal import Applied, Journal, Origins, RecordedRun

Key = tuple[Target, str]


class Place(Protocol):
    """Where a resolution is published; both methods raise `AliasctlError`."""

    def read(self) -> tuple[ResolvedAlias, ...]:
        """Return what is published, if anything is."""

    def write(self, aliases: Sequence[ResolvedAlias]) -> None:
        """Replace what is published."""


class Runs(Protocol):
    """The present run and earlier ones."""

    @property
    def run(self) -> str:
        """Return the ID of the present run; empty without one."""

    def applied(self, key: Key, /) -> Applied | None:
        """Return what a run last did to an alias; None if that is not known. Raises `JournalError`."""


class Publication:
    """The published aliases of one run.

    Args:
        place: where it is published.
        plan: what the run does.
        catalogs: to read the properties of collections.
        runs: the run, and what earlier ones recorded.
        sets: what is desired; then their aliases are published and no others. None for a plan without manifests: then
            only the aliases that it moves change.
    """

    def __init__(
        self, place: Place, plan: Plan, catalogs: Catalogs, runs: Runs, *, sets: Sequence[AliasSet] | None = None
    ) -> None:
        self._place = place
        self._plan = plan
        self._catalogs = catalogs
        self._sets = None if sets is None else {each.key: each for each in sets}
        self.runs = runs
        self._unusable = self._unread = self._unwritten = ""
        self._targets = {each.set: target for target in plan.targets for each in target.sets}
        self._gates: dict[Key, Gates] = {}
        self._aliases: dict[Key, ResolvedAlias] = {}
        self._properties: dict[tuple[Target, str], Mapping[str, str]] = {}
        self._written: tuple[ResolvedAlias, ...] | None = None
        self._changed = False

    @property
    def problem(self) -> str:
        """Return why not all of it is published; empty if it is."""
        return self._unusable or self._unwritten or self._unread

    def begin(self) -> None:
        """Publish where the aliases are before the run."""
        try:
            self._written = self._place.read()
        except AliasctlError as error:
            self._unusable = str(error)
            return
        known = {each.key: each for each in self._written}
        self._aliases = {} if self._sets is not None else dict(known)
        for target in self._plan.targets:
            for each in target.sets:
                self._aliases |= self._before(target, each, known)
        self._changed = True
        self.flush()

    def take(self, event: RunEvent) -> None:
        """Note an event of the run; publish what has moved once the next thing begins."""
        if not isinstance(event, StepResult):
            self.flush()
        elif event.step.set in self._targets:
            self._note(event, self._targets[event.step.set])

    def beside(self, on_event: Callable[[RunEvent], None]) -> Callable[[RunEvent], None]:
        """Return a function that takes each event, and then passes it on."""

        def take(event: RunEvent) -> None:
            self.take(event)
            on_event(event)

        return take

    def flush(self) -> None:
        """Publish what has changed, unless something else is in that place."""
        if self._written is None or not self._changed:
            return
        self._changed, aliases = False, tuple(sorted(self._aliases.values(), key=lambda each: each.key))
        if aliases == self._written:
            return
        try:
            self._place.write(aliases)
        except AliasctlError as error:
            self._unwritten, self._changed = str(error), True
            return
        self._written, self._unwritten = aliases, ""

    def _before(
        self, target: TargetPlan, plan: SetPlan, known: Mapping[Key, ResolvedAlias]
    ) -> dict[Key, ResolvedAlias]:
        """Return where the aliases of a set are before the run."""
        steps = {step.alias: step for step in plan.steps}
        found: dict[Key, ResolvedAlias] = {}
        for alias in self._listed(plan):
            key, step = (target.target, alias.name), steps.get(alias.name)
            self._gates[key] = alias.gates
            at = step.current if step else alias.collection
            before = known.get(key)
            if plan.suspended:
                found |= {key: before} if before else {}
            elif at and before and before.collection == at:
                complete = before.properties.keys() == set(self._names(key))
                found[key] = before if complete else self._resolved(key, at, target, before.since, before.run)
            elif at:
                found[key] = self._resolved(key, at, target, *self._since(key, at))
            if step and step.desired and not step.blocked and self._names(key):
                self._properties_of(step.desired, target)  # now, so that it need not be read once the alias has moved
        return found

    def _listed(self, plan: SetPlan) -> Iterator[Alias]:
        """Yield the aliases of a set; without manifests, those of its steps."""
        if self._sets is None:
            yield from (Alias(step.alias, step.desired, gates=step.gates) for step in plan.steps)
        else:
            yield from self._sets[plan.set].aliases

    def _note(self, result: StepResult, target: TargetPlan) -> None:
        key, step = (target.target, result.step.alias), result.step
        if key not in self._gates:
            return
        if result.outcome is Outcome.REVERTED:
            at = step.current
        elif at_desired(result):
            at = step.desired
        else:
            return
        before = self._aliases.get(key)
        if (before.collection if before else None) == at:
            return
        self._changed = True
        if at is None:
            self._aliases.pop(key, None)
        else:
            self._aliases[key] = self._resolved(key, at, target, result.ended, result.moved_by or self.runs.run)

    def _resolved(self, key: Key, collection: str, target: TargetPlan, since: str | None, run: str) -> ResolvedAlias:
        given = self._properties_of(collection, target) if self._names(key) else {}
        properties = {name: given[name] for name in self._names(key) if name in given}
        return ResolvedAlias(key[1], key[0], collection, properties, since, run)

    def _names(self, key: Key) -> Sequence[str]:
        """Return the properties that the contract of an alias names."""
        contract = self._gates[key].get(ContractGate)
        return sorted(contract.properties) if contract else ()

    def _properties_of(self, collection: str, target: TargetPlan) -> Mapping[str, str]:
        key = (target.target, collection)
        if key not in self._properties:
            try:
                schema = self._catalogs.open(target.connection, target.target.database).schema(collection)
            except AliasctlError as error:
                self._unread = f"the properties of {collection} cannot be read: {error}"
                return {}
            self._properties[key] = described(schema.description) | dict(schema.properties)
        return self._properties[key]

    def _since(self, key: Key, collection: str) -> tuple[str | None, str]:
        """Return when a recorded run put an alias where it is, and that run."""
        try:
            found = self.runs.applied(key)
        except AliasctlError:
            return None, ""  # the run itself reports it
        if found and found.collection == collection:
            return found.ended, found.run
        return None, ""


class PublishedFile:
    """A file, which is replaced in one step. One with something else in it is left alone."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> tuple[ResolvedAlias, ...]:
        try:
            return load_resolution(self._path)
        except OSError as error:
            raise AliasctlError(f"cannot read {self._path}: {error.strerror}") from error

    def write(self, aliases: Sequence[ResolvedAlias]) -> None:
        try:
            write_output(self._path, content_of(aliases).encode())
        except OSError as error:
            raise AliasctlError(f"cannot write {self._path}: {error.strerror}") from error


def content_of(aliases: Sequence[ResolvedAlias]) -> str:
    """Return what is published: a JSON document."""
    return json.dumps(resolution_document(aliases), indent=2) + "\n"


class NamedRuns:
    """A journal that remembers the ID of the run that it began last."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.run = ""

    def begin(self, plan: Plan, origins: Origins) -> RecordedRun:
        run = self._journal.begin(plan, origins)
        self.run = run.id
        return run

    def decisions(self) -> Decisions:
        return self._journal.decisions()

    def applied(self, key: Key) -> Applied | None:
        return self._journal.applied([key]).get(key)
