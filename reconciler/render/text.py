"""Plans and reports as text for a terminal.

prod / default   Milvus 2.6.4 at https://milvus.example.com:19530 (manifest)   42 aliases, 8 calls
  + search_products   → products_v7
  ~ search_reviews    reviews_v1 → reviews_v2   loaded ✓
  - search_legacy     legacy_v1
  ! search_ads        ads_v3 does not exist in database "default"
Plan: 1 to create, 1 to alter, 1 to drop, 1 blocked, 38 unchanged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from reconciler.core.plan import Verdict
from reconciler.core.report import Outcome
from reconciler.core.text import counted
from reconciler.render.lines import Line, Part, width_of
from reconciler.render.view import Gate, Row, Section, Topic, View
from reconciler.render.wording import PENDING_VERIFICATION

SIGNS = {"+": "green", "~": "yellow", "-": "red", "!": "bold magenta", "?": "bold yellow"}
OUTCOMES = {
    Outcome.DONE: "green",
    Outcome.NOOP: "dim",
    Outcome.BLOCKED: "bold magenta",
    Outcome.FAILED: "bold red",
    Outcome.UNKNOWN: "bold red",
    Outcome.NOT_ATTEMPTED: "yellow",
    Outcome.REVERTED: "bold magenta",
}
REMARKS = {Topic.WAVE: "dim", Topic.GATE: "yellow"}
"""The remarks that are shown beside a planned change."""


def view_lines(view: View) -> Iterator[Line]:
    yield from (Line((alert, "bold red")) for alert in view.alerts)
    for section in view.sections:
        title = (f"{section.connection} / {section.database}", "bold")
        width = width_of([row.alias for row in section.rows])
        if view.kind == "plan":
            yield Line(title, ("   " + "   ".join(section.facts), "dim"))
            yield from (Line((f"  note: {notice}", "yellow")) for notice in section.notices)
            yield from (Line((f"  {credential}", "dim")) for credential in section.credentials)
            lines = [_planned(row, width) for row in section.rows]
        else:
            yield Line(title)
            route = width_of([_route(row) for row in section.rows])
            lines = [_ended(row, width, route) for row in section.rows]
        yield from _by_set(section, lines)
    yield from (Line(("Refused: ", "bold red"), refusal) for refusal in view.refusals)
    yield summary_line(view)


def saved_plan_lines(view: View) -> Iterator[Line]:
    """Draw a saved plan, with its time and the digest that identifies it."""
    facts = dict(view.facts)
    yield Line((f"Plan of {facts['created']}, digest {facts['digest']}", "dim"))
    yield from view_lines(view)


def summary_line(view: View) -> Line:
    return Line((view.summary, "bold"))


def gate_parts(gates: Iterable[Gate]) -> Iterator[Part]:
    """Draw gate results, to be appended to the line of a step."""
    for gate in gates:
        if gate.state == "skipped":
            yield f"   {gate.name} {gate.mark}", "bold red"
            continue
        yield f"   {gate.name} {gate.mark}", "green" if gate.state == Verdict.PASS else "yellow"
        if gate.detail:
            yield f" ({gate.detail})", "dim"


def _by_set(section: Section, lines: Iterable[Line]) -> Iterator[Line]:
    """Draw the lines under the names of their sets; the name of a single set is left out."""
    several = len(section.sets) > 1
    of_set: dict[str, list[Line]] = defaultdict(list)
    for row, line in zip(section.rows, lines, strict=True):
        of_set[row.set].append(line)
    for name in section.sets:
        if name in section.suspended:
            yield Line("  ", (name, "cyan"), ("   suspended: skipped", "dim"))
        elif several and of_set[name]:
            yield Line("  ", (name, "cyan"))
        yield from (Line("  ", *line) if several else line for line in of_set[name])
    quiet = sum(not of_set[name] and name not in section.suspended for name in section.sets)
    if several and quiet:
        yield Line((f"  {counted(quiet, 'set')} without changes", "dim"))


def _planned(row: Row, width: int) -> Line:
    change = _change(row, width)
    if row.kind == "pendingVerification":
        return Line(*change, f"{_route(row)}; {row.message}")
    if row.kind == "pendingRevert":
        return Line(*change, _route(row) + "   ", row.message)
    if row.kind == "blocked":
        return Line(*change, _route(row) + "   " if row.show_route else "", row.message)
    remarks = ((f"   {remark.words}", REMARKS[remark.topic]) for remark in row.remarks if remark.topic in REMARKS)
    return Line(*change, _route(row), *remarks, *gate_parts(row.gates))


def _ended(row: Row, width: int, route: int) -> Line:
    outcome = Outcome(row.kind)
    parts = [*_change(row, width), _route(row).ljust(route), (f"   {row.label}", OUTCOMES[outcome])]
    verified = "green" if outcome is Outcome.DONE else "dim"
    parts += [(f", {remark.words}", verified) for remark in row.remarks if remark.topic is Topic.READERS]
    if skipped := [gate.name for gate in row.gates if gate.state == "skipped"]:
        parts.append((f", gates skipped: {', '.join(skipped)}", "bold red"))
    if row.message:
        parts.append(f": {row.message}")
    return Line(*parts)


def _change(row: Row, width: int) -> tuple[Part, ...]:
    return "  ", (row.sign, SIGNS[row.sign]), f" {row.alias.ljust(width)}   "


def _route(row: Row) -> str:
    if row.sign == PENDING_VERIFICATION:
        return f"at {row.desired}"
    if not row.desired:
        scope = "".join(f"   ({remark.words})" for remark in row.remarks if remark.topic is Topic.SCOPE)
        return row.current + scope
    return f"{row.current} → {row.desired}" if row.current else f"→ {row.desired}"
