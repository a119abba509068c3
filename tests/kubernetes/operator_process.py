"""The operator as a process outside the cluster, as the shipped service account and with no more rights than that."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.cli.command import clean_environment
from tests.kubernetes.cluster import wait_until
from tests.kubernetes.process import STOP_TIMEOUT, Process
from tests.servers import free_port

PROBE_TIMEOUT = 30.0
Labels = Mapping[str, str]


@dataclass(frozen=True)
class Sample:
    """One line of a scrape."""

    name: str
    labels: Labels
    value: float


class Operator:
    """One `aliasctl operator` process at a time; `start` again goes on with the same log.

    Args:
        kubeconfig: whose token it has.
        folder: for its log, and the folder that it runs in.
        arguments: of the command, beside the kubeconfig, the address to listen on, and the log's format.
        name: tells several operators of a test apart.
    """

    def __init__(self, kubeconfig: Path, folder: Path, *arguments: str, name: str = "operator") -> None:
        self.name = name
        self._address = f"127.0.0.1:{free_port()}"
        options = ["--kubeconfig", str(kubeconfig), "--listen", self._address, "--log-format", "json"]
        self._command = [sys.executable, "-m", "reconciler", "operator", *arguments, *options]
        self._log = folder / f"{name}.log"
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        assert self._process, f"{self.name} was never started"
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and not self._process.ended

    def start(self, *, wait: str = "readyz") -> None:
        """Start it, and wait until this path answers 200: `healthz` for one that will only stand by; "" for nothing."""
        assert not self.running, f"{self.name} runs already"
        self._process = Process(self._command, self._log, clean_environment({"PYTHONUNBUFFERED": "1"}))
        if wait:
            self._process.wait_for(f"/{wait} is 200", lambda: self.get(wait)[0] == 200)

    def kill(self) -> None:
        """`kill -9`."""
        self.process.kill()

    def terminate(self, timeout: float = STOP_TIMEOUT) -> int:
        """SIGTERM, as a rollout sends it; the exit code."""
        self.process.terminate()
        return self.process.wait(timeout)

    def restart(self) -> None:
        self.terminate()
        self.start()

    def stop(self) -> None:
        """End it if it runs, however it takes that."""
        if self.running:
            self.process.stop()

    def get(self, path: str) -> tuple[int, str]:
        """What one of its HTTP paths answers: status, or 0 if nobody listens, and body."""
        try:
            with urllib.request.urlopen(f"http://{self._address}/{path}", timeout=PROBE_TIMEOUT) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def samples(self) -> list[Sample]:
        """All of /metrics."""
        code, text = self.get("metrics")
        assert code == 200, f"/metrics answers {code}\n{self.tail()}"
        families = text_string_to_metric_families(text)
        return [Sample(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]

    def metric(self, name: str, **labels: str) -> float:
        """The sum over all series of a metric that have these labels; 0 if there are none."""
        return sum(
            sample.value
            for sample in self.samples()
            if sample.name == name and labels.items() <= dict(sample.labels).items()
        )

    def memory(self) -> int:
        """Its resident memory now, in bytes."""
        return self._status_bytes("VmRSS")

    def peak_memory(self) -> int:
        """The most resident memory that it has had, in bytes."""
        return self._status_bytes("VmHWM")

    def log_lines(self) -> list[dict[str, Any]]:
        """Its log since the first start, each line as the JSON that it must be."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def wait_for_event(self, event: str, after: int = 0) -> dict[str, Any]:
        """Until the log has a line of this event beyond the first `after` lines; that line."""

        def probe() -> dict[str, Any] | None:
            return next((line for line in self.log_lines()[after:] if line.get("event") == event), None)

        return wait_until(f"logged: {event}", probe, explain=self.tail)

    def wait(self, timeout: float = STOP_TIMEOUT) -> int:
        """Wait until it ends by itself, for having lost its lease; the exit code."""
        return self.process.wait(timeout)

    def tail(self) -> str:
        """For failure messages: is it running, and what did it log last."""
        if self._process is None:
            return f"{self.name} was never started"
        state = "runs" if self.running else f"ended with code {self._process.code}"
        return f"{self.name} {state}\n{self._process.tail()}"

    def _status_bytes(self, field: str) -> int:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))
