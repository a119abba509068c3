"""Plans as JSON, and plan files read back.

A plan file is checked against its own checksum and digest. Anyone who can write the file can choose its steps, as with
any script.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from reconciler.core.json_strict import digest_of
from reconciler.core.plan import Plan
from reconciler.core.record import Count, Digest, Record, Time
from reconciler.documents.codec import Document
from reconciler.documents.kinds import DocumentKind
from reconciler.documents.parts import PlannedTarget, Tool
from reconciler.documents.saved_file import MAX_BYTES, SavedForm, invalid, load, target_plan_of
from reconciler.files import read_limited


class PlanSummary(Record, frozen=True):
    """Numbers of aliases."""

    create: Count
    alter: Count
    drop: Count
    blocked: Count
    unchanged: Count


class PlanDocument(Record, frozen=True):
    """What one run would do."""

    digest: Annotated[Digest, Meta(description="SHA-256 of what is to be done.")]
    created: Time
    tool: Tool
    summary: PlanSummary
    targets: tuple[PlannedTarget, ...]
    checksum: Annotated[Digest, Meta(description="SHA-256 of everything else in this document, as canonical JSON.")]


PLAN = DocumentKind("Plan", PlanDocument, version=2)
FORM = SavedForm(PLAN, "plan file", hint='manifests go to "aliasctl plan"', other_version="plan again")
_KIND = re.compile(rb'"kind"\s*:\s*"Plan"')


def plan_document(plan: Plan) -> Document:
    """Return a plan as `schemas/plan.schema.json` has it."""
    actions = Counter(str(step.action) for step in plan.runnable)
    summary = PlanSummary(
        **{name: actions[name] for name in ("create", "alter", "drop")},
        blocked=len(plan.steps) - len(plan.runnable),
        unchanged=sum(set_plan.unchanged for set_plan in plan.set_plans),
    )
    targets = tuple(map(PlannedTarget.of, plan.targets))
    record = PlanDocument(plan.digest, plan.created, Tool(plan.tool_version), summary, targets, checksum="")
    document = PLAN.document(record)
    return document | {"checksum": checksum(document)}


def load_plan(path: Path) -> Plan:
    """Read a plan file.

    Raises `InvalidInput`: not readable, not a plan, of another format, or edited since it was written.
    """
    document, content = load(path, FORM, PlanDocument)
    targets = tuple(target_plan_of(target, target.steps, path, FORM) for target in content.targets)
    plan = Plan(targets, content.created, content.tool.version)
    actions = [step["action"] for target in document["targets"] for step in target["steps"]]
    unchanged = checksum(document) == content.checksum and plan.digest == content.digest
    if not unchanged or [step.action for step in plan.steps] != actions:
        raise invalid(path, "the plan file was edited: it does not have the checksum it carries; plan again")
    return plan


def is_plan_file(path: Path) -> bool:
    """Return whether a file has the content of a plan file, complete or not, rather than of manifests."""
    try:
        if not path.is_file():
            return False
        content = read_limited(path, MAX_BYTES)
    except (OSError, ValueError):  # not readable, or a null character
        return False
    return content.lstrip().startswith(b"{") and b'"formatVersion"' in content and bool(_KIND.search(content))


def checksum(document: Document) -> str:
    """Return the checksum of a plan document: of all its fields but `checksum`."""
    return digest_of({name: value for name, value in document.items() if name != "checksum"})
