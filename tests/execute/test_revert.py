"""`onFailure: Revert`: after a failure anywhere the catalog is as it was, or the report names what is not."""

from __future__ import annotations

from threading import Event

import pytest
from msgspec.structs import replace

from reconciler.catalog.memory import Flavour, MemoryServer
from reconciler.core.errors import CallTimedOut, CatalogError, ConnectionFailed, ExitCode, PermissionDenied
from reconciler.core.gates import Gates
from reconciler.core.model import Alias, AliasSet, OnFailure, Propagation, Verify
from reconciler.core.options import GatesToEvaluate, Options
from reconciler.core.report import Outcome, Reach, Report
from reconciler.execute import propagation
from reconciler.gates.loaded import LoadedGate
from reconciler.reconcile import apply_plan, make_plan
from reconciler.render.groups import groups_of
from reconciler.render.view import report_view
from tests.builders import LOCAL, alias_set, catalogs, live, server
from tests.faults.memory import Recorder

BEFORE = {"a": "old", "b": "old", "c": "old", "d": "old", "gone": "old", "s_x": "old", "bystander": "old"}
EXPECTED = alias_set(
    {"a": "new", "b": "new"},
    Alias("c", "new", wave=1),
    Alias("d", "new", wave=1),
    Alias("made", "new", wave=2),
    Alias("gone", None, wave=2),
    include=("s_*",),
    on_failure=OnFailure.REVERT,
)
CHANGED = {"alter": "abcd", "create": ["made"], "drop": ["gone", "s_x"]}
WRITES = [(method, alias) for method, aliases in CHANGED.items() for alias in aliases]


def three_waves(flavour: Flavour = Flavour.MILVUS_2_6) -> Recorder:
    made = server("old", "new", aliases=BEFORE, flavour=flavour)
    made.insert("old", [{"id": 1, "vector": (0.0, 0.0, 0.0, 1.0)}])
    return Recorder(made)


def run(recorder: Recorder, desired: AliasSet = EXPECTED, *, stop: Event | None = None) -> Report:
    with recorder.catalogs() as opened:
        return apply_plan(make_plan([desired], catalogs=opened), catalogs=opened, stop=stop)


def outcomes(report: Report) -> dict[str, Outcome]:
    return {result.step.alias: result.outcome for result in report.results}


def message(report: Report, alias: str) -> str:
    return next(result.message or "" for result in report.results if result.step.alias == alias)


class FailsOnce:
    """A hook that raises at the first call of one method on one alias."""

    def __init__(self, method: str, alias: str, error: CatalogError) -> None:
        self.place, self.error, self.spent = (method, alias), error, False

    def __call__(self, method: str, alias: str) -> None:
        if (method, alias) == self.place and not self.spent:
            self.spent = True
            raise self.error


@pytest.mark.parametrize("flavour", [Flavour.MILVUS_2_3, Flavour.MILVUS_2_6])
@pytest.mark.parametrize(("method", "alias"), WRITES)
@pytest.mark.parametrize("error", [PermissionDenied("no"), ConnectionFailed("cut")], ids=["refused", "cut"])
def test_a_failure_at_any_step_of_three_waves_leaves_the_catalog_as_it_was(
    error: CatalogError, method: str, alias: str, flavour: Flavour
) -> None:
    recorder = three_waves(flavour)
    recorder.before = FailsOnce(method, alias, error)
    report = run(recorder)
    assert live(recorder.server) == BEFORE
    ends = outcomes(report)
    assert ends[alias] is Outcome.FAILED
    assert Outcome.DONE not in ends.values()
    wrote = any(result.wrote for result in report.results)
    assert report.exit_code is (ExitCode.INCOMPLETE if wrote else ExitCode.ERROR)


def test_without_a_failure_nothing_is_undone() -> None:
    recorder = three_waves()
    report = run(recorder)
    assert set(outcomes(report).values()) == {Outcome.DONE}
    assert live(recorder.server) == dict.fromkeys(["a", "b", "c", "d", "made"], "new") | {"bystander": "old"}


def test_what_was_made_is_undone_newest_first() -> None:
    one_by_one = type(LOCAL)(LOCAL.name, LOCAL.uri, LOCAL.address, concurrency=1)
    desired = alias_set(
        {"a": "new"},
        Alias("b", "new", wave=1),
        Alias("c", "new", wave=2),
        connection=one_by_one,
        on_failure=OnFailure.REVERT,
    )
    recorder = three_waves()
    recorder.before = FailsOnce("alter", "c", PermissionDenied("no"))
    report = run(recorder, desired)
    assert [alias for method, alias in recorder.writes if method == "alter"] == ["a", "b", "c", "b", "a"]
    assert message(report, "a") == '"c" failed: no; the alias is still at "old"; it is at "old" again'


