"""What holds for every wish and every live state, tried on random ones."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from reconciler.catalog.memory import Flavour
from reconciler.core.errors import ExitCode
from reconciler.core.model import Alias, AliasSet, Limits, Scope
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import LOCAL, alias_set, catalogs, live, server
from tests.faults.memory import Recorder

COLLECTIONS = ("c1", "c2", "c3")
NAMES = ("a", "b", "s_a", "s_b", "s_c", "t_a", "s_ab", "s_")
UNLIMITED = Limits(max_drops=100, allow_empty=True)

existing = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(COLLECTIONS))
entries = st.builds(
    Alias,
    name=st.sampled_from(NAMES),
    collection=st.none() | st.sampled_from(COLLECTIONS),
    wave=st.integers(0, 2),
)
scopes = st.builds(
    Scope,
    include=st.lists(st.sampled_from(("s_*", "?", "*")), max_size=2).map(tuple),
    exclude=st.lists(st.sampled_from(("s_b", "t_*")), max_size=1).map(tuple),
    protect=st.lists(st.sampled_from(("s_c", "a")), max_size=1).map(tuple),
)


def sets(scope: Scope, aliases: list[Alias]) -> AliasSet:
    return replace(alias_set({}, *aliases, limits=UNLIMITED), scope=scope)


wishes = st.builds(sets, scopes, st.lists(entries, unique_by=lambda alias: alias.name))
exact = st.sampled_from([Flavour.MILVUS_2_6, Flavour.LITE])


def reached(desired: AliasSet, before: dict[str, str]) -> dict[str, str]:
    """The definition of the wish, written down independently of diff."""
    after = dict(before)
    for alias in desired.aliases:
        protected = alias.name in before and desired.scope.protects(alias.name)
        if protected and alias.collection != before[alias.name]:
            continue
        if alias.collection:
            after[alias.name] = alias.collection
        else:
            after.pop(alias.name, None)
    listed = {alias.name for alias in desired.aliases}
    return {
        name: collection
        for name, collection in sorted(after.items())
        if name in listed or desired.scope.protects(name) or not desired.scope.covers(name)
    }


def unprotected(desired: AliasSet) -> AliasSet:
    """The same wish with nothing in the way of a listed alias, so that no wave is blocked."""
    listed = {alias.name for alias in desired.aliases}
    protect = tuple(name for name in desired.scope.protect if name not in listed)
    return replace(desired, scope=replace(desired.scope, protect=protect))


@given(wishes.map(unprotected), existing, exact)
def test_applying_a_plan_reaches_the_wish_and_planning_again_is_empty(
    desired: AliasSet, before: dict[str, str], flavour: Flavour
) -> None:
    made = server(*COLLECTIONS, aliases=before, flavour=flavour)
    with catalogs(made) as opened:
        report = apply_plan(make_plan([desired], catalogs=opened), catalogs=opened)
        assert report.exit_code is ExitCode.DONE
        assert live(made) == reached(desired, before)
        assert make_plan([desired], catalogs=opened).steps == ()


@given(wishes, existing)
def test_nothing_outside_listed_and_scope_is_touched_and_no_protected_alias_ever(
    desired: AliasSet, before: dict[str, str]
) -> None:
    made = server(*COLLECTIONS, aliases=before)
    with catalogs(made) as opened:
        apply_plan(make_plan([desired], catalogs=opened), catalogs=opened)
    after = live(made)
    listed = {alias.name for alias in desired.aliases}
    for name, collection in before.items():
        untouchable = desired.scope.protects(name) or (name not in listed and not desired.scope.covers(name))
        assert not untouchable or after.get(name) == collection


@given(wishes, existing, st.randoms(use_true_random=False))
def test_the_order_of_the_input_never_changes_the_digest(
    desired: AliasSet, before: dict[str, str], shuffler: random.Random
) -> None:
    made = server(*COLLECTIONS, aliases=before)
    other = alias_set({"elsewhere": "c1"}, name="other")
    aliases = list(desired.aliases)
    shuffler.shuffle(aliases)
    plan = make_plan([desired, other], catalogs=catalogs(made))
    shuffled = make_plan([other, replace(desired, aliases=tuple(aliases))], catalogs=catalogs(made))
    assert shuffled.digest == plan.digest
    assert shuffled.steps == plan.steps


@given(wishes, existing)
def test_a_different_wish_on_the_same_state_has_another_digest(desired: AliasSet, before: dict[str, str]) -> None:
    made = server(*COLLECTIONS, "c9", aliases=before)
    more = replace(desired, aliases=(*desired.aliases, Alias("zzz", "c9")))
    assert make_plan([more], catalogs=catalogs(made)).digest != make_plan([desired], catalogs=catalogs(made)).digest


@given(wishes.map(unprotected), existing)
def test_an_alias_is_never_dropped_to_be_moved(desired: AliasSet, before: dict[str, str]) -> None:
    recorder = Recorder(server(*COLLECTIONS, aliases=before))
    with recorder.catalogs() as opened:
        apply_plan(make_plan([desired], catalogs=opened), catalogs=opened)
    dropped = {alias for method, alias in recorder.writes if method == "drop"}
    assert dropped.isdisjoint(live(recorder.server))
    assert len(recorder.writes) == len({alias for _, alias in recorder.writes}), "one write an alias"


@given(wishes.map(unprotected), existing, st.integers(1, 6))
def test_a_run_that_dies_anywhere_is_made_good_by_the_next(
    desired: AliasSet, before: dict[str, str], dies_at: int
) -> None:
    recorder = Recorder(server(*COLLECTIONS, aliases=before))

    class Crash(BaseException):
        pass

    def crash(method: str, alias: str) -> None:
        if len(recorder.writes) == dies_at:
            raise Crash

    recorder.after = crash
    with recorder.catalogs() as opened:
        try:
            apply_plan(make_plan([desired], catalogs=opened), catalogs=opened)
        except Crash:
            recorder.after = lambda method, alias: None
        for name, collection in live(recorder.server).items():
            spec_hash = {alias.name: alias.collection for alias in desired.aliases}
            assert collection in (before.get(name), spec_hash.get(name)), "only ever at the old or the new target"
        apply_plan(make_plan([desired], catalogs=opened), catalogs=opened)
    assert live(recorder.server) == reached(desired, before)
    assert recorder.server.connect(LOCAL, "default").alias_names() == frozenset(reached(desired, before))


@given(wishes, existing, st.sampled_from([None, "release/2.4.15-0.1.1", "unknown-20260608-7ea6e3526"]))
def test_on_a_server_that_drops_by_prefix_nothing_is_lost_at_its_next_restart(
    desired: AliasSet, before: dict[str, str], version: str | None
) -> None:
    made = server(*COLLECTIONS, aliases=before, flavour=Flavour.MILVUS_2_3, version=version)
    with catalogs(made) as opened:
        apply_plan(make_plan([desired], catalogs=opened), catalogs=opened)
    after = live(made)
    made.restart()
    assert live(made) == after
