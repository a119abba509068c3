"""Plans and reports as text for a terminal.

prod / default   Milvus 2.6.4 at https://milvus.example.com:19530 (manifest)   42 aliases, 8 calls
  + search_brands    → brands_v1   ✓ loaded
  - search_legacy    legacy_v1   (in scope, not listed)
  ! search_ads       BLOCKED: ads_v3 does not exist in database "default"
  ! products_v7 → products_v8   5 aliases   BLOCKED
    ✗ canary   overlap@5 0.00, need ≥ 0.60 (20 queries; worst rows 0, 15, 30)
    ✓ loaded   ✓ schema   ✓ rows (100 %)
      wave 0   search_products_canary
      wave 1   autocomplete_products, products, products_live, search_products
Plan: 1 to create, 0 to alter, 1 to drop, 6 blocked, 38 unchanged.

A change of one alias starts with the alias, and takes one line where nothing is wrong. Red means blocked or failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from reconciler.core.grouping import grouped
from reconciler.core.plan import Verdict
from reconciler.core.report import Outcome
from reconciler.core.text import counted
from reconciler.render.groups import Batch, Group, groups_of
from reconciler.render.lines import Line, Part, width_of
from reconciler.render.view import Gate, Remark, Section, Topic, View, Weight
from reconciler.render.wording import PENDING_VERIFICATION, SKIPPED

RED = "bold red"
SIGNS = {"+": "green", "~": "yellow", "-": "magenta", "!": RED, PENDING_VERIFICATION: "bold yellow"}
OUTCOMES = {
    Outcome.DONE: "green",
    Outcome.NOOP: "dim",
    Outcome.BLOCKED: RED,
    Outcome.FAILED: RED,
    Outcome.UNKNOWN: RED,
    Outcome.NOT_ATTEMPTED: "yellow",
    Outcome.REVERTED: RED,
}
GATES: Mapping[str, str] = {
    Verdict.FAIL: RED,
    Verdict.UNKNOWN: "bold yellow",
    SKIPPED: "bold yellow",
    Verdict.NOT_EVALUATED: "yellow",
    Verdict.NOT_APPLICABLE: "dim",
    Verdict.PASS: "green",
}
LABELS = {"blocked": ("BLOCKED", RED), "pendingVerification": ("not verified", "yellow")}
LABELS["pendingRevert"] = ("to be moved back", "yellow")
"""What is shown beside a planned change; nothing for other kinds."""
REPORTED = {Verdict.FAIL, Verdict.UNKNOWN}
"""The results of gates that a report shows, and only where they block: the plan has all of them."""
COMPACT = 80
"""Columns of a line that may hold more than it must."""


def view_lines(view: View) -> Iterator[Line]:
    yield from (Line((alert, RED)) for alert in view.alerts)
    for section in view.sections:
        title = (f"{section.connection} / {section.database}", "bold")
        if view.kind == "plan":
            yield Line(title, ("   " + "   ".join(section.facts), "dim"), hang=len(title[0]) + 3)
            yield from (Line((f"  note: {notice}", "yellow"), hang=8) for notice in section.notices)
            yield from (Line((f"  {credential}", "dim")) for credential in section.credentials)
        else:
            yield Line(title)
        yield from section_lines(section, is_plan=view.kind == "plan", with_gates=view.kind == "plan")
    yield from (Line(("Refused: ", RED), refusal, hang=9) for refusal in view.refusals)
    yield from summary_lines(view)


def saved_plan_lines(view: View) -> Iterator[Line]:
    """Draw a saved plan, with its time and the digest that identifies it."""
    facts = dict(view.facts)
    yield Line((f"Plan of {facts['created']}, digest {facts['digest']}", "dim"))
    yield from view_lines(view)


def summary_lines(view: View) -> Iterator[Line]:
    """Draw the numbers, the ID of the run and what to do next."""
    yield Line((view.summary, "bold"), (f"   run {view.run}" if view.run else "", "dim"))
    yield from (Line(step) for step in view.next_steps)


def _gate_parts(gates: Iterable[Gate]) -> Iterator[Part]:
    """Draw gate results, to be appended to the line of a step."""
    for gate in gates:
        yield f"   {gate.sign}", GATES[gate.state]
        yield f" {gate.name}"
        words = [] if gate.state in {Verdict.PASS, Verdict.FAIL} else [gate.mark]
        if detail := ": ".join(filter(None, (*words, gate.detail))):
            yield f" ({detail})", "dim"


def section_lines(section: Section, *, is_plan: bool, with_gates: bool) -> Iterator[Line]:
    """Draw the changes of a database under the names of their sets; the name of a single set is left out.

    Args:
        section: the database.
        is_plan: whether the changes are planned; otherwise each is drawn with its outcome.
        with_gates: whether all gates are drawn; otherwise only those that did not pass, where they block.
    """
    several = len(section.sets) > 1
    drawing = _Drawing(section, is_plan=is_plan, with_gates=with_gates)
    of_set = grouped(groups_of(section), lambda group: group.set)
    for name in section.sets:
        groups = of_set.get(name, [])
        if name in section.suspended:
            yield Line("  ", (name, "cyan"), ("   suspended: skipped", "dim"))
        elif several and groups:
            yield Line("  ", (name, "cyan"))
        yield from (line.indented(2 if several else 0) for line in drawing.lines(groups))
    quiet = sum(name not in of_set and name not in section.suspended for name in section.sets)
    if several and quiet:
        yield Line((f"  {counted(quiet, 'set')} without changes", "dim"))


class _Drawing:
    """Draws the groups of one database, those of a single alias in columns."""

    def __init__(self, section: Section, *, is_plan: bool, with_gates: bool) -> None:
        self._is_plan, self._with_gates = is_plan, with_gates
        single = [group for group in groups_of(section) if len(group.rows) == 1]
        self._alias = width_of([group.rows[0].alias for group in single])
        self._route = 0 if self._is_plan else width_of([_route(group) for group in single])
        self._given = ""

    def lines(self, groups: Sequence[Group]) -> Iterator[Line]:
        """Draw the changes of one set. Single aliases that have all the rest in common share one explanation."""
        self._given = ""
        for _, cluster in groupby(groups, key=_explanation):
            first, *others = cluster
            yield from self._several(first) if len(first.rows) > 1 else self._single([first, *others])

    def _single(self, groups: Sequence[Group]) -> Iterator[Line]:
        lines = [self._line(group) for group in groups]
        gates, reason = self._gates(groups[0].gates, groups[0].weight), self._once(groups[0].reason)
        if reason and not gates and len(groups) == 1:
            yield _appended(lines[0], f": {reason}")
            return
        compact = [_appended(line, *_gate_parts(gates)) for line in lines]
        if not reason and _are_passed(gates) and all(len(line.plain) <= COMPACT for line in compact):
            yield from compact
            return
        yield from lines
        for number, line in enumerate(_explained(gates, reason, groups[0].weight)):
            each = f"all {len(groups)}: " if len(groups) > 1 else ""
            start = (each if number == 0 else " " * len(each), "dim")
            yield Line(start, *line, hang=line.hang + len(each)).indented(4)

    def _line(self, group: Group) -> Line:
        """Draw a change of one alias without its gates and its reason."""
        (batch,) = group.batches
        alias = f" {batch.aliases[0].ljust(self._alias)}"
        route = f"   {_route(group).ljust(self._route)}" if group.show_route or not self._is_plan else ""
        wave = ((f"   wave {batch.wave}", "dim"),) if batch.wave else ()
        label = self._label(batch.kind, batch.label, group.remarks, group.gates)
        return Line(*self._sign(group), alias, route, *wave, *_notes(group.remarks), *_set_off(label))

    def _several(self, group: Group) -> Iterator[Line]:
        """Draw a change of several aliases: what they share, then the aliases by wave and outcome."""
        aliases = f"   {counted(len(group.rows), 'alias')}"
        label = _set_off(self._common_label(group))
        yield Line(*self._sign(group), f" {_route(group)}", aliases, *_notes(group.remarks), *label)
        explained = _explained(self._gates(group.gates, group.weight), self._once(group.reason), group.weight)
        yield from (line.indented(4) for line in explained)
        labels = self._batch_labels(group)
        width = max(_length(label) for label in labels)
        alike = groupby(zip(group.batches, labels, strict=True), key=lambda each: (each[0].gates, each[0].reason))
        for (gates, reason), batches in alike:
            for batch, label in batches:
                yield _batch(batch, label, width).indented(6)
                weight = batch.weight
            explained = _explained(self._gates(gates, weight), self._once(reason), weight)
            yield from (line.indented(8) for line in explained)

    def _batch_labels(self, group: Group) -> list[list[Part]]:
        """Return the label of each batch; empty ones where the label of the whole group says all of it."""
        labels = [self._label(batch.kind, batch.label, batch.remarks, batch.gates) for batch in group.batches]
        differ = len(group.labels) > 1 or any(len(label) > 1 for label in labels)
        return labels if differ else [[] for _ in labels]

    def _once(self, reason: str) -> str:
        """Return a reason, or that it is the one above."""
        if reason and reason == self._given:
            return "same reason as above"
        self._given = reason or self._given
        return reason

    def _gates(self, gates: Iterable[Gate], weight: Weight) -> list[Gate]:
        """Return the gates to draw below a change."""
        if self._with_gates:
            return list(gates)
        return [gate for gate in gates if gate.state in REPORTED and weight <= Weight.BLOCKED]

    def _sign(self, group: Group) -> tuple[Part, Part]:
        style = SIGNS[group.sign]
        if group.weight <= Weight.BLOCKED and group.sign != PENDING_VERIFICATION:
            style = RED
        elif group.weight is Weight.RISKY and style == "green":
            style = "yellow"  # a gate is skipped, or was not evaluated
        return "  ", (group.sign, style)

    def _label(self, kind: str, label: str, remarks: Iterable[Remark], gates: Iterable[Gate]) -> list[Part]:
        """Return what is said about a change: whether it is blocked, or its outcome."""
        if self._is_plan:
            return [LABELS[kind]] if kind in LABELS else []
        outcome = Outcome(kind)
        verified = "green" if outcome is Outcome.DONE else "dim"
        parts: list[Part] = [(label, OUTCOMES[outcome])]
        proved = (Topic.READERS, Topic.METRICS)
        parts += [(f", {remark.words}", verified) for remark in remarks if remark.topic in proved]
        if skipped := [gate.name for gate in gates if gate.state == SKIPPED]:
            parts.append((f", gates skipped: {', '.join(skipped)}", GATES[SKIPPED]))
        return parts

    def _common_label(self, group: Group) -> list[Part]:
        """Return the label of several aliases; of different ones with their numbers."""
        first = group.batches[0]
        if len(group.labels) == 1:
            return self._label(first.kind, first.label, group.remarks, group.gates)
        if self._is_plan:
            blocked = sum(len(batch.rows) for batch in group.batches if batch.kind == "blocked")
            return [(f"{blocked} BLOCKED", RED)] if blocked else []
        return [(", ".join(f"{number} {label}" for label, number in group.labels), OUTCOMES[Outcome(first.kind)])]


def _batch(batch: Batch, label: Sequence[Part], width: int) -> Line:
    """Draw the aliases of a batch behind its label, which is padded to `width`, and its wave."""
    wave = f"wave {batch.wave}   " if batch.wave is not None else ""
    padding = " " * (width + 3 - _length(label)) if width else ""
    names = ", ".join(batch.aliases)
    return Line(*label, padding, (wave, "dim"), names, *_notes(batch.remarks), hang=len(wave) + (width and width + 3))


def _explained(gates: Sequence[Gate], reason: str, weight: Weight) -> Iterator[Line]:
    """Draw gates, one line per result that did not pass, and the reason. `weight`: of the changes that have them."""
    yield from _gate_lines(gates, blocked=weight <= Weight.BLOCKED)
    if reason:
        yield Line(reason, hang=2)


def _gate_lines(gates: Sequence[Gate], *, blocked: bool) -> Iterator[Line]:
    """Draw one line per result, the failed ones first, and one line for all that passed."""
    passed = [gate for gate in gates if gate.state == Verdict.PASS]
    others = grouped((gate for gate in gates if gate.state != Verdict.PASS), lambda gate: (gate.state, gate.detail))
    names = {key: ", ".join(gate.name for gate in alike) for key, alike in others.items()}
    width = max(map(len, names.values()), default=0)
    for (state, detail), (gate, *_) in others.items():
        words = ": ".join(filter(None, ("" if state == Verdict.FAIL else gate.mark, detail)))
        sign = (gate.sign, RED if blocked and state == Verdict.UNKNOWN else GATES[state])
        yield Line(sign, f" {names[state, detail].ljust(width)}   ", words, hang=width + 5)
    if passed:
        first, *rest = _gate_parts(passed)
        yield Line((first[0].lstrip(), first[1]), *rest, hang=0)


def _explanation(group: Group) -> object:
    """Return what neighboring changes of a single alias must share, to be explained together."""
    if len(group.rows) > 1:
        return id(group)
    (batch,) = group.batches
    return group.gates, group.reason, batch.kind, batch.label


def _are_passed(gates: Iterable[Gate]) -> bool:
    return all(gate.state == Verdict.PASS for gate in gates)


def _length(parts: Sequence[Part]) -> int:
    return len(Line(*parts).plain)


def _set_off(label: Sequence[Part]) -> Sequence[Part]:
    return ["   ", *label] if label else []


def _appended(line: Line, *parts: Part) -> Line:
    return Line(*line, *parts, hang=line.hang)


def _notes(remarks: Iterable[Remark]) -> Iterator[Part]:
    """Draw the remarks that are not part of a label."""
    for remark in remarks:
        if remark.topic is Topic.SCOPE:
            yield f"   ({remark.words})"
        elif remark.topic is Topic.GATE:
            yield f"   {remark.words}", "yellow"


def _route(group: Group) -> str:
    if group.sign == PENDING_VERIFICATION:
        return f"at {group.desired}" if group.desired else "absent"
    if not group.desired:
        return group.current
    return f"{group.current} → {group.desired}" if group.current else f"→ {group.desired}"
