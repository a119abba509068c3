"""Rules across sets, on sets as the Python API, the operator or the loader may give them."""

from __future__ import annotations

import time

import pytest

from reconciler.core.model import Alias, AliasSet, Connection, Scope, Source
from reconciler.manifest.rules import conflicts
from tests.builders import LOCAL, alias_set

ELSEWHERE = Connection(name="local", uri="http://elsewhere:19530", address="elsewhere:19530")
SAME_SERVER = Connection(name="other", uri="http://localhost:19530", address="localhost:19530")


def told(*sets: AliasSet) -> list[str]:
    return [str(problem) for problem in conflicts(sets)]


def unresolved(name: str, connection: str, namespace: str = "") -> AliasSet:
    return AliasSet(name, namespace, connection, None, aliases=(Alias("a", "x"),), source=Source(f"{name}.yaml", 4, 2))


def test_sets_that_leave_each_other_alone() -> None:
    assert not told(
        alias_set({"a": "x", "b": None}, name="one", include=("one_*",)),
        alias_set({"c": "x", "d": "y"}, name="two", include=("two_*", "one?"), exclude=("one_*",)),
        alias_set({"a": "x"}, name="three", database="archive", include=("*",)),
        alias_set({"a": "x"}, name="four", connection=ELSEWHERE, include=("*",)),
    )


@pytest.mark.parametrize("connection", [LOCAL, SAME_SERVER])
def test_one_server_is_one_server_whatever_it_is_called(connection: Connection) -> None:
    assert told(alias_set({"a": "x"}, name="one"), alias_set({"a": "x"}, name="two", connection=connection)) == [
        'alias "a" is also listed by AliasSet "one", for the same database'
    ]


def test_connections_that_nobody_knows_are_compared_by_namespace_and_name() -> None:
    assert told(unresolved("one", "prod"), unresolved("two", "staging"), unresolved("three", "prod", "team")) == []
    assert told(unresolved("one", "prod"), unresolved("two", "prod")) == [
        'alias "a" is also listed by AliasSet "one", for the same database'
    ]


def test_a_suspended_set_still_has_authority() -> None:
    assert told(alias_set({"a": "x"}, name="one", suspend=True), alias_set({"a": "y"}, name="two")) != []


def test_every_pair_is_told_with_both_places() -> None:
    first = alias_set({}, Alias("a", "x", source=Source("one.yaml", 5, 9)), name="one")
    others = [
        alias_set({}, Alias("a", "x", source=Source(f"{name}.yaml", 7, 9)), name=name) for name in ("three", "two")
    ]
    assert told(first, *others) == [
        f'{name}.yaml:7:9: alias "a" is also listed by AliasSet "one" at one.yaml:5:9, for the same database'
        for name in ("three", "two")
    ]


def test_scopes_that_can_meet_are_told_with_an_example() -> None:
    item = alias_set(name="one", include=("search_*",), exclude=("search_a*",))
    assert told(item, alias_set(name="two", include=("*_tmp",))) == [
        'this scope and the scope of AliasSet "one" both cover "search_tmp", for example'
    ]
    assert told(item, alias_set(name="two", include=("search_a*",))) == []
    assert told(item, alias_set(name="two", include=("search_*",), exclude=("search_?*", "search_"))) == []


def test_scopes_too_tangled_to_tell_apart_count_as_meeting() -> None:
    tangled = tuple(f"*{letter}{'?' * 14}" for letter in "abcdefghij")
    every_length = tuple("?" * length for length in range(1, 40))
    item, two = alias_set(name="one", include=tangled), alias_set(name="two", include=("*_z",), exclude=every_length)
    assert told(item, two) == [
        'this scope and the scope of AliasSet "one" are too tangled to tell apart; use fewer and simpler patterns'
    ]


@pytest.mark.parametrize("listed", [{"search_b": "x"}, {"search_b": None}])
def test_a_scope_may_not_cover_what_another_set_lists(listed: dict[str, str | None]) -> None:
    covering = alias_set({"search_a": "x"}, name="one", include=("search_*", "?earch_b"), exclude=("*_tmp",))
    expected = ['alias "search_b" is also covered by the scope of AliasSet "one"']
    assert told(covering, alias_set(listed | {"search_tmp": "x"}, name="two")) == expected
    assert told(alias_set(listed | {"search_tmp": "x"}, name="two"), covering) == expected


def test_a_name_is_an_alias_or_a_collection() -> None:
    expected = ['alias "x" is also the collection of alias "a"; a name is one or the other']
    assert told(alias_set({"a": "x", "x": "y"})) == expected
    assert told(alias_set({"x": "y"}, name="one"), alias_set({"a": "x"}, name="two")) == expected
    assert told(alias_set({"x": "y"}, name="one"), alias_set({"a": "x"}, name="two", database="archive")) == []
    assert told(alias_set({"a": "x", "x": None})) == [], "no alias x, and a collection x: that can be"


def test_one_set_by_itself() -> None:
    assert told(alias_set({"a": "a"}, Alias("b", "x"), Alias("b", "y"), Alias("c", None, protect=True))) == [
        'alias "b" is listed twice in this set; first',
        'alias "c" is protected and to be absent',
        "an alias cannot be its own collection",
    ]


def test_a_set_given_twice() -> None:
    assert told(alias_set(name="one"), alias_set(name="one", database="archive")) == [
        'AliasSet "one" is given twice; first'
    ]


def test_many_sets_take_little_time() -> None:
    sets = [
        AliasSet(
            f"s{number}",
            "",
            "local",
            LOCAL,
            aliases=tuple(Alias(f"s{number}_{index}", "x") for index in range(300)),
            scope=Scope((f"s{number}_*",), (f"s{number}_tmp*",)),
        )
        for number in range(100)
    ]
    started = time.monotonic()
    assert conflicts(sets) == []
    assert time.monotonic() - started < 10


def test_many_tangled_scopes_are_refused_before_all_are_compared() -> None:
    sets = [
        alias_set(name=f"s{number}", include=tuple(f"*a{number:03}{j:02}*b*a*c*d*{number:03}x" for j in range(64)))
        for number in range(200)
    ]
    found = told(*sets)
    assert len(found) < 200
    assert (
        "the scopes of the sets of this database are too tangled to compare them all; use fewer patterns, each with a "
        "prefix of its own"
    ) in found
