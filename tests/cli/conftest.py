"""A Milvus Lite that runs as a server, so that commands and tests can share it; and a shop in it for each test."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.cli.shop import Relay, Shop, open_shop, relay_to
from tests.servers import MilvusAdmin


@pytest.fixture(scope="session")
def lite_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Milvus Lite server on loopback."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("milvus-lite")), "server", "--data-dir"]
    where = [str(tmp_path_factory.mktemp("server")), "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen([*command, *where], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="session")
def admin(lite_server: str) -> Iterator[MilvusAdmin]:
    admin = MilvusAdmin(lite_server)
    yield admin
    admin.close()


@pytest.fixture
def shop(lite_server: str, admin: MilvusAdmin, tmp_path: Path) -> Shop:
    """A new database on the Milvus Lite server."""
    database = f"shop_{uuid4().hex[:8]}"
    admin.create_database(database)
    return open_shop(lite_server, database, admin, tmp_path)


@pytest.fixture
def relay(lite_server: str) -> Iterator[Relay]:
    with relay_to(lite_server) as relay:
        yield relay


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _wait_for(port: int, process: subprocess.Popen[bytes], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("Milvus Lite did not start as a server")
