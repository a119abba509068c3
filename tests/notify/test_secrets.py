"""No secret of a receiver is shown, wherever it is, and its answers are text."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest
from msgspec.structs import replace

from reconciler.core.errors import IntegrationFailed
from reconciler.core.model import Credential, MessageFormat, Receiver
from reconciler.notify.messages import sample
from reconciler.notify.sending import send
from tests.integrations.receivers import Answer, receiver
from tests.notify.scene import Scene

PATH = "/services/T00000000/B00000000/XXXXsecretXXXX"
CHAT = Receiver(name="chat", format=MessageFormat.SLACK, uri_from=Credential(env="CHAT_URL"))


def problem_of(to: Receiver) -> str:
    with pytest.raises(IntegrationFailed) as caught:
        send(to, sample(to))
    return str(caught.value)


def test_a_secret_uri_is_read_from_its_place_each_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with receiver() as server:
        monkeypatch.setenv("CHAT_URL", f"{server.uri}{PATH}\n")
        (tmp_path / "uri").write_text(f"{server.uri}{PATH}?token=1\n")
        for place in (CHAT.uri_from, Credential(file=str(tmp_path / "uri"))):
            assert send(replace(CHAT, uri_from=place), sample(CHAT)).accepted
        assert [request.path for request in server.requests] == [PATH, f"{PATH}?token=1"]


@pytest.mark.parametrize("uri", ["ftp://127.0.0.1/XXXXsecretXXXX", "XXXXsecretXXXX", "http://user:XXXXsecretXXXX@a/"])
def test_a_wrong_uri_is_not_repeated(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_URL", uri)
    problem = problem_of(CHAT)
    assert 'the URI of receiver "chat" is not http(s)://host[:port][/path]' in problem
    assert "XXXXsecretXXXX" not in problem


def test_a_receiver_that_cannot_be_reached_is_named_without_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_URL", f"http://127.0.0.1:1{PATH}")
    assert problem_of(CHAT) == 'receiver "chat" at 127.0.0.1:1 cannot be reached: Connection refused'


def test_a_missing_variable_is_named() -> None:
    assert "environment variable CHAT_URL is not set" in problem_of(CHAT)


def test_an_answer_cannot_show_the_secret_path_or_control_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver() as server:
        server.answer = lambda request: Answer(404, f"no {request.path}\x1b[31m <b>".encode())
        monkeypatch.setenv("CHAT_URL", f"{server.uri}{PATH}")
        answer = send(CHAT, sample(CHAT))
    assert "secret" not in answer.text.replace("(secret)", "")
    assert "T00000000" not in answer.text
    assert "\x1b" not in answer.text
    assert not answer.accepted


def test_a_redirect_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver() as server:
        server.answer = lambda _: Answer(302, headers={"Location": f"{server.uri}/elsewhere"})
        monkeypatch.setenv("CHAT_URL", f"{server.uri}{PATH}")
        assert "a redirect, which is not followed" in problem_of(CHAT)
        assert len(server.requests) == 1


@pytest.mark.parametrize("address", ["169.254.169.254", "100.100.100.200", "[fd00:ec2::254]"])
def test_addresses_of_instance_metadata_are_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_URL", f"http://{address}/latest")
    assert "is refused" in problem_of(CHAT)


def test_a_cloud_event_is_signed_with_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_SECRET", "k3y")
    with receiver() as server:
        audit = Receiver(name="audit", uri=f"{server.uri}/x", secret=Credential(env="AUDIT_SECRET"))
        send(audit, sample(audit))
        [request] = server.requests
    signed = f"{request.headers['x-aliasctl-timestamp']}.".encode() + request.body
    digest = hmac.new(b"k3y", signed, hashlib.sha256).hexdigest()
    assert request.headers["x-hub-signature-256"] == f"sha256={digest}"


def test_without_a_secret_nothing_is_signed() -> None:
    with receiver() as server:
        send(audit := Receiver(name="audit", uri=server.uri), sample(audit))
        assert "x-hub-signature-256" not in server.requests[0].headers


def test_the_journal_has_no_secret_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_URL", f"http://127.0.0.1:1{PATH}")
    scene = Scene(tmp_path, CHAT)
    scene.apply(scene.desired({"a": "v2"}))
    assert scene.waiting(CHAT)
    for path in tmp_path.iterdir():
        assert b"XXXXsecretXXXX" not in path.read_bytes()
