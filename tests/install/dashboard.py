"""The queries of the Grafana dashboard, answered by Prometheus's rule tester with what was scraped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

from tests.install.built import ROOT
from tests.install.scraped import MINUTES, series
from tests.install.tools import output, promtool

DASHBOARD = ROOT / "manifests" / "monitoring" / "grafana-dashboard.json"
VARIABLES = {"$__rate_interval": "5m", "$job": ".*", "$namespace": ".*"}
OPERATOR, SYNC, SHARED = "Operator: AliasSets", "Git sync agents", "Changes and Milvus: operator and agents"


class Query(Struct, frozen=True):
    """One query of a panel; `row` is the title of the row that the panel is in."""

    row: str
    panel: str
    expression: str


def dashboard() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return document


def queries(*rows: str) -> list[Query]:
    """The queries of some rows, with Grafana's variables replaced."""
    return [query for query in _queries() if query.row in rows]


def _queries() -> Iterator[Query]:
    row = ""
    for panel in dashboard()["panels"]:
        row = panel["title"] if panel["type"] == "row" else row
        for target in panel.get("targets", ()):
            expression = target["expr"]
            for name, value in VARIABLES.items():
                expression = expression.replace(name, value)
            yield Query(row, panel["title"], expression)


def assert_answered(scrape: str, before: str, asked: Sequence[Query], folder: Path, *, at: float) -> None:
    """The test fails unless each query has an answer if the counters go on as they went between the two scrapes.

    Args:
        scrape: the text of `/metrics`.
        before: the same, a minute before.
        asked: the queries.
        folder: an empty one, for the test's files.
        at: when it was scraped, in seconds since 1970.
    """
    answered = [{"labels": "{}", "value": 1}]
    tests = [
        {"expr": f"count({query.expression}) > bool 0", "eval_time": f"{MINUTES}m", "exp_samples": answered}
        for query in asked
    ]
    test = {"interval": "1m", "input_series": list(series(scrape, before, at)), "promql_expr_test": tests}
    written = folder / "dashboard.test.yaml"
    written.write_text(yaml.safe_dump({"evaluation_interval": "1m", "tests": [test]}))
    output(promtool(), "test", "rules", written)
