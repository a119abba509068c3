"""Milvus servers of these tests' own, beside whatever else runs on the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.inspect.certificates import Certificates
from tests.servers import free_port

SCRIPT = Path(__file__).parents[1] / "milvus_server.py"
START_SECONDS, STOP_SECONDS = 180.0, 60.0
HOW_TO_GET_IT = (
    "MILVUS_PYTHON names no interpreter that has Milvus 2.3.5; make one with: "
    "python -m venv /tmp/milvus && /tmp/milvus/bin/pip install milvus==2.3.5 'setuptools<81'"
)


def interpreter() -> str:
    """The interpreter at MILVUS_PYTHON, or the test is skipped; with REQUIRE_MILVUS_PYTHON=1 it fails."""
    give_up = pytest.fail if os.environ.get("REQUIRE_MILVUS_PYTHON") == "1" else pytest.skip
    found = os.environ.get("MILVUS_PYTHON", "")
    if shutil.which(found) is None:
        give_up(HOW_TO_GET_IT)
    if shutil.which("openssl") is None:
        give_up("no openssl command to make certificates with")
    return found


@contextmanager
def secured_milvus(folder: Path, certificates: Certificates, server: str, **settings: object) -> Iterator[str]:
    """A server with the certificate called `server`, for localhost; its address.

    Its etcd has ports of its own: otherwise only one Milvus could run on a machine (measured: two did).
    """
    client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    (folder / "etcd.yaml").write_text(
        f"listen-client-urls: {client}\nadvertise-client-urls: {client}\n"
        f"listen-peer-urls: {peer}\ninitial-advertise-peer-urls: {peer}\ninitial-cluster: default={peer}\n"
    )
    given = {
        "server_pem_path": certificates.pem(server),
        "server_key_path": certificates.key(server),
        "ca_pem_path": certificates.pem("ca"),
        **settings,
    }
    arguments = [str(folder / "data"), str(free_port()), *(f"{name}={value}" for name, value in given.items())]
    environment = {**os.environ, "ETCD_CONFIG_PATH": str(folder / "etcd.yaml")}
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen([interpreter(), SCRIPT, *arguments], stdout=log, stderr=log, env=environment)
    try:
        yield _ready(process, folder / "server.log").replace("http://127.0.0.1", "https://localhost")
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def _ready(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_text().splitlines():
            if line.startswith("ready "):
                return line.removeprefix("ready ")
        time.sleep(0.1)
    pytest.fail(f"Milvus does not start:\n{log.read_text()}")


def connection_spec(certificates: Certificates, **tls: str) -> dict[str, Any]:
    """The part of a MilvusConnection that is about TLS and the token in TOKEN."""
    return {"token": {"env": "TOKEN"}, "tls": {"caFile": certificates.pem("ca"), **tls}, "timeout": "30s"}
