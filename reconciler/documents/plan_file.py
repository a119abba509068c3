"""Reading a plan file back.

What is loaded is checked against its own digest, too. Whoever can write the file can choose its steps, as with any
script.
"""

from __future__ import annotations

from pathlib import Path

from reconciler.core.plan import Plan
from reconciler.documents.formats import PLAN, checksum
from reconciler.documents.saved_file import SavedForm, invalid, load_document, target_plan_of

FORM = SavedForm("Plan", PLAN, "plan file", hint="manifests are given with -f", newer="plan again")


def load_plan(path: Path) -> Plan:
    """Read a plan file.

    Raises:
        InvalidInput: not readable, not a plan, of a newer format, or edited since it was written.
    """
    document = load_document(path, FORM)
    plan = Plan(
        tuple(target_plan_of(target, path, FORM) for target in document["targets"]),
        document["created"],
        document["tool"]["version"],
    )
    actions = [step["action"] for target in document["targets"] for step in target["steps"]]
    unchanged = checksum(document) == document["checksum"] and plan.digest == document["digest"]
    if not unchanged or [step.action for step in plan.steps] != actions:
        raise invalid(path, "the plan file was edited: it does not have the checksum it carries; plan again")
    return plan
