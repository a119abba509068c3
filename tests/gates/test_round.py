"""One round of gates: which are asked, what blocks, and how often the server is."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from reconciler.catalog.memory import MemoryServer
from reconciler.core.errors import CatalogError, ConnectionFailed, PermissionDenied
from reconciler.core.gates import Gates, OnUnknown
from reconciler.core.plan import Block, BlockReason, GateResult, SetPlan, Step, Verdict
from reconciler.gates import GATES, cheap_gates, evaluate_gates, evaluate_sets
from reconciler.gates.canary import CanaryGate
from reconciler.gates.contract import ContractGate
from reconciler.gates.indexed import IndexedGate
from reconciler.gates.loaded import LoadedGate
from reconciler.gates.rows import RowsGate
from reconciler.gates.schema import SchemaGate
from tests.builders import LOCAL, server
from tests.gates.judging import OFF, counting, failing, judged, move, rows

EVERY = Gates(
    LoadedGate(),
    IndexedGate(),
    RowsGate(min_percent_of_current=90),
    SchemaGate(),
    ContractGate({"model": "bge"}),
    CanaryGate(0.5),
)
IN_ORDER = ("loaded", "indexed", "rows", "schema", "contract", "canary")


@pytest.fixture
def pair() -> MemoryServer:
    """Two collections between which every gate passes but `contract`."""
    made = server()
    for name in ("c1", "c2"):
        made.create_collection(name, rows=rows(30))
    return made


def names(step: Step) -> tuple[str, ...]:
    return tuple(result.gate for result in step.gate_results)


def test_all_gates_of_a_step_are_asked_in_order_and_one_that_fails_blocks(pair: MemoryServer) -> None:
    step = judged(pair, move(EVERY))
    assert names(step) == IN_ORDER
    assert {result.gate for result in step.gate_results if result.verdict is Verdict.PASS} == {*IN_ORDER} - {"contract"}
    assert step.blocked
    assert step.blocked.reason is BlockReason.GATE_FAILED
    assert step.blocked.message.startswith('contract: c2: property model is missing (expected "bge")')


def test_gates_that_a_step_does_not_have_say_nothing(pair: MemoryServer) -> None:
    assert judged(pair, move(Gates(OFF))).gate_results == ()


def test_a_drop_and_a_blocked_step_pass_through(pair: MemoryServer) -> None:
    blocked = replace(move(EVERY), blocked=Block(BlockReason.PROTECTED, "no"))
    assert judged(pair, blocked) == blocked
    drop = move(EVERY, desired=None)
    assert judged(pair, drop) == drop


def test_which_says_what_is_asked_and_the_costly_ones_are_rows_and_canary(pair: MemoryServer) -> None:
    assert names(judged(pair, move(EVERY), which=cheap_gates())) == ("loaded", "indexed", "schema", "contract")
    assert GATES.keys() - cheap_gates() == {"rows", "freshness", "canary", "warm", "hook"}
    soaking = judged(pair, move(EVERY), which={"loaded", "canary"})
    assert (names(soaking), soaking.blocked) == (("loaded", "canary"), None)


def test_earlier_results_give_way_to_those_of_this_round(pair: MemoryServer) -> None:
    old = GateResult("rows", Verdict.FAIL, "old", {})
    step = judged(pair, replace(move(EVERY), gate_results=(old,)), which={"loaded"})
    assert names(step) == ("loaded",)


def test_without_blocking_results_are_only_noted(pair: MemoryServer) -> None:
    step = judged(pair, move(EVERY), blocking=False)
    assert (names(step), step.blocked) == (IN_ORDER, None)
    assert Verdict.FAIL in {result.verdict for result in step.gate_results}


def test_a_skipped_gate_is_not_asked(pair: MemoryServer) -> None:
    recorder, calls = counting(pair)
    step = judged(recorder, replace(move(EVERY), skipped_gates=("contract", "canary")))
    assert (names(step), step.blocked) == (IN_ORDER[:-2], None)
    assert calls("search") == 0


def test_the_block_names_every_gate_that_fails_the_first_one_first() -> None:
    made = server("c1")
    made.create_collection("c2", indexes=(), replicas=0)
    step = judged(made, move(Gates(LoadedGate(), IndexedGate(), RowsGate(min=1))))
    assert step.blocked
    assert step.blocked.message == (
        "loaded: c2 is not loaded; load it first; also indexed: c2: vector has no index; create one; "
        "also rows: c2 cannot be counted: it is not loaded; load it"
    )


@pytest.mark.parametrize(
    ("gates", "offered"),
    [
        (Gates(OFF, RowsGate(min=1)), True),
        (Gates(LoadedGate(), RowsGate(min=1)), False),
    ],
)
def test_going_on_without_an_answer_is_offered_where_that_is_enough(gates: Gates, offered: bool) -> None:
    made = server("c1", "c2")
    made.release("c2")
    blocked = judged(made, move(gates)).blocked
    assert blocked
    assert blocked.message.endswith("; set gates.onUnknown: Pass to go on without an answer") is offered
    passing = judged(made, move(Gates(*gates.settings.values(), on_unknown=OnUnknown.PASS))).blocked
    assert (passing is None) is offered


def test_sets_share_a_round_and_keep_their_steps(pair: MemoryServer) -> None:
    recorder, calls = counting(pair)
    gates = Gates(OFF, RowsGate(min=1))
    plans = [
        SetPlan("one", (move(gates, alias="a"), move(gates, alias="b"))),
        SetPlan("none"),
        SetPlan("two", (move(gates, alias="c"),)),
    ]
    judged_plans = evaluate_sets(plans, recorder.connect(LOCAL, "default"))
    assert [[step.alias for step in plan.steps] for plan in judged_plans] == [["a", "b"], [], ["c"]]
    assert {names(step) for plan in judged_plans for step in plan.steps} == {("rows",)}
    assert calls("count") == 1


def test_many_aliases_ask_each_question_once(pair: MemoryServer) -> None:
    recorder, calls = counting(pair)
    steps = [move(EVERY, alias=f"a{number}") for number in range(20)]
    results = evaluate_gates(steps, recorder.connect(LOCAL, "default"))
    assert len({step.gate_results[5].figures["overlap"] for step in results}) == 1
    assert {method: calls(method) for method in ("load_state", "schema", "indexes", "count")} == {
        "load_state": 1,
        "schema": 2,
        "indexes": 2,
        "count": 2,
    }
    assert {method: calls(method) for method in ("sample_keys", "rows", "search")} == {
        "sample_keys": 1,
        "rows": 2,
        "search": 2,
    }


def test_schema_and_contract_share_one_description(pair: MemoryServer) -> None:
    recorder, calls = counting(pair)
    judged(recorder, move(Gates(*(EVERY.settings[name] for name in IN_ORDER if name not in ("canary", "indexed")))))
    assert calls("schema") == 2


def test_a_canary_with_other_settings_or_another_pair_is_measured_by_itself(pair: MemoryServer) -> None:
    pair.create_collection("c3", rows=rows(30))
    recorder, calls = counting(pair)
    strict, lax = Gates(OFF, CanaryGate(0.9)), Gates(OFF, CanaryGate(0.1))
    others = move(lax, alias="b"), move(lax, desired="c3", alias="c"), move(lax, current="c3", alias="d")
    judged(recorder, move(strict), *others)
    assert calls("sample_keys") == 4


LOST = ConnectionFailed("cut")
QUESTIONS = {
    ("load_state", "c2"): Gates(LoadedGate()),
    ("indexes", "c2"): Gates(OFF, IndexedGate()),
    **dict.fromkeys([("count", "c1"), ("count", "c2")], Gates(OFF, RowsGate(min_percent_of_current=1))),
    **dict.fromkeys([("schema", "c1"), ("indexes", "c1")], Gates(OFF, SchemaGate())),
    ("schema", "c2"): Gates(OFF, ContractGate({"model": "bge"})),
    **dict.fromkeys([("rows", "c1"), ("rows", "c2"), ("search", "c1")], Gates(OFF, CanaryGate(0.5))),
    ("search", "c2"): Gates(OFF, CanaryGate(0.5)),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_lost_connection_is_an_error_and_not_a_verdict(pair: MemoryServer, question: tuple[str, str]) -> None:
    with pytest.raises(ConnectionFailed):
        judged(failing(pair, LOST, question), move(QUESTIONS[question]))


PRIVILEGES = {
    "load_state": Gates(),
    "count": Gates(OFF, RowsGate(min_percent_of_current=95)),
    "schema": Gates(OFF, SchemaGate()),
    "indexes": Gates(OFF, SchemaGate()),
    "sample_keys": Gates(OFF, CanaryGate(0.5)),
    "search": Gates(OFF, CanaryGate(0.5)),
}


class TestFewerPrivileges:
    @pytest.mark.parametrize("question", PRIVILEGES)
    def test_open_no_gate(self, pair: MemoryServer, question: str) -> None:
        denied = failing(pair, PermissionDenied("no"), (question, "c1"), (question, "c2"))
        step = judged(denied, move(PRIVILEGES[question]))
        assert [result.verdict for result in step.gate_results] == [Verdict.UNKNOWN]
        assert re.search(r"c2 cannot be|c1 cannot be|taken of c1", step.gate_results[0].detail)
        assert step.blocked
        assert (
            judged(denied, move(Gates(*PRIVILEGES[question].settings.values(), on_unknown=OnUnknown.PASS))).blocked
            is None
        )

    @pytest.mark.parametrize(
        ("question", "collection"),
        [
            *[(question, "c1") for question in PRIVILEGES if question != "load_state"],
            *[(question, "c2") for question in ("count", "schema", "indexes")],
        ],
    )
    def test_on_either_collection_alone_are_unknown(self, pair: MemoryServer, question: str, collection: str) -> None:
        denied = failing(pair, PermissionDenied("no"), (question, collection))
        step = judged(denied, move(PRIVILEGES[question]))
        assert [result.verdict for result in step.gate_results] == [Verdict.UNKNOWN]
        assert step.blocked
        assert step.blocked.message.startswith(f"{step.gate_results[0].gate}: ")
        assert collection in step.blocked.message

    def test_to_read_the_load_state_of_the_current_collection_matters_if_the_desired_one_is_not_loaded(
        self, pair: MemoryServer
    ) -> None:
        denied = failing(pair, PermissionDenied("no"), ("load_state", "c1"))
        assert judged(denied, move(Gates())).blocked is None
        pair.release("c2")
        step = judged(denied, move(Gates()))
        assert ([result.verdict for result in step.gate_results], bool(step.blocked)) == ([Verdict.UNKNOWN], True)


class TestWayBack:
    """A step of a rollback: from the bad c1 back to the old c2."""

    @staticmethod
    def back(gates: Gates) -> Step:
        return replace(move(gates), reverting=True)

    def test_other_gates_are_asked_and_shown_and_do_not_block(self, pair: MemoryServer) -> None:
        step = judged(pair, self.back(EVERY))
        cheap = tuple(name for name in IN_ORDER if name in cheap_gates())
        assert (names(step), step.blocked) == (cheap, None)
        assert step.gate_results[3].verdict is Verdict.FAIL

    def test_gates_that_a_rollback_never_evaluates_are_not_announced(self, pair: MemoryServer) -> None:
        catalog, costly = pair.connect(LOCAL, "default"), Gates(OFF, CanaryGate(0.5))
        for step, announced in ((move(costly), [Verdict.NOT_EVALUATED]), (self.back(costly), [Verdict.PASS])):
            [plan] = evaluate_sets([SetPlan("shop", (step,))], catalog, which=cheap_gates())
            assert [result.verdict for result in plan.steps[0].gate_results] == announced

    @pytest.mark.parametrize("own", [None, OFF, LoadedGate(), LoadedGate(replicas=5)])
    @pytest.mark.parametrize(("loaded", "blocked"), [(True, False), (False, True)])
    def test_not_from_a_loaded_collection_to_one_that_is_not_whatever_the_manifest_says(
        self, pair: MemoryServer, own: LoadedGate | None, loaded: bool, blocked: bool
    ) -> None:
        if not loaded:
            pair.release("c2")
        step = judged(pair, self.back(Gates(*([own] if own else []))))
        assert (step.blocked is not None) is blocked
        if step.blocked:
            assert step.blocked.message == "loaded: c2 is not loaded while c1 is; load it first"

    def test_from_one_that_is_not_loaded_it_goes_anywhere(self, pair: MemoryServer) -> None:
        pair.release("c1")
        pair.release("c2")
        assert judged(pair, self.back(Gates(LoadedGate()))).blocked is None

    @pytest.mark.parametrize("error", [LOST, CatalogError("odd")])
    def test_a_question_without_an_answer_keeps_nobody_from_going_back(
        self, pair: MemoryServer, error: CatalogError
    ) -> None:
        silent = failing(pair, error, ("indexes", "c2"), ("count", "c2"), ("schema", "c2"))
        step = judged(silent, self.back(EVERY))
        assert step.blocked is None
        assert {result.verdict for result in step.gate_results[1:]} == {Verdict.UNKNOWN}

    def test_a_load_state_that_may_not_be_read_does_not_either(self, pair: MemoryServer) -> None:
        step = judged(failing(pair, CatalogError("no"), ("load_state", "c2")), self.back(Gates()))
        assert (step.gate_results[0].verdict, step.blocked) == (Verdict.UNKNOWN, None)

    def test_a_lost_connection_ends_it_all_the_same_where_the_load_state_is_asked(self, pair: MemoryServer) -> None:
        with pytest.raises(ConnectionFailed):
            judged(failing(pair, LOST, ("load_state", "c2")), self.back(Gates()))
