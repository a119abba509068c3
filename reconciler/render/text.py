"""Plans, reports and status as text for a terminal.

    prod / default   Milvus 2.6.4 at https://milvus.example.com:19530 (manifest)   42 aliases, 8 calls
      + search_products   → products_v7
      ~ search_reviews    reviews_v1 → reviews_v2   loaded ✓
      - search_legacy     legacy_v1
      ! search_ads        ads_v3 does not exist in database "default"
    Plan: 1 to create, 1 to alter, 1 to drop, 1 blocked, 38 unchanged.

Lines are never cut or wrapped, so that they can be searched. Whatever came from outside is made printable first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from rich.text import Text

from reconciler.core.gates import DEFAULT_GUARD
from reconciler.core.model import Origin
from reconciler.core.plan import Action, BlockReason, PendingVerification, Plan, Step, TargetPlan, Verdict
from reconciler.core.report import Outcome, Propagated, Reach, Report, StepResult
from reconciler.core.text import counted, printable
from reconciler.inspect.alias_status import State, StatusRow
from reconciler.inspect.unreferenced import Unreferenced

SIGNS = {Action.CREATE: ("+", "green"), Action.ALTER: ("~", "yellow"), Action.DROP: ("-", "red")}
BLOCKED = ("!", "bold magenta")
PENDING_VERIFICATION = ("?", "bold yellow")
VERDICTS = {Verdict.PASS: "✓", Verdict.FAIL: "✗", Verdict.UNKNOWN: "unknown", Verdict.NOT_APPLICABLE: "n/a"}
OUTCOMES = {
    Outcome.DONE: "green",
    Outcome.NOOP: "dim",
    Outcome.BLOCKED: "bold magenta",
    Outcome.FAILED: "bold red",
    Outcome.UNKNOWN: "bold red",
    Outcome.NOT_ATTEMPTED: "yellow",
    Outcome.REVERTED: "bold magenta",
}
SHOW_ROUTE_FOR = {
    BlockReason.PROTECTED,
    BlockReason.GATE_FAILED,
    BlockReason.REJECTED,
    BlockReason.EARLIER_WAVE,
    BlockReason.COMPANION,
}
"""Reasons that are not about the two ends of a change, so that these are worth showing."""
SAVED = {Origin.PLAN_FILE, Origin.EARLIER_RUN}
STATES = {
    State.IN_SYNC: "green",
    State.SUSPENDED: "dim",
    State.MISSING: "yellow",
    State.DRIFTED: "yellow",
    State.UNWANTED: "yellow",
}
COLUMN = 60
"""Characters of the widest column."""
OUTCOME_WORDS = {Outcome.NOOP: "already as wanted", Outcome.NOT_ATTEMPTED: "not attempted"}


def plan_lines(plan: Plan) -> Iterator[Text]:
    """A plan, line by line."""
    for target in plan.targets:
        yield _header(target)
        yield from (Text(f"  note: {printable(notice)}", "yellow") for notice in target.notices)
        yield from _credentials(target)
        width = _widest(
            [*(pending.step.alias for pending in target.pending_verification), *(step.alias for step in target.steps)]
        )
        pending = [
            (pending.step.set, _pending_verification_line(pending, width)) for pending in target.pending_verification
        ]
        yield from _sets(target, [*pending, *((step.set, _step_line(step, width)) for step in target.steps)])
    yield from _refusals(plan)
    yield plan_summary(plan)


def saved_plan_lines(plan: Plan) -> Iterator[Text]:
    """A saved plan: when it was made, and the digest that stands for it."""
    yield Text(f"Plan of {printable(plan.created)}, digest {plan.digest}", "dim")
    yield from plan_lines(plan)


def report_lines(report: Report) -> Iterator[Text]:
    """What became of each step, line by line."""
    for target in report.targets:
        yield _title(target.plan)
        steps = [result.step for result in target.results]
        width, route = _widest(step.alias for step in steps), _widest(map(_route, steps))
        yield from _sets(
            target.plan, [(result.step.set, _result_line(result, width, route)) for result in target.results]
        )
    yield from _refusals(report.plan)
    yield report_summary(report)


def _refusals(plan: Plan) -> Iterator[Text]:
    for refusal in plan.refusals:
        yield Text.assemble(("Refused: ", "bold red"), printable(refusal))


def status_lines(rows: Sequence[StatusRow]) -> Iterator[Text]:
    """One row an alias, in columns, and how many there are of each state."""
    heads = ("TARGET", "SET", "ALIAS", "WANTED", "LIVE", "STATE", "NOTE")
    yield from columns(heads, [_cells(row) for row in rows], lambda row: {5: STATES[rows[row].state]})
    counts = Counter(row.state for row in rows)
    yield Text(", ".join(f"{counts[state]} {state}" for state in State if counts[state]) or "No aliases.", "bold")


def unreferenced_lines(idle: Sequence[Unreferenced]) -> Iterator[Text]:
    """Loaded collections that no alias points at, in columns."""
    if not idle:
        yield Text("No loaded collection without an alias.", "bold")
        return
    heads = ("TARGET", "COLLECTION", "ROWS", "WITHOUT AN ALIAS SINCE")
    yield from columns(heads, [_idle_cells(item) for item in idle])
    yield Text(f"{counted(len(idle), 'loaded collection')} without an alias. Nothing was changed.", "bold")


def _idle_cells(unreferenced: Unreferenced) -> tuple[str, ...]:
    place = f"{unreferenced.connection} / {unreferenced.target.database}"
    rows = "unknown" if unreferenced.rows is None else str(unreferenced.rows)
    return (place, unreferenced.collection, rows, unreferenced.since or "no recorded run moved one away")


def columns(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    styles: Callable[[int], Mapping[int, str]] = lambda _: {},
) -> Iterator[Text]:
    """A table without lines: as wide as its widest cells.

    Args:
        heads: of the columns.
        rows: their cells; made printable here.
        styles: of a row, by its number: style by the number of the column.
    """
    cells = [tuple(map(printable, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    yield Text("   ".join(head.ljust(width) for head, width in zip(heads, widths, strict=True)).rstrip(), "bold")
    for number, line in enumerate(cells):
        text, style = Text(), styles(number)
        for place, (cell, width) in enumerate(zip(line, widths, strict=True)):
            text.append(cell.ljust(width + 3), style.get(place, ""))
        text.rstrip()
        yield text


def _cells(row: StatusRow) -> tuple[str, ...]:
    place = f"{row.connection} / {row.target.database}"
    return (place, row.set, row.alias, row.desired or "-", row.live or "-", row.state, row.note or "")


def _title(target: TargetPlan) -> Text:
    return Text(printable(f"{target.connection.name} / {target.target.database}"), "bold")


def _header(target: TargetPlan) -> Text:
    return Text.assemble(_title(target), ("   " + facts(target), "dim"))


def _credentials(target: TargetPlan) -> Iterator[Text]:
    """Which secret goes where, if that is not from a manifest or a flag of this call but from a file that was saved."""
    endpoints = (endpoint for alias_set in target.sets for endpoint in alias_set.verify.endpoints)
    for connection in dict.fromkeys((target.connection, *endpoints)):
        if connection.token and connection.origin in SAVED:
            secret = connection.token
            place = f"environment variable {secret.env}" if secret.env else f"file {secret.file}"
            yield Text(printable(f"  the token in {place} goes to {connection.address}"), "dim")


def facts(target: TargetPlan) -> str:
    """What was read, and from where."""
    place = f"at {printable(target.connection.uri)} ({target.connection.origin})"
    if target.offline:
        return f"{place}   {counted(target.alias_count, 'alias')}, from an export: targets and gates not checked"
    if target.server_version:
        version = product(printable(target.server_version))
        return f"{version} {place}   {counted(target.alias_count, 'alias')}, {counted(target.calls, 'call')}"
    return place


def product(version: str) -> str:
    """A server's version as a person says it: `v2.3.5` is Milvus 2.3.5, `milvus_lite-3.2.2` Milvus Lite 3.2.2."""
    if "Milvus" in version:  # as on Zilliz Cloud
        return version
    if version.startswith("milvus_lite"):
        return "Milvus Lite " + version.removeprefix("milvus_lite").lstrip("-")
    return "Milvus " + version.removeprefix("v")


