"""The guards that the report names are described where it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reconciler.catalog.server_behaviour import TABLE
from reconciler.exercise.guards import Guard
from reconciler.exercise.run import EXERCISES

ROOT = Path(__file__).parents[2]


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("guard", Guard)
def test_a_guard_is_described(guard: Guard) -> None:
    path, _, section = guard.page.partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / path).read_text(), re.MULTILINE)
    assert section in {anchor(heading) for heading in headings}


def test_every_guard_relies_on_an_exercise() -> None:
    assert {exercise.guard for exercise in EXERCISES} == set(Guard)


def test_names_are_unique_and_rows_are_those_of_the_table() -> None:
    names = [exercise.name for exercise in EXERCISES]
    assert len(names) == len(set(names))
    assert {exercise.row for exercise in EXERCISES if exercise.row} <= {row.name for row in TABLE}
