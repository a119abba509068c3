"""Reports as JSON, and read back: `rollback` undoes one where there is no journal that outlives the run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from reconciler.core.plan import Plan
from reconciler.core.record import Digest, Record, Time
from reconciler.core.report import ExitStatus, Outcome, Report, TargetReport
from reconciler.documents.codec import Document
from reconciler.documents.kinds import DocumentKind
from reconciler.documents.parts import OutcomeCounts, ReportedTarget, Tool
from reconciler.documents.saved_file import SavedForm, load, target_plan_of


class ReportDocument(Record, frozen=True):
    """The outcome of each step of a plan."""

    plan_digest: Annotated[Digest, Meta(description="SHA-256 of what was to be done.")]
    tool: Tool
    started: Time
    ended: Time
    interrupted: Annotated[bool, Meta(description="A signal ended it early.")]
    exit_code: ExitStatus
    summary: OutcomeCounts
    targets: tuple[ReportedTarget, ...]
    run: Annotated[str, Meta(description="The run's name in the journal.")] = ""
    journal_error: Annotated[str, Meta(description="Why the end of the run is not in the journal.")] = ""


REPORT = DocumentKind("Report", ReportDocument, version=2)
FORM = SavedForm(
    REPORT,
    "report",
    hint="a report is what apply --output json=FILE writes",
    other_version="use the aliasctl that wrote it",
    migrate=True,
)


def report_document(report: Report) -> Document:
    """Return a report as `schemas/report.schema.json` has it."""
    counts = report.counts
    record = ReportDocument(
        plan_digest=report.plan.digest,
        tool=Tool(report.plan.tool_version),
        started=report.started,
        ended=report.ended,
        interrupted=report.interrupted,
        exit_code=report.exit_code,
        summary={outcome: counts[outcome] for outcome in Outcome},
        targets=tuple(map(ReportedTarget.of, report.targets)),
        run=report.run,
        journal_error=report.journal_error,
    )
    return REPORT.document(record)


def load_report(path: Path) -> Report:
    """Read a report. Raises `InvalidInput`: not readable, not a report, or of a newer format."""
    _, content = load(path, FORM, ReportDocument)
    targets = []
    for target in content.targets:
        plan = target_plan_of(target, [result.step for result in target.steps], path, FORM)
        targets.append(TargetReport(plan, target.steps))
    return Report(
        plan=Plan(tuple(target.plan for target in targets), content.started, content.tool.version),
        targets=tuple(targets),
        started=content.started,
        ended=content.ended,
        interrupted=content.interrupted,
        run=content.run,
        journal_error=content.journal_error,
    )
