"""The parts of plans, reports and the journal that are not simply records: steps and addresses stand beside their sets.

A credential is written as the place it is read from; no secret is ever in a document.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from msgspec import Meta
from msgspec.structs import replace

from reconciler.core.model import Connection, Origin, Verify
from reconciler.core.plan import SetPlan, Step, TargetPlan
from reconciler.core.record import ALWAYS, INLINE, Count, Record
from reconciler.core.report import Outcome, StepResult, TargetReport

OutcomeCounts = Annotated[
    Mapping[Outcome, Count], Meta(description="Steps, by outcome.", extra_json_schema={"required": list(Outcome)})
]
"""Has every outcome."""


class Tool(Record, frozen=True):
    """What wrote a document."""

    version: str
    name: Annotated[Literal["aliasctl"], ALWAYS] = "aliasctl"


class EndpointDocument(Record, frozen=True):
    """A further proxy of a server."""

    address: Annotated[str, Meta(description="host:port")]
    connection: Connection


class VerifyDocument(Record, frozen=True):
    """What is checked after a change."""

    verify: Annotated[Verify, INLINE] = Verify()
    endpoints: tuple[EndpointDocument, ...] = ()

    @classmethod
    def of(cls, verify: Verify) -> VerifyDocument:
        return cls(verify, tuple(EndpointDocument(item.address, item) for item in verify.endpoints))

    def record(self) -> Verify:
        return replace(self.verify, endpoints=tuple(saved(item.connection, item.address) for item in self.endpoints))


class SetDocument(Record, frozen=True):
    """What one set would change."""

    plan: Annotated[SetPlan, INLINE]
    verify: VerifyDocument = VerifyDocument()

    @classmethod
    def of(cls, plan: SetPlan) -> SetDocument:
        return cls(plan, VerifyDocument.of(plan.verify))

    def record(self, steps: Sequence[Step]) -> SetPlan:
        """Return the set with its steps."""
        return replace(self.plan, verify=self.verify.record(), steps=tuple(steps))


class TargetDocument(Record, frozen=True):
    """What would change in one database, but for the steps."""

    plan: Annotated[TargetPlan, INLINE]
    sets: tuple[SetDocument, ...]

    def record(self, steps: Sequence[Step]) -> TargetPlan:
        by_set: dict[str, list[Step]] = defaultdict(list)
        for step in steps:
            by_set[step.set].append(step)
        return replace(
            self.plan,
            connection=saved(self.plan.connection, self.plan.target.address),
            sets=tuple(item.record(by_set[item.plan.set]) for item in self.sets),
        )


class PlannedTarget(TargetDocument, frozen=True):
    """What would change in one database."""

    steps: tuple[Step, ...]

    @classmethod
    def of(cls, plan: TargetPlan) -> PlannedTarget:
        return cls(plan, tuple(map(SetDocument.of, plan.sets)), plan.steps)


class ReportedTarget(TargetDocument, frozen=True):
    """The outcomes of one database's steps."""

    steps: tuple[StepResult, ...]

    @classmethod
    def of(cls, report: TargetReport) -> ReportedTarget:
        """Return the document of one database of a report."""
        return cls(report.plan, tuple(map(SetDocument.of, report.plan.sets)), report.results)


def saved(connection: Connection, address: str) -> Connection:
    """Return a connection as it is read back from a document, where its address stands beside it."""
    return replace(connection, address=address, origin=Origin.PLAN_FILE)
