"""The servers that the catalog's tests run on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from reconciler.catalog.memory import Flavour
from reconciler.core.model import DEFAULT_DATABASE
from tests.servers import (
    Backend,
    Room,
    ToyMilvus,
    emulated_backend,
    memory_backend,
    opened_room,
    toy_milvus,
)

EMULATED = ("2.3.5", "2.4.15", "2.5.4", "2.5.18", "2.6.4", "2.6.8", "2.6.13", "2.6.23", "3.0.1", "cloud")
SERVERS = ("memory-2.3", "memory-2.6", "memory-lite", "lite", "milvus", *EMULATED)


@pytest.fixture(scope="session")
def emulated() -> Iterator[Callable[[str], Backend]]:
    """Emulated servers by version, each started once."""
    started: dict[str, Backend] = {}
    with ExitStack() as stack:

        def start(version: str) -> Backend:
            if version not in started:
                started[version] = stack.enter_context(emulated_backend(version))
            return started[version]

        yield start


def backend_named(request: pytest.FixtureRequest, name: str) -> Backend:
    """A server of `SERVERS`: a new one in memory, or the session's real one."""
    match name:
        case "memory-2.3":
            return memory_backend(Flavour.MILVUS_2_3)
        case "memory-2.6":
            return memory_backend(Flavour.MILVUS_2_6)
        case "memory-lite":
            return memory_backend(Flavour.LITE)
        case _ if name in EMULATED:
            start: Callable[[str], Backend] = request.getfixturevalue("emulated")
            return start(name)
        case _:
            found: Backend = request.getfixturevalue(name)
            return found


@pytest.fixture(params=SERVERS)
def backend(request: pytest.FixtureRequest) -> Backend:
    return backend_named(request, request.param)


@pytest.fixture(params=["default", "other"])
def room(backend: Backend, request: pytest.FixtureRequest) -> Iterator[Room]:
    """A corner of each backend's default and second database."""
    with opened_room(backend, DEFAULT_DATABASE if request.param == "default" else backend.other_database) as found:
        yield found


@pytest.fixture
def toy() -> Iterator[ToyMilvus]:
    with toy_milvus() as server:
        yield server
