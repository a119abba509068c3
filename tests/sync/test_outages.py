"""Servers that go away and come back: nothing is changed that was not just seen to be wanted, and all goes on."""

from __future__ import annotations

import grpc

from tests.faults.relay import Relay
from tests.sync.servers import GIT_TOKEN, USER, GitOverHttp
from tests.sync.stage import Stage

CALLS = ("Connect", "GetVersion", "DescribeCollection", "ListAliases", "ShowCollections", "AlterAlias")


def test_while_the_repository_cannot_be_read_nothing_is_changed_not_even_drift(stage: Stage, http: GitOverHttp) -> None:
    options = ("--git-username", USER, "--git-token-env", "GIT_TOKEN")
    with stage.following(*options, repository=http.url(), env={"GIT_TOKEN": GIT_TOKEN}) as agent:
        good = stage.merge({"a": "v2"})
        agent.found("Succeeded", good)
        http.down()
        gone = agent.found("GitUnreachable")
        assert "the repository cannot be reached" in gone["detail"]
        stage.shop.move(a="v1")
        agent.looks(2)
        assert stage.shop.live == {"a": "v1"}
        assert agent.status["inForce"] == good
        http.up()
        agent.found("Succeeded", good, since=agent.log.index(gone), done=1)
        assert stage.shop.live == {"a": "v2"}


def test_what_is_merged_while_milvus_is_away_is_applied_when_it_is_back(stage: Stage, relay: Relay) -> None:
    with stage.following() as agent:
        agent.found("Succeeded", stage.origin.head)
        away = {call: lambda context: context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed") for call in CALLS}
        relay.before.update(away)
        merged = stage.merge({"a": "v2"})
        agent.found("ConnectionFailed", merged)
        agent.looks(1)
        assert (agent.request("/healthz").status, agent.request("/readyz").status) == (200, 200)
        relay.before.clear()
        agent.found("Succeeded", merged, done=1)
        assert stage.shop.live == {"a": "v2"}


def test_connections_of_the_agents_own_that_break_are_not_blamed_on_the_commit(stage: Stage) -> None:
    with stage.following() as agent:
        good = stage.merge({"a": "v2"})
        agent.found("Succeeded", good)
        (stage.shop.folder / "connections.yaml").write_text("kind: MilvusConnection\n")
        broken = agent.found("ConnectionFailed", good, in_force=good)
        assert "connections.yaml" in broken["detail"]
        assert "cannot be used" not in broken["detail"]
        stage.shop.move(a="v1")
        stage.connect_to(stage.shop.uri)
        agent.found("Succeeded", good, since=agent.log.index(broken), done=1)
        assert stage.shop.live == {"a": "v2"}
