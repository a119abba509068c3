"""The Grafana dashboard has an answer to each of its queries about agents, and about what operator and agent share."""

from __future__ import annotations

import time
from pathlib import Path

from tests.install.dashboard import SHARED, SYNC, assert_answered, queries
from tests.sync.stage import Stage


def test_an_agent_answers_its_part_of_the_dashboard(stage: Stage, tmp_path: Path) -> None:
    with stage.following() as agent:
        agent.found("Succeeded", stage.origin.head)
        before = agent.request("/metrics").text
        stage.merge({"a": "v2"}, gates={"rows": {"min": 1_000_000}})
        agent.found("GateFailed")
        commit = stage.merge({"a": "v3"})
        agent.found("Succeeded", commit)
        agent.looks(1)
        scrape = agent.request("/metrics").text
    assert_answered(scrape, before, queries(SYNC, SHARED), tmp_path, at=time.time())
