"""Reading the JSON report of an apply back, where there is no journal that outlives the run."""

from __future__ import annotations

from pathlib import Path

from reconciler.core.plan import Plan
from reconciler.core.report import Report, TargetReport
from reconciler.documents.codec import result_of
from reconciler.documents.formats import REPORT
from reconciler.documents.saved_file import SavedForm, load_document, target_plan_of

FORM = SavedForm(
    "Report",
    REPORT,
    "report",
    hint="a report is what apply --output json=FILE writes",
    newer="use the aliasctl that wrote it",
)


def load_report(path: Path) -> Report:
    """Read a report.

    Raises:
        InvalidInput: not readable, not a report, or of a newer format.
    """
    document = load_document(path, FORM)
    targets = tuple(
        TargetReport(
            target_plan_of(target, path, FORM),
            tuple(map(result_of, target["steps"])),
        )
        for target in document["targets"]
    )
    return Report(
        plan=Plan(tuple(target.plan for target in targets), document["started"], document["tool"]["version"]),
        targets=targets,
        started=document["started"],
        ended=document["ended"],
        interrupted=document["interrupted"],
        run=document.get("run", ""),
    )
