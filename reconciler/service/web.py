"""A small HTTP server for the probes, the metrics, the status page and the webhook of a long-running process."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread, Timer
from typing import NamedTuple, TypeAlias

from reconciler.core.errors import InvalidInput, Problem
from reconciler.service.hosts import host_name, is_allowed, is_loopback

TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
METRICS = "text/plain; version=0.0.4; charset=utf-8"
JSON = "application/json"
NOTHING_ALLOWED = "default-src 'none'"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Of every answer: no page of another site reads, frames or caches it."""
PIECE = 64 * 1024
MAX_CONNECTIONS = 32
CLIENT_SECONDS = 10.0
"""Timeout of a request in seconds."""
PAGE_SECONDS = 5.0
MAX_BODY = 26 * 1024 * 1024
"""GitHub's webhooks have at most 25 MB (its documentation, "Webhook events and payloads")."""


class Answer(NamedTuple):
    """An answer. `policy`: the Content-Security-Policy, but for `frame-ancestors`, which no answer has."""

    status: HTTPStatus
    content_type: str
    body: bytes
    policy: str = NOTHING_ALLOWED


Page: TypeAlias = Callable[[], Answer]
Hook: TypeAlias = Callable[[Mapping[str, str], Iterator[bytes]], Answer]
"""Answers a POST request, given its headers, by their names in lower case, and its body, in pieces."""

NOT_FOUND = Answer(HTTPStatus.NOT_FOUND, TEXT, b"not found\n")
OTHER_HOST = Answer(
    HTTPStatus.MISDIRECTED_REQUEST, TEXT, b"this host name is not allowed; if it is yours, add --allow-host NAME\n"
)


def probe(problem: str | None, otherwise: str = "ok") -> Answer:
    """Return the answer of a probe: 200, or 503 with the problem."""
    status = HTTPStatus.SERVICE_UNAVAILABLE if problem else HTTPStatus.OK
    return Answer(status, TEXT, f"{problem or otherwise}\n".encode())


def liveness(silent: float, limit: float) -> Answer:
    """Return the answer of a liveness probe, which fails after `limit` seconds without activity."""
    return probe(f"no sign of life for {silent:.0f} s" if silent > limit else None)


def exposition(text: bytes) -> Answer:
    """Return the answer that Prometheus scrapes."""
    return Answer(HTTPStatus.OK, METRICS, text)


def page_of(render: Callable[[], tuple[str, str]], seconds: float = PAGE_SECONDS) -> Page:
    """Return a page that is rendered at most once per `seconds`, however many clients read it.

    `render`: returns the HTML and its Content-Security-Policy.
    """
    lock = Lock()
    last: Answer | None = None
    due = 0.0

    def page() -> Answer:
        nonlocal last, due
        with lock:
            if last is None or time.monotonic() >= due:
                text, policy = render()
                last = Answer(HTTPStatus.OK, HTML, text.encode(errors="backslashreplace"), policy)
                due = time.monotonic() + seconds
            return last

    return page


class _Server(ThreadingHTTPServer):
    """Serve a few clients at a time.

    When there are more, the oldest connection is closed: a probe, which is answered at once, gets through even while
    others hold connections open.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._open: dict[socket.socket, None] = {}
        self._lock = Lock()
        super().__init__(address, handler)

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        if isinstance(request, socket.socket):
            with self._lock:
                oldest = next(iter(self._open)) if len(self._open) >= MAX_CONNECTIONS else None
                if oldest:
                    del self._open[oldest]
                    _hang_up(oldest)
                self._open[request] = None
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        if isinstance(request, socket.socket):
            with self._lock:
                self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        if not isinstance(sys.exception(), OSError):  # clients that hang up must not fill the log
            super().handle_error(request, client_address)


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class Web:
    """A small HTTP server in a thread of its own.

    Args:
        listen: `host:port`, or `[address]:port` for one of IPv6; port 0 takes a free one.
        pages: what answers GET, by path.
        hooks: what answers POST, by path.
        allow_hosts: names that readers may use besides those that `is_allowed` accepts. Without any, names are checked
            only of connections over the loopback interface: those that a browser of the same machine makes.

    Raises:
        InvalidInput: it cannot listen there.
    """

    def __init__(
        self,
        listen: str,
        pages: Mapping[str, Page],
        hooks: Mapping[str, Hook] | None = None,
        allow_hosts: Collection[str] = (),
    ) -> None:
        host, _, port = listen.rpartition(":")
        names = {host_name(name) for name in allow_hosts}

        class Handler(BaseHTTPRequestHandler):
            timeout = CLIENT_SECONDS

            def handle(self) -> None:
                # The timeout above is for each read: a byte every nine seconds would keep the connection open.
                timer = Timer(CLIENT_SECONDS, _hang_up, [self.connection])
                timer.daemon = True
                timer.start()
                try:
                    super().handle()
                finally:
                    timer.cancel()

            def do_GET(self) -> None:
                page = pages.get(self.path.partition("?")[0])
                if not self._host_allowed():
                    self._answer(OTHER_HOST)
                else:
                    self._answer(page() if page else NOT_FOUND)

            def do_HEAD(self) -> None:
                self.do_GET()

            def _host_allowed(self) -> bool:
                checked = names or is_loopback(self.connection.getsockname()[0])
                return not checked or is_allowed(self.headers.get("Host", ""), names)

            def do_POST(self) -> None:
                hook = (hooks or {}).get(self.path.partition("?")[0])
                length = self.headers.get("Content-Length", "")
                if hook is None:
                    self._answer(NOT_FOUND)
                elif not length.isdecimal():
                    self._answer(Answer(HTTPStatus.LENGTH_REQUIRED, TEXT, b"Content-Length is needed\n"))
                elif len(length) > len(str(MAX_BODY)) or int(length) > MAX_BODY:
                    self._answer(Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TEXT, b"too large\n"))
                else:
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    self._answer(hook(headers, self._body(int(length))))

            def _body(self, left: int) -> Iterator[bytes]:
                while left and (piece := self.rfile.read1(min(left, PIECE))):
                    left -= len(piece)
                    yield piece

            def _answer(self, answer: Answer) -> None:
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.content_type)
                self.send_header("Content-Length", str(len(answer.body)))
                self.send_header("Content-Security-Policy", f"{answer.policy}; frame-ancestors 'none'")
                for header, value in HEADERS.items():
                    self.send_header(header, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer.body)

            def send_error(self, code: int, *_: object, **__: object) -> None:
                """Answer a request that cannot be read like any other one, instead of with a page of HTML."""
                status = HTTPStatus(code)
                self._answer(Answer(status, TEXT, f"{status.phrase.lower()}\n".encode()))

            def version_string(self) -> str:
                return "aliasctl"

            def log_message(self, *_: object) -> None:
                """Log nothing: probes come every few seconds."""

        try:
            self._server = _Server((host.strip("[]"), int(port)), Handler)
        except (OSError, ValueError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "expected HOST:PORT"
            raise InvalidInput(Problem(f"--listen {listen}: {reason}")) from error
        Thread(target=self._server.serve_forever, name="web", daemon=True).start()

    @property
    def port(self) -> int:
        """Return the port of the server."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
