"""One read for many sets: when it is had, and when it must not be used."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.errors import ConnectionFailed
from reconciler.core.model import AliasSet, LiveCatalog, Target
from reconciler.operator import reads
from reconciler.operator.reads import JITTER, SharedReads, last_tick, next_tick
from tests.builders import LOCAL, alias_set
from tests.emulated_kubernetes.milvus import Catalog, Milvus

TARGET = Target("milvus:19530", "default")
ONE, TWO = alias_set({"a": "v1"}, name="one"), alias_set({"b": "v2"}, name="two")

moments = st.floats(min_value=0, max_value=1e7)
intervals = st.floats(min_value=0.1, max_value=86_400)
targets = st.builds(Target, st.sampled_from(["a:1", "b:1", "c:1"]), st.sampled_from(["default", "other"]))


@given(moments, intervals, targets)
def test_the_next_tick_is_ahead_and_not_far(now: float, interval: float, target: Target) -> None:
    seconds = next_tick(now, interval, target)
    assert interval * JITTER < seconds <= interval * (1 + 3 * JITTER) + 1e-6


@given(moments, intervals, targets, st.floats(min_value=0, max_value=1))
def test_all_sets_of_a_database_have_the_same_ticks(now: float, interval: float, target: Target, part: float) -> None:
    tick = now + next_tick(now, interval, target)
    later = now + part * (tick - now - interval * JITTER)
    if tick - later > interval * JITTER * 1.001:
        assert later + next_tick(later, interval, target) == pytest.approx(tick, abs=1e-5)


@given(moments, intervals, targets)
def test_the_last_tick_is_the_next_one_of_before(now: float, interval: float, target: Target) -> None:
    at = now + next_tick(now, interval, target)
    assert last_tick(at + interval * JITTER / 2, interval, target) <= at + interval * JITTER / 2
    assert last_tick(at + 1e-6, interval, target) == pytest.approx(at, abs=1e-5)


def test_databases_have_different_ticks() -> None:
    ticks = {next_tick(1000.0, 300.0, Target(f"milvus-{number}:19530", "default")) for number in range(20)}
    assert len(ticks) > 15


@pytest.fixture
def milvus() -> Milvus:
    return Milvus()


def connected(milvus: Milvus) -> Catalog:
    return milvus.connect(LOCAL, "default", secrets=lambda namespace, key: b"")


class Sharing:
    """Sets of one database that share their reads."""

    def __init__(self, *sets: AliasSet) -> None:
        self.reads = SharedReads()
        self.sets = sets

    def read(self, catalog: Catalog, *sets: AliasSet, since: float | None = None) -> LiveCatalog:
        def companions(target: Target) -> Sequence[AliasSet]:
            return self.sets

        return self.reads.sharing(companions, since)(catalog, TARGET, sets)


def test_sets_that_are_due_together_cost_one_read(milvus: Milvus, monkeypatch: pytest.MonkeyPatch) -> None:
    sets = [alias_set({f"a{number}": "v1"}, name=f"s{number}") for number in range(50)]
    for number in range(50):
        milvus.point(f"a{number}", "v1")
    monkeypatch.setattr(reads, "WINDOW_SECONDS", 3600.0)
    sharing, catalog = Sharing(*sets), connected(milvus)
    first = sharing.read(catalog, sets[0])
    calls = catalog.calls
    assert all(sharing.read(catalog, alias_set) is first for alias_set in sets)
    assert (milvus.reads, catalog.calls) == (1, calls)
    assert {first.pointing[f"a{number}"] for number in range(50)} == {"v1"}


def test_an_old_read_is_not_used(milvus: Milvus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "WINDOW_SECONDS", 0.0)
    sharing, catalog = Sharing(ONE, TWO), connected(milvus)
    sharing.read(catalog, ONE)
    milvus.point("b", "v1")
    assert sharing.read(catalog, TWO).pointing == {"b": "v1"}


def test_what_was_read_before_a_write_is_not_used(milvus: Milvus) -> None:
    sharing, catalog = Sharing(ONE, TWO), connected(milvus)
    sharing.read(catalog, ONE)
    catalog.create_alias("b", "v1")
    sharing.reads.wrote(catalog)
    assert sharing.read(catalog, TWO).pointing == {"b": "v1"}


def test_what_another_credential_saw_is_not_used(milvus: Milvus) -> None:
    sharing = Sharing(ONE, TWO)
    sharing.read(connected(milvus), ONE)
    sharing.read(connected(milvus), ONE)
    assert milvus.reads == 2


def test_a_read_without_what_a_set_needs_is_not_used(milvus: Milvus) -> None:
    sharing, catalog = Sharing(ONE), connected(milvus)
    milvus.point("b", "v1")
    sharing.read(catalog, ONE)
    assert sharing.read(catalog, TWO).pointing == {"b": "v1"}
    assert milvus.reads == 2


def test_after_a_read_that_failed_the_one_before_it_is_not_used(
    milvus: Milvus, monkeypatch: pytest.MonkeyPatch
) -> None:
    sharing, catalog = Sharing(ONE, TWO), connected(milvus)
    monkeypatch.setattr(reads, "WINDOW_SECONDS", 0.0)
    sharing.read(catalog, ONE)
    due = time.monotonic()
    milvus.down = True
    with pytest.raises(ConnectionFailed):
        sharing.read(catalog, ONE, since=float("inf"))
    with pytest.raises(ConnectionFailed):
        sharing.read(catalog, TWO, since=due)
