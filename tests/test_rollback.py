"""Rollback: what a run did is undone by an ordinary plan, and nothing else is touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from reconciler.catalog.memory import Flavour, MemoryServer
from reconciler.core.errors import CallTimedOut, ExitCode, InvalidInput, InvalidName
from reconciler.core.gates import Gates
from reconciler.core.model import Alias, AliasSet, OnFailure, Propagation, Verify
from reconciler.core.plan import BlockReason, Plan, Step
from reconciler.core.report import Outcome, Report
from reconciler.gates.contract import ContractGate
from reconciler.gates.indexed import IndexedGate
from reconciler.gates.loaded import LoadedGate
from reconciler.journal import Act, Journal, Origins, PastStep
from reconciler.reconcile import apply_plan, make_plan
from reconciler.rollback import Changes, changes_in, changes_of, locations_of, newest_changes, plan_move, plan_rollback
from tests.builders import LOCAL, alias_set, catalogs, live, server
from tests.faults.memory import Recorder
from tests.test_journal import ANN, MOVE, TARGET, begun, done

BEFORE = {"a": "v1", "b": "v1", "gone": "v1", "s_x": "v1", "bystander": "v1"}
EXPECTED = alias_set(
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

    def apply(self, desired: AliasSet) -> Report:
        with self.recorder.catalogs() as opened:
            plan = make_plan([desired], catalogs=opened)
            return apply_plan(plan, catalogs=opened, journal=self.journal, origins=ANN)

    def plan(self, made: Changes | None, **options: int) -> Plan:
        assert made
        with catalogs(self.server) as opened:
            return plan_rollback(made, opened, **options)

    def carry_out(self, plan: Plan, of: str) -> Report:
        with self.recorder.catalogs() as opened:
            origins = replace(ANN, command="rollback", source=(of,))
            return apply_plan(plan, catalogs=opened, journal=self.journal, origins=origins)

    def roll_back(self, made: Changes | None) -> Report:
        assert made
        return self.carry_out(self.plan(made), made.run)

    @property
    def newest(self) -> Changes | None:
        return newest_changes(self.journal.newest())

    def move(self, alias: str, collection: str) -> None:
        self.server.connect(LOCAL, "default").alter_alias(alias, collection)


@pytest.fixture(params=[Flavour.MILVUS_2_3, Flavour.MILVUS_2_6, Flavour.LITE])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    made = server("v1", "v2", "v3", aliases=BEFORE, flavour=request.param)
    return World(tmp_path / "journal.db", made)


def steps(plan: Plan) -> list[tuple[str, str | None, str | None, int]]:
    return [(step.alias, step.current, step.desired, step.wave) for step in plan.steps]


def blocked(plan: Plan) -> dict[str, tuple[BlockReason, str]]:
    return {step.alias: (step.blocked.reason, step.blocked.message) for step in plan.steps if step.blocked}


@pytest.mark.parametrize("by", ["journal", "report"])
def test_everything_a_run_did_is_undone_in_reverse_order(world: World, by: str) -> None:
    report = world.apply(EXPECTED)
    assert report.exit_code is ExitCode.DONE
    made = world.newest if by == "journal" else changes_in(report, "report.json")
    assert made
    assert made.run == report.run
    plan = world.plan(made)
    assert steps(plan) == [
        ("s_x", None, "v1", 0),
        ("gone", None, "v1", 1),
        ("b", "v2", "v1", 2),
        ("made", "v2", None, 2),
        ("a", "v2", "v1", 3),
    ]
    assert not any(step.prune for step in plan.steps)
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
    world.roll_back(changes_of(world.journal.runs()[3]))
    world.roll_back(changes_of(forth))
    assert world.live == BEFORE | {"a": "v3", "b": "v3"}
    assert world.newest
    assert world.newest.run == second.run, "it was undone, and that was undone"


def test_a_rollback_of_one_alias_leaves_the_others_to_the_next_one(world: World) -> None:
    run = world.apply(alias_set({"a": "v2", "b": "v2"})).run
    made = newest_changes(world.journal.newest(), "a")
    world.roll_back(made)
    assert world.live == BEFORE | {"b": "v2"}
    assert newest_changes(world.journal.newest(), "a") is None
    assert world.newest
    assert (world.newest.run, [past.step.alias for past in world.newest.steps]) == (run, ["b"])


def test_what_others_moved_since_is_left_alone_and_the_rest_goes_back(world: World) -> None:
    made = world.apply(EXPECTED) and world.newest
    assert made
    world.move("b", "v3")
    plan = world.plan(made)
    reason, message = blocked(plan)["b"]
    assert reason is BlockReason.MOVED
    assert message == (
        f'{made.run} left it at "v2"; it is at "v3" now, so someone else moved it since; '
        "rollback --alias b --to COLLECTION moves it anyway"
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
    """Nor can another one under its name, where the server tells them apart; earlier waves go back all the same."""
    world.server.create_collection("old")
    world.move("a", "old")
    world.apply(alias_set({"b": "v2"}, Alias("a", "v2", wave=1)))
    world.server.drop_collection("old")
    if replaced:
        world.server.create_collection("old")
    plan = world.plan(world.newest)
    if replaced and world.server.is_lite:
        assert not blocked(plan)
        return
    reason, message = blocked(plan)["a"]
    assert reason is BlockReason.COLLECTION_MISSING
    if replaced:
        assert message.startswith("old was dropped: another collection has its name now (id ")
    else:
        assert message == 'old does not exist in database "default" any more'
    assert world.roll_back(world.newest).exit_code is ExitCode.INCOMPLETE
    assert world.live == BEFORE | {"a": "v2"}


@pytest.mark.parametrize("gates", [Gates(), Gates(LoadedGate(enabled=False))], ids=["gated", "no gate is on"])
def test_a_collection_that_is_replaced_while_the_plan_is_looked_at_is_not_gone_back_to(
    tmp_path: Path, gates: Gates
) -> None:
    world = World(tmp_path / "journal.db", server("old", "new", aliases={"a": "old"}))
    world.apply(alias_set({}, Alias("a", "new", gates=gates)))
    made = world.newest
    assert made
    plan = world.plan(made)
    world.server.drop_collection("old")
    world.server.create_collection("old")
    report = world.carry_out(plan, made.run)
    assert (report.counts, world.live) == ({Outcome.BLOCKED: 1}, {"a": "new"})
    assert "old was recreated since the plan" in (report.results[0].message or "")


def test_an_alias_whose_collection_was_replaced_is_not_what_the_run_left(world: World) -> None:
    if world.server.flavour is not Flavour.MILVUS_2_3:
        pytest.skip("only here a collection with aliases can be dropped, and has an id to be told by")
    world.apply(alias_set({"a": "v2"}))
    world.server.drop_collection("v2")
    assert blocked(world.plan(world.newest))["a"][0] is BlockReason.MOVED, "it dangles now"
    world.server.create_collection("v2")
    world.move("a", "v2")
    reason, message = blocked(world.plan(world.newest))["a"]
    assert reason is BlockReason.MOVED
    assert '"v2" is another collection now (id ' in message


def test_a_collection_that_was_renamed_since_is_still_the_same(world: World) -> None:
    if world.server.is_lite:
        pytest.skip("without ids nobody can tell")
    world.apply(alias_set({"a": "v2"}))
    world.server.rename_collection("v2", "v2_bad")
    assert steps(world.plan(world.newest)) == [("a", "v2_bad", "v1", 0)]
    world.roll_back(world.newest)
    assert world.live == BEFORE


def test_names_that_were_taken_since_are_in_the_way(world: World) -> None:
    world.apply(alias_set({"gone": None, "a": "v2"}))
    world.apply(alias_set({"bystander": "v2", "b": "v2", "s_x": "v2"}))
    world.server.create_collection("gone")
    world.server.drop_collection("v1")
    world.server.connect(LOCAL, "default").create_alias("v1", "v2")
    reasons = {alias: reason for alias, (reason, _) in blocked(world.plan(changes_of(world.journal.runs()[0]))).items()}
    assert reasons == {"a": BlockReason.COLLECTION_IS_ALIAS, "gone": BlockReason.COLLECTION_IS_ALIAS}
    world.server.connect(LOCAL, "default").drop_alias("v1")
    world.server.create_collection("v1")
    reasons = {alias: reason for alias, (reason, _) in blocked(world.plan(changes_of(world.journal.runs()[0]))).items()}
    assert reasons["gone"] is (BlockReason.NAME_TAKEN if world.server.is_lite else BlockReason.COLLECTION_MISSING)


GATES = Gates(LoadedGate(), ContractGate({"model": "other"}))


def test_the_way_back_must_be_loaded_and_other_gates_are_only_shown(world: World) -> None:
    """Also where the run itself skipped the gate, or the manifest turned it off."""
    world.apply(alias_set({}, Alias("a", "v2", gates=Gates(LoadedGate(enabled=False)))))
    made = world.newest
    assert made
    made = replace(made, steps=tuple(_with_gates(past) for past in made.steps))
    world.server.release("v1")
    assert blocked(world.plan(made))["a"][0] is BlockReason.GATE_FAILED
    report = world.roll_back(made)
    assert (report.exit_code, world.live["a"]) == (ExitCode.REFUSED, "v2")

    world.server.load("v1")
    report = world.roll_back(made)
    (result,) = report.results
    assert (report.exit_code, world.live["a"]) == (ExitCode.DONE, "v1")
    assert {result.gate: str(result.verdict) for result in result.step.gate_results} == {
        "loaded": "pass",
        "contract": "fail",
    }


def test_what_can_be_loaded_first_holds_up_the_waves_after_it(world: World) -> None:
    world.server.create_collection("old", replicas=0)
    world.move("a", "old")
    world.apply(alias_set({"b": "v2"}, Alias("a", "v2", wave=1)))
    reasons = {alias: reason for alias, (reason, _) in blocked(world.plan(world.newest)).items()}
    assert reasons == {"a": BlockReason.GATE_FAILED, "b": BlockReason.EARLIER_WAVE}
    world.server.load("old")
    world.roll_back(world.newest)
    assert world.live == BEFORE | {"a": "old"}


def _with_gates(past: PastStep) -> PastStep:
    return replace(past, step=replace(past.step, gates=GATES, skipped_gates=("loaded", "contract")))


def test_readers_are_proved_on_the_way_back_but_nothing_soaks(world: World) -> None:
    world.apply(alias_set({"a": "v2"}, verify=Verify(propagation=Propagation(5.0), soak=0.1)))
    plan = world.plan(world.newest)
    assert plan.set_plans[0].verify == Verify(propagation=Propagation(5.0))
    assert plan.set_plans[0].on_failure is OnFailure.STOP


def test_drops_are_as_limited_as_anywhere(world: World) -> None:
    world.apply(alias_set({"n1": "v1", "n2": "v1", "n3": "v1"}))
    refused = world.plan(world.newest, max_drops=2)
    (refusal,) = refused.refusals
    assert refusal.startswith('the rollback would drop 3 aliases of set "shop", over the limit of 2; ')
    assert refusal.endswith("run with --max-drops 3")
    assert world.carry_out(refused, "r").exit_code is ExitCode.REFUSED
    assert world.plan(world.newest, max_drops=3).refusals == ()


def test_a_drop_that_would_lose_others_is_blocked(world: World) -> None:
    world.apply(alias_set({"by": "v1"}))
    expected = {"by": BlockReason.LOSES_OTHERS} if world.server.flavour is Flavour.MILVUS_2_3 else {}
    assert {alias: reason for alias, (reason, _) in blocked(world.plan(world.newest)).items()} == expected


def test_a_call_whose_fate_is_not_known_is_undone_if_the_alias_is_there(world: World) -> None:
    """Outcomes `unknown` and, where a call was sent, `failed`: only the catalog knows."""

    def lost(method: str, alias: str) -> None:
        if method == "resolve" and alias in sent:
            raise CallTimedOut("late")

    def late(method: str, alias: str) -> None:
        sent.append(alias)
        raise CallTimedOut("late")

    sent: list[str] = []
    world.recorder.after, world.recorder.before = late, lost
    report = world.apply(alias_set({"a": "v2"}))
    assert (report.results[0].outcome, world.live["a"]) == (Outcome.UNKNOWN, "v2")
    world.recorder.after = world.recorder.before = lambda method, alias: None
    made = world.newest
    world.roll_back(made)
    assert world.live == BEFORE
    assert world.plan(made).steps == ()
    world.move("a", "v3")
    assert world.plan(made).steps == (), "perhaps the run never moved it, and somebody else has"


def test_a_run_that_was_cut_off_is_undone_as_far_as_it_came(world: World) -> None:
    """Killed between the call for `a` and its note; `b` was never begun."""
    a, b = (Step("shop", alias, "v1", "v2") for alias in "ab")
    run = begun(world.journal.path, a, b)
    run.intend(TARGET, a, Act.MOVE)
    world.move("a", "v2")
    world.roll_back(world.newest)
    assert world.live == BEFORE


def test_what_a_run_moved_back_or_never_did_is_not_undone(world: World) -> None:
    run = begun(world.journal.path, MOVE)
    for alias, outcome in (("a", Outcome.REVERTED), ("b", Outcome.NOOP), ("gone", Outcome.BLOCKED)):
        run.note(TARGET, done(replace(MOVE, alias=alias), outcome))
    run.note(TARGET, replace(done(replace(MOVE, alias="s_x"), Outcome.FAILED), wrote=False))
    assert world.newest is None
    (recorded,) = world.journal.runs()
    assert changes_of(recorded).steps == ()


def test_a_run_that_is_still_at_work_is_not_undone(world: World) -> None:
    begun(world.journal.path, MOVE, origins=Origins.of_this_process()).note(TARGET, done(MOVE))
    with pytest.raises(InvalidInput, match=rf"is still running \(process {os.getpid()} on .*\); wait until it ends"):
        changes_of(world.journal.runs()[0])
    for alias in (None, "a"):
        with pytest.raises(InvalidInput, match="is still running"):
            newest_changes(world.journal.newest(), alias)
    assert newest_changes(world.journal.newest(), "b") is None


@pytest.mark.parametrize(
    ("alias", "collection", "after"),
    [
        ("a", "v3", {"a": "v3"}),
        ("fresh", "v3", {"fresh": "v3"}),
        ("a", "v1", {}),
    ],
)
def test_one_alias_goes_to_any_collection(world: World, alias: str, collection: str, after: dict[str, str]) -> None:
    world.apply(alias_set({"gone": "v2"}))
    runs = world.journal.runs()
    (where,) = runs[0].targets
    known = locations_of(runs, alias, lambda _: True)
    assert not known
    with catalogs(world.server) as opened:
        plan = plan_move(alias, collection, where, None, opened)
    report = world.carry_out(plan, "anything")
    assert report.exit_code is ExitCode.DONE
    assert world.live == BEFORE | {"gone": "v2"} | after


def test_where_one_alias_goes_must_exist_and_its_set_is_remembered(world: World) -> None:
    gates = Gates(IndexedGate())
    world.apply(alias_set({}, Alias("a", "v2", gates=gates)))
    ((where, last),) = locations_of(world.journal.newest(), "a", lambda _: True).values()
    with catalogs(world.server) as opened:
        plan = plan_move("a", "v9", where, last, opened)
        assert blocked(plan)["a"][0] is BlockReason.COLLECTION_MISSING
        (step,) = plan_move("a", "v3", where, last, opened).steps
        assert (step.set, step.current, step.gates, step.reverting) == ("shop", "v2", gates, True)
        with pytest.raises(InvalidName):
            plan_move("no name", "v3", where, last, opened)


def test_a_previous_collection_that_may_not_be_counted_is_reported_and_blocks_nothing(world: World) -> None:
    world.apply(alias_set({"a": "v2"}))
    world.server.deny("Query", "v1")
    plan = world.plan(world.newest)
    assert [step.alias for step in plan.runnable] == ["a"]
    assert plan.targets[0].notices == ("whether v1 has become empty cannot be read: the privilege Query is missing",)


def test_the_run_before_one_that_cannot_be_rolled_back_is_found(world: World) -> None:
    world.apply(alias_set({"a": "v2"}))
    first = world.newest
    world.apply(alias_set({"a": "v3"}))
    second = world.newest
    assert first
    assert second
    world.move("a", "v2")
    assert world.plan(second).steps == ()
    before = newest_changes(world.journal.newest(), before=second.run)
    assert before
    assert before.run == first.run
    world.roll_back(before)
    assert newest_changes(world.journal.newest(), before=second.run) is None
    assert newest_changes(world.journal.newest(), before=first.run) is None


def test_what_a_run_only_verified_is_no_change_of_it(world: World) -> None:
    run = begun(world.journal.path, MOVE)
    run.intend(TARGET, MOVE, Act.MOVE)
    run.note(TARGET, done(MOVE))
    verifying = begun(world.journal.path, MOVE)
    failed = replace(done(MOVE, Outcome.FAILED, "readers are stuck"), code="PropagationStuck", moved_by=run.id)
    verifying.note(TARGET, failed)
    assert world.newest
    assert world.newest.run == run.id
    (past,) = changes_of(world.journal.runs()[0]).steps
    assert past.step.alias == "a"
    assert changes_of(world.journal.runs()[1]).steps == ()
