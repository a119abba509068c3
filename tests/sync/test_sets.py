"""What a set says about itself is honoured, and what a repository may not decide is said."""

from __future__ import annotations

from reconciler.core.model import Row
from tests.cli.shop import Spec, alias_set, connection
from tests.sync.stage import Stage


def test_sets_that_wait_for_a_person_are_named_and_the_others_applied(stage: Stage) -> None:
    stage.shop.point(m="v1", s="v1")
    manual = alias_set({"m": "v2"}, name="by-hand", database=stage.shop.database, approval="Manual")
    suspended = alias_set({"s": "v2"}, name="paused", database=stage.shop.database, suspend=True)
    elsewhere = connection("http://127.0.0.1:1", token={"env": "TOKEN"})
    commit = stage.merge({"a": "v2"}, manual, suspended, elsewhere)
    with stage.following() as agent:
        agent.found("Succeeded", commit, done=1)
        assert stage.shop.live == {"a": "v2", "m": "v1", "s": "v1"}
        left = agent.event('AliasSet "by-hand" has approval: Manual and is left alone')
        assert left["event"].startswith("aliases/shop.yaml:")
        agent.event("this MilvusConnection is not used: the agent's own come from --connections")
        agent.looks(1)
        assert sum("by-hand" in record["event"] for record in agent.log) == 1


def test_drift_of_a_set_that_only_reports_is_reported_and_not_corrected(stage: Stage) -> None:
    with stage.following() as agent:
        agent.found("Succeeded", stage.merge({"a": "v2"}, drift="Report"), done=1)
        stage.shop.move(a="v3")
        told = agent.found("DriftDetected")
        assert told["detail"] == "1 alias not as applied; drift is only reported: a"
        agent.looks(1)
        assert (stage.shop.live, agent.status["reason"]) == ({"a": "v3"}, "DriftDetected")
        agent.found("Succeeded", stage.merge({"a": "v1"}, drift="Report"), done=1)
        assert stage.shop.live == {"a": "v1"}


def test_drift_is_only_reported_while_another_set_waits_for_a_collection_too(stage: Stage) -> None:
    stuck = alias_set({"b": "nowhere"}, name="stuck", database=stage.shop.database)
    with stage.following() as agent:
        moved = agent.found("DependencyNotReady", stage.merge({"a": "v2"}, stuck, drift="Report"), done=1)
        agent.found("DependencyNotReady", since=agent.log.index(moved) + 1)
        stage.shop.move(a="v3")
        agent.said(lambda record: "drift is only reported: a" in record.get("detail", ""))
        agent.looks(1)
        assert (stage.shop.live, agent.status["reason"]) == ({"a": "v3"}, "DependencyNotReady")


def test_what_was_moved_by_hand_stays_where_it_is_across_a_restart_while_another_set_waits(stage: Stage) -> None:
    stuck = alias_set({"b": "nowhere"}, name="stuck", database=stage.shop.database)
    stage.merge({"a": "v2"}, stuck, drift="Report")
    with stage.following() as agent:
        agent.found("DependencyNotReady", done=1)
    stage.shop.move(a="v3")
    with stage.following() as agent:
        agent.said(lambda record: "drift is only reported: a" in record.get("detail", ""))
        agent.looks(1)
        assert (stage.shop.live, agent.status["reason"]) == ({"a": "v3"}, "DependencyNotReady")


def test_each_time_that_the_agent_looks_once_it_remembers_what_was_in_place_before(stage: Stage) -> None:
    stuck = alias_set({"b": "nowhere"}, name="stuck", database=stage.shop.database)
    stage.merge({"a": "v2"}, stuck, drift="Report")
    assert (stage.once().code, stage.shop.live) == (5, {"a": "v2"})
    stage.shop.move(a="v3")
    for _ in range(2):
        done = stage.once()
        assert (done.code, stage.shop.live) == (3, {"a": "v3"})
        assert "drift is only reported: a" in done.stderr


def test_a_commit_that_leaves_the_set_as_it_was_does_not_undo_what_was_moved_by_hand(stage: Stage) -> None:
    with stage.following() as agent:
        agent.found("Succeeded", stage.merge({"a": "v2"}, drift="Report"), done=1)
        stage.shop.move(a="v3")
        agent.found("DriftDetected")
        elsewhere = stage.origin.commit({"README.md": "A shop\n"}, "Only the README")
        stage.origin.push()
        agent.found("DriftDetected", elsewhere)
        beside = stage.merge(
            {"a": "v2"}, alias_set({"b": "v1"}, name="other", database=stage.shop.database), drift="Report"
        )
        agent.found("DriftDetected", beside, done=1)
        assert stage.shop.live == {"a": "v3", "b": "v1"}


