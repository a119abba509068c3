"""The agent notifies of what it finds once, and shows the state of the commit that it follows."""

from __future__ import annotations

import json
from typing import Any

from tests.cli.shop import connection
from tests.integrations.receivers import Answer, Receiver, receiver
from tests.sync.agents import Agent
from tests.sync.stage import Stage

FORGE_TOKEN = "f0rge-t0ken"  # noqa: S105 - what must never be seen
ENV = {"FORGE_TOKEN": FORGE_TOKEN}


def connect(stage: Stage, *receivers: dict[str, Any]) -> None:
    stage.shop.write("connections.yaml", connection(stage.shop.uri, token={"env": "TOKEN"}, notify=list(receivers)))


def audit(server: Receiver) -> dict[str, Any]:
    return {"name": "audit", "uri": f"{server.uri}/hook"}


def forge(server: Receiver) -> dict[str, Any]:
    return {
        "name": "forge",
        "format": "github-status",
        "uri": f"{server.uri}/repos/o/r",
        "secret": {"env": "FORGE_TOKEN"},
    }


def events(server: Receiver) -> list[tuple[str, str]]:
    documents = [json.loads(request.body) for request in server.requests if request.path == "/hook"]
    return [(each["subject"], each["type"].rpartition(".")[2]) for each in documents]


def statuses(server: Receiver) -> list[tuple[str, str, str]]:
    """Return commit, state and reason of each status that was set."""
    found = []
    for request in server.requests:
        if "/statuses/" in request.path:
            document = json.loads(request.body)
            commit = request.path.rpartition("/")[2]
            found.append((commit, document["state"], document["description"].partition(":")[0]))
    return found


def reconciled(agent: Agent, stage: Stage, commit: str, reason: str = "Succeeded") -> None:
    agent.found(reason, commit)
    agent.looks(2)


def test_an_agent_that_looks_again_and_again_notifies_once(stage: Stage) -> None:
    with receiver() as server:
        connect(stage, audit(server))
        with stage.following() as agent:
            commit = stage.merge({"a": "missing"})
            agent.found("DependencyNotReady", commit)
            agent.looks(3)
            assert events(server) == [("a", "blocked")]
            stage.shop.admin.create_collection("missing", stage.shop.database)
            agent.found("Succeeded", commit, done=1)
        assert events(server) == [("a", "blocked"), ("a", "moved"), ("a", "recovered")]
        data = json.loads(server.requests[-2].body)["data"]
        assert (data["commit"], data["command"]) == (commit, "sync")


def test_looks_of_a_process_each_notify_once(stage: Stage) -> None:
    with receiver() as server:
        connect(stage, audit(server))
        stage.merge({"a": "missing"})
        for _ in range(3):
            assert stage.once().code == 3
        assert events(server) == [("a", "blocked")]


def test_drift_is_reported_and_its_correction(stage: Stage) -> None:
    with receiver() as server:
        connect(stage, audit(server))
        stage.merge({"a": "v2"})
        assert stage.once().code == 0
        stage.shop.move(a="v3")
        assert stage.once().code == 0
        assert events(server) == [("a", kind) for kind in ("moved", "drifted", "moved", "recovered")]


def test_the_status_of_the_commit_follows_its_state(stage: Stage) -> None:
    with receiver() as server:
        server.answer = lambda _: Answer(201)
        connect(stage, forge(server))
        good = stage.merge({"a": "v2"})
        assert stage.once(env=ENV).code == 0
        assert statuses(server)[-1] == (good, "success", "Succeeded")
        blocked = stage.merge({"a": "missing"})
        for _ in range(2):
            assert stage.once(env=ENV).code == 3
        assert statuses(server)[-1] == (blocked, "pending", "DependencyNotReady")
        broken = stage.break_main()
        assert stage.once(env=ENV).code == 1
        assert statuses(server)[-1] == (broken, "failure", "InvalidRevision")
        assert len({status for status in statuses(server) if status[2] != "Progressing"}) == 3
        assert all(request.headers["authorization"] == f"Bearer {FORGE_TOKEN}" for request in server.requests)
    assert stage.nowhere(FORGE_TOKEN)


def test_an_invalid_first_commit_has_a_status_too(stage: Stage) -> None:
    with receiver() as server:
        connect(stage, forge(server))
        broken = stage.break_main()
        assert stage.once(env=ENV).code == 1
        assert statuses(server) == [(broken, "failure", "InvalidRevision")]


def test_a_receiver_of_the_repository_is_not_notified(stage: Stage) -> None:
    with receiver() as server:
        stage.merge({"a": "v2"}, connection(stage.shop.uri, notify=[audit(server)]))
        assert stage.once().code == 0
        assert server.requests == []
