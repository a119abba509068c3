"""Readers that query through an alias while it moves: they never meet an alias that is not there."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from pymilvus import MilvusClient, MilvusException

from reconciler.catalog import Catalogs
from reconciler.model import DEFAULT_DATABASE
from reconciler.reconcile import apply_plan, make_plan
from reconciler.report import ExitCode
from tests.builders import alias_set
from tests.servers import Backend, Room, opened_room

SWITCHES = 200
READERS = 3
NOT_FOUND = (100, 1600)
"""What Milvus answers when an alias or a collection does not exist."""


@pytest.fixture
def room(milvus: Backend) -> Iterator[Room]:
    with opened_room(milvus, DEFAULT_DATABASE) as found:
        for name in found.collections("c1", "c2"):
            milvus.admin.load(name)
        yield found


def test_an_alias_is_there_all_the_time_while_it_moves(room: Room) -> None:
    alias, targets = room.name("search"), (room.name("c1"), room.name("c2"))
    room.catalog.create_alias(alias, targets[0])
    stop, answers = threading.Event(), Counter[int]()

    def read() -> None:
        client = MilvusClient(room.backend.connection.uri, dedicated=True)
        while not stop.is_set():
            try:
                client.query(alias, filter="", output_fields=["count(*)"], timeout=10, retry_times=0)
                answers[0] += 1
            except MilvusException as error:
                answers[error.code] += 1
        client.close()

    readers = [threading.Thread(target=read) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    try:
        with Catalogs(room.backend.connect) as catalogs:
            for switch in range(1, SWITCHES + 1):
                wanted = alias_set({alias: targets[switch % 2]}, connection=room.backend.connection)
                assert apply_plan(make_plan([wanted], catalogs=catalogs), catalogs=catalogs).exit_code is ExitCode.DONE
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    print(f"{SWITCHES} switches, {sum(answers.values())} reads, by answer code: {dict(answers)}")
    assert answers[0] > SWITCHES, "the readers did read"
    assert not any(answers[code] for code in NOT_FOUND)
