"""Who has authority over a name that several sets want."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.model import AliasSet
from reconciler.operator.claims import Claims
from reconciler.operator.objects import Ref
from tests.builders import alias_set

NAMES = [a + b for a in "abc" for b in "xyz"]


def claims(**sets: AliasSet) -> Claims:
    """Of sets, the oldest first."""
    return Claims({Ref("team", name): desired for name, desired in sets.items()})


def has(found: Claims, name: str) -> tuple[list[str], dict[str, str]]:
    """What a set may list, and what it must leave to whom."""
    settled, contests = found.resolved(Ref("team", name))
    return [alias.name for alias in settled.aliases], {contest.name: contest.owner.name for contest in contests}


def covers(found: Claims, name: str, alias: str) -> bool:
    return found.resolved(Ref("team", name))[0].scope.covers(alias)


def test_a_name_that_two_list_stays_with_the_older() -> None:
    found = claims(older=alias_set({"a": "v1"}), younger=alias_set({"a": "v2", "b": "v2"}))
    assert has(found, "older") == (["a"], {})
    assert has(found, "younger") == (["b"], {"a": "older"})


def test_without_the_older_the_younger_has_it() -> None:
    older, younger = alias_set({"a": "v1"}, include=("b*",)), alias_set({"a": "v2", "bb": "v2"})
    assert has(claims(older=older, younger=younger), "younger") == ([], {"a": "older", "bb": "older"})
    assert has(claims(younger=younger), "younger") == (["a", "bb"], {})


def test_a_younger_set_may_not_list_what_an_older_scope_covers() -> None:
    found = claims(
        older=alias_set({}, include=("shop_*",), exclude=("shop_x",)),
        younger=alias_set({"shop_a": "v1", "shop_x": "v1", "b": "v1"}),
    )
    assert has(found, "older") == ([], {})
    assert has(found, "younger") == (["shop_x", "b"], {"shop_a": "older"})


def test_a_younger_scope_leaves_out_what_an_older_set_lists() -> None:
    found = claims(older=alias_set({"shop_a": "v1"}), younger=alias_set({"shop_b": "v1"}, include=("shop_*",)))
    assert has(found, "younger") == (["shop_b"], {"shop_a": "older"})
    assert covers(found, "younger", "shop_c")
    assert not covers(found, "younger", "shop_a")


def test_scopes_that_overlap_are_told_with_an_example() -> None:
    found = claims(older=alias_set({}, include=("shop_*",)), younger=alias_set({}, include=("*_eu", "blog_*")))
    _, contests = has(found, "younger")
    [(example, owner)] = contests.items()
    assert owner == "older"
    assert example.startswith("shop_")
    assert example.endswith("_eu")
    assert not covers(found, "younger", example)
    assert covers(found, "younger", "blog_eu")
    assert covers(found, "older", example)


def test_scopes_that_exclude_each_others_names_do_not_overlap() -> None:
    found = claims(
        older=alias_set({}, include=("shop_*",), exclude=("shop_eu_*",)),
        younger=alias_set({}, include=("shop_eu_*",)),
    )
    assert has(found, "younger") == ([], {})
    assert covers(found, "younger", "shop_eu_a")


def test_a_protected_name_is_the_older_ones_all_the_same() -> None:
    found = claims(
        older=alias_set({}, include=("shop_*",), protect=("shop_main",)), younger=alias_set({"shop_main": "v1"})
    )
    assert has(found, "younger") == ([], {"shop_main": "older"})


sets_of_a_database = st.lists(
    st.builds(
        alias_set,
        st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["v1", "v2", None]), max_size=4),
        include=st.lists(st.sampled_from(["a*", "*x", "b?", "*", "cz"]), max_size=2).map(tuple),
        exclude=st.lists(st.sampled_from(["ax", "*y", "b*"]), max_size=2).map(tuple),
    ),
    min_size=1,
    max_size=5,
)


def wants(desired: AliasSet, name: str) -> bool:
    return name in {alias.name for alias in desired.aliases} or desired.scope.covers(name)


@given(sets_of_a_database)
def test_each_name_is_held_by_the_oldest_who_claims_it_and_by_nobody_else(sets: list[AliasSet]) -> None:
    refs = {Ref("team", str(number)): desired for number, desired in enumerate(sets)}
    found = Claims(refs)
    settled = {ref: found.resolved(ref)[0] for ref in refs}
    for name in NAMES:
        claimants = [ref for ref, desired in refs.items() if wants(desired, name)]
        assert [ref for ref, desired in settled.items() if wants(desired, name)] == claimants[:1], name


@given(sets_of_a_database)
def test_whatever_a_set_lists_and_does_not_get_is_told(sets: list[AliasSet]) -> None:
    refs = {Ref("team", str(number)): desired for number, desired in enumerate(sets)}
    found = Claims(refs)
    for ref, desired in refs.items():
        settled, contests = found.resolved(ref)
        lost = {alias.name for alias in desired.aliases} - {alias.name for alias in settled.aliases}
        assert lost <= {contest.name for contest in contests}
        assert all(wants(refs[contest.owner], contest.name) for contest in contests)
        order = list(refs)
        assert all(order.index(contest.owner) < order.index(ref) for contest in contests)


@given(sets_of_a_database)
def test_the_owner_that_is_named_is_the_one_who_has_the_name(sets: list[AliasSet]) -> None:
    refs = {Ref("team", str(number)): desired for number, desired in enumerate(sets)}
    found = Claims(refs)
    for ref, desired in refs.items():
        for contest in found.resolved(ref)[1]:
            if contest.name in {alias.name for alias in desired.aliases}:
                assert wants(found.resolved(contest.owner)[0], contest.name), (ref, contest)


def test_older_scopes_of_others_cost_a_set_a_bounded_effort() -> None:
    """What cannot be decided in time counts as an overlap; the limit is what is too expensive without it."""

    def hostile(number: int) -> AliasSet:
        return alias_set({}, include=tuple(f"*a{number:03}{j:02}*b*a*c*d*{number:03}x*" for j in range(64)))

    older = {f"hostile{number}": hostile(number) for number in range(500)}
    found = claims(**older, mine=alias_set({"team_a": "v1"}, include=("team_*",)))
    names, contests = has(found, "mine")
    assert names == ["team_a"]
    assert contests.keys() == {"team_*"}
