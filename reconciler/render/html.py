"""Plans and reports as one self-contained HTML page: no network, no further file.

Everything variable goes through Jinja's escaping. The Content-Security-Policy allows the page's own style and script by
their digests and nothing else, so that markup that slipped through the escaping would neither run nor load anything.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from reconciler.core.plan import Verdict
from reconciler.core.text import counted
from reconciler.documents.codec import Document
from reconciler.render import wording
from reconciler.render.chart import Drawing, drawing
from reconciler.render.groups import groups_of, problems_of
from reconciler.render.picture import narrow_picture, picture
from reconciler.render.view import Section, View

MAX_PROBLEMS = 10
"""Reasons for failed or blocked changes that the top of the page repeats."""
MAX_NAMES = 5
"""Aliases that each of them names."""
MAX_CHARTS = 60
"""Charts of metrics of one database, those that did not pass first; the raw JSON has the values of all."""


def html(view: View, document: Document) -> str:
    """Render a plan or a report. `document`: the raw JSON to show at the end."""
    environment = page_environment()
    return environment.get_template("page.html").render(
        view=view,
        problems=problems_of(view),
        sections=[
            (section, groups_of(section), picture(section), narrow_picture(section), charts_of(section))
            for section in view.sections
        ],
        kinds=list(_kinds(view)),
        max_problems=MAX_PROBLEMS,
        max_names=MAX_NAMES,
        raw=json.dumps(document, indent=2),
        policy=content_policy(environment, style="page.css", script="page.js"),
    )


def charts_of(section: Section) -> list[Drawing]:
    """Return the charts of metrics to draw."""
    ordered = sorted(section.charts, key=lambda chart: chart.state == Verdict.PASS)
    return [drawing(chart) for chart in ordered[:MAX_CHARTS]]


@cache
def page_environment() -> Environment:
    """Return the environment of all pages: with escaping, and an error for a name that a template does not get."""
    loader = PackageLoader("reconciler.render", "page")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    environment.filters |= {"sentence": _sentence, "counted": counted, "moment": wording.moment}
    return environment


def content_policy(environment: Environment, **allowed: str) -> str:
    """Return a Content-Security-Policy that allows a page its own content, and nothing else.

    `allowed`: the templates of its style and script.
    """
    own = (f"{kind}-src {_digest(environment.get_template(name).render())}" for kind, name in allowed.items())
    return "; ".join(("default-src 'none'", *own, "base-uri 'none'", "form-action 'none'"))


def _kinds(view: View) -> Iterator[tuple[str, str, int]]:
    """Return the choices of the filter: each kind with its name and its number of rows."""
    labels: dict[str, set[str]] = {}
    for row in view.rows:
        labels.setdefault(row.kind, set()).add(row.label)
    for kind, number in sorted(Counter(row.kind for row in view.rows).items()):
        yield kind, ", ".join(sorted(labels[kind])), number


def _digest(content: str) -> str:
    """Return the name of a style or script in a Content-Security-Policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
