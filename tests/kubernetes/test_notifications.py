"""Notifications of an operator with the shipped rights: kept in the status, signed with a Secret of the namespace."""

from __future__ import annotations

import hmac
import json

from tests.integrations.receivers import Answer, receiver
from tests.kubernetes.cluster import wait_until
from tests.kubernetes.scene import Scene

pytest_plugins = ["tests.kubernetes.shared_operator"]

KEY = "s3cret-key"


def test_what_a_receiver_misses_is_stored_and_delivered_later(scene: Scene) -> None:
    scene.namespace.create_secret("audit", key=KEY)
    secret = {"secretKeyRef": {"name": "audit", "key": "key"}}
    scene.shop.point(a="v1")
    with receiver() as audit:
        audit.answer = lambda _: Answer(503)
        notify = [{"name": "audit", "uri": audit.uri, "secret": secret}]
        scene.namespace.create_connection(scene.shop.uri, "notifying", notify=notify)
        scene.create_set({"a": "v2"}, connectionRef={"name": "notifying"})
        ready = scene.namespace.wait_until_ready()
        [waiting] = ready.status["notifications"]["waiting"]
        assert (waiting["event"], waiting["aliases"], waiting["receivers"]) == ("moved", ["a"], ["audit"])
        wait_until("tried", lambda: audit.requests)
        audit.requests.clear()
        audit.answer = lambda _: Answer()
        wait_until("delivered", lambda: audit.requests)
        wait_until("removed", lambda: "notifications" not in scene.namespace.read_set().status)
        [request] = audit.requests
    signed = f"{request.headers['x-aliasctl-timestamp']}.".encode() + request.body
    assert request.headers["x-hub-signature-256"] == f"sha256={hmac.new(KEY.encode(), signed, 'sha256').hexdigest()}"
    event = json.loads(request.body)
    assert (event["type"], event["subject"]) == ("dev.aliasctl.alias.moved", "a")
    assert (event["data"]["from"], event["data"]["to"]) == ("v1", "v2")


def test_the_api_server_stores_receivers_as_they_are_written(scene: Scene) -> None:
    secret = {"secretKeyRef": {"name": "chat", "key": "uri"}}
    scene.namespace.create_connection(
        scene.shop.uri,
        "chatting",
        notify=[
            {"name": "chat", "format": "slack", "uriFrom": secret, "events": ["failed", "approvalRequired"]},
            {"name": "github", "format": "github-status", "uri": "https://api.github.com/repos/a/b", "secret": secret},
        ],
    )
    stored = scene.namespace.cluster.get("MilvusConnection", "chatting", scene.namespace.name)["spec"]["notify"]
    assert [receiver["name"] for receiver in stored] == ["chat", "github"]
    assert (stored[0]["uriFrom"], stored[0]["events"]) == (secret, ["failed", "approvalRequired"])
