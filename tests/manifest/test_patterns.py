"""Patterns: the fast matcher and the overlap search, against slow and obvious ones."""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.patterns import MAX_STEPS, Effort, Undecided, common_name, matches, pairs_to_compare

GLOBS = st.lists(st.text("ab0?*", min_size=1, max_size=4), max_size=3)
NAMES = [
    "".join(letters) for length in range(1, 6) for letters in product("abc0", repeat=length) if letters[0] not in "0"
]


@given(glob=st.text("ab*?", max_size=8), name=st.text("abc\n", max_size=8))
def test_matches_like_the_standard_library(glob: str, name: str) -> None:
    assert matches(glob, name) is fnmatchcase(name, glob)


@pytest.mark.parametrize("glob", ["[ab]", "a.b", "a+", "(a)", "a|b", "\\a", "^a$"])
def test_nothing_but_star_and_question_mark_is_special(glob: str) -> None:
    assert matches(glob, glob)
    assert not matches(glob, "a")


def test_many_stars_take_no_time() -> None:
    assert not matches("*a" * 100 + "b", "a" * 255)


@given(globs=GLOBS, other=GLOBS, excluded=GLOBS)
def test_common_name_is_a_shortest_one(globs: list[str], other: list[str], excluded: list[str]) -> None:
    def counts(name: str) -> bool:
        return (
            any(matches(glob, name) for glob in globs)
            and any(matches(glob, name) for glob in other)
            and not any(matches(glob, name) for glob in excluded)
        )

    found = common_name(globs, other, excluded, Effort())
    shortest = next((len(name) for name in NAMES if counts(name)), None)
    if found is None:
        assert shortest is None
    else:
        assert counts(found)
        assert found.isidentifier()
        assert len(found) == shortest if shortest else len(found) > len(NAMES[-1])


@pytest.mark.parametrize(
    ("glob", "other", "excluded", "name"),
    [
        (["search_*"], ["ads_*"], [], None),
        (["search_*"], ["search_*"], [], "search_"),
        (["search_*"], ["*_tmp"], ["search_tmp"], "search__tmp"),
        (["search_*"], ["search_tmp_*"], ["search_tmp_*"], None),
        (["*"], ["*"], ["?", "??"], "bbb"),
        (["*"], ["?"], ["_", *"abcdefghijklmnopqrstuvwxyz", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ"], None),
        (["0*"], ["*"], [], None),
        (["?" * 255], ["*"], [], "a" * 255),
        (["?" * 255], ["*_"], ["?" * 254 + "_"], None),
        (["*" + "?" * 255], ["a*", "*b"], [], "a" * 255),
        ([], ["*"], [], None),
    ],
)
def test_common_name(glob: list[str], other: list[str], excluded: list[str], name: str | None) -> None:
    found = common_name(glob, other, excluded, Effort())
    assert (found is None) is (name is None)
    assert len(found or "") == len(name or "")


def test_a_search_that_would_take_too_long_is_given_up() -> None:
    tangled = [f"*{letter}{'?' * 12}" for letter in "abcdef"]
    with pytest.raises(Undecided):
        common_name(tangled, ["*"], ["?" * length for length in range(14)], Effort(1000))


@given(groups=st.lists(GLOBS, max_size=5))
def test_every_two_groups_with_a_common_name_are_compared(groups: list[list[str]]) -> None:
    pairs = pairs_to_compare(groups)
    assert pairs == sorted(set(pairs))
    for item, other in combinations(range(len(groups)), 2):
        if common_name(groups[item], groups[other], [], Effort()):
            assert (item, other) in pairs


def test_groups_with_prefixes_of_their_own_need_no_comparison() -> None:
    assert pairs_to_compare([[f"team{number}_*", f"team{number}_?_x"] for number in range(2000)]) == []
    assert pairs_to_compare([["a*"], ["b*"], ["ab*", "c*"], ["*"]]) == [(0, 2), (0, 3), (1, 3), (2, 3)]


def test_comparisons_share_their_effort() -> None:
    effort = Effort(100)
    assert common_name(["ab*"], ["*b"], [], effort) == "ab"
    assert 0 < effort.left < 100
    with pytest.raises(Undecided):
        common_name(["*abcd*efgh*"], ["*ijkl*mnop*"], [], effort)
    assert effort.left == 0
    with pytest.raises(Undecided):
        common_name(["ab*"], ["*b"], [], effort)


def test_one_comparison_leaves_effort_to_the_others() -> None:
    tangled = [f"*{letter}{'?' * 12}" for letter in "abcdef"]
    effort = Effort(2 * MAX_STEPS)
    with pytest.raises(Undecided):
        common_name(tangled, ["*"], ["?" * length for length in range(14)], effort)
    assert effort.left == MAX_STEPS
