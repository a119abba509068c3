"""Plans and reports as a comment on a pull request, which GitHub and GitLab both render.

The first line is an invisible marker, by which a pipeline finds its comment again. Below the heading everything is
HTML, which is not parsed as Markdown, and inside `<code>` neither site looks for names, issues, links or emoji. So text
from outside is escaped inside `<code>`, and appears nowhere else. GitHub refuses a comment of more than 65,536
characters: what does not fit is left out by whole changes and aliases, the least important first, and counted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from html import escape

from msgspec import Struct, field

from reconciler.core.grouping import grouped
from reconciler.core.plan import Verdict
from reconciler.core.text import counted, listed, shortened
from reconciler.render.groups import Batch, Group, Problem, groups_of, problems_of
from reconciler.render.view import Gate, Remark, Section, View

LIMIT = 60_000
"""Bytes of a whole comment."""
FRAME = 4_000
"""Bytes kept for the heading, the notice of what was left out, and the end."""
LONG, MANY = 20, 100
"""Table rows, and aliases, of a section that is shown expanded; a longer section is collapsed."""
HIGHLIGHTS = 10
"""Reasons that are given at the top, why something failed or is blocked."""
NAMED = 5
"""Aliases that a reason at the top lists."""
NAME, SENTENCE = 255, 600
"""Maximum characters of a name and of a sentence; Milvus allows no longer names."""
MORE = "<br> and 1,000 more"
"""What follows the aliases of a batch at most."""
MARKUP = {ord(sign): f"&#{ord(sign)};" for sign in "@#$`[]*|~!\\"}
"""Signs that `escape` leaves alone: harmless in an HTML block, but not to a tool that parses the text itself."""


class Room:
    """The bytes that are left."""

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, *parts: str) -> bool:
        """Take room for the parts. Return False, and leave no room for less important ones, if they do not fit."""
        size = sum(len(part.encode()) + 1 for part in parts)
        if size > self._left:
            self._left = 0
            return False
        self._left -= size
        return True


def markdown(view: View) -> str:
    room = Room(LIMIT - FRAME)
    alerts = [line for line in map(_alert, view.alerts) if room.take(line)]
    refusals = [line for line in map(_refusal, view.refusals) if room.take(line)]
    problems = problems_of(view)[:HIGHLIGHTS]
    highlights = [line for line in map(_highlight, problems) if room.take(line)]
    said = frozenset(problem.message for problem in problems[: len(highlights)])
    bodies = list(_bodies(view, room, said))
    shown = sum(change.shown for _, changes in bodies for change in changes)
    left_out = _left_out(len(view.rows) - shown, len(view.refusals) - len(refusals), len(view.sections) - len(bodies))
    end = ", ".join(f"{name} {code(value, 100)}" for name, value in view.facts)
    return "\n\n".join(
        [
            f"<!-- aliasctl:{view.kind} -->\n## aliasctl {view.kind}: {view.verdict}",
            *alerts,
            f"**{view.summary}**",
            *(f"<p>{code(step, SENTENCE)}</p>" for step in view.next_steps),
            *([f"**{left_out}**"] if left_out else []),
            *refusals,
            *(["<ul>\n" + "\n".join(highlights) + "\n</ul>"] if highlights else []),
            *(_section(view, section, changes) for section, changes in bodies),
            f"<p><sub>{end}</sub></p>\n",
        ]
    )


def _left_out(rows: int, refusals: int, databases: int) -> str:
    counts = ((rows, "change"), (refusals, "refusal"), (databases, "database"))
    parts = [counted(number, noun) for number, noun in counts if number]
    notice = f"Left out, because a comment must be short: {', '.join(parts)}. The text and JSON results have all of it."
    return notice if parts else ""


class _Change(Struct):
    """As much of a group as fits: each of its batches with the number of aliases to show.

    `said`: its messages that the top of the comment has.
    """

    group: Group
    said: Collection[str]
    batches: list[tuple[Batch, int]] = field(default_factory=list)

    @property
    def shown(self) -> int:
        return sum(number for _, number in self.batches)

    def fill(self, room: Room) -> None:
        """Add batches and aliases while they fit."""
        for batch in self.group.batches:
            if not room.take(self._batch(batch, 0), MORE):
                return
            number = 0
            while number < len(batch.rows) and room.take(f"{code(batch.aliases[number], NAME)},"):
                number += 1
            self.batches.append((batch, number))

    def row(self, view: View, section: Section) -> str:
        """Render the row of a table."""
        group = self.group
        ends = (code(group.current, NAME), "→" if group.desired else "", code(group.desired, NAME))
        cells = [
            group.sign,
            *([_labels(group)] if view.kind == "report" else []),
            *([code(group.set, NAME)] if len(section.sets) > 1 else []),
            " ".join(filter(None, ends)),
            _lines(self._batch(batch, number) for batch, number in self.batches),
            _lines(self._gates(group.gates)),
            _lines([*_words(group.remarks), self._reason(group.reason)]),
        ]
        return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"

    def _batch(self, batch: Batch, number: int) -> str:
        """Render the first `number` aliases of a batch, and what they do not share with others."""
        label = f"<b>{batch.label}</b>" if len(self.group.labels) > 1 else ""
        wave = "" if batch.wave is None else f"wave {batch.wave}"
        names = ", ".join(code(alias, NAME) for alias in batch.aliases[:number])
        more = f"and {len(batch.rows) - number:,} more" if number < len(batch.rows) else ""
        head = ": ".join(filter(None, (" ".join(filter(None, (label, wave))), " ".join(filter(None, (names, more))))))
        return _lines([head, *_words(batch.remarks), *self._gates(batch.gates), self._reason(batch.reason)])

    def _gates(self, gates: Sequence[Gate]) -> Iterator[str]:
        """Render one line per result that did not pass, and one for all that passed."""
        by_result = grouped(gates, lambda gate: gate.state == Verdict.PASS)
        yield from (self._gate(gate) for gate in by_result.get(False, []))
        yield ", ".join(self._gate(gate) for gate in by_result.get(True, []))

    def _gate(self, gate: Gate) -> str:
        """Render a gate, without details that the top of the comment has."""
        mark = "" if gate.state in {Verdict.PASS, Verdict.FAIL} else gate.mark
        is_said = gate.state != Verdict.PASS and self._is_said(gate.detail)
        detail = "" if is_said else code(gate.detail, SENTENCE)
        return " ".join(filter(None, (gate.sign, code(gate.name, NAME), mark, detail)))

    def _reason(self, reason: str) -> str:
        return "" if self._is_said(reason) else code(reason, SENTENCE)

    def _is_said(self, text: str) -> bool:
        return any(text in message for message in self.said)


def _bodies(view: View, room: Room, said: frozenset[str]) -> Iterator[tuple[Section, list[_Change]]]:
    """Return the sections that fit, each with the changes that fit; `said` messages are not repeated."""
    changes = {
        at: [_Change(group, said.intersection(row.message for row in group.rows)) for group in groups_of(section)]
        for at, section in enumerate(view.sections)
    }
    places = [(at, change) for at, of_section in changes.items() for change in of_section]
    entered: dict[int, set[int]] = {}
    for at, change in sorted(places, key=lambda place: place[1].group.weight):
        section = view.sections[at]
        if not room.take(change.row(view, section), *([] if at in entered else [_section(view, section, [])])):
            break
        change.fill(room)
        if change.shown:
            entered.setdefault(at, set()).add(id(change))
    for at, section in enumerate(view.sections):
        if at in entered:
            yield section, [change for change in changes[at] if id(change) in entered[at]]
        elif not section.rows and room.take(_section(view, section, [])):
            yield section, []


def _alert(alert: str) -> str:
    return f"<p><b>Attention:</b> {code(alert, SENTENCE)}</p>"


def _refusal(refusal: str) -> str:
    return f"<p><b>Refused:</b> {code(refusal, SENTENCE)}</p>"


def _highlight(problem: Problem) -> str:
    names = listed([code(alias, NAME) for alias in problem.aliases], NAMED)
    message = f": {code(problem.message, SENTENCE)}" if problem.message else ""
    return f"<li><b>{problem.label}</b> {names}{message}</li>"


def _section(view: View, section: Section, changes: Sequence[_Change]) -> str:
    """Render a database's heading and table as one HTML block, which an empty line would end."""
    title = f"<b>{code(section.connection, NAME)} / {code(section.database, NAME)}</b>"
    suspended = f"; {counted(len(section.suspended), 'set')} suspended" if section.suspended else ""
    notes = "".join(f"<br>note: {code(notice, SENTENCE)}" for notice in section.notices)
    about = f"{title} {code(' · '.join(section.facts), SENTENCE)}{suspended}{notes}"
    if not section.rows:
        return f"<p>{about}: nothing to do</p>"
    heads = "".join(f"<th>{head}</th>" for head in _heads(view, section))
    rows = (change.row(view, section) for change in changes)
    table = "\n".join(["<table>", f"<tr>{heads}</tr>", *rows, "</table>"])
    if len(groups_of(section)) <= LONG and len(section.rows) <= MANY:
        return f"<p>{about}</p>\n{table}"
    return f"<details><summary>{about}: {counted(len(section.rows), 'change')}</summary>\n{table}\n</details>"


def _heads(view: View, section: Section) -> list[str]:
    outcome = ["outcome"] if view.kind == "report" else []
    return ["", *outcome, *(["set"] if len(section.sets) > 1 else []), "change", "aliases", "gates", "note"]


def _labels(group: Group) -> str:
    """Return the outcome of a change; different ones with their numbers."""
    if len(group.labels) == 1:
        return group.labels[0][0]
    return ", ".join(f"{number} {label}" for label, number in group.labels)


def _words(remarks: Iterable[Remark]) -> Iterator[str]:
    return (remark.words for remark in remarks)


def _lines(parts: Iterable[str]) -> str:
    return "<br>".join(filter(None, parts))


def code(text: str, limit: int) -> str:
    """Return text from outside, escaped and cut to `limit` characters."""
    return f"<code>{escape(shortened(text, limit), quote=False).translate(MARKUP)}</code>" if text else ""
