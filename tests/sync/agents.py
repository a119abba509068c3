"""The agent as a process of its own, followed by what it logs and what it answers over HTTP."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from threading import Condition, Thread
from typing import Any

from tests.cli.command import TOKEN, start
from tests.sync.servers import GIT_TOKEN

SECONDS = 180.0
"""How long anything may take on a busy machine; what is expected comes much earlier."""
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    status: int
    text: str
    headers: Mapping[str, str]


class Agent:
    """A running `aliasctl sync`."""

    def __init__(self, folder: Path, arguments: list[str], env: Mapping[str, str]) -> None:
        self.log: list[Record] = []
        self.noise: list[str] = []
        self._news = Condition()
        self.process = start(["sync", *arguments], folder, env, stdout=subprocess.DEVNULL)
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        self.port = 0

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            with self._news:
                try:
                    self.log.append(json.loads(line))
                except json.JSONDecodeError:
                    self.noise.append(line)
                self._news.notify_all()

    def said(self, desired: Callable[[Record], bool], since: int = 0, seconds: float = SECONDS) -> Record:
        """Wait for a log record; `since` is how many are not looked at."""
        end = time.monotonic() + seconds
        with self._news:
            while True:
                for record in self.log[since:]:
                    if desired(record):
                        return record
                left = end - time.monotonic()
                alive = self.process.poll() is None or self._reader.is_alive()
                assert min(left, alive) > 0, "\n".join(map(str, [*self.log, *self.noise]))
                self._news.wait(min(left, 0.2))

    def event(self, words: str, since: int = 0) -> Record:
        """Wait for a record whose event contains words."""
        return self.said(lambda record: words in record["event"], since)

    def found(self, reason: str, commit: str = "", since: int = 0, **more: object) -> Record:
        """Wait for what a look found."""
        desired = {"event": "reconciled", "reason": reason, **({"attempted": commit} if commit else {}), **more}
        return self.said(lambda record: desired.items() <= record.items(), since)

    def ready(self) -> Agent:
        """Wait until it listens."""
        self.port = self.event("started")["port"]
        return self

    def request(self, path: str, body: bytes | None = None, method: str | None = None, **headers: str) -> Answer:
        """Ask it over HTTP; header names have _ for -."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        client = HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            client.request(method or ("GET" if body is None else "POST"), path, body, named)
            answer = client.getresponse()
            return Answer(answer.status, answer.read().decode(), dict(answer.getheaders()))
        finally:
            client.close()

    @property
    def status(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.request("/status").text)
        return document

    def metric(self, name: str) -> float:
        """The value of a metric, labels and all; 0 if it is not there."""
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.request("/metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def eventually(self, holds: Callable[[], bool]) -> None:
        """Wait for what no log tells."""
        end = time.monotonic() + SECONDS
        while not holds():
            assert time.monotonic() < end, "\n".join(map(str, [*self.log, *self.noise]))
            time.sleep(0.02)

    def looks(self, number: int) -> None:
        """Wait for further looks to end."""
        enough = self._looks() + number
        self.eventually(lambda: self._looks() >= enough)

    def _looks(self) -> float:
        text = self.request("/metrics").text
        return sum(
            float(value) for value in re.findall(r"^aliasctl_sync_reconcile_total\{.*\} (\S+)$", text, re.MULTILINE)
        )

    def wait_for_end(self, seconds: float = SECONDS) -> int:
        """Its exit code. Raises `TimeoutError`."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError from None

    def close(self) -> None:
        """Kill it if it is still there, and read its log to the end."""
        self.process.kill()
        self.process.wait()
        self._reader.join(SECONDS)
        assert self.process.stderr
        self.process.stderr.close()

    def end(self) -> int:
        """Tell it to end, unless it has; its exit code. Standard error has only its log, without a secret."""
        if self.process.poll() is None:
            self.process.terminate()
        code = self.process.wait(SECONDS)
        self.close()
        assert not self.noise, self.noise
        told = json.dumps(self.log)
        assert "internal error" not in told, told
        assert TOKEN not in told
        assert GIT_TOKEN not in told
        return code
