"""A plan or a report in printable words, without markup: the input of the text, Markdown and HTML formats.

    View ── Section (a database) ── Row (a step) ── Gate

`groups` sums the rows up by change: what the aliases of one move share is shown once.

What comes from outside (names, messages, figures) and our own words (`remarks`, `label`, `verdict`) stay apart, so that
a format can escape the former as text that may have been written to attack its reader.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum, StrEnum

from msgspec import Struct
from msgspec.structs import replace

from reconciler.core.errors import ExitCode
from reconciler.core.gates import DEFAULT_GUARD
from reconciler.core.plan import (
    Action,
    BlockReason,
    Figure,
    GateResult,
    PendingRevert,
    PendingVerification,
    Plan,
    Step,
    TargetPlan,
    Verdict,
    describe_location,
    describe_undetermined,
    inverse,
)
from reconciler.core.provenance import Provenance
from reconciler.core.report import ACHIEVED, Outcome, Reach, Report, StepResult
from reconciler.core.text import counted, listed, printable
from reconciler.render import wording

SHOW_ROUTE_FOR = {
    BlockReason.PROTECTED,
    BlockReason.GATE_FAILED,
    BlockReason.REJECTED,
    BlockReason.EARLIER_WAVE,
    BlockReason.COMPANION,
    BlockReason.DEPENDENCY,
}
"""Reasons whose message does not name the collections of the change."""


class Weight(IntEnum):
    """The importance of a row to its reader, the most important first."""

    FAILED = 0
    BLOCKED = 1
    RISKY = 2
    PLAIN = 3


class Topic(StrEnum):
    """The subject of a remark."""

    SCOPE = "scope"
    WAVE = "wave"
    GATE = "gate"
    READERS = "readers"
    METRICS = "metrics"


class Remark(Struct, frozen=True):
    """A few words of our own about a step."""

    topic: Topic
    words: str


class Gate(Struct, frozen=True):
    """The result of a gate: `state` for programs (a verdict, or `skipped`), `mark` for people, `sign` in one character.

    `figures` are names and values.
    """

    name: str
    state: str
    mark: str
    sign: str
    detail: str = ""
    figures: tuple[tuple[str, str], ...] = ()


class Row(Struct, frozen=True):
    """One step.

    `current` and `desired` are empty for no collection. `kind` is a word for programs: the action, `blocked`, or the
    outcome; `label` says the same to people. `remarks` are ours, `message` is from outside; `reason` is the part of it
    that the gates do not say. Without `show_route` the message names the collections, and a format that is short of
    room may leave them out. `wave` is 0 for drops of what is not listed, which follow the last wave.
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
    remarks: tuple[Remark, ...] = ()
    message: str = ""
    reason: str = ""
    show_route: bool = True
    wave: int = 0


class Chart(Struct, frozen=True):
    """The values of one metric of one alias around its move: seconds since the move, and value.

    `before` and `after` are with their units, `state` is a verdict. `limit` is the value not to exceed; None for none.
    """

    alias: str
    title: str
    state: str
    before: str
    after: str
    detail: str
    points: tuple[tuple[float, float], ...]
    limit: float | None = None


class Section(Struct, frozen=True):
    """One database, with the names of its sets; `suspended` names the suspended ones.

    `notices` are known problems of the server, and what sets wait for; `credentials` say which secret a saved plan
    sends where.
    """

    connection: str
    database: str
    facts: tuple[str, ...]
    sets: tuple[str, ...]
    rows: tuple[Row, ...]
    suspended: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    credentials: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()


class View(Struct, frozen=True):
    """A whole plan or report.

    `kind` is `plan` or `report`; `mood` is `good`, `changes` or `bad`. `alerts` come first: what needs a person or
    another run. `next_steps` are sentences with commands, for below the summary. `facts` are names and values for the
    end of a page. `run` is the ID of a recorded run.
    """

    kind: str
    verdict: str
    mood: str
    summary: str
    alerts: tuple[str, ...]
    refusals: tuple[str, ...]
    sections: tuple[Section, ...]
    facts: tuple[tuple[str, str], ...]
    next_steps: tuple[str, ...] = ()
    run: str = ""

    @property
    def rows(self) -> tuple[Row, ...]:
        return tuple(row for section in self.sections for row in section.rows)

    @property
    def problems(self) -> list[Row]:
        """Return what failed or is blocked, the most severe first."""
        return sorted((row for row in self.rows if row.weight <= Weight.BLOCKED), key=lambda row: row.weight)


