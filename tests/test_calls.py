"""Calls to Milvus, counted exactly: the cost that a production server sees.

A plan reads version, alias names and collections with their ids (3), then T collections that several live aliases
should be on, or were found on, and A aliases that none of those placed. A collection that a step names is described
only where the list does not have it, or has no id, as on Milvus Lite. An apply adds two calls a step (re-read and
write) and, for each wave, one a collection moved to and one if anything was dropped.
"""

from __future__ import annotations

import pytest

from reconciler.core.gates import Gates
from reconciler.core.model import Alias, AliasSet
from reconciler.gates.loaded import LoadedGate
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import LOCAL, alias_set, catalogs, server
from tests.faults.memory import Recorder

OFF = Gates(LoadedGate(enabled=False))


def spread(aliases: int, collections: int, *, start: int = 0) -> dict[str, str]:
    """So many aliases, dealt out over so many collections."""
    return {f"a{number:05}": f"c{start + number % collections}" for number in range(aliases)}


def spec_hash(aliases: dict[str, str], **settings: object) -> AliasSet:
    return alias_set({}, *(Alias(name, collection, gates=OFF) for name, collection in aliases.items()))


def plan_calls(existing: dict[str, str], desired: AliasSet) -> int:
    made = server(*(f"c{number}" for number in range(40)), aliases=existing)
    return make_plan([desired], catalogs=catalogs(made)).targets[0].calls


@pytest.mark.parametrize("aliases", [40, 400])
def test_many_aliases_on_few_collections_cost_one_call_a_collection(aliases: int) -> None:
    existing = spread(aliases, 4)
    assert plan_calls(existing, spec_hash(existing)) == 3 + 4


def test_one_alias_a_collection_costs_one_call_an_alias() -> None:
    existing = spread(20, 20)
    assert plan_calls(existing, spec_hash(existing)) == 3 + 20


def test_each_drifted_alias_costs_one_call_more() -> None:
    existing = spread(400, 4) | {"a00000": "c20", "a00001": "c21", "a00002": "c21"}
    assert plan_calls(existing, spec_hash(spread(400, 4))) == 3 + 4 + 3


def test_after_a_reindex_of_everything_the_old_collections_are_asked_for_their_aliases() -> None:
    existing = spread(400, 4)
    resolved, listed = 16, 4 + 4  # one round of calls is resolved before anything is known
    assert plan_calls(existing, spec_hash(spread(400, 4, start=20))) == 3 + resolved + listed


def test_aliases_that_do_not_exist_yet_cost_nothing() -> None:
    assert plan_calls({}, spec_hash(spread(400, 4))) == 3


def test_a_collection_that_is_not_in_the_list_is_asked_for_by_name() -> None:
    """The server may hide it from who lacks rights on it."""
    assert plan_calls({}, spec_hash({"a": "nope", "b": "nope"})) == 3 + 1


def test_unlisted_aliases_cost_nothing_unless_the_scope_could_drop_them() -> None:
    existing = spread(10, 10) | {f"b{number}": f"c{10 + number}" for number in range(10)}
    assert plan_calls(existing, spec_hash(spread(10, 10))) == 3 + 10
    scoped = alias_set(
        {}, *(Alias(name, to, gates=OFF) for name, to in spread(10, 10).items()), include=("b*",), protect=("b9",)
    )
    assert plan_calls(existing, scoped) == 3 + 10 + 9


def test_two_sets_on_one_database_share_the_read() -> None:
    made = server("c0", "c1", aliases=spread(20, 2))
    halves = [
        alias_set({name: to for name, to in spread(20, 2).items() if int(name[1:]) % 3 == part}, name=f"set-{part}")
        for part in range(3)
    ]
    assert make_plan(halves, catalogs=catalogs(made)).targets[0].calls == 3 + 2


@pytest.mark.parametrize(("aliases", "collections"), [(40, 4), (10, 10)])
def test_an_apply_costs_its_plan_two_calls_a_step_and_one_a_collection_and_wave(aliases: int, collections: int) -> None:
    recorder = Recorder(server(*(f"c{number}" for number in range(40)), aliases=spread(aliases, collections)))
    desired = spec_hash(spread(aliases, collections, start=20))
    with recorder.catalogs() as opened:
        plan = make_plan([desired], catalogs=opened)
        catalog = opened.open(LOCAL, "default")
        before = catalog.calls
        apply_plan(plan, catalogs=opened)
        assert catalog.calls - before == 2 * aliases + collections
    assert len(recorder.writes) == aliases


def test_waves_and_drops_are_read_back_once_each() -> None:
    existing = spread(8, 1) | {"s1": "c0", "s2": "c0"}
    recorder = Recorder(server("c0", "c1", aliases=existing))
    moves = [Alias(name, "c1", wave=number % 2, gates=OFF) for number, name in enumerate(spread(8, 1))]
    with recorder.catalogs() as opened:
        plan = make_plan([alias_set({}, *moves, include=("s*",))], catalogs=opened)
        catalog = opened.open(LOCAL, "default")
        before = catalog.calls
        apply_plan(plan, catalogs=opened)
        assert catalog.calls - before == 2 * 10 + 2 * 1 + 1


def test_nothing_to_do_costs_nothing_after_the_plan() -> None:
    recorder = Recorder(server("c0", "c1", aliases=spread(10, 2)))
    with recorder.catalogs() as opened:
        plan = make_plan([spec_hash(spread(10, 2))], catalogs=opened)
        catalog = opened.open(LOCAL, "default")
        before = catalog.calls
        apply_plan(plan, catalogs=opened)
        assert catalog.calls == before


def test_the_gate_asks_each_collection_once_however_many_sets_move_to_it() -> None:
    made = server("c0", "c1", aliases=spread(20, 1))
    names = list(spread(20, 1))
    halves = [alias_set(dict.fromkeys(names[part::2], "c1"), name=f"set-{part}") for part in range(2)]
    whole = make_plan([alias_set(dict.fromkeys(names, "c1"))], catalogs=catalogs(made)).targets[0].calls
    assert make_plan(halves, catalogs=catalogs(made)).targets[0].calls == whole


def test_the_gate_asks_each_collection_once_however_many_aliases_move() -> None:
    made = server("c0", "c1", aliases=spread(50, 1))
    moved = make_plan([alias_set(spread(50, 1, start=1))], catalogs=catalogs(made)).targets[0].calls
    ungated = make_plan([spec_hash(spread(50, 1, start=1))], catalogs=catalogs(made)).targets[0].calls
    assert moved == ungated + 3, "its load state, its partitions, and those that are loaded"
