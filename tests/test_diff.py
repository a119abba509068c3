"""What must change: every row of the case table in `diff`, and every reason for which a change is blocked."""

from __future__ import annotations

import pytest

from reconciler.catalog.memory import Flavour, MemoryServer
from reconciler.catalog.read import read_live
from reconciler.core.diff import diff
from reconciler.core.model import Alias, AliasSet, Target
from reconciler.core.plan import Action, BlockReason, SetPlan
from tests.builders import LOCAL, alias_set, server


def compare(
    desired: AliasSet, made: MemoryServer, *, only: tuple[str, ...] = (), allow: tuple[str, ...] = ()
) -> SetPlan:
    live = read_live(made.connect(LOCAL, desired.database), Target(LOCAL.address, desired.database), [desired])
    return diff(desired, live, only=only, allow_protected=allow)


def changes(plan: SetPlan) -> list[tuple[Action, str, str | None, str | None]]:
    return [(step.action, step.alias, step.current, step.desired) for step in plan.steps]


def test_every_case_of_the_table() -> None:
    made = server(
        "c1", "c2", aliases={"same": "c1", "moved": "c1", "unwanted": "c1", "in_scope": "c1", "elsewhere": "c1"}
    )
    desired = alias_set({"new": "c1", "same": "c1", "moved": "c2", "unwanted": None, "absent": None}, include=("in_*",))
    plan = compare(desired, made)
    assert changes(plan) == [
        (Action.ALTER, "moved", "c1", "c2"),
        (Action.CREATE, "new", None, "c1"),
        (Action.DROP, "unwanted", "c1", None),
        (Action.DROP, "in_scope", "c1", None),
    ]
    assert plan.unchanged == 2, "same is where it should be, absent is not there"
    assert [step.prune for step in plan.steps] == [False, False, False, True]


def test_without_a_scope_nothing_unlisted_is_dropped() -> None:
    made = server("c1", aliases={"a": "c1", "b": "c1"})
    assert changes(compare(alias_set({"a": "c1"}), made)) == []


@pytest.mark.parametrize(
    ("include", "exclude", "protect", "dropped"),
    [
        (("s_*",), (), (), ["s_a", "s_b", "s_main"]),
        (("s_*",), ("s_b",), (), ["s_a", "s_main"]),
        (("s_*",), (), ("*_main",), ["s_a", "s_b"]),
        (("s_?",), (), (), ["s_a", "s_b"]),
        (("S_*",), (), (), []),
        (("s",), (), (), []),
        (("*",), (), (), ["other", "s_a", "s_b", "s_main"]),
    ],
)
def test_scope_drops_what_it_includes_and_neither_excludes_nor_protects(
    include: tuple[str, ...], exclude: tuple[str, ...], protect: tuple[str, ...], dropped: list[str]
) -> None:
    made = server("c1", aliases=dict.fromkeys(("s_a", "s_b", "s_main", "other", "kept"), "c1"))
    desired = alias_set({"kept": "c1"}, include=include, exclude=exclude, protect=protect)
    assert [step.alias for step in compare(desired, made).steps] == dropped


def test_waves_come_in_order_and_scope_drops_come_last() -> None:
    made = server("c1", "c2", aliases={"gone": "c1", "z": "c1", "old_x": "c1"})
    desired = alias_set(
        {},
        Alias("z", "c2", wave=0),
        Alias("a", "c2", wave=7),
        Alias("gone", None, wave=0),
        Alias("m", "c2", wave=0),
        include=("old_*",),
    )
    steps = compare(desired, made).steps
    assert [(step.wave, step.alias) for step in steps] == [(0, "m"), (0, "z"), (0, "gone"), (7, "a"), (8, "old_x")]


def blocked(plan: SetPlan) -> dict[str, BlockReason]:
    return {step.alias: step.blocked.reason for step in plan.steps if step.blocked}