def _sets(target: TargetPlan, lines: Iterable[tuple[str, Text]]) -> Iterator[Text]:
    """The lines of a target, each with its set. Several sets have their names above them; a lone one needs none."""
    named = len(target.sets) > 1
    of_set = defaultdict(list)
    for name, line in lines:
        of_set[name].append(line)
    for plan in target.sets:
        if plan.suspended:
            yield Text.assemble("  ", (printable(plan.set), "cyan"), ("   suspended: skipped", "dim"))
        elif named and of_set[plan.set]:
            yield Text.assemble("  ", (printable(plan.set), "cyan"))
        for line in of_set[plan.set]:
            yield Text("  ").append_text(line) if named else line
    quiet = sum(not of_set[plan.set] and not plan.suspended for plan in target.sets)
    if named and quiet:
        yield Text(f"  {counted(quiet, 'set')} without changes", "dim")


def _widest(texts: Iterable[str]) -> int:
    """How wide a column is; what is longer than `COLUMN` sticks out, or one long name would push all else off."""
    return max((size for text in texts if (size := len(printable(text))) <= COLUMN), default=0)


def _pending_verification_line(pending: PendingVerification, width: int) -> Text:
    line = Text.assemble("  ", PENDING_VERIFICATION, f" {printable(pending.step.alias).ljust(width)}   ")
    return line.append(printable(f"at {pending.step.desired}; {pending_verification_words(pending)}"))


