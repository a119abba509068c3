"""The parts that plans, reports and the journal have in common, where a document is not simply its record.

Steps stand beside their sets, with the action that follows from their ends; the address of a server stands beside its
connection. A credential is written as the place it is read from; no secret is ever in a document.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from msgspec import Meta
from msgspec.structs import replace

from reconciler.core.model import Connection, Origin, Verify
from reconciler.core.plan import Action, PendingVerification, SetPlan, Step, TargetPlan
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


class StepDocument(Record, frozen=True):
    """One change of one alias: from one collection to another."""

    action: Action
    step: Annotated[Step, INLINE]

    @classmethod
    def of(cls, step: Step) -> StepDocument:
        """Return the document of a step."""
        return cls(step.action, step)


class ResultDocument(Record, frozen=True):
    """One step and its outcome."""

    action: Action
    result: Annotated[StepResult, INLINE]

    @classmethod
    def of(cls, result: StepResult) -> ResultDocument:
        """Return the document of a result."""
        return cls(result.step.action, result)


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
        """Return the document of a verification."""
        return cls(verify, tuple(EndpointDocument(item.address, item) for item in verify.endpoints))

    def record(self) -> Verify:
        """Return the verification."""
        return replace(self.verify, endpoints=tuple(saved(item.connection, item.address) for item in self.endpoints))


class PendingVerificationDocument(Record, frozen=True):
    """An alias that was moved but whose verification did not pass."""

    alias: str
    collection: Annotated[str, Meta(description="Where the alias is, and should be.")]
    run: Annotated[str, Meta(description="The run that moved it there and did not verify it.")]
    reason: str

    @classmethod
    def of(cls, pending: PendingVerification) -> PendingVerificationDocument:
        """Return the document of a pending verification."""
        return cls(pending.step.alias, pending.step.desired or "", pending.run, pending.reason)


class SetDocument(Record, frozen=True):
    """What one set would change."""

    plan: Annotated[SetPlan, INLINE]
    verify: VerifyDocument = VerifyDocument()
    pending_verification: tuple[PendingVerificationDocument, ...] = ()

    @classmethod
    def of(cls, plan: SetPlan) -> SetDocument:
        """Return the document of a set."""
        pending = tuple(map(PendingVerificationDocument.of, plan.pending_verification))
        return cls(plan, VerifyDocument.of(plan.verify), pending)

    def record(self, steps: Sequence[Step]) -> SetPlan:
        """Return the set with its steps. What was pending is left out: the journal has what is by now."""
        return replace(self.plan, verify=self.verify.record(), steps=tuple(steps))


class TargetDocument(Record, frozen=True):
    """What would change in one database, but for the steps."""

    plan: Annotated[TargetPlan, INLINE]
    sets: tuple[SetDocument, ...]

    def record(self, steps: Sequence[Step]) -> TargetPlan:
        """Return the database, each set with its own of the steps."""
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

    steps: tuple[StepDocument, ...]

    @classmethod
    def of(cls, plan: TargetPlan) -> PlannedTarget:
        """Return the document of one database of a plan."""
        return cls(plan, tuple(map(SetDocument.of, plan.sets)), tuple(map(StepDocument.of, plan.steps)))


class ReportedTarget(TargetDocument, frozen=True):
    """The outcomes of one database's steps."""

    steps: tuple[ResultDocument, ...]

    @classmethod
    def of(cls, report: TargetReport) -> ReportedTarget:
        """Return the document of one database of a report."""
        sets = tuple(map(SetDocument.of, report.plan.sets))
        return cls(report.plan, sets, tuple(map(ResultDocument.of, report.results)))


def saved(connection: Connection, address: str) -> Connection:
    """Return a connection as it is read back from a document, where its address stands beside it."""
    return replace(connection, address=address, origin=Origin.PLAN_FILE)
