"""Tables as one self-contained HTML page, with the escaping and the Content-Security-Policy of `html`."""

from __future__ import annotations

import json

from reconciler.documents.codec import Document
from reconciler.render.html import content_policy, page_environment
from reconciler.render.tables import Tables


def html_tables(result: Tables, document: Document) -> str:
    """Render tables. `document`: the raw JSON to show at the end."""
    environment = page_environment()
    return environment.get_template("tables.html").render(
        result=result,
        raw=json.dumps(document, indent=2),
        policy=content_policy(environment, style="page.css"),
    )
