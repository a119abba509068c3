"""Plans and reports as one HTML page that needs nothing else: no network, no further file.

All that varies goes through Jinja's escaping. The page's own style and script are allowed by their digests and nothing
else is, so that even markup that slipped through the escaping would run nothing and load nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterator

from reconciler.core.plan import Plan
from reconciler.core.report import Report
from reconciler.core.text import counted
from reconciler.documents.codec import Document
from reconciler.render.documents import plan_document, report_document
from reconciler.render.picture import BOX, HEIGHT, WIDTH, picture
from reconciler.render.view import View, plan_view, report_view

MOST_TROUBLES = 10
"""Changes that failed or are held back which the top of the page names."""


def plan_html(plan: Plan) -> str:
    """A plan as a page."""
    return _page(plan_view(plan), plan_document(plan))


def report_html(report: Report) -> str:
    """A report as a page."""
    return _page(report_view(report), report_document(report))


def _page(view: View, document: Document) -> str:
    # Imported here: no other format needs it, and a command should start at once.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("reconciler.render", "page")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    environment.filters |= {"sentence": _sentence, "counted": counted}
    style, script = (environment.get_template(f"page.{kind}").render() for kind in ("css", "js"))
    return environment.get_template("page.html").render(
        view=view,
        sections=[(section, picture(section)) for section in view.sections],
        kinds=list(_kinds(view)),
        most=MOST_TROUBLES,
        raw=json.dumps(document, indent=2),
        policy="; ".join(
            (
                "default-src 'none'",
                f"style-src {_digest(style)}",
                f"script-src {_digest(script)}",
                "base-uri 'none'",
                "form-action 'none'",
            )
        ),
        width=WIDTH,
        box=BOX,
        height=HEIGHT,
    )


def _kinds(view: View) -> Iterator[tuple[str, str, int]]:
    """What rows can be filtered by: the kind, its name, and how many there are."""
    labels: dict[str, set[str]] = {}
    for row in view.rows:
        labels.setdefault(row.kind, set()).add(row.label)
    for kind, number in sorted(Counter(row.kind for row in view.rows).items()):
        yield kind, ", ".join(sorted(labels[kind])), number


def _digest(content: str) -> str:
    """What a Content-Security-Policy calls this text of a style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _sentence(text: str) -> str:
    """With a capital letter."""
    return text[:1].upper() + text[1:]
