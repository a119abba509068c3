"""The gate `loaded`: by default, as asked for, and where the server cannot tell."""

from __future__ import annotations

import pytest

from reconciler.catalog.memory import Flavour, MemoryServer
from reconciler.core.errors import CatalogError, ConnectionFailed, PermissionDenied
from reconciler.core.gates import Gates, OnUnknown
from reconciler.core.model import Alias, LoadState
from reconciler.core.plan import BlockReason, Step, Verdict
from reconciler.gates.loaded import LoadedGate
from reconciler.reconcile import make_plan
from tests.builders import LOCAL, alias_set, catalogs, server
from tests.faults.memory import Recorder


def planned(
    made: MemoryServer,
    gates: Gates = Gates(),
    *,
    current: str | None = "c1",
) -> Step:
    """The step that moves (or creates) `a` to c2."""
    if current:
        made.connect(LOCAL, "default").create_alias("a", current)
    return make_plan([alias_set({}, Alias("a", "c2", gates=gates))], catalogs=catalogs(made)).steps[0]


def verdicts(step: Step) -> list[Verdict]:
    return [result.verdict for result in step.gate_results]


@pytest.mark.parametrize(
    ("current_loaded", "wanted_loaded", "verdict", "blocked"),
    [
        (True, True, Verdict.PASS, False),
        (False, True, Verdict.PASS, False),
        (True, False, Verdict.FAIL, True),
        (False, False, Verdict.NOT_APPLICABLE, False),
    ],
)
def test_by_default_an_alias_does_not_go_from_a_loaded_collection_to_one_that_is_not(
    current_loaded: bool, wanted_loaded: bool, verdict: Verdict, blocked: bool
) -> None:
    made = server("c1", "c2")
    for name, loaded in (("c1", current_loaded), ("c2", wanted_loaded)):
        if not loaded:
            made.release(name)
    step = planned(made)
    assert verdicts(step) == [verdict]
    assert (step.blocked is not None) is blocked
    if step.blocked:
        assert step.blocked.reason is BlockReason.GATE_FAILED
        assert step.blocked.message == (
            "loaded: c2 is not loaded while c1 is; load it first, or set gates: {loaded: {enabled: false}}"
        )


def test_by_default_a_create_is_not_blocked_and_an_unloaded_collection_is_reported() -> None:
    made = server("c1", "c2")
    assert planned(made, current=None).gate_results == ()
    made.release("c2")
    step = planned(made, current=None)
    assert (verdicts(step), step.blocked) == ([Verdict.NOT_APPLICABLE], None)
    assert step.gate_results[0].detail == "c2 is not loaded: searches through the alias fail until it is loaded"


def test_by_default_a_create_is_not_blocked_and_partitions_that_are_not_loaded_are_reported() -> None:
    step = planned(partial("p1", "p2"), current=None)
    assert (verdicts(step), step.blocked) == ([Verdict.NOT_APPLICABLE], None)
    detail = "c2 is loaded without 2 partitions: p1, p2; reads through the alias leave these rows out"
    assert step.gate_results[0].detail == detail


def test_on_milvus_lite_an_unloaded_collection_is_not_reported() -> None:
    made = server("c2", flavour=Flavour.LITE)
    made.release("c2")
    assert planned(made, current=None).gate_results == ()


def test_a_create_whose_load_state_cannot_be_read_is_not_blocked() -> None:
    made = server("c2")
    with failing("c2", PermissionDenied("the privilege Load is missing"), made).catalogs() as opened:
        step = make_plan([alias_set({"a": "c2"})], catalogs=opened).steps[0]
    assert (verdicts(step), step.blocked) == ([Verdict.NOT_APPLICABLE], None)
    assert "the privilege Load is missing" in step.gate_results[0].detail


def test_creates_cost_calls_per_collection_and_unchanged_aliases_none() -> None:
    """Of a loaded collection the partitions are read as well."""
    made = server("c1", "c2", aliases={"x": "c2"})
    made.release("c2")
    with catalogs(made) as opened:
        unchanged = make_plan([alias_set({"x": "c2"})], catalogs=opened).targets[0].calls
    with catalogs(made) as opened:
        plan = make_plan([alias_set({"x": "c2", "a": "c1", "b": "c2", "c": "c2"})], catalogs=opened)
    assert (unchanged, plan.targets[0].calls) == (3 + 1, 3 + 1 + 2 + 2)


def test_asked_for_it_holds_for_creates_and_whatever_the_current_side_is() -> None:
    for current in (None, "c1"):
        made = server("c1", "c2")
        made.release("c1")
        made.release("c2")
        step = planned(made, Gates(LoadedGate()), current=current)
        assert verdicts(step) == [Verdict.FAIL]
        assert step.blocked
        assert step.blocked.message == "loaded: c2 is not loaded; load it first"


def test_turned_off_it_says_nothing() -> None:
    made = server("c1", "c2")
    made.release("c2")
    step = planned(made, Gates(LoadedGate(enabled=False)))
    assert (verdicts(step), step.blocked) == ([], None)


@pytest.mark.parametrize(("loaded", "verdict"), [(1, Verdict.FAIL), (2, Verdict.PASS), (3, Verdict.PASS)])
def test_replicas_are_counted(loaded: int, verdict: Verdict) -> None:
    made = server("c1", "c2")
    made.load("c2", replicas=loaded)
    step = planned(made, Gates(LoadedGate(replicas=2)))
    assert verdicts(step) == [verdict]
    assert step.gate_results[0].figures == {"state": LoadState.LOADED, "replicas": loaded, "desiredReplicas": 2}


