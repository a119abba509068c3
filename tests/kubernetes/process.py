"""A server or an operator as a process of its own, with its output in a file."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

START_TIMEOUT = 180.0
"""Seconds; a kube-apiserver is up after 3 on a machine with nothing else to do."""
STOP_TIMEOUT = 120.0


class Process:
    """A running command. It is started at once; a second one may go on with the same log.

    Args:
        command: the program and its arguments.
        log: what it writes to both outputs, appended.
        env: its whole environment; ours if None.
    """

    def __init__(self, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        self.log = log
        self._name = Path(command[0]).name
        with log.open("a") as output:
            self._popen = subprocess.Popen(
                command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=env, cwd=log.parent
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def ended(self) -> bool:
        return self._popen.poll() is not None

    @property
    def code(self) -> int | None:
        """The exit code; None while it runs, and minus the number of the signal that killed it."""
        return self._popen.poll()

    def wait_for(self, what: str, up: Callable[[], bool], timeout: float = START_TIMEOUT) -> None:
        """Until `up`; the test fails if the process ends before that, or after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not up():
            if self.ended:
                pytest.fail(f"{self._name} ended with code {self.code} before {what}\n{self.tail()}")
            if time.monotonic() > deadline:
                pytest.fail(f"{self._name} runs, but not {what} after {timeout:g} s\n{self.tail()}")
            time.sleep(0.1)

    def wait(self, timeout: float = STOP_TIMEOUT) -> int:
        """Wait for its end; the exit code. The test fails if it takes longer than `timeout` seconds."""
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{self._name} still runs after {timeout:g} s\n{self.tail()}")

    def terminate(self) -> None:
        """Send SIGTERM, and do not wait."""
        self._popen.terminate()

    def kill(self) -> None:
        """Send SIGKILL, and wait for the end."""
        self._popen.kill()
        self._popen.wait()

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """SIGTERM; SIGKILL if it still runs after `timeout` seconds."""
        self._popen.terminate()
        try:
            self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def tail(self, lines: int = 30) -> str:
        """The end of its log."""
        written = self.log.read_text(errors="replace").splitlines()
        return "\n".join([f"--- {self.log}", *written[-lines:]])
