"""Whatever comes of a call to the Kubernetes API, it is one kind of error, or its callers' threads would end of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from socketserver import BaseRequestHandler, TCPServer
from threading import Thread

import pytest

from reconciler.operator.cluster import Cluster, ClusterError, load_config
from reconciler.operator.objects import Ref

LEASE = Ref("team", "aliasctl-operator")
JSON = "Content-Type: application/json"


@contextmanager
def answering(headers: list[str], body: str, status: HTTPStatus = HTTPStatus.SERVICE_UNAVAILABLE) -> Iterator[str]:
    """A server, such as a load balancer before the API server, that gives one answer to everything; its address."""
    head = [f"HTTP/1.1 {status.value} {status.phrase}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    answer = "\r\n".join([*head, "", body]).encode()

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            self.request.sendall(answer)

    with TCPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def assert_no_answer(folder: Path, uri: str, user: object) -> None:
    """The test fails unless a call through this address, as this user of a kubeconfig, ends as it should."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": uri}}],
        "users": [{"name": "it", "user": user}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it", "namespace": "team"}}],
    }
    (folder / "kubeconfig").write_text(json.dumps(config))
    made = Cluster(load_config(folder / "kubeconfig"))
    with pytest.raises(ClusterError, match="the Kubernetes API"):
        made.lease(LEASE)
    made._client.close()


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([], ""),
        (["Content-Type: text/html"], "<h1>no server is available</h1>"),
        ([JSON], ""),
        ([JSON], '"no"'),
        ([JSON], "[]"),
        ([JSON], "null"),
    ],
)
@pytest.mark.parametrize("status", [HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.OK])
def test_an_answer_that_is_not_of_kubernetes(headers: list[str], body: str, status: HTTPStatus, tmp_path: Path) -> None:
    with answering(headers, body, status) as uri:
        assert_no_answer(tmp_path, uri, {"token": "x"})


def test_nobody_listens(tmp_path: Path) -> None:
    assert_no_answer(tmp_path, "http://127.0.0.1:1", {"token": "x"})


def plugin(command: str, *args: str) -> dict[str, object]:
    """A user whose token a program gives, as for clusters of cloud providers."""
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": command, "args": list(args)}}


@pytest.mark.parametrize(
    "user",
    [
        plugin("false"),
        plugin("no-such-program"),
        plugin("echo", "no JSON"),
        plugin("echo", "{}"),
        {"tokenFile": "/no/such/file"},
        {"tokenFile": "/"},
    ],
)
def test_a_token_that_is_not_to_be_had(user: dict[str, object], tmp_path: Path) -> None:
    with answering([JSON], "{}") as uri:
        assert_no_answer(tmp_path, uri, user)
