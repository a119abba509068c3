"""Plans and reports as a comment on a pull request, which GitHub and GitLab both draw.

The first line is a marker that nobody sees, so that a pipeline finds its comment again. Below our own heading all is
HTML, which both allow: in an HTML block no Markdown is looked for, and inside `<code>` neither site looks for names to
notify, issues, links or emoji. So whatever came from outside stands escaped inside `<code>`, and nowhere else.

GitHub refuses a comment of more than 65,536 characters. What does not fit is left out by whole rows, the plainest
first, and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from reconciler.core.plan import Plan
from reconciler.core.report import Report
from reconciler.core.text import counted, shortened
from reconciler.render.view import Gate, Row, Section, View, plan_view, report_view

LIMIT = 60_000
"""Bytes of a whole comment."""
FRAME = 4_000
"""Bytes kept for the heading, the notice of what was left out, and the end."""
LONG = 20
"""Rows of a section that are seen at once; with more it opens at a click."""
HIGHLIGHTS = 10
"""Rows that did not go well which are named at the top as well."""
NAME, SENTENCE = 255, 600
"""Characters of a name and of a sentence; Milvus itself has no longer names."""
MARKUP = {ord(sign): f"&#{ord(sign)};" for sign in "@#$`[]*|~!\\"}
"""What `escape` leaves: means nothing in an HTML block, and stays no bait for a tool that reads the text itself."""


def plan_markdown(plan: Plan) -> str:
    """A plan as Markdown."""
    return _comment(plan_view(plan))


def report_markdown(report: Report) -> str:
    """A report as Markdown."""
    return _comment(report_view(report))


class _Room:
    """How much of the limit is left."""

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, *parts: str) -> bool:
        """Whether the parts still fit; if they do, they are in."""
        size = sum(len(part.encode()) + 1 for part in parts)
        if size > self._left:
            self._left = 0  # nothing less important goes in, however small
            return False
        self._left -= size
        return True


def _comment(view: View) -> str:
    room = _Room(LIMIT - FRAME)
    refusals = [line for line in map(_refusal, view.refusals) if room.take(line)]
    highlights = [line for line in map(_highlight, view.troubles[:HIGHLIGHTS]) if room.take(line)]
    bodies = list(_bodies(view, room, view.troubles[: len(highlights)]))
    shown = sum(len(rows) for _, rows in bodies)
    left_out = _left_out(len(view.rows) - shown, len(view.refusals) - len(refusals), len(view.sections) - len(bodies))
    end = ", ".join(f"{name} {_code(value, 100)}" for name, value in view.facts)
    return "\n\n".join(
        [
            f"<!-- aliasctl:{view.kind} -->\n## aliasctl {view.kind}: {view.verdict}",
            f"**{view.summary}**",
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


def _bodies(view: View, room: _Room, told: Sequence[Row]) -> Iterator[tuple[Section, list[str]]]:
    """The sections that fit, each with those of its rows that do, in their order; `told` have their message above."""
    places = [(at, number) for at, section in enumerate(view.sections) for number in range(len(section.rows))]
    entered: dict[int, dict[int, str]] = {}
    for at, number in sorted(places, key=lambda place: view.sections[place[0]].rows[place[1]].weight):
        section = view.sections[at]
        row = _row(view, section, section.rows[number], told)
        if not room.take(row, *([] if at in entered else [_section(view, section, [])])):
            break
        entered.setdefault(at, {})[number] = row
    for at, section in enumerate(view.sections):
        if at in entered:
            yield section, [row for _, row in sorted(entered[at].items())]
        elif not section.rows and room.take(_section(view, section, [])):
            yield section, []


def _refusal(refusal: str) -> str:
    return f"<p><b>Refused:</b> {_code(refusal, SENTENCE)}</p>"


def _highlight(row: Row) -> str:
    message = f": {_code(row.message, SENTENCE)}" if row.message else ""
    return f"<li><b>{row.label}</b> {_code(row.alias, NAME)}{message}</li>"


def _section(view: View, section: Section, rows: list[str]) -> str:
    """A database's heading and table; one HTML block, so without an empty line."""
    title = f"<b>{_code(section.connection, NAME)} / {_code(section.database, NAME)}</b>"
    suspended = f"; {counted(len(section.suspended), 'set')} suspended" if section.suspended else ""
    about = f"{title} {_code(section.facts, SENTENCE)}{suspended}"
    if not section.rows:
        return f"<p>{about}: nothing to do</p>"
    heads = "".join(f"<th>{head}</th>" for head in _heads(view, section))
    table = "\n".join(["<table>", f"<tr>{heads}</tr>", *rows, "</table>"])
    if len(section.rows) <= LONG:
        return f"<p>{about}</p>\n{table}"
    return f"<details><summary>{about}: {counted(len(section.rows), 'change')}</summary>\n{table}\n</details>"


def _heads(view: View, section: Section) -> list[str]:
    outcome = ["outcome"] if view.kind == "report" else []
    return ["", *outcome, *(["set"] if section.sets > 1 else []), "alias", "from", "to", "gates", "note"]


def _row(view: View, section: Section, row: Row, told: Sequence[Row]) -> str:
    cells = [
        row.sign,
        *([row.label] if view.kind == "report" else []),
        *([_code(row.set, NAME)] if section.sets > 1 else []),
        *(_code(name, NAME) for name in (row.alias, row.current, row.desired)),
        _lines(map(_gate, row.gates)),
        _lines([*row.remarks, "" if row in told else _code(row.message, SENTENCE)]),
    ]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _gate(gate: Gate) -> str:
    return f"{_code(gate.name, NAME)} {gate.mark} {_code(gate.detail, SENTENCE)}".rstrip()


def _lines(parts: Iterable[str]) -> str:
    return "<br>".join(filter(None, parts))


def _code(text: str, most: int) -> str:
    """Text from outside, of so many characters at most: shown as it is, and nothing else."""
    return f"<code>{escape(shortened(text, most), quote=False).translate(MARKUP)}</code>" if text else ""
