"""A real Milvus 2.3.5 that reports other versions: no string lets a guard down."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from pymilvus.grpc_gen import milvus_pb2

from reconciler.catalog import Catalogs, connect
from reconciler.core.plan import Block, Plan
from reconciler.reconcile import make_plan
from tests.builders import alias_set
from tests.faults.relay import Relay
from tests.servers import Backend, Room, connection_to, opened_room, status

PLAIN = "2.4.15"


class Renamed(Relay):
    """Passes calls on, except those that tell the version."""

    def __init__(self, uri: str, version: str) -> None:
        super().__init__(uri)
        self._version = version

    def answer(self, method: str, request: bytes, context: grpc.ServicerContext) -> Any:
        match method.rpartition("/")[2]:
            case "GetVersion":
                return milvus_pb2.GetVersionResponse(status=status(), version=self._version).SerializeToString()
            case "Connect":
                return milvus_pb2.ConnectResponse(status=status(), identifier=1).SerializeToString()
            case _:
                return super().answer(method, request, context)


@pytest.fixture(params=["default", "other"])
def room(milvus: Backend, request: pytest.FixtureRequest) -> Iterator[Room]:
    """Two aliases of which one begins like the other, and one alias that is in another database too."""
    database = "default" if request.param == "default" else milvus.other_database
    elsewhere = milvus.other_database if request.param == "default" else "default"
    with opened_room(milvus, database) as here, opened_room(milvus, elsewhere) as there:
        there.prefix = here.prefix
        (c1,) = here.collections("c1")
        (c2,) = there.collections("c2")
        for alias in ("search", "search_products"):
            here.catalog.create_alias(here.name(alias), c1)
        there.catalog.create_alias(there.name("search"), c2)
        yield here


def planned(room: Room, version: str) -> Plan:
    relay = Renamed(room.backend.connection.uri, version)
    try:
        server = connection_to(relay.uri)
        desired = alias_set(
            {room.name("search"): None, room.name("search_products"): room.name("c1")},
            connection=server,
            database=room.database,
        )
        with Catalogs(connect) as catalogs:
            return make_plan([desired], catalogs=catalogs)
    finally:
        relay.stop()


def blocks(plan: Plan) -> dict[tuple[str, str | None], Block | None]:
    """Each step by alias and collection now, and why it is blocked."""
    return {(step.alias, step.current): step.blocked for step in plan.steps}


@pytest.mark.parametrize("version", ["release/2.4.15-0.1.1", "hotfix-2.4.15-20250210-4f3e2d1"])
def test_a_decorated_version_is_its_number(version: str, room: Room) -> None:
    expected = blocks(planned(room, PLAIN))
    assert list(expected) == [(room.name("search"), room.name("c1"))]
    assert all(expected.values()), "2.4 drops by prefix"
    assert blocks(planned(room, version)) == expected


@pytest.mark.parametrize("version", ["unknown-20260608-7ea6e3526", "master-20240407-e0d3c2d9", ""])
def test_an_unknown_version_blocks_what_2_4_blocks(version: str, room: Room) -> None:
    expected, found = blocks(planned(room, PLAIN)), blocks(planned(room, version))
    assert found.keys() == expected.keys(), "in the database of the connection, not in `default`"
    assert [block and block.reason for block in found.values()] == [
        block and block.reason for block in expected.values()
    ]
    assert all(block and "serverVersion" in block.message for block in found.values())
