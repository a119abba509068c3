"""The API server at an address where watches are silent: what changes is only seen by those who ask.

It can lose its definitions, too: as one that has just been started, or where somebody has deleted them.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from urllib.parse import parse_qs, urlsplit

from reconciler.manifest.kinds import GROUP
from tests.kubernetes.control_plane import HOST, ControlPlane

CALL_TIMEOUT = 30.0
PASSED_ON = ("Authorization", "Content-Type", "Accept")


@dataclass(frozen=True)
class DeafApi:
    """`url` is where it is; once `forgotten` is set there are no such resources, and all watches end."""

    url: str
    forgotten: Event


@contextmanager
def deaf_api(plane: ControlPlane) -> Iterator[DeafApi]:
    """It has the server's own certificate, so that clients need not know."""
    ended, forgotten = Event(), Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            if forgotten.is_set() and GROUP in self.path:
                self._send(404, "text/plain", b"404 page not found\n")
                return
            if "watch" in parse_qs(urlsplit(self.path).query):
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                while not (ended.wait(0.1) or forgotten.is_set()):
                    pass
                self.close_connection = True
                return
            self._send(*_asked(plane, self))

        def _send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer((HOST, 0), Handler)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(plane.ca_file, plane.ca_file.with_suffix(".key"))
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield DeafApi(f"https://{HOST}:{server.server_address[1]}", forgotten)
    finally:
        ended.set()
        server.shutdown()
        server.server_close()


def _asked(plane: ControlPlane, request: BaseHTTPRequestHandler) -> tuple[int, str, bytes]:
    """What the server itself answers: status, content type, body."""
    tls = ssl.create_default_context(cafile=plane.ca_file)
    server = http.client.HTTPSConnection(urlsplit(plane.url).netloc, timeout=CALL_TIMEOUT, context=tls)
    try:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        server.request(request.command, request.path, body or None, headers)
        reply = server.getresponse()
        return reply.status, reply.headers["Content-Type"], reply.read()
    finally:
        server.close()