def pending_verification_words(pending: PendingVerification) -> str:
    """Why an alias that is in place is on the plan."""
    return f"run {pending.run} did not verify it ({pending.reason}); it is verified again first"


def _step_line(step: Step, width: int) -> Text:
    line = _change(step, width)
    if step.blocked:
        if step.blocked.reason in SHOW_ROUTE_FOR:
            line.append(_route(step) + "   ")
        return line.append(printable(step.blocked.message))
    line.append(_route(step))
    if step.wave and not step.prune:
        line.append(f"   wave {step.wave}", "dim")
    if step.desired and not step.gates.has(DEFAULT_GUARD):
        line.append(f"   {DEFAULT_GUARD} off", "yellow")
    for gate in step.skipped_gates:
        line.append(f"   {printable(gate)} SKIPPED", "bold red")
    for result in step.gate_results:
        line.append(
            f"   {printable(result.gate)} {VERDICTS[result.verdict]}",
            "green" if result.verdict is Verdict.PASS else "yellow",
        )
        if result.detail:
            line.append(f" ({printable(result.detail)})", "dim")
    return line


def _result_line(result: StepResult, width: int, route: int) -> Text:
    line = _change(result.step, width)
    line.append(_route(result.step).ljust(route))
    line.append(f"   {outcome_words(result)}", OUTCOMES[result.outcome])
    if result.propagation and all(item.reach is Reach.VERIFIED for item in result.propagation):
        line.append(f", {readers_words(result.propagation)}", "green" if result.outcome is Outcome.DONE else "dim")
    if result.step.skipped_gates:
        line.append(f", gates skipped: {printable(', '.join(result.step.skipped_gates))}", "bold red")
    if result.message:
        line.append(f": {printable(result.message)}")
    return line


def readers_words(proofs: Sequence[Propagated]) -> str:
    """What was proved about readers."""
    heals = max(proof.heals for proof in proofs)
    healed = f" after {counted(heals, 'repeated alter')}" if heals else ""
    where = f" at {len(proofs)} endpoints" if len(proofs) > 1 else ""
    return f"readers verified{where}{healed}"


def outcome_words(result: StepResult) -> str:
    """How a step ended, as a person says it."""
    if result.outcome is Outcome.NOOP and result.step.desired is None:
        return "already gone"
    return OUTCOME_WORDS.get(result.outcome, result.outcome)


def _change(step: Step, width: int) -> Text:
    sign, style = BLOCKED if step.blocked else SIGNS[step.action]
    return Text.assemble("  ", (sign, style), f" {printable(step.alias).ljust(width)}   ")


def _route(step: Step) -> str:
    if step.desired is None:
        return printable(step.current or "") + ("   (in scope, not listed)" if step.prune else "")
    return printable(f"{step.current} → {step.desired}" if step.current else f"→ {step.desired}")


def plan_summary(plan: Plan) -> Text:
    """One line: how much of what would be done."""
    unchanged = sum(set_plan.unchanged for set_plan in plan.set_plans)
    suspended = sum(set_plan.suspended for set_plan in plan.set_plans)
    if not plan.steps:
        skipped = f" {counted(suspended, 'set')} suspended." if suspended else ""
        pending = f" {len(plan.pending_verification)} to verify again." if plan.pending_verification else ""
        return Text(f"No changes. {counted(unchanged, 'alias')} as wanted.{pending}{skipped}", "bold")
    actions = Counter(step.action for step in plan.runnable)
    parts = [f"{actions[action]} to {action}" for action in Action]
    parts.append(f"{len(plan.steps) - len(plan.runnable)} blocked")
    parts.append(f"{unchanged} unchanged")
    if plan.pending_verification:
        parts.append(f"{len(plan.pending_verification)} to verify again")
    if suspended:
        parts.append(f"{counted(suspended, 'set')} suspended")
    return Text("Plan: " + ", ".join(parts) + ".", "bold")


def report_summary(report: Report) -> Text:
    """One line: how many steps ended how, or why none was tried."""
    if report.plan.refusals:
        return Text("Nothing applied: a guard refused.", "bold")
    if report.plan.steps and not report.plan.runnable and not report.wrote:
        return Text("Nothing applied: every change is blocked.", "bold")
    counts = report.counts
    parts = [f"{counts[Outcome.DONE]} done"]
    parts += [
        f"{counts[outcome]} {OUTCOME_WORDS.get(outcome, outcome)}"
        for outcome in Outcome
        if outcome is not Outcome.DONE and counts[outcome]
    ]
    head = "Interrupted: " if report.interrupted else "Apply: "
    return Text(head + ", ".join(parts) + ".", "bold")