def test_what_an_earlier_run_left_on_the_new_collection_is_named() -> None:
    recorder = three_waves()
    recorder.server.connect(LOCAL, "default").create_alias("canary", "new")
    recorder.before = FailsOnce("alter", "c", PermissionDenied("no"))
    report = run(recorder, replace(EXPECTED, aliases=(*EXPECTED.aliases, Alias("canary", "new"))))
    assert outcomes(report)["a"] is Outcome.REVERTED
    assert live(recorder.server)["canary"] == "new"
    assert message(report, "a").endswith('; it is at "old" again; still on new since before this run: "canary"')
    [group, *_] = groups_of(report_view(report).sections[0])
    [why] = {batch.reason for batch in group.batches if batch.label == "reverted"}
    assert why.endswith('at "old"; still on new since before this run: "canary"')


def test_an_alias_that_is_found_among_those_on_the_new_collection_is_not_said_to_be_reverted() -> None:
    recorder = three_waves()

    def move(method: str, alias: str) -> None:
        if (method, alias) == ("aliases_of", "new"):
            recorder.before = lambda method, alias: None
            recorder.server.connect(LOCAL, "default").alter_alias("a", "new")

    def fail(method: str, alias: str) -> None:
        if (method, alias) == ("alter", "c"):
            recorder.before = move
            raise PermissionDenied("no")

    recorder.before = fail
    report = run(recorder)
    assert (outcomes(report)["a"], outcomes(report)["b"]) == (Outcome.FAILED, Outcome.REVERTED)
    assert message(report, "a").endswith('yet the alias is at "new" after it was moved back')


def test_a_revert_to_a_collection_that_became_empty_is_made_and_reported() -> None:
    recorder = three_waves()
    recorder.server.delete("old", [1])
    recorder.before = FailsOnce("alter", "c", PermissionDenied("no"))
    report = run(recorder)
    assert (live(recorder.server), outcomes(report)["a"]) == (BEFORE, Outcome.REVERTED)
    assert message(report, "a").endswith('it is at "old" again, which is empty now: searches find nothing')


def test_a_call_whose_fate_was_unknown_is_undone_too() -> None:
    recorder = three_waves()
    recorder.after = FailsOnce("alter", "c", CallTimedOut("late"))
    unreadable = Unreadable(recorder, "c", times=1)
    recorder.before = unreadable
    report = run(recorder)
    assert live(recorder.server) == BEFORE
    assert outcomes(report)["c"] is Outcome.REVERTED


def test_a_call_that_may_still_be_on_its_way_is_not_said_to_be_undone() -> None:
    """Neither answered nor read back, and then seen to have changed nothing yet: that is no revert."""
    recorder = three_waves()
    unreadable = Unreadable(recorder, "c", times=1)

    def lose(method: str, alias: str) -> None:
        unreadable(method, alias)
        if (method, alias) == ("alter", "c"):
            raise CallTimedOut("late")

    recorder.before = lose
    report = run(recorder)
    assert (live(recorder.server), recorder.writes.count(("alter", "c"))) == (BEFORE, 1)
    assert outcomes(report)["c"] is Outcome.FAILED
    assert message(report, "c").endswith('the alias is at "old" now; a call that was sent may still take effect')


def test_a_call_that_may_still_be_on_its_way_is_mentioned_if_the_revert_fails() -> None:
    """The alias has not moved yet when it is read last."""
    recorder = three_waves()
    reads: list[str] = []

    def lose(method: str, alias: str) -> None:
        if (method, alias) == ("alter", "c"):
            reads.append("before")
            raise CallTimedOut("late")
        if (method, alias) == ("resolve", "c") and reads:
            reads.append("after")
            if len(reads) == 3:  # the first read of the revert
                raise ConnectionFailed("cut")

    recorder.before = lose
    report = run(recorder)
    assert [result.code for result in report.results if result.step.alias == "c"] == ["RevertFailed"]
    assert message(report, "c").endswith(
        'it could not be moved back: cut; the alias is at "old" now; a call that was sent may still take effect'
    )


