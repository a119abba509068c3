"""A real Milvus 2.3.5 for one suite alone, which may be killed and started again on the same data."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.faults.wire import Wire
from tests.servers import free_port

SCRIPT = Path(__file__).parents[1] / "milvus_server.py"
ETCD_PORT = 2380
READY = re.compile(r"^ready http://127\.0\.0\.1:(\d+)$", re.MULTILINE)
START_SECONDS = 180.0
STOP_SECONDS = 60.0
HOW_TO = (
    "MILVUS_PYTHON names no Python that has milvus==2.3.5; make one with: python -m venv /tmp/milvus && "
    "/tmp/milvus/bin/pip install milvus==2.3.5 'setuptools<81'"
)
TAKEN = f"another Milvus is running here: its etcd has port {ETCD_PORT}, and this suite needs a server of its own"


class OwnMilvus:
    """A server with its files in a folder, always at the address `uri`.

    It takes another port where its own was in use a moment ago, so there is a wire in front of it.

    Args:
        python: the interpreter of a virtual environment that has milvus==2.3.5.
        folder: for its data and logs.
        settings: of its configuration, such as `authorization_enabled=true`.
    """

    def __init__(self, python: Path, folder: Path, *settings: str) -> None:
        self._wire = Wire(free_port())
        self.uri = self._wire.uri
        self._log = folder / "server.log"
        self._command = [str(python), str(SCRIPT), str(folder / "data"), str(self._wire.to), *settings]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self._log.open("w") as log:
            # In a session of its own: the server proper is a child, and is killed with its group.
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if ready := READY.search(self._log.read_text()):
                self._wire.to = int(ready[1])
                return
            time.sleep(0.1)
        pytest.fail(f"Milvus did not start:\n{self._log.read_text()}")

    def kill(self) -> None:
        """End it at once, as when its machine loses power, but for what the disk had not got yet."""
        assert self._process
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(STOP_SECONDS)
        _until_free(ETCD_PORT)

    def stop(self) -> None:
        """End it in peace."""
        assert self._process
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        finally:
            self.kill()
            self._wire.cut(refuse=True)


@contextmanager
def own_milvus(folder: Path, *settings: str) -> Iterator[OwnMilvus]:
    """A server that runs; without MILVUS_PYTHON the test is skipped, and with REQUIRE_MILVUS_PYTHON=1 it fails."""
    give_up = pytest.fail if os.environ.get("REQUIRE_MILVUS_PYTHON") == "1" else pytest.skip
    python = os.environ.get("MILVUS_PYTHON")
    if not python:
        give_up(HOW_TO)
    if _taken(ETCD_PORT):
        give_up(TAKEN)
    server = OwnMilvus(Path(python), folder, *settings)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _taken(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def _until_free(port: int) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while _taken(port):
        assert time.monotonic() < deadline, f"port {port} is still in use"
        time.sleep(0.05)
