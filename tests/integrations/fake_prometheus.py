"""A Prometheus in this process: answers the two kinds of queries from a function of query and time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from urllib.parse import parse_qsl

from reconciler.core.model import Prometheus

Value = Callable[[str, float], float | None]
"""The value of a query at a time; None where there is no sample. May be NaN."""
Answer = tuple[int, bytes]


class FakePrometheus:
    """What it answers, and what it was asked.

    `interval`: of its scrapes, in seconds; None for no samples. `respond`, if set, takes the place of all else.
    """

    def __init__(self) -> None:
        self.interval: float | None = 0.05
        self.value: Value = lambda query, at: 0.0
        self.respond: Callable[[str], Answer] | None = None
        self.bytes_per_second: float | None = None
        self.queries: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.skew = 0.0
        self.lock = Lock()
        self.uri = ""

    @property
    def endpoint(self) -> Prometheus:
        return Prometheus(uri=self.uri, timeout=5)

    def answer(self, path: str, fields: dict[str, str]) -> Answer:
        query = fields["query"]
        with self.lock:
            self.queries.append(query)
        if self.respond:
            return self.respond(query)
        if path.endswith("/query"):
            return self._instant()
        points = []
        at, end, step = (float(fields[name]) for name in ("start", "end", "step"))
        while at <= end + 0.0005:
            value = self.value(query, at - self.skew)
            points += [] if value is None else [[at, str(value)]]
            at += step
        result = [{"metric": {}, "values": points}] if points else []
        return success("matrix", result)

    def _instant(self) -> Answer:
        now = time.time() + self.skew
        if self.interval is None:
            return success("vector", [])
        ranges = (15, 75, 300, 900)
        counts = [{"metric": {"range": str(each)}, "value": [now, str(each / self.interval)]} for each in ranges]
        return success("vector", counts)


def success(kind: str, result: object) -> Answer:
    """An answer of status 200."""
    return 200, json.dumps({"status": "success", "data": {"resultType": kind, "result": result}}).encode()


def bad_data(error: str) -> Answer:
    """The answer to a query with a mistake."""
    return 400, json.dumps({"status": "error", "errorType": "bad_data", "error": error}).encode()


@contextmanager
def fake_prometheus() -> Iterator[FakePrometheus]:
    fake = FakePrometheus()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            with fake.lock:
                fake.headers.append(dict(self.headers))
            status, content = fake.answer(self.path, dict(parse_qsl(body)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with suppress(OSError):  # the client gives up on an answer that takes too long
                self._send(content)

        def _send(self, content: bytes) -> None:
            if fake.bytes_per_second is None:
                self.wfile.write(content)
                return
            for place in range(len(content)):
                self.wfile.write(content[place : place + 1])
                time.sleep(1 / fake.bytes_per_second)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.uri = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
