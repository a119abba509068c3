"""Git servers on loopback, as people run them: git-http-backend behind HTTP and HTTPS, and a private sshd."""

from __future__ import annotations

import base64
import getpass
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from tests.servers import free_port
from tests.sync.keys import SEARCHED, SshKey, need, new_ssh_key, run

USER, GIT_TOKEN = "robot", "g1t-s3cr3t-T0KEN"
WITH_TOKEN, TOKEN_ENV = ("--git-username", USER, "--git-token-env", "GIT_TOKEN"), {"GIT_TOKEN": GIT_TOKEN}
SSHD_SECONDS = 60


class GitOverHttp:
    """A server of all repositories in a folder, which asks for a user and token; it may go down and come back.

    Args:
        folder: is served.
        certificate: PEM file of a certificate and its key, for HTTPS.

    Attributes:
        before: called with each request's path before it is answered; may wait.
        asked: how many requests came.
    """

    def __init__(self, folder: Path, certificate: Path | None = None) -> None:
        need("git-http-backend")
        self.before: Callable[[str], None] = lambda path: None
        self.asked = 0
        self._folder = folder
        self._certificate = certificate
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self.up()

    def url(self, name: str = "shop.git") -> str:
        return f"{'https' if self._certificate else 'http'}://127.0.0.1:{self._port}/{name}"

    def up(self) -> None:
        """Listen, where it did before."""
        backend = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                backend.answer(self)

            def do_POST(self) -> None:
                backend.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """A client that does not trust our certificate hangs up."""

        self._server = Quiet(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_port
        if self._certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def down(self) -> None:
        """Listen no more: whoever comes is refused by the system."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """As a web server with git-http-backend as its CGI program."""
        self.asked += 1
        self.before(request.path)
        known = "Basic " + base64.b64encode(f"{USER}:{GIT_TOKEN}".encode()).decode()
        if request.headers.get("Authorization") != known:
            _reply(request, HTTPStatus.UNAUTHORIZED, [("WWW-Authenticate", 'Basic realm="git"')], b"")
            return
        path, _, query = request.path.partition("?")
        variables = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self._folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
            "REQUEST_METHOD": request.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REMOTE_ADDR": "127.0.0.1",
            "REMOTE_USER": USER,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
        }
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        program = shutil.which("git-http-backend", path=SEARCHED)
        assert program
        said = subprocess.run([program], input=body, env=variables, capture_output=True, timeout=180, check=True).stdout
        head, _, content = said.partition(b"\r\n\r\n")
        headers = [(name, value.strip()) for name, _, value in (h.partition(":") for h in head.decode().split("\r\n"))]
        status = next((int(value.split()[0]) for name, value in headers if name == "Status"), 200)
        _reply(request, HTTPStatus(status), [pair for pair in headers if pair[0] != "Status"], content)


def _reply(request: BaseHTTPRequestHandler, status: HTTPStatus, headers: list[tuple[str, str]], body: bytes) -> None:
    request.send_response(status)
    for name, value in [*headers, ("Content-Length", str(len(body)))]:
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)


def private_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate authority of our own, and a certificate with its key for 127.0.0.1: PEM files."""
    need("openssl")
    ca, ca_key, asked, key, made, both = (
        folder / n for n in ("ca.pem", "ca.key", "a.csr", "s.key", "s.pem", "both.pem")
    )
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run("openssl", "req", "-x509", *new, "-keyout", str(ca_key), "-out", str(ca), "-subj", "/CN=Our CA", "-days", "2")
    run("openssl", "req", *new, "-keyout", str(key), "-out", str(asked), "-subj", "/CN=git")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    signing = (
        "-CA",
        str(ca),
        "-CAkey",
        str(ca_key),
        "-CAcreateserial",
        "-extfile",
        str(folder / "names"),
        "-days",
        "2",
    )
    run("openssl", "x509", "-req", "-in", str(asked), "-out", str(made), *signing)
    both.write_text(made.read_text() + key.read_text())
    return ca, both


@dataclass(frozen=True)
class GitOverSsh:
    """An sshd that lets one key in, as the user who runs the tests."""

    port: int
    key: SshKey
    known_hosts: Path

    @property
    def options(self) -> tuple[str, ...]:
        """Of an agent that follows a repository here."""
        return ("--ssh-key", str(self.key.private), "--ssh-known-hosts", str(self.known_hosts))

    def url(self, repository: Path) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{repository}"


@contextmanager
def git_over_ssh(folder: Path) -> Iterator[GitOverSsh]:
    need("sshd", "ssh")
    host, key, port = new_ssh_key(folder / "host"), new_ssh_key(folder / "deploy"), free_port()
    (folder / "authorized").write_text(f"restrict {key.public}\n")
    known_hosts = folder / "known hosts"
    known_hosts.write_text(f"[127.0.0.1]:{port} {host.public}\n")
    if os.getuid() == 0:  # sshd insists on this folder if root starts it, and some containers lack it
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    settings = {
        "ListenAddress": f"127.0.0.1:{port}",
        "HostKey": str(host.private),
        "AuthorizedKeysFile": str(folder / "authorized"),
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "PidFile": "none",
    }
    (folder / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    program = shutil.which("sshd", path=SEARCHED)
    assert program
    with (folder / "sshd.log").open("w") as log:
        process = subprocess.Popen([program, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log)
    try:
        _wait_for(port)
        yield GitOverSsh(port, key, known_hosts)
    finally:
        process.terminate()
        process.wait(SSHD_SECONDS)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + SSHD_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline, "sshd does not start"
            time.sleep(0.02)
        else:
            return
