"""The AliasSets of a Kubernetes cluster, as its operator reports them: as text, and as JSON documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from msgspec import Meta, field
from msgspec.structs import replace

from reconciler.core.plan import Step
from reconciler.core.record import INTERNAL, Count, Digest, Record, Time
from reconciler.core.text import counted, printable
from reconciler.documents.codec import Document
from reconciler.documents.kinds import DocumentKind
from reconciler.render.fitted import fitted_table
from reconciler.render.lines import Line
from reconciler.render.text import section_lines
from reconciler.render.view import Row, Section, Weight, planned_row
from reconciler.render.wording import BLOCKED

HEADS = ("NAME", "READY", "REASON", "ALIASES", "PENDING PLAN")
READY_STYLES = {"True": "green", "False": "yellow"}


class PendingStep(Record, frozen=True):
    """One change of a pending plan."""

    action: Annotated[str, Meta(description="create, alter or drop.")]
    alias: str
    current: str | None = field(name="from", default=None)
    desired: str | None = field(name="to", default=None)
    wave: Count = 0
    blocked: Annotated[str | None, Meta(description="Why it cannot be made.")] = None


class PendingPlan(Record, frozen=True):
    """The changes of an AliasSet that wait for a person."""

    digest: Digest
    created: Time
    creates: Count = 0
    alters: Count = 0
    drops: Count = 0
    blocked: Annotated[Count, Meta(description="Those of them that a gate or protection forbids.")] = 0
    steps: Annotated[tuple[PendingStep, ...], Meta(description="The first hundred changes.")] = ()

    @property
    def summary(self) -> str:
        """Return the numbers of changes that are not 0."""
        numbers = {"create": self.creates, "alter": self.alters, "drop": self.drops}
        words = [f"{number} to {action}" for action, number in numbers.items() if number]
        return ", ".join([*words, *([f"{self.blocked} blocked"] if self.blocked else [])])


class ClusterSet(Record, frozen=True):
    """An AliasSet of a cluster. `current`: whether the status is about the present spec."""

    namespace: str
    name: str
    ready: Annotated[str, Meta(description="The condition Ready: True, False or Unknown.")]
    reason: Annotated[str, Meta(description="The reason of that condition; empty if there is none yet.")]
    message: str
    aliases: Annotated[Count, Meta(description="Aliases that it lists.")]
    in_sync: Annotated[Count, Meta(description="Those of them that are up to date.")]
    approved: Annotated[bool, Meta(description="Whether the pending plan is approved, and not applied yet.")]
    pending_plan: PendingPlan | None = None
    current: Annotated[bool, INTERNAL] = True
    resource_version: Annotated[str, INTERNAL] = ""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class SetsDocument(Record, frozen=True):
    """What `get` found in a Kubernetes cluster."""

    sets: tuple[ClusterSet, ...]


class ApprovalDocument(Record, frozen=True):
    """A plan of an AliasSet that `approve` approved in a Kubernetes cluster."""

    namespace: str
    name: str
    plan: PendingPlan


SETS = DocumentKind("Sets", SetsDocument)
APPROVAL = DocumentKind("Approval", ApprovalDocument)


def sets_document(sets: Sequence[ClusterSet]) -> Document:
    return SETS.document(SetsDocument(tuple(sets)))


def approval_document(approved: ClusterSet, plan: PendingPlan) -> Document:
    return APPROVAL.document(ApprovalDocument(approved.namespace, approved.name, plan))


def table_lines(sets: Sequence[ClusterSet], *, with_namespaces: bool, width: int | None = None) -> Iterator[Line]:
    """Draw one row per set. `width`: of the terminal, to which cells other than names are wrapped."""
    heads = ("NAMESPACE", *HEADS) if with_namespaces else HEADS
    rows = [(item.namespace, *_cells(item)) if with_namespaces else _cells(item) for item in sets]
    ready = heads.index("READY")
    styles = [{ready: READY_STYLES.get(item.ready, "")} for item in sets]
    return fitted_table(heads, rows, width, styles, whole=ready)


def _cells(item: ClusterSet) -> tuple[str, ...]:
    plan = item.pending_plan
    pending = f"{plan.summary}{', approved' if item.approved else ''}" if plan else ""
    return (item.name, item.ready, item.reason or "-", f"{item.in_sync}/{item.aliases}", pending)


def set_lines(item: ClusterSet) -> Iterator[Line]:
    """Draw a set with its pending plan."""
    style = READY_STYLES.get(item.ready, "")
    yield Line((printable(f"AliasSet {item}"), "bold"), "   ", (item.reason or "not reconciled yet", style))
    if item.message:
        yield Line(f"  {printable(item.message)}")
    if item.pending_plan:
        yield from plan_lines(item.pending_plan)


def plan_lines(plan: PendingPlan) -> Iterator[Line]:
    """Draw a pending plan, its changes as any other plan's."""
    changes = Section(connection="", database="", facts=(), sets=("",), rows=tuple(map(_row, plan.steps)))
    yield from section_lines(changes, is_plan=True, with_gates=True)
    if more := plan.creates + plan.alters + plan.drops - len(plan.steps):
        yield Line(f"  and {counted(more, 'more change')}")
    yield Line((f"Plan: {plan.summary}.", "bold"), (f" Made {printable(plan.created)}.", "dim"))
    yield Line((f"  {plan.digest}", "dim"))


def _row(step: PendingStep) -> Row:
    planned = Step("", step.alias, step.current, step.desired, step.wave)
    row = planned_row(planned)
    if not step.blocked:
        return row
    message = printable(step.blocked)
    return replace(
        row, sign=BLOCKED, kind="blocked", label="blocked", weight=Weight.BLOCKED, message=message, reason=message
    )
