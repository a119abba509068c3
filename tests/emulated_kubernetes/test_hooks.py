"""Hooks in the operator: asked before a move, with a Secret of the namespace; what they say is in the status."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Iterator

import pytest

from tests.emulated_kubernetes.harness import Kube, Operator
from tests.emulated_kubernetes.milvus import Milvus
from tests.integrations.receivers import Answer, Receiver, receiver

KEY = "s3cret-key"
FREEZE = {"hook": {"name": "freeze"}}


@pytest.fixture(name="hook")
def fixture_hook() -> Iterator[Receiver]:
    with receiver() as running:
        running.answer = lambda _: Answer(200, b'{"allow": false, "reason": "freeze until Monday"}')
        yield running


def connect(kube: Kube, hook: Receiver) -> None:
    kube.api.create("Secret", "hook", data={"key": base64.b64encode(KEY.encode()).decode()})
    secret = {"secretKeyRef": {"name": "hook", "key": "key"}}
    kube.connection(hooks=[{"name": "freeze", "uri": hook.uri, "secret": secret}])


def test_a_move_waits_until_the_hook_allows_it(
    start: Callable[[], Operator], kube: Kube, milvus: Milvus, hook: Receiver
) -> None:
    milvus.point("a", "v1")
    connect(kube, hook)
    start()
    kube.create({"a": "v2"}, gates=FREEZE)
    message = next(item["message"] for item in kube.wait("GateFailed")["conditions"] if item["type"] == "Ready")
    assert "hook: freeze: freeze until Monday" in message
    assert milvus.journal == []
    hook.answer = lambda _: Answer(200, b'{"allow": true}')
    kube.wait("Succeeded")
    assert milvus.aliases == {"a": "v2"}


def test_it_is_signed_with_the_secret_and_names_run_and_plan(
    start: Callable[[], Operator], kube: Kube, milvus: Milvus, hook: Receiver
) -> None:
    hook.answer = lambda _: Answer(200, b'{"allow": true}')
    milvus.point("a", "v1")
    connect(kube, hook)
    start()
    kube.create({"a": "v2"}, gates=FREEZE)
    kube.wait("Succeeded")
    [request] = hook.requests
    signed = f"{request.headers['x-aliasctl-timestamp']}.".encode() + request.body
    expected = hmac.new(KEY.encode(), signed, "sha256").hexdigest()
    assert request.headers["x-hub-signature-256"] == f"sha256={expected}"
    data = json.loads(request.body)["data"]
    assert (data["set"], data["alias"], data["from"], data["to"]) == ("team/shop", "a", "v1", "v2")
    assert data["planDigest"].startswith("sha256:")
    assert data["run"]


def test_a_secret_that_does_not_exist_blocks_only_what_the_hook_guards(
    start: Callable[[], Operator], kube: Kube, milvus: Milvus, hook: Receiver
) -> None:
    connect(kube, hook)
    kube.api.delete("Secret", "hook")
    start()
    kube.create({"a": {"collection": "v1", "gates": FREEZE}, "b": "v1"})
    kube.wait("GateFailed")
    assert milvus.aliases == {"b": "v1"}
    message = kube.condition()["message"]
    assert 'hook "freeze": there is no Secret "hook"' in message
    assert hook.requests == []


def test_a_hook_that_the_connection_lacks_makes_the_spec_invalid_until_it_has_it(
    operator: Operator, kube: Kube, hook: Receiver
) -> None:
    kube.create({"a": "v1"}, gates=FREEZE)
    kube.wait("InvalidSpec")
    assert 'MilvusConnection "main" has no hook "freeze"' in kube.condition()["message"]
    hook.answer = lambda _: Answer(200, b'{"allow": true}')
    kube.api.patch("MilvusConnection", "main", {"spec": {"hooks": [{"name": "freeze", "uri": hook.uri}]}})
    kube.wait("Succeeded")
