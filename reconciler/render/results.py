"""Plans and reports as results, which every format can render."""

from __future__ import annotations

from functools import cache

from reconciler.core.plan import Plan
from reconciler.core.provenance import Provenance
from reconciler.core.report import Report
from reconciler.documents.plan_file import plan_document
from reconciler.documents.report_file import report_document
from reconciler.render.formats import Result
from reconciler.render.text import saved_plan_lines, summary_lines, view_lines
from reconciler.render.view import plan_view, report_view


def plan_result(plan: Plan, provenance: Provenance = Provenance(), *, saved: bool = False) -> Result:
    """Return a plan as a result; the text of a saved one starts with its time and digest."""
    view, lines = cache(lambda: plan_view(plan, provenance)), saved_plan_lines if saved else view_lines
    return Result(lambda: lines(view()), lambda: plan_document(plan), view)


def report_result(report: Report, provenance: Provenance = Provenance()) -> Result:
    view = cache(lambda: report_view(report, provenance))
    return Result(lambda: view_lines(view()), lambda: report_document(report), view)


def report_below_plan(report: Report) -> Result:
    """Return a report as a result for a reader who has just seen the plan: without steps if none was attempted."""
    plan, view = report.plan, cache(lambda: report_view(report))
    if not plan.refusals and (plan.runnable or plan.earlier_moves):
        return report_result(report)
    return Result(lambda: summary_lines(view()) if plan.steps else [], lambda: report_document(report), view)
