"""The Grafana dashboard as a file; what operator and agent export answers its queries in the tests of each."""

from __future__ import annotations

import re
from itertools import combinations

from reconciler.operator.metrics import Metrics
from tests.install.dashboard import DASHBOARD, OPERATOR, SHARED, SYNC, dashboard, queries
from tests.install.scraped import RULES


def test_each_query_is_in_a_row_that_a_test_answers() -> None:
    rows = [panel["title"] for panel in dashboard()["panels"] if panel["type"] == "row"]
    assert rows == [OPERATOR, SYNC, SHARED]
    assert len(queries(*rows)) == DASHBOARD.read_text().count('"expr"')


def test_panels_do_not_overlap_and_are_known_by_their_ids() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, other in combinations((panel["gridPos"] for panel in panels), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"], (one, other)
        assert one["x"] + one["w"] <= 24


def test_a_query_takes_its_variables_and_no_others() -> None:
    variables = {f"${variable['name']}" for variable in dashboard()["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", DASHBOARD.read_text()))
    assert {f"${name}" for name in used} == variables | {"$__rate_interval", "$__all"}
    assert all(target["datasource"]["uid"] == "${datasource}" for target in _targets())
    assert all('job=~"$job"' in target["expr"] for target in _targets()), "or it counts other installations too"


def test_what_the_alerts_watch_is_on_the_dashboard() -> None:
    shown = set(re.findall(r"aliasctl_\w+", DASHBOARD.read_text()))
    assert set(re.findall(r"aliasctl_\w+", RULES.read_text())) - shown == set()
    assert {family.name for family in Metrics().registry.collect()} - {_base(name) for name in shown} == set()


def _base(metric: str) -> str:
    return re.sub("_(total|bucket)$", "", metric)


def _targets() -> list[dict[str, dict[str, str]]]:
    return [target for panel in dashboard()["panels"] for target in panel.get("targets", ())]