def plan_view(plan: Plan, provenance: Provenance = Provenance()) -> View:
    """Return a plan in printable words. `provenance`: of its manifests, if that is known."""
    verdict, mood = _plan_verdict(plan)
    return View(
        kind="plan",
        verdict=verdict,
        mood=mood,
        summary=wording.plan_summary(plan),
        alerts=tuple(wording.unfinished_reverts(plan)),
        refusals=tuple(map(printable, plan.refusals)),
        sections=tuple(
            _section(
                target,
                (
                    *map(_pending_revert, target.pending_reverts),
                    *map(_pending_verification, target.pending_verification),
                    *map(planned_row, target.steps),
                ),
            )
            for target in plan.targets
        ),
        facts=(
            ("digest", plan.digest),
            ("created", printable(plan.created)),
            *_origin(provenance),
            ("aliasctl", printable(plan.tool_version)),
        ),
        next_steps=tuple(wording.plan_next_steps(plan)),
    )


def report_view(report: Report, provenance: Provenance = Provenance()) -> View:
    """Return a report in printable words. `provenance`: as in `plan_view`."""
    verdict, mood = _report_verdict(report)
    run = (("run", printable(report.run)),) if report.run else ()
    return View(
        kind="report",
        verdict=verdict,
        mood=mood,
        summary=wording.report_summary(report) if report.results else wording.plan_summary(report.plan),
        alerts=tuple(wording.failed_reverts(report)),
        refusals=tuple(map(printable, report.plan.refusals)),
        sections=tuple(
            replace(_section(target.plan, tuple(map(ended_row, target.results))), charts=tuple(_charts(target.results)))
            for target in report.targets
        ),
        facts=(
            *run,
            ("digest", report.plan.digest),
            ("started", printable(report.started)),
            ("ended", printable(report.ended)),
            ("duration", wording.duration(report.started, report.ended)),
            *_origin(provenance),
            ("exit code", str(int(report.exit_code))),
            ("aliasctl", printable(report.plan.tool_version)),
        ),
        next_steps=tuple(wording.report_next_steps(report)),
        run=printable(report.run),
    )


def _origin(provenance: Provenance) -> Iterator[tuple[str, str]]:
    """Return where the manifests come from, as facts."""
    modified = " (files differ)" if provenance.modified else ""
    facts = {
        "commit": provenance.commit + modified if provenance.commit else "",
        "author": provenance.author,
        "ref": provenance.ref,
        "signature": provenance.signature,
        "pipeline": provenance.pipeline,
    }
    return ((name, printable(value)) for name, value in facts.items() if value)


def _plan_verdict(plan: Plan) -> tuple[str, str]:
    if plan.refusals:
        return "refused", "bad"
    if plan.pending_reverts:
        return "revert not finished", "bad"
    if not plan.steps:
        return (
            ("nothing to change, not all verified", "bad") if plan.pending_verification else ("nothing to do", "good")
        )
    blocked = len(plan.steps) - len(plan.runnable)
    if not plan.runnable:
        return f"{counted(blocked, 'change')} blocked", "bad"
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
        facts=wording.target_facts(target),
        sets=tuple(printable(alias_set.set) for alias_set in target.sets),
        rows=rows,
        suspended=tuple(printable(alias_set.set) for alias_set in target.sets if alias_set.suspended),
        notices=tuple(map(printable, (*target.notices, *_undetermined(target), *_waits(target)))),
        credentials=tuple(wording.saved_credentials(target)),
    )


def _undetermined(target: TargetPlan) -> Iterator[str]:
    if names := [alias for alias_set in target.sets for alias in alias_set.undetermined]:
        yield describe_undetermined(names)


def _waits(target: TargetPlan) -> Iterator[str]:
    for each in target.sets:
        if each.depends_on and any(not step.blocked for step in each.steps):
            yield f"{each.set} waits for {listed(each.depends_on)}"


def planned_row(step: Step) -> Row:
    """Return a step that is still to be made."""
    kind = "blocked" if step.blocked else str(step.action)
    message = printable(step.blocked.message) if step.blocked else ""
    row = _row(step, kind, kind, _planned_weight(step), _remarks(step), message)
    return replace(row, show_route=step.blocked is None or step.blocked.reason in SHOW_ROUTE_FOR)


def _pending_verification(pending: PendingVerification) -> Row:
    row = _row(
        pending.step,
        "pendingVerification",
        "not verified",
        Weight.BLOCKED,
        _remarks(pending.step),
        wording.pending_verification(pending),
    )
    return replace(row, sign=wording.PENDING_VERIFICATION, current=row.desired)  # the alias exists, and stays


def _pending_revert(pending: PendingRevert) -> Row:
    return _row(
        inverse(pending.step),
        "pendingRevert",
        "to be moved back",
        Weight.RISKY,
        _remarks(pending.step),
        wording.pending_revert(pending),
    )


