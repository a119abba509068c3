"""The gate `loaded` on a real Milvus: a collection of which only some partitions are loaded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconciler.catalog import Catalogs
from reconciler.core.gates import Gates
from reconciler.core.model import Alias, LoadState
from reconciler.core.plan import GateResult, Verdict
from reconciler.gates.loaded import LoadedGate
from reconciler.inspect.alias_status import State, status
from reconciler.inspect.load_states import read_load_states
from reconciler.reconcile import make_plan
from tests.builders import alias_set
from tests.servers import Backend, Room, opened_room


@pytest.fixture
def room(milvus: Backend) -> Iterator[Room]:
    """Two loaded collections, in a second database, with three partitions each; the alias `a` is at the first."""
    with opened_room(milvus, milvus.other_database) as room:
        for name in ("c1", "c2"):
            collection = room.create(name, loaded=True)
            for partition in ("p1", "p2"):
                milvus.admin.create_partition(collection, partition, room.database)
        room.catalog.create_alias(room.name("a"), room.name("c1"))
        yield room


def judged(room: Room, gates: Gates) -> GateResult:
    entry = Alias(room.name("a"), room.name("c2"), gates=gates)
    desired = alias_set({}, entry, connection=room.backend.connection, database=room.database)
    with Catalogs(room.backend.connect) as catalogs:
        [result] = make_plan([desired], catalogs=catalogs).steps[0].gate_results
    return result


@pytest.mark.parametrize("gates", [Gates(), Gates(LoadedGate())])
def test_the_partitions_that_are_not_loaded_are_named(room: Room, gates: Gates) -> None:
    assert judged(room, gates).verdict is Verdict.PASS
    for partition in ("_default", "p2"):
        room.backend.admin.release_partition(room.name("c2"), partition, room.database)
    assert room.catalog.load_state(room.name("c2")) is LoadState.LOADED, "so says the server"
    result = judged(room, gates)
    assert (result.verdict, result.figures["missingPartitions"]) == (Verdict.FAIL, 2)
    assert "is loaded without 2 partitions: _default, p2; load the whole collection first" in result.detail

    for partition in ("_default", "p2"):
        room.backend.admin.release_partition(room.name("c1"), partition, room.database)
    assert judged(room, gates).verdict is Verdict.PASS, "readers lose nothing that they have now"


def test_status_names_the_partitions_that_are_not_loaded(room: Room) -> None:
    room.backend.admin.release_partition(room.name("c1"), "p2", room.database)
    entry = Alias(room.name("a"), room.name("c1"))
    desired = alias_set({}, entry, connection=room.backend.connection, database=room.database)
    with Catalogs(room.backend.connect) as catalogs:
        plan = make_plan([desired], catalogs=catalogs)
        [row] = status([desired], plan, read_load_states([desired], plan, catalogs))
    assert row.state is State.NOT_LOADED
    assert "is loaded without 1 partition: p2; reads through the alias leave" in (row.note or "")
