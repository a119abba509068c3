"""Whatever a stranger sends to the agent's HTTP port: an answer or none, no traceback, nobody woken, and the next one
is served."""

from __future__ import annotations

import hashlib
import hmac
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.core.model import Credential
from reconciler.service.web import Web, probe
from reconciler.sync.webhook import SIGNATURE, receive
from tests.hostile.mutations import bounded, mangled
from tests.reliability.tally import Tally

OpenSuite = Callable[[str, str], Tally]
SECRET = b"between us"
BODY = b'{"ref": "refs/heads/main"}'
tried = settings(max_examples=300, suppress_health_check=list(HealthCheck))


def signature(body: bytes, key: bytes = SECRET) -> str:
    return "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()


@pytest.fixture
def secret(tmp_path: Path) -> Credential:
    file = tmp_path / "secret"
    file.write_bytes(SECRET)
    return Credential(file=str(file))


def test_only_who_knows_the_secret_wakes_the_agent(secret: Credential) -> None:
    true = signature(BODY)

    @tried
    @given(
        st.text(max_size=100) | mangled(true.encode()).map(lambda text: text.decode("latin-1")) | st.just(true),
        mangled(BODY) | st.just(BODY),
    )
    def holds(claimed: str, body: bytes) -> None:
        woken: list[bool] = []
        status, *_ = receive(secret, lambda: woken.append(True), {SIGNATURE: claimed}, [body[:7], body[7:]])
        knows = claimed == signature(body)
        assert (status, woken) == ((202, [True]) if knows else (401, []))

    holds()


@pytest.fixture
def woken() -> list[bool]:
    return []


@pytest.fixture
def port(secret: Credential, woken: list[bool]) -> Iterator[int]:
    hook = partial(receive, secret, lambda: woken.append(True))
    web = Web("127.0.0.1:0", {"/healthz": lambda: probe(None)}, {"/hook": hook})
    yield web.port
    web.close()


def test_requests(port: int, woken: list[bool], tally: OpenSuite, capfd: pytest.CaptureFixture[str]) -> None:
    suite = tally("Hostile HTTP requests", "no server")
    head = (
        f"POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\nX-Hub-Signature-256: {signature(BODY, b'?')}"
    )
    request = head.encode() + b"\r\n\r\n" + BODY

    @tried
    @given(mangled(request) | mangled(b"GET /healthz HTTP/1.1\r\n\r\n") | st.binary(max_size=300))
    def holds(data: bytes) -> None:
        with suite.case(faults=1), bounded(), socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass

    holds()
    with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=30) as answer:
        assert answer.status == 200
    assert woken == []
    assert capfd.readouterr().err == ""
