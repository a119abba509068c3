"""Servers on loopback that record what they are sent: one that speaks HTTP, and one that sends bytes as they are."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import NamedTuple


class Request(NamedTuple):
    """A request as it arrived; names of headers in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Answer(NamedTuple):
    """What a receiver answers."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = {}


class Receiver:
    """An HTTP server whose answers a test sets, and whose requests it reads."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.requests: list[Request] = []
        self.answer: Callable[[Request], Answer] = lambda _: Answer()


@contextmanager
def receiver(tls: ssl.SSLContext | None = None, port: int = 0) -> Iterator[Receiver]:
    """Run an HTTP server, on a free port unless one is given."""

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, self.path, headers, body)
            running.requests.append(request)
            answer = running.answer(request)
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(ConnectionError):  # a client may stop reading
                self.wfile.write(answer.body)

        do_GET = do_POST = handle_any  # noqa: N815 - names of the library

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 100  # of a full queue, a client tries to connect again after a second

        def handle_error(self, *_: object) -> None:
            """Print nothing: a client that does not accept a certificate is part of a test."""

    server = Server(("127.0.0.1", port), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    running = Receiver(f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def raw_server(
    *parts: bytes,
    every: float = 0.0,
    endless: bytes = b"",
    close: bool = True,
    on_request: Callable[[], None] = lambda: None,
) -> Iterator[str]:
    """Run a server that sends these parts to whoever sends something; yield its URI.

    Args:
        parts: the bytes.
        every: seconds before each part.
        endless: a part that is sent again and again, after the others.
        close: whether it closes the connection after them; otherwise it stays silent.
        on_request: called when the first byte of a request is there.
    """
    done = Event()
    listening = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(1)
            on_request()
            for part in parts:
                done.wait(every)
                connection.sendall(part)
            while endless and not done.wait(every):
                connection.sendall(endless)
            if not close:
                done.wait()
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):  # what is unread at the end would reset the connection
                pass

    def accept() -> None:
        with suppress(OSError):
            while True:
                Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()

    thread = Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        done.set()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()
