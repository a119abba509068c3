"""The output formats, one object each; the options `--format` and `--output`, their help and errors derive from them.

To add a format, write its module with a function from a `View` or a document to text, and add it to `FORMATS`.
The modules are imported when their format is used: most calls need only text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from msgspec import Struct

from reconciler.core.errors import AliasctlError, Problem
from reconciler.render.lines import Line

if TYPE_CHECKING:
    from reconciler.documents.codec import Document
    from reconciler.render.tables import Tables
    from reconciler.render.view import View


def _no_view() -> View:
    raise TypeError("only plans and reports have a view")


def _no_tables() -> Tables:
    raise TypeError("this result has no tables")


def _no_records() -> Iterable[str]:
    raise TypeError("only the history has records")


class Result(Struct, frozen=True):
    """The result of a command, in the forms that formats render; each is created when it is used.

    `view`: of a plan or a report; `records`: the journal's, each as one line of JSON; `tables`: of a status;
    `warnings`: about the manifests. Other results have none.
    """

    lines: Callable[[], Iterable[Line]]
    document: Callable[[], Document]
    view: Callable[[], View] = _no_view
    records: Callable[[], Iterable[str]] = _no_records
    tables: Callable[[], Tables] = _no_tables
    warnings: Callable[[], Iterable[Problem]] = tuple

    @property
    def has_tables(self) -> bool:
        return self.tables is not _no_tables


class Format(Struct, frozen=True):
    """An output format.

    Args:
        name: as `--format` takes it.
        needs_view: whether it can render plans and reports only.
        needs_records: whether it can render the history only.
        needs_tables: whether it can render results with tables only; with `needs_view`, these as well.
        needs_problems: whether it can render errors and warnings about manifests only.
        render_error: returns what stands in place of the result if the command fails; None for nothing.
    """

    name: str
    render: Callable[[Result], str]
    needs_view: bool = False
    needs_records: bool = False
    needs_tables: bool = False
    needs_problems: bool = False
    render_error: Callable[[AliasctlError], str] | None = None

    def renders(self, *, views: bool, records: bool, tables: bool, problems: bool) -> bool:
        """Return whether it needs nothing in particular, or something that a result has."""
        offered = (
            (self.needs_view, views),
            (self.needs_records, records),
            (self.needs_tables, tables),
            (self.needs_problems, problems),
        )
        return any(needed and has for needed, has in offered) or not any(needed for needed, _ in offered)


def _text(result: Result) -> str:
    return "".join(f"{line.plain}\n" for line in result.lines())


def _json(result: Result) -> str:
    return _indented(result.document())


def _indented(document: Document) -> str:
    import json  # see `core.json_strict`

    return json.dumps(document, indent=2) + "\n"


def _json_lines(result: Result) -> str:
    return "".join(f"{record}\n" for record in result.records())


def _json_error(error: AliasctlError) -> str:
    from reconciler.render.documents import error_document

    return _indented(error_document(error))


def _markdown(result: Result) -> str:
    if result.has_tables:
        from reconciler.render.markdown_tables import markdown_tables

        return markdown_tables(result.tables())
    from reconciler.render.markdown import markdown

    return markdown(result.view())


def _html(result: Result) -> str:
    if result.has_tables:
        from reconciler.render.html_tables import html_tables

        return html_tables(result.tables(), result.document())
    from reconciler.render.html import html

    return html(result.view(), result.document())


def _csv(result: Result) -> str:
    from reconciler.render.csv import csv

    return csv(result.tables().tables[0])


def _github(result: Result) -> str:
    from reconciler.render.github import workflow_commands

    return workflow_commands("warning", result.warnings())


def _github_error(error: AliasctlError) -> str:
    from reconciler.render.github import workflow_commands

    return workflow_commands("error", error.problems)


TEXT = Format("text", _text)
JSON = Format("json", _json, render_error=_json_error)
JSON_LINES = Format("jsonl", _json_lines, needs_records=True)
MARKDOWN = Format("markdown", _markdown, needs_view=True, needs_tables=True)
HTML = Format("html", _html, needs_view=True, needs_tables=True)
CSV = Format("csv", _csv, needs_tables=True)
GITHUB = Format("github", _github, needs_problems=True, render_error=_github_error)

FORMATS = {each.name: each for each in (TEXT, JSON, JSON_LINES, MARKDOWN, HTML, CSV, GITHUB)}