def test_a_missing_collection_blocks() -> None:
    plan = compare(alias_set({"a": "nope", "b": "nope"}), server("c1", aliases={"b": "c1"}))
    assert blocked(plan) == {"a": BlockReason.COLLECTION_MISSING, "b": BlockReason.COLLECTION_MISSING}
    assert plan.steps[0].blocked
    assert plan.steps[0].blocked.message == 'nope does not exist in database "default"'


def test_an_alias_as_target_blocks_even_where_the_server_would_resolve_it() -> None:
    made = server("c1", aliases={"x": "c1"}, flavour=Flavour.LITE)
    assert blocked(compare(alias_set({"a": "x"}), made)) == {"a": BlockReason.COLLECTION_IS_ALIAS}


def test_a_collection_of_the_same_name_blocks() -> None:
    assert blocked(compare(alias_set({"c2": "c1"}), server("c1", "c2"))) == {"c2": BlockReason.NAME_TAKEN}


def test_protected_aliases_are_created_and_left_but_not_altered_or_dropped() -> None:
    made = server("c1", "c2", aliases={"by_entry": "c1", "by_scope": "c1", "unlisted": "c1", "absent": "c1"})
    desired = alias_set(
        {"by_scope": "c2", "absent": None},
        Alias("by_entry", "c2", protect=True),
        Alias("new", "c1", protect=True),
        include=("*",),
        protect=("by_scope", "unlisted", "absent"),
    )
    plan = compare(desired, made)
    assert blocked(plan) == dict.fromkeys(("absent", "by_entry", "by_scope"), BlockReason.PROTECTED)
    assert "new" in [step.alias for step in plan.steps]
    assert "unlisted" not in [step.alias for step in plan.steps]

    allowed = compare(desired, made, allow=("by_entry", "by_scope", "absent"))
    assert blocked(allowed) == {"absent": BlockReason.PROTECTED}, "the flag is for alters; no flag drops"


def test_only_looks_at_the_named_aliases() -> None:
    made = server("c1", "c2", aliases={"a": "c1", "b": "c1", "s_x": "c1", "s_y": "c1"})
    plan = compare(alias_set({"a": "c2", "b": "c2"}, include=("s_*",)), made, only=("b", "s_y"))
    assert [step.alias for step in plan.steps] == ["b", "s_y"]


def test_steps_carry_the_collection_ids() -> None:
    made = server("c1", "c2", aliases={"a": "c1"})
    ids = {name: found.id for name in ("c1", "c2") if (found := made.connect(LOCAL, "default").describe(name))}
    step = compare(alias_set({"a": "c2"}), made).steps[0]
    assert (step.current_id, step.desired_id) == (ids["c1"], ids["c2"])


def test_an_absent_alias_that_dangles_is_dropped_and_counts_as_live() -> None:
    made = server("c1", "c2", aliases={"gone": "c2", "kept": "c2", "a": "c1"}, flavour=Flavour.MILVUS_2_3)
    made.drop_collection("c2")
    plan = compare(alias_set({"gone": None, "kept": None, "never": None, "a": "c1"}, protect=("kept",)), made)
    assert [(step.alias, step.action, step.dangling) for step in plan.steps] == [
        ("gone", Action.DROP, True),
        ("kept", Action.DROP, True),
    ]
    assert blocked(plan) == {"kept": BlockReason.PROTECTED}
    assert (plan.governed, plan.unchanged, plan.undetermined) == (3, 2, ())


def test_an_absent_alias_of_which_nobody_knows_whether_it_dangles_is_reported() -> None:
    made = server("c1", flavour=Flavour.MILVUS_2_3)
    made.deny("ShowPartitions")
    plan = compare(alias_set({"gone": None, "b": None, "a": "c1"}), made)
    assert [step.alias for step in plan.steps] == ["a"]
    assert plan.undetermined == ("b", "gone")


def test_a_dangling_alias_is_a_create_and_scope_cannot_see_it() -> None:
    made = server("c1", "c2", aliases={"listed": "c2", "s_x": "c2"}, flavour=Flavour.MILVUS_2_3)
    made.drop_collection("c2")
    assert changes(compare(alias_set({"listed": "c1"}, include=("s_*",)), made)) == [
        (Action.CREATE, "listed", None, "c1")
    ]