class Unreadable:
    """After an alter of an alias, its next reads fail."""

    def __init__(self, recorder: Recorder, alias: str, *, times: int) -> None:
        self.recorder, self.alias, self.times, self.armed = recorder, alias, times, False

    def __call__(self, method: str, alias: str) -> None:
        if alias == self.alias and method == "alter":
            self.armed = True
        if alias == self.alias and method == "resolve" and self.armed and self.times:
            self.times -= 1
            raise ConnectionFailed("cut")


@pytest.mark.parametrize("verify", [Verify(), Verify(propagation=Propagation())], ids=["moved", "moved and proved"])
@pytest.mark.parametrize("error", [CallTimedOut("no answer within 10 s"), ConnectionFailed("refused")])
def test_a_server_that_died_is_not_asked_for_each_alias(
    error: CatalogError, verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(propagation, "PROVING_SECONDS", 0.01)
    calls = {}
    for number in (5, 50):
        aliases = {f"a{number}": f"new{number}" for number in range(number)}
        made = server("old", "new", *aliases.values(), aliases=dict.fromkeys([*aliases, "z"], "old"))
        recorder = Recorder(made)
        dead: list[str] = []

        def die(method: str, alias: str, dead: list[str] = dead) -> None:
            if dead or (method, alias) == ("alter", "z"):
                dead.append(method)
                raise error

        recorder.before = die
        desired = alias_set(aliases, Alias("z", "new", wave=1), verify=verify, on_failure=OnFailure.REVERT)
        report = run(recorder, desired)
        calls[number] = len(dead)
        assert {result.code for result in report.results} == {"RevertFailed"}
        assert message(report, "a0").endswith("it was not moved back: the server does not answer; not tried")
        assert "where the alias is could not be read" in message(report, "z")
    assert calls[5] == calls[50] < 10


def test_what_a_step_said_of_itself_is_not_forgotten_where_it_is_not_tried() -> None:
    recorder = three_waves()
    died = Event()

    def die(method: str, alias: str) -> None:
        if (method, alias) == ("alter", "c"):
            raise CallTimedOut("late")
        if died.is_set() or (method, alias) == ("alter", "d"):
            died.set()
            raise ConnectionFailed("refused")

    recorder.before = die
    desired = alias_set({"c": "new", "d": "new"}, connection=replace(LOCAL, concurrency=1), on_failure=OnFailure.REVERT)
    report = run(recorder, desired)
    assert "a call that was sent may still take effect" in message(report, "c")


def test_one_read_that_gets_no_answer_does_not_end_the_way_back() -> None:
    recorder = three_waves()
    recorder.server.create_collection("theirs")
    unreadable = Unreadable(recorder, "b", times=0)

    def trouble(method: str, alias: str) -> None:
        unreadable(method, alias)
        if (method, alias) == ("alter", "c"):
            unreadable.times = 1
            raise PermissionDenied("no")

    recorder.before = trouble
    report = run(recorder, alias_set({"a": "new", "b": "new"}, Alias("c", "new", wave=1), on_failure=OnFailure.REVERT))
    assert outcomes(report)["a"] is Outcome.REVERTED
    assert live(recorder.server)["a"] == "old"


def test_an_alias_that_somebody_else_moved_is_left_alone_and_named() -> None:
    recorder = three_waves()
    recorder.server.create_collection("theirs")

    def race(method: str, alias: str) -> None:
        if (method, alias) == ("alter", "c"):
            recorder.server.connect(LOCAL, "default").alter_alias("a", "theirs")
            raise PermissionDenied("no")

    recorder.before = race
    report = run(recorder)
    assert live(recorder.server)["a"] == "theirs"
    assert live(recorder.server)["b"] == "old"
    assert (outcomes(report)["a"], report.exit_code) == (Outcome.FAILED, ExitCode.INCOMPLETE)
    assert 'is at "theirs" now' in message(report, "a")


@pytest.mark.parametrize("fate", ["dropped", "replaced", "released"])
def test_a_way_back_that_is_gone_is_named_and_the_others_are_taken(fate: str) -> None:
    made = server("old", "other", "new", aliases={"a": "old", "b": "other", "c": "old"}, flavour=Flavour.MILVUS_2_3)
    recorder = Recorder(made)

    def meanwhile(method: str, alias: str) -> None:
        if (method, alias) == ("alter", "c"):
            if fate == "released":
                made.release("other")
            else:
                made.drop_collection("other")
            if fate == "replaced":
                made.create_collection("other")
            raise PermissionDenied("no")

    recorder.before = meanwhile
    desired = alias_set({"a": "new", "b": "new"}, Alias("c", "new", wave=1), on_failure=OnFailure.REVERT)
    report = run(recorder, desired)
    assert live(made) == {"a": "old", "b": "new", "c": "old"}
    assert outcomes(report) == {"a": Outcome.REVERTED, "b": Outcome.FAILED, "c": Outcome.FAILED}
    reason = {
        "dropped": "other does not exist any more",
        "replaced": "other is another collection now",
        "released": "other is not loaded while new is",
    }[fate]
    assert reason in message(report, "b")
    assert 'the alias is at "new" now' in message(report, "b")


def test_a_gate_that_fails_in_a_later_wave_undoes_the_earlier_ones() -> None:
    recorder = three_waves()
    strict = Gates(LoadedGate())
    desired = alias_set({"a": "new"}, Alias("c", "late", wave=1, gates=strict), on_failure=OnFailure.REVERT)
    recorder.server.create_collection("late")

    def released_meanwhile(method: str, alias: str) -> None:
        if (method, alias) == ("alter", "a"):
            recorder.server.release("late")

    recorder.after = released_meanwhile
    report = run(recorder, desired)
    assert live(recorder.server) == BEFORE
    assert outcomes(report) == {"a": Outcome.REVERTED, "c": Outcome.BLOCKED}


def test_a_set_of_which_one_alias_is_blocked_does_not_start() -> None:
    made = server("old", "new", aliases=BEFORE)
    desired = alias_set({"a": "new", "b": "missing"}, on_failure=OnFailure.REVERT)
    with catalogs(made) as opened:
        plan = make_plan([desired], catalogs=opened)
        report = apply_plan(plan, catalogs=opened)
    assert report.exit_code is ExitCode.REFUSED
    assert live(made) == BEFORE
    assert 'it moves together with "b"' in message(report, "a")


def test_a_run_that_was_stopped_is_not_undone_and_says_what_it_did() -> None:
    recorder, stop = three_waves(), Event()

    def stopping(method: str, alias: str) -> None:
        if (method, alias) == ("alter", "c"):
            stop.set()

    recorder.before = stopping
    report = run(recorder, stop=stop)
    ends = outcomes(report)
    assert ends["a"] is ends["b"] is Outcome.DONE
    assert ends["made"] is Outcome.NOT_ATTEMPTED
    assert {alias: live(recorder.server)[alias] for alias in "ab"} == {"a": "new", "b": "new"}


def test_a_set_that_stops_keeps_what_it_has_made() -> None:
    recorder = three_waves()
    recorder.before = FailsOnce("alter", "c", PermissionDenied("no"))
    desired = alias_set({"a": "new"}, Alias("c", "new", wave=1))
    report = run(recorder, desired)
    assert outcomes(report) == {"a": Outcome.DONE, "c": Outcome.FAILED}
    assert live(recorder.server)["a"] == "new"


def test_the_way_back_by_a_drop_does_not_take_other_aliases_along() -> None:
    made = server("old", "new", aliases={"ab_long": "old", "z": "old"}, flavour=Flavour.MILVUS_2_3)
    recorder = Recorder(made)
    recorder.before = FailsOnce("alter", "z", PermissionDenied("no"))
    desired = alias_set({"ab": "new"}, Alias("z", "new", wave=1), on_failure=OnFailure.REVERT)
    report = run(recorder, desired)
    assert outcomes(report)["ab"] is Outcome.FAILED
    assert "would lose ab_long" in message(report, "ab")
    made.restart()
    assert live(made) == {"ab": "new", "ab_long": "old", "z": "old"}


def test_other_sets_of_the_run_are_not_undone() -> None:
    made: MemoryServer = server("old", "new", aliases={"a": "old", "b": "old", "c": "old"})
    recorder = Recorder(made)
    recorder.before = FailsOnce("alter", "b", PermissionDenied("no"))
    together = alias_set({"a": "new"}, Alias("b", "new", wave=1), name="together", on_failure=OnFailure.REVERT)
    alone = alias_set({"c": "new"}, name="alone")
    with recorder.catalogs() as opened:
        report = apply_plan(make_plan([together, alone], catalogs=opened), catalogs=opened)
    assert outcomes(report) == {"a": Outcome.REVERTED, "b": Outcome.FAILED, "c": Outcome.DONE}
    assert live(made) == {"a": "old", "b": "old", "c": "new"}


def test_a_gate_that_was_skipped_on_the_way_there_counts_on_the_way_back() -> None:
    recorder = three_waves()

    def released(method: str, alias: str) -> None:
        if (method, alias) == ("alter", "c"):
            recorder.server.release("old")
            raise PermissionDenied("no")

    recorder.before = released
    desired = alias_set({"a": "new"}, Alias("c", "new", wave=1), on_failure=OnFailure.REVERT)
    with recorder.catalogs() as opened:
        plan = make_plan([desired], Options(skip_gates=[("loaded", "a")]), catalogs=opened)
        report = apply_plan(plan, catalogs=opened)
    assert (outcomes(report)["a"], live(recorder.server)["a"]) == (Outcome.FAILED, "new")
    assert "old is not loaded" in message(report, "a")


def test_readers_that_are_stuck_after_a_revert_are_healed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(propagation, "PROVING_SECONDS", 0.05)
    made = server("old", "new", aliases={"a": "old", "b": "old"}, flavour=Flavour.MILVUS_2_3)
    for key, collection in enumerate(("old", "new")):
        made.insert(collection, [{"id": key, "vector": (0.0, 0.0, 0.0, 1.0)}])
    recorder = Recorder(made)

    def stuck(method: str, alias: str) -> None:
        if (method, alias) == ("alter", "b"):
            made.stick_readers("a")
            raise PermissionDenied("no")

    recorder.before = stuck
    desired = alias_set(
        {"a": "new"},
        Alias("b", "new", wave=1),
        verify=Verify(propagation=Propagation()),
        on_failure=OnFailure.REVERT,
    )
    report = run(recorder, desired)
    result = report.results[0]
    assert (result.outcome, result.propagation[0].reach, result.propagation[0].heals) == (
        Outcome.REVERTED,
        Reach.VERIFIED,
        1,
    )
    assert made.connect(LOCAL, "default").sample_keys("a", "id", 9) == (0,)


def test_what_somebody_else_moved_while_our_call_was_refused_is_not_ours_to_undo() -> None:
    recorder = three_waves()

    def race(method: str, alias: str) -> None:
        if (method, alias) in {("alter", "a"), ("alter", "c")}:
            if alias == "a":
                recorder.server.connect(LOCAL, "default").alter_alias("a", "new")
            raise PermissionDenied("no")

    recorder.before = race
    report = run(recorder, alias_set({"a": "new"}, Alias("c", "new", wave=1), on_failure=OnFailure.REVERT))
    assert outcomes(report) == {"a": Outcome.NOOP, "c": Outcome.FAILED}
    assert live(recorder.server)["a"] == "new"


def test_a_shorter_name_is_not_dropped_where_the_longer_one_could_not_be() -> None:
    made = server("old", aliases={"s": "old", "s_x": "old"}, flavour=Flavour.MILVUS_2_3)
    recorder = Recorder(made)
    recorder.before = FailsOnce("drop", "s_x", PermissionDenied("no"))
    report = run(recorder, alias_set({"s": None, "s_x": None}))
    assert outcomes(report)["s_x"] is Outcome.FAILED
    made.restart()
    assert "s_x" in live(made)


def test_no_wave_starts_before_the_gates_of_all_waves_pass() -> None:
    recorder = three_waves()
    recorder.server.create_collection("late", replicas=0)
    desired = alias_set(
        {"a": "new"},
        Alias("b", "late", wave=1, gates=Gates(LoadedGate())),
        on_failure=OnFailure.REVERT,
    )
    with recorder.catalogs() as opened:
        plan = make_plan([desired], catalogs=opened, evaluate=GatesToEvaluate.SHOWN)
        recorder.journal.clear()
        report = apply_plan(plan, catalogs=opened, wait=0.01)
    assert (report.exit_code, recorder.writes) == (ExitCode.REFUSED, [])


def test_a_collection_that_was_made_anew_since_the_plan_is_not_moved_to() -> None:
    made = server("old", "new", aliases={"a": "old"})
    with catalogs(made) as opened:
        plan = make_plan([alias_set({"a": "new"})], catalogs=opened)
        made.drop_collection("new")
        made.create_collection("new")
        report = apply_plan(plan, catalogs=opened)
    assert (outcomes(report), live(made)) == ({"a": Outcome.BLOCKED}, {"a": "old"})
    assert "was recreated since the plan" in message(report, "a")
