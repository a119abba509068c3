"""Strangers at the agent's HTTP port."""

from __future__ import annotations

import hashlib
import hmac
import socket
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import pytest

from reconciler.core.model import Credential
from reconciler.service import web
from reconciler.service.web import Web, probe
from reconciler.sync.webhook import receive

SECRET = b"between us"
SECONDS = 60
"""For any answer, on a busy machine."""


class Agent:
    """A server with a probe and a webhook; `woken` counts what the webhook did."""

    def __init__(self, secret: Path) -> None:
        self.woken = 0
        hook = partial(receive, Credential(file=str(secret)), self.wake)
        self.web = Web("127.0.0.1:0", {"/healthz": lambda: probe(None)}, {"/hook": hook})

    def wake(self) -> None:
        self.woken += 1

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.web.port), timeout=SECONDS)

    def say(self, request: bytes) -> str:
        """Send bytes, and give the status line of the answer."""
        with self.connect() as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            return connection.makefile("rb").readline().decode().strip()

    def alive(self) -> bool:
        with urlopen(f"http://127.0.0.1:{self.web.port}/healthz", timeout=SECONDS) as answer:
            return bool(answer.status == 200)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_bytes(SECRET)
    return file


@pytest.fixture
def agent(secret: Path) -> Iterator[Agent]:
    agent = Agent(secret)
    yield agent
    agent.web.close()


def signed(body: bytes, key: bytes = SECRET) -> str:
    return "X-Hub-Signature-256: sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()


def post(body: bytes, *headers: str, path: str = "/hook", length: str | None = None) -> bytes:
    lines = [f"POST {path} HTTP/1.1", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def test_a_true_webhook_wakes_the_agent_and_a_large_one_too(agent: Agent) -> None:
    for body in (b"{}", b"x" * 3_000_000):
        assert " 202 " in agent.say(post(body, signed(body)))
    assert agent.woken == 2


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("X-Hub-Signature-256: ",),
        ("X-Hub-Signature-256: sha256=",),
        ("X-Hub-Signature-256: \xe9\xff",),
        (signed(b"{}", b""),),
        (signed(b"other"),),
        (signed(b"{}").upper(),),
        ("X-Hub-Signature: sha1=" + hmac.new(SECRET, b"{}", hashlib.sha1).hexdigest(),),
    ],
    ids=["none", "empty", "no digest", "no ASCII", "empty key", "another body", "upper case", "SHA-1"],
)
def test_a_forged_webhook_wakes_nobody(agent: Agent, headers: tuple[str, ...]) -> None:
    assert " 401 " in agent.say(post(b"{}", *headers))
    assert agent.woken == 0


def test_an_empty_or_missing_secret_lets_nobody_in(agent: Agent, secret: Path) -> None:
    secret.write_bytes(b"\n")
    assert " 503 " in agent.say(post(b"{}", signed(b"{}", b"")))
    secret.unlink()
    assert " 503 " in agent.say(post(b"{}", signed(b"{}", b"")))
    assert agent.woken == 0


@pytest.mark.parametrize(
    ("length", "status"),
    [("", 411), ("-1", 411), ("1e3", 411), ("99999999999", 413), ("9" * 5000, 413), ("27262977", 413), ("\xb2", 411)],
)
def test_a_wrong_length_is_refused_and_nothing_is_logged(
    agent: Agent, capfd: pytest.CaptureFixture[str], length: str, status: int
) -> None:
    assert f" {status} " in agent.say(post(b"", length=length))
    assert agent.alive()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "path", ["/hook/../hook", "/HOOK", "/hook/", "/%68ook", "/healthz", "//x/hook", "/status", "*"]
)
def test_the_webhook_has_one_path(agent: Agent, path: str) -> None:
    assert " 404 " in agent.say(post(b"{}", signed(b"{}"), path=path))
    assert agent.woken == 0


def test_a_body_in_chunks_or_cut_short_wakes_nobody(agent: Agent) -> None:
    chunked = b"POST /hook HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + signed(b"{}").encode() + b"\r\n\r\n2\r\n{}\r\n"
    assert " 411 " in agent.say(chunked)
    assert " 401 " in agent.say(post(b"{", signed(b"{}"), length="2"))
    assert agent.woken == 0


def test_many_who_hold_connections_open_keep_no_probe_out(agent: Agent, capfd: pytest.CaptureFixture[str]) -> None:
    held = [agent.connect() for _ in range(3 * web.MAX_CONNECTIONS)]
    for connection in held:
        connection.sendall(b"POST /hook HTTP/1.1\r\nContent-Le")
    assert agent.alive()
    gone = 0
    for connection in held[: web.MAX_CONNECTIONS]:
        with connection:
            gone += connection.recv(1) == b""
    assert gone == web.MAX_CONNECTIONS
    for connection in held:
        connection.close()
    assert agent.alive()
    assert capfd.readouterr().err == ""


def drip(connection: socket.socket) -> None:
    for _ in range(600):
        connection.sendall(b"x")
        time.sleep(0.1)


def test_a_byte_now_and_then_does_not_keep_a_connection_open(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "CLIENT_SECONDS", 1.0)
    with agent.connect() as connection:
        connection.sendall(post(b"", length="1000000"))
        with pytest.raises(OSError, match=r"reset|[Bb]roken pipe"):
            drip(connection)


def test_a_client_that_goes_away_leaves_nothing_in_the_log(agent: Agent, capfd: pytest.CaptureFixture[str]) -> None:
    for request in (b"GET /healthz HTTP/1.1\r\n\r\n", b"POST /hook HTTP/1.1\r\nContent-Length: 9\r\n") * 10:
        connection = agent.connect()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.sendall(request)
        connection.close()
    time.sleep(0.3)
    assert agent.alive()
    assert capfd.readouterr().err == ""


def test_it_listens_at_an_address_of_ipv6_too() -> None:
    """As a pod of a cluster that has no other."""
    served = Web("[::1]:0", {"/healthz": lambda: probe(None)})
    with urlopen(f"http://[::1]:{served.port}/healthz", timeout=SECONDS) as answer:
        assert answer.read() == b"ok\n"
    served.close()
