"""Limits: what they count, where they stop, and that a refusal names the number, the limit and the remedy."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from reconciler.core.model import AliasSet, Limits, Source
from reconciler.core.options import Options
from reconciler.reconcile import make_plan
from tests.builders import alias_set, catalogs, server


def refusals(desired: AliasSet, existing: dict[str, str], options: Options = Options()) -> tuple[str, ...]:
    made = server("c1", "c2", aliases=existing)
    return make_plan([desired], options, catalogs=catalogs(made)).refusals


def many(count: int) -> dict[str, str]:
    return {f"s_{number:03}": "c1" for number in range(count)}


def test_ten_drops_are_allowed_by_default_and_eleven_are_not() -> None:
    desired = alias_set({"kept": "c1"}, include=("s_*",))
    assert refusals(desired, many(10)) == ()
    placed = replace(desired, source=Source("shop.yaml", 3, 1))
    assert refusals(placed, many(11)) == (
        'set "shop" would drop 11 aliases, over its maxDrops of 10; if that is meant, run with --max-drops 11 or '
        "raise limits.maxDrops (shop.yaml:3:1)",
    )


def test_absent_entries_count_as_drops() -> None:
    desired = alias_set({"kept": "c1", "a": None, "b": None}, limits=Limits(max_drops=1))
    assert len(refusals(desired, {"a": "c1", "b": "c1"})) == 1


def test_the_flag_overrides_the_limit_in_both_directions() -> None:
    desired = alias_set({"kept": "c1"}, include=("s_*",))
    assert refusals(desired, many(11), Options(max_drops=11)) == ()
    assert len(refusals(desired, many(1), Options(max_drops=0))) == 1


def test_protected_drops_do_not_count_and_waiting_ones_do() -> None:
    protected = alias_set({"kept": "c1", "a": None}, protect=("a",), limits=Limits(max_drops=0))
    assert refusals(protected, {"a": "c1"}) == ()
    waiting = alias_set({"x": "nope"}, include=("s_*",), limits=Limits(max_drops=0))
    assert len(refusals(waiting, many(1))) == 1


@pytest.mark.parametrize(("moved", "refused"), [(5, False), (6, True)])
def test_change_percent_is_over_the_live_aliases_listed_or_covered(moved: int, refused: bool) -> None:
    existing = many(10)
    desired = {name: "c2" if number < moved else "c1" for number, name in enumerate(existing)}
    found = refusals(alias_set(desired, limits=Limits(max_change_percent=50)), existing)
    assert bool(found) is refused
    if refused:
        assert found[0].startswith('set "shop" would alter or drop 6 of 10 live aliases (60.0 %), over its')


def test_creates_do_not_count_and_an_empty_base_does_not_either() -> None:
    desired = alias_set({f"new_{number}": "c1" for number in range(5)}, limits=Limits(max_change_percent=0))
    assert refusals(desired, {}) == ()
    assert refusals(desired, {"other": "c1"}) == ()


@pytest.mark.parametrize(
    ("desired", "existing", "refused"),
    [
        (alias_set({}, include=("s_*",)), many(1), True),
        (alias_set({"gone": None}, include=("s_*",)), many(1), True),
        (alias_set({}, include=("s_*",)), {"other": "c1"}, False),
        (alias_set({}, include=("s_*",), limits=Limits(allow_empty=True)), many(1), False),
        (alias_set({"kept": "c1"}, include=("s_*",)), many(1), False),
        (alias_set({"gone": None}), {"gone": "c1"}, False),
    ],
)
def test_a_scope_without_a_wish_is_refused(desired: AliasSet, existing: dict[str, str], refused: bool) -> None:
    found = refusals(desired, existing)
    assert bool(found) is refused
    if refused:
        assert found[0].startswith(
            'set "shop" lists no collection, yet its scope covers 1 live alias; if all of them should go, set '
            "limits.allowEmpty: true"
        )


def test_one_sets_refusal_does_not_hide_anothers() -> None:
    made = server("c1", aliases={"s_1": "c1", "t_1": "c1"})
    sets = [alias_set({}, name=name, include=(f"{name}_*",)) for name in ("s", "t")]
    assert len(make_plan(sets, catalogs=catalogs(made)).refusals) == 2
