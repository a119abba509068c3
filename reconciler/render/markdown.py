"""Plans and reports as a comment on a pull request, which GitHub and GitLab both render.

The first line is an invisible marker, by which a pipeline finds its comment again. Below the heading everything is
HTML, which is not parsed as Markdown, and inside `<code>` neither site looks for names, issues, links or emoji. So text
from outside is escaped inside `<code>`, and appears nowhere else. GitHub refuses a comment of more than 65,536
characters: what does not fit is left out by whole rows, the least important first, and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from reconciler.core.text import counted, shortened
from reconciler.render.view import Gate, Row, Section, View

LIMIT = 60_000
"""Bytes of a whole comment."""
FRAME = 4_000
"""Bytes kept for the heading, the notice of what was left out, and the end."""
LONG = 20
"""Rows of a section that are shown expanded; a longer section is collapsed."""
HIGHLIGHTS = 10
"""Failed or blocked rows that are repeated at the top."""
NAME, SENTENCE = 255, 600
"""Maximum characters of a name and of a sentence; Milvus allows no longer names."""
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
    highlights = [line for line in map(_highlight, view.problems[:HIGHLIGHTS]) if room.take(line)]
    bodies = list(_bodies(view, room, view.problems[: len(highlights)]))
    shown = sum(len(rows) for _, rows in bodies)
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
            *(_section(view, section, rows) for section, rows in bodies),
            f"<p><sub>{end}</sub></p>\n",
        ]
    )


def _left_out(rows: int, refusals: int, databases: int) -> str:
    counts = ((rows, "change"), (refusals, "refusal"), (databases, "database"))
    parts = [counted(number, noun) for number, noun in counts if number]
    notice = f"Left out, because a comment must be short: {', '.join(parts)}. The text and JSON results have all of it."
    return notice if parts else ""


def _bodies(view: View, room: Room, highlighted: Sequence[Row]) -> Iterator[tuple[Section, list[str]]]:
    """Return the sections that fit, each with the rows that fit; the message of `highlighted` rows is not repeated."""
    places = [(at, number) for at, section in enumerate(view.sections) for number in range(len(section.rows))]
    entered: dict[int, dict[int, str]] = {}
    for at, number in sorted(places, key=lambda place: view.sections[place[0]].rows[place[1]].weight):
        section = view.sections[at]
        row = _row(view, section, section.rows[number], highlighted)
        if not room.take(row, *([] if at in entered else [_section(view, section, [])])):
            break
        entered.setdefault(at, {})[number] = row
    for at, section in enumerate(view.sections):
        if at in entered:
            yield section, [row for _, row in sorted(entered[at].items())]
        elif not section.rows and room.take(_section(view, section, [])):
            yield section, []


def _alert(alert: str) -> str:
    return f"<p><b>Attention:</b> {code(alert, SENTENCE)}</p>"


def _refusal(refusal: str) -> str:
    return f"<p><b>Refused:</b> {code(refusal, SENTENCE)}</p>"


def _highlight(row: Row) -> str:
    message = f": {code(row.message, SENTENCE)}" if row.message else ""
    return f"<li><b>{row.label}</b> {code(row.alias, NAME)}{message}</li>"


def _section(view: View, section: Section, rows: list[str]) -> str:
    """Render a database's heading and table as one HTML block, which an empty line would end."""
    title = f"<b>{code(section.connection, NAME)} / {code(section.database, NAME)}</b>"
    suspended = f"; {counted(len(section.suspended), 'set')} suspended" if section.suspended else ""
    notes = "".join(f"<br>note: {code(notice, SENTENCE)}" for notice in section.notices)
    about = f"{title} {code(' · '.join(section.facts), SENTENCE)}{suspended}{notes}"
    if not section.rows:
        return f"<p>{about}: nothing to do</p>"
    heads = "".join(f"<th>{head}</th>" for head in _heads(view, section))
    table = "\n".join(["<table>", f"<tr>{heads}</tr>", *rows, "</table>"])
    if len(section.rows) <= LONG:
        return f"<p>{about}</p>\n{table}"
    return f"<details><summary>{about}: {counted(len(section.rows), 'change')}</summary>\n{table}\n</details>"


def _heads(view: View, section: Section) -> list[str]:
    outcome = ["outcome"] if view.kind == "report" else []
    return ["", *outcome, *(["set"] if len(section.sets) > 1 else []), "alias", "from", "to", "gates", "note"]


def _row(view: View, section: Section, row: Row, highlighted: Sequence[Row]) -> str:
    cells = [
        row.sign,
        *([row.label] if view.kind == "report" else []),
        *([code(row.set, NAME)] if len(section.sets) > 1 else []),
        *(code(name, NAME) for name in (row.alias, row.current, row.desired)),
        _lines(_gate(gate, row.message if row in highlighted else "") for gate in row.gates),
        _lines([*(remark.words for remark in row.remarks), "" if row in highlighted else code(row.reason, SENTENCE)]),
    ]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _gate(gate: Gate, message: str) -> str:
    """Render a gate, without details that a highlighted message has already."""
    detail = "" if gate.detail in message else gate.detail
    return f"{code(gate.name, NAME)} {gate.mark} {code(detail, SENTENCE)}".rstrip()


def _lines(parts: Iterable[str]) -> str:
    return "<br>".join(filter(None, parts))


def code(text: str, limit: int) -> str:
    """Return text from outside, escaped and cut to `limit` characters."""
    return f"<code>{escape(shortened(text, limit), quote=False).translate(MARKUP)}</code>" if text else ""
