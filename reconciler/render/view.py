"""A plan or a report as rows of words, for the formats that draw tables; every word is printable.

    View ── Section (a database) ── Row (a step) ── Gate

What comes from outside (names, messages, figures) and what is said by us (`remarks`, `label`, `verdict`) stay apart, so
that a format can treat the first as text that somebody may have written against its reader.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

from reconciler.core.gates import DEFAULT_GUARD
from reconciler.core.plan import Action, Figure, GateResult, PendingVerification, Plan, Step, TargetPlan
from reconciler.core.report import ACHIEVED, ExitCode, Outcome, Reach, Report, StepResult
from reconciler.core.text import counted, printable
from reconciler.render.text import (
    BLOCKED,
    PENDING_VERIFICATION,
    SIGNS,
    VERDICTS,
    facts,
    outcome_words,
    pending_verification_words,
    plan_summary,
    readers_words,
    report_summary,
)


class Weight(IntEnum):
    """How much a row matters to its reader, the most first."""

    FAILED = 0
    HELD = 1
    RISKY = 2
    PLAIN = 3


@dataclass(frozen=True, slots=True)
class Gate:
    """What a gate said of a step: `state` for programs (a verdict, or `skipped`), `mark` for people.

    `figures` are `name=value`.
    """

    name: str
    state: str
    mark: str
    detail: str = ""
    figures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One step.

    `current` and `wanted` are empty for no collection. `kind` is a word for programs: the action, `blocked`, or the
    outcome; `label` says the same to people. `remarks` are ours, `message` is from outside.
    """

    sign: str
    set: str
    alias: str
    current: str
    desired: str
    action: str
    kind: str
    label: str
    weight: Weight
    gates: tuple[Gate, ...] = ()
    remarks: tuple[str, ...] = ()
    message: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """One database. `sets` is how many sets are about it; `suspended` names those that sleep."""

    connection: str
    database: str
    facts: str
    sets: int
    rows: tuple[Row, ...]
    suspended: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """A whole plan or report.

    `kind` is `plan` or `report`; `mood` is `good`, `changes` or `bad`. `facts` are pairs of a name and a value for the
    end of a page.
    """

    kind: str
    verdict: str
    mood: str
    summary: str
    refusals: tuple[str, ...]
    sections: tuple[Section, ...]
    facts: tuple[tuple[str, str], ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        return tuple(row for section in self.sections for row in section.rows)

    @property
    def troubles(self) -> list[Row]:
        """What failed or is held back, the worst first."""
        return sorted((row for row in self.rows if row.weight <= Weight.HELD), key=lambda row: row.weight)


def plan_view(plan: Plan) -> View:
    """A plan in words."""
    verdict, mood = _plan_verdict(plan)
    return View(
        kind="plan",
        verdict=verdict,
        mood=mood,
        summary=plan_summary(plan).plain,
        refusals=tuple(map(printable, plan.refusals)),
        sections=tuple(
            _section(target, (*map(_pending_verification, target.pending_verification), *map(_planned, target.steps)))
            for target in plan.targets
        ),
        facts=(
            ("digest", plan.digest),
            ("created", printable(plan.created)),
            ("aliasctl", printable(plan.tool_version)),
        ),
    )


def report_view(report: Report) -> View:
    """A report in words."""
    verdict, mood = _report_verdict(report)
    run = (("run", printable(report.run)),) if report.run else ()
    return View(
        kind="report",
        verdict=verdict,
        mood=mood,
        summary=report_summary(report).plain if report.results else plan_summary(report.plan).plain,
        refusals=tuple(map(printable, report.plan.refusals)),
        sections=tuple(_section(target.plan, tuple(map(_ended, target.results))) for target in report.targets),
        facts=(
            *run,
            ("digest", report.plan.digest),
            ("started", printable(report.started)),
            ("ended", printable(report.ended)),
            ("exit code", str(int(report.exit_code))),
            ("aliasctl", printable(report.plan.tool_version)),
        ),
    )


def _plan_verdict(plan: Plan) -> tuple[str, str]:
    if plan.refusals:
        return "refused", "bad"
    if not plan.steps:
        return (
            ("nothing to change, not all verified", "bad") if plan.pending_verification else ("nothing to do", "good")
        )
    blocked = len(plan.steps) - len(plan.runnable)
    if not plan.runnable:
        return f"blocked, {counted(blocked, 'change')} held back", "bad"
    changes = counted(len(plan.runnable), "change")
    return (f"{changes}, {blocked} blocked", "bad") if blocked else (changes, "changes")


def _report_verdict(report: Report) -> tuple[str, str]:
    if report.plan.refusals:
        return "refused, nothing applied", "bad"
    if report.interrupted:
        return "interrupted", "bad"
    if not report.results:
        return "nothing to do", "good"
    match report.exit_code:
        case ExitCode.DONE:
            made = report.counts[Outcome.DONE]
            return (f"done, {counted(made, 'change')} made" if made else "nothing to do", "good")
        case ExitCode.INCOMPLETE:
            return "incomplete", "bad"
        case ExitCode.REFUSED:
            return "blocked, nothing applied", "bad"
        case _:
            return "failed, nothing applied", "bad"


def _section(target: TargetPlan, rows: tuple[Row, ...]) -> Section:
    return Section(
        connection=printable(target.connection.name),
        database=printable(target.target.database),
        facts=facts(target).replace("   ", " · "),  # a table of words would show one space
        sets=len(target.sets),
        rows=rows,
        suspended=tuple(printable(alias_set.set) for alias_set in target.sets if alias_set.suspended),
    )


def _planned(step: Step) -> Row:
    kind = "blocked" if step.blocked else str(step.action)
    message = printable(step.blocked.message) if step.blocked else ""
    return _row(step, kind, kind, _planned_weight(step), _remarks(step), message)


def _pending_verification(pending: PendingVerification) -> Row:
    row = _row(
        pending.step,
        "pendingVerification",
        "not verified",
        Weight.HELD,
        _remarks(pending.step),
        printable(pending_verification_words(pending)),
    )
    return replace(row, sign=PENDING_VERIFICATION[0], current=row.desired)  # it is there, and stays


def _ended(result: StepResult) -> Row:
    remarks = _remarks(result.step)
    if result.propagation and all(item.reach is Reach.VERIFIED for item in result.propagation):
        remarks += (readers_words(result.propagation),)
    return _row(
        result.step,
        str(result.outcome),
        outcome_words(result),
        _ended_weight(result),
        remarks,
        printable(result.message or ""),
    )


def _row(step: Step, kind: str, label: str, weight: Weight, remarks: tuple[str, ...], message: str) -> Row:
    skipped = tuple(Gate(printable(name), "skipped", "SKIPPED") for name in step.skipped_gates)
    return Row(
        sign=BLOCKED[0] if step.blocked else SIGNS[step.action][0],
        set=printable(step.set),
        alias=printable(step.alias),
        current=printable(step.current or ""),
        desired=printable(step.desired or ""),
        action=str(step.action),
        kind=kind,
        label=label,
        weight=weight,
        gates=skipped + tuple(_gate(result, message) for result in step.gate_results),
        remarks=remarks,
        message=message,
    )


def _remarks(step: Step) -> tuple[str, ...]:
    found = ["in scope, not listed"] if step.prune else []
    if step.wave and not step.prune:
        found.append(f"wave {step.wave}")
    if step.desired and not step.gates.has(DEFAULT_GUARD):
        found.append(f"{DEFAULT_GUARD} off")
    return tuple(found)


def _planned_weight(step: Step) -> Weight:
    if step.blocked:
        return Weight.HELD
    return Weight.RISKY if step.skipped_gates or step.action is Action.DROP else Weight.PLAIN


def _ended_weight(result: StepResult) -> Weight:
    if result.outcome in {Outcome.FAILED, Outcome.UNKNOWN}:
        return Weight.FAILED
    if result.outcome not in ACHIEVED or result.code:
        return Weight.HELD
    return _planned_weight(result.step)


def _gate(result: GateResult, message: str) -> Gate:
    """A gate's words, unless the row's message says them already."""
    detail = printable(result.detail)
    return Gate(
        name=printable(result.gate),
        state=str(result.verdict),
        mark=VERDICTS[result.verdict],
        detail="" if detail in message else detail,
        figures=tuple(f"{printable(name)}={_figure(value)}" for name, value in result.figures.items()),
    )


def _figure(value: Figure) -> str:
    if isinstance(value, tuple):
        return f"{min(value):g} to {max(value):g} ({len(value)})" if value else "none"
    return f"{value:g}" if isinstance(value, float) else printable(str(value))
