"""A hook with a Secret of the namespace, asked by an operator with the shipped rights."""

from __future__ import annotations

import base64
import hmac
import json

from tests.integrations.receivers import Answer, receiver
from tests.kubernetes.scene import Scene

pytest_plugins = ["tests.kubernetes.shared_operator"]

KEY = "s3cret-key"


def test_a_move_waits_until_the_hook_allows_it(scene: Scene) -> None:
    data = {"key": base64.b64encode(KEY.encode()).decode()}
    scene.namespace.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hook"}, "data": data})
    secret = {"secretKeyRef": {"name": "hook", "key": "key"}}
    scene.shop.point(a="v1")
    with receiver() as freeze:
        freeze.answer = lambda _: Answer(200, b'{"allow": false, "reason": "freeze until Monday"}')
        hook = {"name": "freeze", "uri": freeze.uri, "secret": secret}
        scene.namespace.create_connection(scene.shop.uri, "hooked", hooks=[hook])
        gates = {"hook": {"name": "freeze"}}
        scene.create_set({"a": "v2"}, connectionRef={"name": "hooked"}, gates=gates)
        assert "hook: freeze: freeze until Monday" in scene.namespace.wait_for_reason("GateFailed").message
        assert scene.live == {"a": "v1"}
        freeze.answer = lambda _: Answer(200, b'{"allow": true}')
        scene.namespace.wait_until_ready()
        assert scene.live == {"a": "v2"}
    request = freeze.requests[-1]
    signed = f"{request.headers['x-aliasctl-timestamp']}.".encode() + request.body
    expected = hmac.new(KEY.encode(), signed, "sha256").hexdigest()
    assert request.headers["x-hub-signature-256"] == f"sha256={expected}"
    assert json.loads(request.body)["data"]["planDigest"].startswith("sha256:")