def ended_row(result: StepResult) -> Row:
    """Return a step with its outcome."""
    remarks = _remarks(result.step)
    if result.propagation and all(proof.reach is Reach.VERIFIED for proof in result.propagation):
        remarks += (Remark(Topic.READERS, wording.readers(result.propagation)),)
    remarks += tuple(Remark(Topic.METRICS, printable(each.in_words)) for each in result.metrics)
    taken_back = result.moved_by and result.outcome is Outcome.REVERTED
    row = _row(
        inverse(result.step) if taken_back else result.step,
        str(result.outcome),
        wording.outcome(result),
        _ended_weight(result),
        remarks,
        printable(result.message or ""),
    )
    if result.outcome is Outcome.REVERTED:
        why = _without_location(row.message, result.step)
        row = replace(row, message=why, reason=why)
    if taken_back or not result.moved_by:
        return row
    return replace(row, sign=wording.PENDING_VERIFICATION, current=row.desired)  # this run did not move it there


def _charts(results: Iterable[StepResult]) -> Iterator[Chart]:
    """Yield a chart for each metric that has values."""
    for result in results:
        for each in result.metrics:
            if each.points:
                yield Chart(
                    printable(result.step.alias),
                    printable(each.metric.title),
                    str(each.verdict),
                    each.metric.shown(each.before),
                    each.metric.shown(each.after),
                    printable(each.detail),
                    each.points,
                    each.metric.limit(each.before),
                )


def _without_location(message: str, step: Step) -> str:
    """Return why a step was reverted, without where its alias is again, which the row shows."""
    location = printable(f"; it is {describe_location(step.current)} again")
    return message.replace(f"{location}; ", "; ", 1).removesuffix(location)


def _row(step: Step, kind: str, label: str, weight: Weight, remarks: tuple[Remark, ...], message: str) -> Row:
    return Row(
        sign=wording.BLOCKED if step.blocked else wording.SIGNS[step.action],
        set=printable(step.set),
        alias=printable(step.alias),
        current=f"({step.location})" if step.dangling else printable(step.current or ""),
        desired=printable(step.desired or ""),
        action=str(step.action),
        kind=kind,
        label=label,
        weight=weight,
        gates=gates_of(step),
        remarks=remarks,
        message=message,
        reason=_without_gates(message, step),
        wave=0 if step.prune else step.wave,
    )


def _remarks(step: Step) -> tuple[Remark, ...]:
    remarks = [Remark(Topic.SCOPE, "in scope, not listed")] if step.prune else []
    if step.wave and not step.prune:
        remarks.append(Remark(Topic.WAVE, f"wave {step.wave}"))
    if step.desired and not step.gates.has(DEFAULT_GUARD):
        remarks.append(Remark(Topic.GATE, f"{DEFAULT_GUARD} off"))
    return tuple(remarks)


def _planned_weight(step: Step) -> Weight:
    if step.blocked:
        return Weight.BLOCKED
    if step.skipped_gates or step.action is Action.DROP or any(result.not_evaluated for result in step.gate_results):
        return Weight.RISKY
    return Weight.PLAIN


def _ended_weight(result: StepResult) -> Weight:
    if result.outcome in {Outcome.FAILED, Outcome.UNKNOWN}:
        return Weight.FAILED
    if result.outcome not in ACHIEVED or result.code:
        return Weight.BLOCKED
    return _planned_weight(result.step)


def gates_of(step: Step) -> tuple[Gate, ...]:
    """Return the gates of a step: skipped ones, then results.

    In a rollback only the default guard can block, so what others found is not shown as a problem.
    """
    skipped = tuple(
        Gate(printable(name), wording.SKIPPED, "SKIPPED", wording.GATE_SIGNS[wording.SKIPPED])
        for name in step.skipped_gates
    )
    results = (_not_required(each) if step.reverting else each for each in step.gate_results)
    return skipped + tuple(map(_gate, results))


def _not_required(result: GateResult) -> GateResult:
    """Return a gate of a rollback, as not applicable if it does not pass and cannot block."""
    if result.gate == DEFAULT_GUARD or result.verdict is Verdict.PASS:
        return result
    return replace(result, verdict=Verdict.NOT_APPLICABLE, detail="not required for a rollback", figures={})


def _gate(result: GateResult) -> Gate:
    return Gate(
        name=printable(result.gate),
        state=str(result.verdict),
        mark=wording.VERDICTS[result.verdict],
        sign=wording.GATE_SIGNS[result.verdict],
        detail=printable(result.detail),
        figures=tuple((printable(name), _figure(value)) for name, value in result.figures.items()),
    )


def _without_gates(message: str, step: Step) -> str:
    """Return what a message says beyond the details of gates, such as a setting that would let the step go on."""
    if step.blocked is None or step.blocked.reason is not BlockReason.GATE_FAILED:
        return message
    for result in step.gate_results:
        detail = printable(f"{result.gate}: {result.detail}")
        for found in (f"; also {detail}", detail):
            message = message.replace(found, "", 1)
    return message.removeprefix("; ")


def _figure(value: Figure) -> str:
    if isinstance(value, tuple):
        return f"{min(value):g} to {max(value):g} ({len(value)})" if value else "none"
    return f"{value:g}" if isinstance(value, float) else printable(str(value))
