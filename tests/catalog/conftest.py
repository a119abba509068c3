"""The servers that the catalog's tests run on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconciler.catalog.memory import Flavour
from reconciler.core.model import DEFAULT_DATABASE
from tests.servers import (
    EMULATED,
    Backend,
    Room,
    ToyMilvus,
    memory_backend,
    opened_room,
    toy_milvus,
)

SERVERS = ("memory-2.3", "memory-2.6", "memory-lite", "lite", "milvus", *EMULATED)


def backend_named(request: pytest.FixtureRequest, name: str) -> Backend:
    """A server of `SERVERS`: a new one in memory, or the session's."""
    match name:
        case "memory-2.3":
            return memory_backend(Flavour.MILVUS_2_3)
        case "memory-2.6":
            return memory_backend(Flavour.MILVUS_2_6)
        case "memory-lite":
            return memory_backend(Flavour.LITE)
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
