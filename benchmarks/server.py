"""A Milvus 2.3.5 with an empty data folder, and the catalog that all live scenarios share."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from pymilvus import DataType, MilvusClient

from benchmarks.shapes import Pointing
from tests.servers import free_port

SCRIPT = Path(__file__).parents[1] / "tests" / "milvus_server.py"
START_TIMEOUT = 120.0
STOP_TIMEOUT = 60.0
CALL_TIMEOUT = 60.0
FILLERS = 16
"""Calls in flight while the server is filled."""


@contextmanager
def milvus_server(venv: Path, folder: Path) -> Iterator[str]:
    """Start it with its files in `folder`; its address.

    Raises:
        click.ClickException: it does not start.
    """
    folder.mkdir(parents=True)
    log = folder / "server.log"
    command = [str(venv / "bin" / "python"), str(SCRIPT), str(folder / "data"), str(free_port())]
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)  # noqa: S603 - a command written here
    try:
        yield _address(process, log)
    finally:
        process.terminate()
        process.wait(STOP_TIMEOUT)


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_text().splitlines():
            if line.startswith("ready "):
                return line.removeprefix("ready ")
        time.sleep(0.2)
    raise click.ClickException(f"Milvus does not start; is another one running on this machine?\n{log.read_text()}")


def fill(uri: str, collections: Iterable[str], pointing: Pointing) -> None:
    """Create empty collections of one shard, and aliases on them, in the database `default`."""
    schema = MilvusClient.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=4)
    with _client(uri) as client:
        _each(lambda name: client.create_collection(name, schema=schema, num_shards=1), collections)
        _each(lambda alias: client.create_alias(pointing[alias], alias), pointing)


def point(uri: str, pointing: Pointing) -> None:
    """Alter aliases, wherever they are."""
    with _client(uri) as client:
        _each(lambda alias: client.alter_alias(pointing[alias], alias), pointing)


@contextmanager
def _client(uri: str) -> Iterator[Any]:
    client = MilvusClient(uri, timeout=CALL_TIMEOUT, dedicated=True)
    try:
        yield client
    finally:
        client.close()


def _each(work: Callable[[str], object], names: Iterable[str]) -> None:
    with ThreadPoolExecutor(FILLERS) as pool:
        for _ in pool.map(work, names):
            pass