def test_a_change_that_was_half_made_and_taken_back_is_nobodys_drift(stage: Stage) -> None:
    stage.shop.point(b="v1")
    assert stage.once().code == 0
    stage.merge({"a": "v1", "b": "v1"}, drift="Report")
    assert stage.once().code == 0
    stage.merge({"a": "v2", "b": "nowhere"}, drift="Report")
    assert (stage.once().code, stage.shop.live) == (5, {"a": "v2", "b": "v1"})
    stage.origin.revert()
    assert (stage.once().code, stage.shop.live) == (0, {"a": "v1", "b": "v1"})


def test_a_set_that_was_taken_out_and_comes_back_is_a_new_wish(stage: Stage) -> None:
    stage.shop.point(b="v1")
    other = alias_set({"b": "v2"}, name="other", database=stage.shop.database, drift="Report")
    stage.merge({"a": "v1"}, other)
    assert (stage.once().code, stage.shop.live["b"]) == (0, "v2")
    stage.merge({"a": "v1"})
    assert stage.once().code == 0
    stage.shop.move(b="v3")
    stage.merge({"a": "v1"}, other)
    assert (stage.once().code, stage.shop.live["b"]) == (0, "v2")


def test_what_was_moved_back_by_hand_after_readers_met_trouble_is_left_to_people(stage: Stage) -> None:
    for name in ("old", "new"):
        rows: list[Row] = [{"id": 1, "vector": (1.0, 0.0, 0.0, 0.0)}]
        stage.shop.admin.create_collection(name, stage.shop.database, replicas=1, rows=rows)
    stage.shop.move(a="old")
    stage.merge({"a": "old"}, drift="Report")
    assert stage.once().code == 0
    stage.merge({"a": "new"}, drift="Report", verify={"soak": "20s"})
    with stage.following() as agent:
        agent.event("monitoring 1 alias for 20s")
        stage.shop.admin.release("new", stage.shop.database)
        agent.found("VerificationFailed", failed=1)
    assert stage.shop.live == {"a": "new"}
    stage.shop.move(a="old")
    assert (stage.once().code, stage.shop.live) == (3, {"a": "old"})


def test_an_alias_set_among_the_agents_connections_is_refused(stage: Stage) -> None:
    stage.shop.write("connections.yaml", connection(stage.shop.uri), alias_set({"a": "v2"}))
    done = stage.once()
    assert (done.code, "connections.yaml:" in done.stderr, stage.shop.live) == (1, True, {"a": "v1"})
    assert "an AliasSet among the connections; AliasSets are read from the repository" in done.stderr


def test_a_set_waits_for_the_one_that_it_depends_on_and_both_are_applied_in_order(stage: Stage) -> None:
    later = alias_set({"b": "v2"}, name="later", database=stage.shop.database, dependsOn=[{"name": "shop"}])
    stage.merge({"a": "nowhere"}, later)
    waiting = stage.once()
    assert (waiting.code, "b" in stage.shop.live) == (3, False)
    assert 'waits for AliasSet "shop": "a" is blocked: nowhere does not exist' in waiting.stdout
    stage.merge({"a": "v2"}, later)
    assert stage.once().code == 0
    assert (stage.shop.live["a"], stage.shop.live["b"]) == ("v2", "v2")


def test_a_set_waits_for_one_whose_drift_is_only_reported_and_for_one_that_waits_for_a_person(stage: Stage) -> None:
    def later(collection: str, *needed: str) -> Spec:
        names = [{"name": name} for name in needed]
        return alias_set({"b": collection}, name="later", database=stage.shop.database, dependsOn=names)

    stage.merge({"a": "v1"}, later("v1", "shop"), drift="Report")
    assert stage.once().code == 0
    stage.shop.move(a="v3")
    stage.merge({"a": "v1"}, later("v2", "shop"), drift="Report")
    assert (stage.once().code, stage.shop.live["b"]) == (3, "v1")
    manual = alias_set({"m": "v2"}, name="by-hand", database=stage.shop.database, approval="Manual")
    stage.merge({"a": "v3"}, later("v2", "by-hand"), manual, drift="Report")
    done = stage.once()
    assert (done.code, stage.shop.live["b"]) == (3, "v1")
    assert 'waits for AliasSet "by-hand": it is not part of this run' in done.stdout


def test_the_agent_keeps_the_published_file(stage: Stage) -> None:
    def published() -> dict[str, str]:
        return {entry["alias"]: entry["collection"] for entry in stage.shop.read("resolution.json")["aliases"]}

    assert stage.once("--publish", "resolution.json").code == 0
    assert published() == {"a": "v1"}
    stage.merge({"a": "v2"})
    assert stage.once("--publish", "resolution.json").code == 0
    assert published() == {"a": "v2"}
