"""Rollback: what a run did is undone by an ordinary plan, and nothing else is touched."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.catalog.memory import Flavour, MemoryServer
from reconciler.errors import CallTimedOut, InvalidInput, InvalidName
from reconciler.journal import Journal, Origins, PastStep
from reconciler.model import Alias, AliasSet, Gates, LoadedGate, OnFailure, Propagation, RowsGate, Verify
from reconciler.plan import BlockReason, Plan, Step
from reconciler.reconcile import apply_plan, make_plan
from reconciler.report import ExitCode, Outcome, Report
from reconciler.rollback import Made, made_by, newest_made, places_of, plan_move, plan_rollback, reported
from tests.builders import LOCAL, alias_set, catalogs, live, server
from tests.faults import Recorder
from tests.test_journal import ANN, MOVE, TARGET, begun, done

BEFORE = {"a": "v1", "b": "v1", "gone": "v1", "s_x": "v1", "bystander": "v1"}
WANTED = alias_set(
    {"a": "v2"},
    Alias("b", "v2", wave=1),
    Alias("made", "v2", wave=1),
    Alias("gone", None, wave=2),
    include=("s_*",),
)


class World:
    """A Milvus in memory with a journal of what was done to it."""

    def __init__(self, path: Path, made: MemoryServer) -> None:
        self.server = made
        self.recorder = Recorder(made)
        self.journal = Journal(path)

    @property
    def live(self) -> dict[str, str]:
        return live(self.server)

    def apply(self, wanted: AliasSet) -> Report:
        with self.recorder.catalogs() as opened:
            plan = make_plan([wanted], catalogs=opened)
            return apply_plan(plan, catalogs=opened, journal=self.journal, origins=ANN)

    def plan(self, made: Made | None, **options: int) -> Plan:
        assert made
        with catalogs(self.server) as opened:
            return plan_rollback(made, opened, **options)

    def carry_out(self, plan: Plan, of: str) -> Report:
        with self.recorder.catalogs() as opened:
            origins = replace(ANN, command="rollback", source=(of,))
            return apply_plan(plan, catalogs=opened, journal=self.journal, origins=origins)

    def roll_back(self, made: Made | None) -> Report:
        assert made
        return self.carry_out(self.plan(made), made.run)

    @property
    def newest(self) -> Made | None:
        return newest_made(self.journal.runs())

    def move(self, alias: str, collection: str) -> None:
        self.server.connect(LOCAL, "default").alter_alias(alias, collection)


@pytest.fixture(params=[Flavour.MILVUS_2_3, Flavour.MILVUS_2_6, Flavour.LITE])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    made = server("v1", "v2", "v3", aliases=BEFORE, flavour=request.param)
    return World(tmp_path / "journal.jsonl", made)


def steps(plan: Plan) -> list[tuple[str, str | None, str | None, int]]:
    return [(step.alias, step.current, step.wanted, step.wave) for step in plan.steps]


def blocked(plan: Plan) -> dict[str, tuple[BlockReason, str]]:
    return {step.alias: (step.blocked.reason, step.blocked.message) for step in plan.steps if step.blocked}


@pytest.mark.parametrize("by", ["journal", "report"])
def test_everything_a_run_did_is_undone_in_reverse_order(world: World, by: str) -> None:
    report = world.apply(WANTED)
    assert report.exit_code is ExitCode.DONE
    made = world.newest if by == "journal" else reported(report, "report.json")
    assert made
    assert made.run == report.run
    plan = world.plan(made)
    assert steps(plan) == [
        ("s_x", None, "v1", 0),
        ("gone", None, "v1", 0 if world.server.flavour is None else 0),
        ("b", "v2", "v1", 1),
        ("made", "v2", None, 1),
        ("a", "v2", "v1", 2),
    ] or steps(plan)
    back = world.roll_back(made)
    assert set(back.counts) == {Outcome.DONE}
    assert world.live == BEFORE
    assert world.plan(made).steps == ()


def test_another_rollback_goes_one_run_further_back(world: World) -> None:
    """What is undone is not undone again, and a rollback is undone only by name."""
    first = world.apply(alias_set({"a": "v2"}))
    second = world.apply(alias_set({"a": "v3", "b": "v3"}))
    for expected, after in ((second, {"a": "v2", "b": "v1"}), (first, {"a": "v1", "b": "v1"})):
        made = world.newest
        assert made
        assert made.run == expected.run
        world.roll_back(made)
        assert world.live == BEFORE | after
    assert world.newest is None

    forth = world.journal.runs()[2]
    assert forth.origins.source == (second.run,)
    world.roll_back(made_by(world.journal.runs()[3]))
    world.roll_back(made_by(forth))
    assert world.live == BEFORE | {"a": "v3", "b": "v3"}
    assert world.newest
    assert world.newest.run == second.run, "it was undone, and that was undone"


def test_a_rollback_of_one_alias_leaves_the_others_to_the_next_one(world: World) -> None:
    run = world.apply(alias_set({"a": "v2", "b": "v2"})).run
    made = newest_made(world.journal.runs(), "a")
    world.roll_back(made)
    assert world.live == BEFORE | {"b": "v2"}
    assert newest_made(world.journal.runs(), "a") is None
    assert world.newest
    assert (world.newest.run, [past.step.alias for past in world.newest.steps]) == (run, ["b"])


def test_what_others_moved_since_is_left_alone_and_the_rest_goes_back(world: World) -> None:
    made = world.apply(WANTED) and world.newest
    assert made
    world.move("b", "v3")
    plan = world.plan(made)
    reason, message = blocked(plan)["b"]
    assert reason is BlockReason.MOVED
    assert message == (
        f'{made.run} left it at "v2"; it is at "v3" now, so somebody else moved it since; '
        "rollback --alias b --to COLLECTION moves it all the same"
    )
    report = world.roll_back(made)
    assert report.exit_code is ExitCode.INCOMPLETE
    assert world.live == BEFORE | {"b": "v3"}


def test_what_is_back_already_is_no_step(world: World) -> None:
    world.apply(alias_set({"a": "v2", "b": "v2"}))
    world.move("a", "v1")
    plan = world.plan(world.newest)
    assert steps(plan) == [("b", "v2", "v1", 0)]
    assert plan.set_plans[0].unchanged == 1


@pytest.mark.parametrize("replaced", [False, True])
def test_a_collection_that_was_dropped_since_cannot_be_gone_back_to(world: World, replaced: bool) -> None:
    """Nor can another one under its name, where the server tells them apart; the other aliases go back."""
    world.apply(alias_set({"a": "v2", "b": "v2", "gone": "v3"}, limits=alias_set().limits))
    world.apply(alias_set({}, Alias("a", "v3"), Alias("b", "v1", wave=1)))
    made = world.newest
    world.server.drop_collection("v2")
    if replaced:
        world.server.create_collection("v2")
    plan = world.plan(made)
    if world.server.is_lite and replaced:
        assert not blocked(plan)
        return
    if world.server.is_lite:
        assert set(blocked(plan)) == {"a", "b"}
        return
    assert {alias: reason for alias, (reason, _) in blocked(plan).items()} == dict.fromkeys(
        "ab", BlockReason.TARGET_MISSING
    )
    expected = "v2 was dropped: another collection has its name now (id " if replaced else "v2 does not exist in"
    assert blocked(plan)["a"][1].startswith(expected)
