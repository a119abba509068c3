"""Agents that are not alone: a second one on the same branch, and one on a branch that wants something else."""

from __future__ import annotations

from threading import Event

import grpc

from tests.faults.relay import Relay
from tests.sync.agents import SECONDS
from tests.sync.stage import FILE, Stage


def test_two_agents_on_one_branch_move_an_alias_once_and_leave_it(stage: Stage, relay: Relay) -> None:
    alters: list[str] = []
    relay.before["AlterAlias"] = lambda context: alters.append("alter")
    with stage.following(state="one") as item, stage.following(state="two") as two:
        commit = stage.merge({"a": "v2"})
        item.found("Succeeded", commit)
        two.found("Succeeded", commit)
        moved = len(alters)
        assert moved in (1, 2)  # both may have been between the last read and the call
        item.looks(2)
        two.looks(2)
        assert (stage.shop.live, len(alters)) == ({"a": "v2"}, moved)


def test_an_agent_that_has_not_seen_a_merge_yet_does_not_undo_what_another_did_for_it(
    stage: Stage, relay: Relay
) -> None:
    alters: list[str] = []
    arrived, go_on = Event(), Event()

    def hold(context: grpc.ServicerContext) -> None:
        arrived.set()
        go_on.wait(SECONDS)

    with stage.following() as agent:
        agent.found("Succeeded", stage.origin.head)
        relay.before["AlterAlias"] = lambda context: alters.append("alter")
        relay.before["GetVersion"] = hold
        assert arrived.wait(SECONDS)
        commit = stage.merge({"a": "v2"})
        stage.shop.move(a="v2")
        go_on.set()
        agent.found("Progressing")
        agent.found("Succeeded", commit)
    assert (stage.shop.live, alters) == ({"a": "v2"}, [])


def test_two_agents_that_want_different_things_correct_each_other_less_and_less(stage: Stage, relay: Relay) -> None:
    alters: list[str] = []
    relay.before["AlterAlias"] = lambda context: alters.append("alter")
    stage.origin.commit({FILE: stage.manifest({"a": "v2"})}, "Not merged")
    stage.origin.push("HEAD:refs/heads/other")
    with stage.following(state="one", interval="1s") as item:
        item.found("Succeeded")
        with stage.following("--ref", "other", state="two", interval="1s"):
            held = item.found("DriftBackOff")
            assert "moved again by others: a; corrected again in" in held["detail"]
            assert len(alters) < 12
        merged = stage.merge({"a": "v3"})
        item.found("Succeeded", merged, done=1)
        assert stage.shop.live == {"a": "v3"}


def test_they_do_not_fight_either_while_another_change_of_theirs_cannot_be_made(stage: Stage, relay: Relay) -> None:
    """A blocked change keeps both revisions from ever being applied as a whole."""
    alters: list[str] = []
    relay.before["AlterAlias"] = lambda context: alters.append("alter")
    stage.origin.commit({FILE: stage.manifest({"a": "v2", "b": "nowhere"})}, "Not merged")
    stage.origin.push("HEAD:refs/heads/other")
    with stage.following(state="one", interval="1s") as item:
        item.found("DependencyNotReady", stage.merge({"a": "v1", "b": "nowhere"}))
        with stage.following("--ref", "other", state="two", interval="1s"):
            held = item.found("DriftBackOff")
            assert "moved again by others: a" in held["detail"]
            assert len(alters) < 12
        merged = stage.merge({"a": "v3", "b": "nowhere"})
        item.found("DependencyNotReady", merged, done=1)
        assert stage.shop.live == {"a": "v3"}
