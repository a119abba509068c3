"""What a merge does, a bad merge, and a revert: which revision is in force, and what is done about it."""

from __future__ import annotations

from reconciler.core.model import Row
from tests.faults.relay import Relay
from tests.sync.stage import Stage


def test_a_merge_is_applied_a_bad_one_leaves_the_last_good_in_force_and_a_revert_goes_back(any_stage: Stage) -> None:
    shop = any_stage.shop
    with any_stage.following() as agent:
        good = any_stage.merge({"a": "v2"})
        agent.found("Succeeded", good, in_force=good, done=1)
        assert shop.live == {"a": "v2"}
        assert agent.status["applied"] == good

        bad = any_stage.break_main()
        told = agent.found("InvalidRevision", bad, in_force=good)
        assert "aliases/shop.yaml:1" in told["detail"]
        shop.move(a="v1")
        agent.found("InvalidRevision", bad, in_force=good, done=1)
        assert shop.live == {"a": "v2"}
        status = agent.status
        assert (status["reason"], status["attempted"], status["inForce"]) == ("InvalidRevision", bad, good)
        assert agent.metric('aliasctl_sync_reason{reason="InvalidRevision"}') == 1
        assert agent.metric("aliasctl_sync_synced") == 0

        agent.found("Succeeded", any_stage.merge({"a": "v3"}, message="Mend it"))
        assert (shop.live, agent.metric("aliasctl_sync_synced")) == ({"a": "v3"}, 1)
        agent.found("Succeeded", any_stage.merge({"a": "v1"}, message="Move on"))
        back = any_stage.origin.revert()
        agent.found("Succeeded", back, done=1)
        assert shop.live == {"a": "v3"}


def test_the_last_good_revision_stays_in_force_across_a_restart(stage: Stage) -> None:
    good = stage.merge({"a": "v2"})
    assert stage.once().code == 0
    bad = stage.break_main()
    unchanged = stage.once()
    assert (unchanged.code, bad[:12] in unchanged.stderr, good in unchanged.stderr) == (1, True, True)
    stage.shop.move(a="v3")
    corrected = stage.once()
    assert (corrected.code, stage.shop.live) == (5, {"a": "v2"})
    assert "InvalidRevision" in corrected.stderr


def test_a_first_revision_that_is_bad_changes_nothing(stage: Stage) -> None:
    stage.break_main()
    done = stage.once()
    assert (done.code, stage.shop.live, stage.journal.exists()) == (1, {"a": "v1"}, False)
    stage.origin.commit({"aliases/shop.yaml": None, "other.txt": "x"})
    stage.origin.push()
    assert "no manifest here in this commit" in stage.once().stderr


def test_what_a_limit_refuses_leaves_in_force_what_was_applied_last(stage: Stage) -> None:
    stage.shop.point(b="v1", c="v1")
    limits = {"maxDrops": 1}
    with stage.following() as agent:
        good = stage.merge({"a": "v2", "b": "v1", "c": "v1"}, limits=limits)
        agent.found("Succeeded", good)
        agent.found("LimitExceeded", stage.merge({"a": None, "b": None, "c": "v1"}, limits=limits), in_force=good)
        stage.shop.move(c="v3")
        agent.found("LimitExceeded", in_force=good, done=1)
        assert stage.shop.live == {"a": "v2", "b": "v1", "c": "v1"}


def test_a_commit_that_arrives_during_a_soak_ends_the_soak(stage: Stage) -> None:
    with stage.following() as agent:
        stage.merge({"a": "v2"}, verify={"soak": "10m"})
        agent.event("monitoring 1 alias for 10m")
        assert stage.shop.live == {"a": "v2"}
        assert agent.request("/healthz").status == 200
        back = stage.origin.revert()
        agent.found("Succeeded", back, done=1)
        assert stage.shop.live == {"a": "v1"}


def test_what_a_failed_soak_moved_back_is_not_moved_again_until_the_set_changes(stage: Stage, relay: Relay) -> None:
    for name in ("old", "new"):
        rows: list[Row] = [{"id": 1, "vector": (1.0, 0.0, 0.0, 0.0)}]
        stage.shop.admin.create_collection(name, stage.shop.database, replicas=1, rows=rows)
    alters: list[str] = []
    stage.shop.move(a="old")
    stage.merge({"a": "old"}, onFailure="Revert")
    relay.before["AlterAlias"] = lambda context: alters.append("alter")
    with stage.following() as agent:
        bad = stage.merge({"a": "new"}, verify={"soak": "20s"}, onFailure="Revert")
        agent.event("monitoring 1 alias for 20s")
        stage.shop.admin.release("new", stage.shop.database)
        agent.found("Rejected", bad, reverted=1)
        assert (stage.shop.live, len(alters)) == ({"a": "old"}, 2)
        stage.shop.admin.load("new", stage.shop.database)
        agent.found("Rejected", bad, blocked=1)
        agent.looks(2)
        assert (stage.shop.live, len(alters)) == ({"a": "old"}, 2)
        agent.found("Succeeded", stage.merge({"a": "v3"}, onFailure="Revert"))
        assert stage.shop.live == {"a": "v3"}