@pytest.mark.parametrize(("on_unknown", "blocked"), [(OnUnknown.FAIL, True), (OnUnknown.PASS, False)])
def test_what_the_server_cannot_tell_is_unknown_and_the_manifest_decides(on_unknown: OnUnknown, blocked: bool) -> None:
    made = server("c1", "c2", flavour=Flavour.LITE)
    step = planned(made, Gates(LoadedGate(replicas=2), on_unknown=on_unknown))
    assert verdicts(step) == [Verdict.UNKNOWN]
    assert (step.blocked is not None) is blocked


def failing(collection: str, error: CatalogError, made: MemoryServer) -> Recorder:
    """A server on which the load state of one collection cannot be read."""
    recorder = Recorder(made)

    def refuse(method: str, name: str) -> None:
        if (method, name) == ("load_state", collection):
            raise error

    recorder.before = refuse
    return recorder


@pytest.mark.parametrize(
    ("hidden", "wanted_loaded", "verdict"),
    [
        ("c2", True, Verdict.UNKNOWN),
        ("c1", True, Verdict.PASS),
        ("c1", False, Verdict.UNKNOWN),
    ],
)
def test_a_side_that_may_not_be_read_is_unknown_where_it_matters(
    hidden: str, wanted_loaded: bool, verdict: Verdict
) -> None:
    made = server("c1", "c2", aliases={"a": "c1"})
    if not wanted_loaded:
        made.release("c2")
    with failing(hidden, PermissionDenied("the privilege Load is missing"), made).catalogs() as opened:
        step = make_plan([alias_set({"a": "c2"})], catalogs=opened).steps[0]
    assert verdicts(step) == [verdict]
    if verdict is not Verdict.PASS:
        assert step.gate_results[0].detail.startswith(f"the load state of {hidden} cannot be read")


def test_a_lost_connection_is_an_error_and_not_a_verdict() -> None:
    made = server("c1", "c2", aliases={"a": "c1"})
    with failing("c2", ConnectionFailed("cut"), made).catalogs() as opened, pytest.raises(ConnectionFailed):
        make_plan([alias_set({"a": "c2"})], catalogs=opened)


def partial(*released: str, of: str = "c2", flavour: Flavour = Flavour.MILVUS_2_6) -> MemoryServer:
    """A server with c1 and c2 of three partitions each, all loaded but those of one collection."""
    made = server("c1", "c2", flavour=flavour)
    for collection in ("c1", "c2"):
        for name in ("p1", "p2"):
            made.create_partition(collection, name)
    for name in released:
        made.release_partition(of, name)
    return made


@pytest.mark.parametrize("gates", [Gates(), Gates(LoadedGate())])
def test_a_partition_that_is_not_loaded_is_named(gates: Gates) -> None:
    """GetLoadState says that the collection is loaded, and readers would lose rows."""
    step = planned(partial("_default", "p2"), gates)
    assert verdicts(step) == [Verdict.FAIL]
    assert step.blocked
    assert step.blocked.message.startswith("loaded: c2 is loaded without 2 partitions: _default, p2; load the whole")
    assert step.gate_results[0].figures == {"state": LoadState.LOADED, "missingPartitions": 2}


@pytest.mark.parametrize("gates", [Gates(), Gates(LoadedGate())])
def test_partitions_that_the_current_collection_leaves_out_too_need_not_be_loaded(gates: Gates) -> None:
    made = partial("p2")
    made.release_partition("c1", "p2")
    assert verdicts(planned(made, gates)) == [Verdict.PASS]


@pytest.mark.parametrize("gates", [Gates(), Gates(LoadedGate())])
def test_a_partition_that_only_the_new_collection_has_must_be_loaded(gates: Gates) -> None:
    made = partial()
    made.create_partition("c2", "p3")
    made.release_partition("c2", "p3")
    assert verdicts(planned(made, gates)) == [Verdict.FAIL]


@pytest.mark.parametrize(("gates", "verdict"), [(Gates(), Verdict.NOT_APPLICABLE), (Gates(LoadedGate()), Verdict.FAIL)])
def test_a_current_collection_that_is_not_loaded_excuses_nothing_where_the_gate_is_required(
    gates: Gates, verdict: Verdict
) -> None:
    made = partial("p2")
    made.release("c1")
    assert verdicts(planned(made, gates)) == [verdict]


def test_a_create_needs_every_partition() -> None:
    assert verdicts(planned(partial("p1"), Gates(LoadedGate()), current=None)) == [Verdict.FAIL]


@pytest.mark.parametrize(("hidden", "verdict"), [("c2", Verdict.UNKNOWN), ("c1", Verdict.FAIL)])
@pytest.mark.parametrize("gates", [Gates(), Gates(LoadedGate())])
def test_partitions_that_cannot_be_read_do_not_pass(gates: Gates, hidden: str, verdict: Verdict) -> None:
    made = partial("p1")
    made.connect(LOCAL, "default").create_alias("a", "c1")
    made.deny("ShowPartitions", on=hidden)
    desired = alias_set({}, Alias("a", "c2", gates=gates))
    assert verdicts(make_plan([desired], catalogs=catalogs(made)).steps[0]) == [verdict]
