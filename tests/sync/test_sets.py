"""What a set says about itself is honoured, and what a repository may not decide is said."""

from __future__ import annotations

from tests.cli.shop import alias_set, connection
from tests.sync.stage import Stage


def test_sets_that_wait_for_a_person_are_named_and_the_others_applied(stage: Stage) -> None:
    stage.shop.point(m="v1", s="v1")
    manual = alias_set({"m": "v2"}, name="by-hand", database=stage.shop.database, approval="Manual")
    suspended = alias_set({"s": "v2"}, name="paused", database=stage.shop.database, suspend=True)
    elsewhere = connection("http://127.0.0.1:1", token={"env": "TOKEN"})
    commit = stage.merge({"a": "v2"}, manual, suspended, elsewhere)
    with stage.following() as agent:
        agent.found("Synced", commit, done=1)
        assert stage.shop.live == {"a": "v2", "m": "v1", "s": "v1"}
        left = agent.event('AliasSet "by-hand" has approval: Manual and is left alone')
        assert left["event"].startswith("aliases/shop.yaml:")
        agent.event("this MilvusConnection is not used: the agent's own come from --connections")
        agent.looks(1)
        assert sum("by-hand" in record["event"] for record in agent.log) == 1


def test_drift_of_a_set_that_only_reports_is_reported_and_not_corrected(stage: Stage) -> None:
    with stage.following() as agent:
        agent.found("Synced", stage.merge({"a": "v2"}, drift="Report"), done=1)
        stage.shop.move(a="v3")
        told = agent.found("DriftDetected")
        assert told["detail"] == "1 alias not as applied; drift is only reported: a"
        agent.looks(1)
        assert (stage.shop.live, agent.status["reason"]) == ({"a": "v3"}, "DriftDetected")
        agent.found("Synced", stage.merge({"a": "v1"}, drift="Report"), done=1)
        assert stage.shop.live == {"a": "v1"}


def test_drift_is_only_reported_while_another_set_waits_for_a_collection_too(stage: Stage) -> None:
    stuck = alias_set({"b": "nowhere"}, name="stuck", database=stage.shop.database)
    with stage.following() as agent:
        agent.found("Incomplete", stage.merge({"a": "v2"}, stuck, drift="Report"), done=1)
        agent.found("Blocked")
        stage.shop.move(a="v3")
        agent.said(lambda record: "drift is only reported: a" in record.get("detail", ""))
        agent.looks(1)
        assert (stage.shop.live, agent.status["reason"]) == ({"a": "v3"}, "Blocked")


def test_an_alias_set_among_the_agents_connections_is_refused(stage: Stage) -> None:
    stage.shop.write("connections.yaml", connection(stage.shop.uri), alias_set({"a": "v2"}))
    done = stage.once()
    assert (done.code, "connections.yaml:" in done.stderr, stage.shop.live) == (1, True, {"a": "v1"})
    assert "an AliasSet among the connections; what is wanted comes from the repository" in done.stderr
