"""Servers that lie, never end, or want to know what is not for them."""

from __future__ import annotations

import shutil
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread, Timer
from typing import TypeAlias

import pytest

from reconciler.core.errors import Interrupted, InvalidInput
from reconciler.core.model import Credential
from reconciler.git import GitError, remote
from reconciler.git.access import Access
from tests.sync.servers import private_certificate
from tests.sync_attacks.forge import follow, new_forge

TOKEN = "s3cr3t-git-token"  # noqa: S105 - what must reach nobody else
Reply: TypeAlias = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def serving(reply: Reply, certificate: Path | None = None) -> Iterator[tuple[int, list[str]]]:
    """A server on a port of this machine that answers every GET so, and the Authorization headers it got.

    With a certificate, a PEM file that has its key too, it speaks TLS.
    """
    heard: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.headers.get("Authorization", ""))
            try:
                reply(self)
            except OSError:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], heard
        server.shutdown()


def refuse(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(401)
    handler.send_header("WWW-Authenticate", 'Basic realm="x"')
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def redirect(to: str) -> Reply:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", to + handler.path)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return reply


def after_authentication(then: Reply) -> Reply:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        (then if handler.headers.get("Authorization") else refuse)(handler)

    return reply


@pytest.fixture
def token(tmp_path: Path) -> dict[str, object]:
    file = tmp_path / "token"
    file.write_text(TOKEN, encoding="utf-8")
    return {"token": Credential(file=str(file))}


@pytest.mark.parametrize("when", [lambda reply: reply, after_authentication], ids=["at once", "once it has the token"])
def test_a_redirect_to_another_server_takes_no_token_along(
    tmp_path: Path, token: dict[str, object], when: Callable[[Reply], Reply]
) -> None:
    with (
        serving(refuse) as (other, heard),
        serving(when(redirect(f"http://localhost:{other}"))) as (port, _),
        pytest.raises(GitError) as failed,
    ):
        follow(f"http://127.0.0.1:{port}/a.git", tmp_path / "state", access=token).fetch()
    assert heard, "the redirect was followed"
    assert set(heard) == {""}
    assert TOKEN not in str(failed.value)


def test_a_redirect_from_https_to_http_is_not_followed(tmp_path: Path) -> None:
    """What comes without TLS may be anybody's."""
    ca, certificate = private_certificate(tmp_path)
    with (
        serving(refuse) as (other, heard),
        serving(redirect(f"http://localhost:{other}"), certificate) as (port, _),
        pytest.raises(GitError),
    ):
        follow(f"https://127.0.0.1:{port}/a.git", tmp_path / "state", access={"ca": ca}).fetch()
    assert heard == []


@pytest.mark.parametrize("scheme", ["file", "ext", "ftp", "ssh"])
def test_a_redirect_to_another_kind_of_place_is_not_followed(tmp_path: Path, scheme: str) -> None:
    secret = new_forge(tmp_path / "secret.git")
    secret.commit(secret.file("a.yaml"))
    with serving(redirect(f"{scheme}://localhost{secret.folder}?")) as (port, _), pytest.raises(GitError):
        follow(f"http://127.0.0.1:{port}/a.git", tmp_path / "state").fetch()


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "application/x-git-upload-pack-advertisement")
    handler.end_headers()
    handler.wfile.write(b"001e# service=git-upload-pack\n0000")
    while True:
        handler.wfile.write(b"003f" + b"1" * 40 + b" refs/heads/xxxxxx\n")


def dripping(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "application/x-git-upload-pack-advertisement")
    handler.end_headers()
    while True:
        handler.wfile.write(b"0")
        time.sleep(0.1)


def silent(_: BaseHTTPRequestHandler) -> None:
    time.sleep(30)


@pytest.mark.parametrize("reply", [silent, dripping, endless], ids=["silent", "dripping", "endless"])
def test_a_server_that_does_not_end_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reply: Reply) -> None:
    monkeypatch.setattr(remote, "LIST_SECONDS", 2.0)
    with serving(reply) as (port, _), pytest.raises(GitError, match=r"git ls-remote did not end within 2 s"):
        follow(f"http://127.0.0.1:{port}/a.git", tmp_path / "state").fetch()


def test_a_server_that_is_silent_does_not_keep_the_agent_from_ending(tmp_path: Path) -> None:
    stop = Event()
    with serving(silent) as (port, _):
        follower = follow(f"http://127.0.0.1:{port}/a.git", tmp_path / "state", stop=stop)
        Timer(1, stop.set).start()
        with pytest.raises(Interrupted):
            follower.fetch()


@pytest.mark.parametrize("status", [200, 204, 400, 429, 500, 503])
def test_a_server_that_is_none_of_git_s_is_told_of_in_one_line(tmp_path: Path, status: int) -> None:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", "text/plain")
        handler.end_headers()
        handler.wfile.write(b"\x1b[31mowned\r\nfatal: all is well\n" * 100)

    with serving(reply) as (port, _), pytest.raises(GitError) as failed:
        follow(f"http://127.0.0.1:{port}/a.git", tmp_path / "state").fetch()
    assert str(failed.value).isprintable()


def test_a_commit_that_came_without_its_files_is_asked_for_again(tmp_path: Path) -> None:
    forge = new_forge(tmp_path / "remote.git")
    desired = forge.commit(forge.file("a.yaml"))
    follower = follow(str(forge.folder), tmp_path / "state")
    left = follower.settings.state / "mirror.git" / "objects" / desired[:2]
    left.mkdir()
    shutil.copy(forge.folder / "objects" / desired[:2] / desired[2:], left)
    assert follower.revision().commit.id == desired


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c touch% owned",
        "ext::touch",
        "git@ext::touch",
        "fd::17",
        "https::http://example.com/x",
        "http::https://example.com/x",
        "--upload-pack=touch owned",
        "-oProxyCommand=touch owned",
        "ssh://-oProxyCommand=touch/x",
        "git://example.com/x",
        "ftp://example.com/x",
        "https:///x",
        "https://user:secret@example.com/x",
        "https://example.com/\nx",
        "",
    ],
)
def test_an_address_starts_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((InvalidInput, GitError)) as refused:
        follow(url, tmp_path / "state").fetch()
    assert "secret" not in str(refused.value)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("url", ["http://example.com/x", "ssh://example.com/x", "file:///x", "/x", "https::http://x"])
def test_a_token_is_sent_over_tls_or_not_at_all(url: str) -> None:
    with pytest.raises(InvalidInput):
        Access(url, token=Credential(env="TOKEN")).check()
