"""Readers that query through an alias while it moves: it is always there, and answers as one of the two collections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from reconciler.catalog import Catalogs
from reconciler.core.errors import ExitCode
from reconciler.core.model import DEFAULT_DATABASE, Alias, OnFailure, PrimaryKey, Row
from reconciler.core.report import Outcome
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import alias_set
from tests.readers import NOT_FOUND, SOMETHING_ELSE, Answers, Question, reading
from tests.servers import Backend, Room, opened_room

SWITCHES = 200
REVERTS = 20


def rows(offset: float) -> list[Row]:
    """Rows of which each field tells the collection; keys 3 and 4 are in one collection only."""
    return [{"id": key, "vector": [key + offset, 0.0, 0.0, 1.0]} for key in (1, 2, 3 + int(offset > 0))]


ROWS = {"c1": rows(0.0), "c2": rows(0.5)}


@pytest.fixture(scope="module")
def room(milvus: Backend) -> Iterator[Room]:
    with opened_room(milvus, DEFAULT_DATABASE) as found:
        for short, held in ROWS.items():
            name = found.create(short, held)
            found.catalog.count(name)  # a strong read: from here on every reader sees the rows
        found.create("elsewhere")
        yield found


def question(room: Room, alias: str) -> Question:
    answers: dict[str, dict[PrimaryKey, Row]] = {
        short: {int(str(row["id"])): {"vector": row["vector"]} for row in held} for short, held in ROWS.items()
    }
    return Question(room.backend.connection.uri, room.database, alias, answers)


def assert_one_of_the_two_answered(answers: Answers) -> None:
    """Around a switch some reads fail on 2.3.5 (65535, "failed to get delegator"), whoever alters the alias."""
    every = sum(answers.values(), Counter[str]())
    print(f"{every.total()} reads by answer: {every}")
    prevented = [answer for answer in every if answer.startswith((*NOT_FOUND, SOMETHING_ELSE))]
    assert not prevented


def test_an_alias_is_there_all_the_time_while_it_moves(room: Room) -> None:
    alias, targets = room.name("moving"), (room.name("c1"), room.name("c2"))
    room.catalog.create_alias(alias, targets[0])
    with reading(question(room, alias)) as answers, Catalogs(room.backend.connect) as catalogs:
        for switch in range(1, SWITCHES + 1):
            desired = alias_set({alias: targets[switch % 2]}, connection=room.backend.connection)
            assert apply_plan(make_plan([desired], catalogs=catalogs), catalogs=catalogs).exit_code is ExitCode.DONE
    assert_one_of_the_two_answered(answers)
    assert min(answers[alias][short] for short in ROWS) > SWITCHES / 2, "the readers did read, from both"


def test_nothing_else_answers_while_three_waves_fail_in_the_last_and_are_moved_back(room: Room) -> None:
    first, second, last = (room.name(f"wave_{number}") for number in range(3))
    old, new, elsewhere = (room.name(short) for short in ("c1", "c2", "elsewhere"))
    for alias in (first, second, last):
        room.catalog.create_alias(alias, old)
    entries = (Alias(alias, new, wave=number) for number, alias in enumerate((first, second, last)))
    desired = alias_set({}, *entries, connection=room.backend.connection, on_failure=OnFailure.REVERT)

    questions = (question(room, first), question(room, second))
    with reading(*questions, threads=4) as answers, Catalogs(room.backend.connect) as catalogs:
        for _ in range(REVERTS):
            plan = make_plan([desired], catalogs=catalogs)
            room.catalog.alter_alias(last, elsewhere)  # somebody is faster, and so the last wave fails
            report = apply_plan(plan, catalogs=catalogs)
            assert [result.outcome for result in report.results] == [Outcome.REVERTED, Outcome.REVERTED, Outcome.FAILED]
            room.catalog.alter_alias(last, old)
    assert_one_of_the_two_answered(answers)
    assert answers[first]["c2"], "the readers saw the new collection before it was taken back"
    assert answers[second]["c1"]
