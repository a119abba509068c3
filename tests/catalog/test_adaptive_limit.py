"""How many calls are in flight at a server that struggles."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError

import pytest

from reconciler.catalog.adaptive_limit import AdaptiveLimit


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limit(clock: Clock) -> AdaptiveLimit:
    made = AdaptiveLimit(8, clock)
    for _ in range(20):
        answered(made, clock)
    return made


def answered(limit: AdaptiveLimit, clock: Clock, seconds: float = 0.01, *, refused: bool = False) -> None:
    """One call from its start to its end."""
    clock.now += seconds
    limit.learn("describe_collection", seconds, refused=refused)


def fit_together(limit: AdaptiveLimit, calls: int, seconds: float = 30.0) -> bool:
    """Whether so many calls are in flight at once before some seconds have passed."""
    meeting = Barrier(calls)

    def call(_: int) -> bool:
        with limit.slot():
            try:
                meeting.wait(timeout=seconds)
            except BrokenBarrierError:
                return False
            return True

    with ThreadPoolExecutor(calls) as pool:
        return all(pool.map(call, range(calls)))


def test_while_all_is_well_as_many_calls_are_in_flight_as_are_allowed_and_no_more(limit: AdaptiveLimit) -> None:
    assert fit_together(limit, 8)
    assert not fit_together(limit, 9, 0.3)


def test_a_rate_limit_halves_them_down_to_one(limit: AdaptiveLimit, clock: Clock) -> None:
    answered(limit, clock, refused=True)
    assert fit_together(limit, 4)
    assert not fit_together(limit, 5, 0.3)
    for _ in range(5):
        answered(limit, clock, refused=True)
    assert limit.limit == 1
    assert fit_together(limit, 1)


def test_calls_that_were_refused_together_count_once(limit: AdaptiveLimit, clock: Clock) -> None:
    clock.now += 0.2
    for _ in range(8):
        limit.learn("describe_collection", 0.2, refused=True)
    assert limit.limit == 4


def test_calls_that_take_much_longer_than_usual_halve_them(limit: AdaptiveLimit, clock: Clock) -> None:
    answered(limit, clock, 0.4)
    assert limit.limit == 8
    answered(limit, clock, 1.5)
    assert limit.limit == 4


def test_what_is_always_slow_is_no_trouble(clock: Clock) -> None:
    limit = AdaptiveLimit(8, clock)
    for _ in range(20):
        answered(limit, clock, 3.0)
    assert limit.limit == 8


def test_each_kind_of_call_is_compared_with_its_own(limit: AdaptiveLimit, clock: Clock) -> None:
    clock.now += 3
    limit.learn("search", 3.0, refused=False)
    assert limit.limit == 8


def test_when_the_trouble_is_over_all_are_allowed_again_and_not_at_once(limit: AdaptiveLimit, clock: Clock) -> None:
    answered(limit, clock, refused=True)
    for _ in range(5):
        answered(limit, clock)
    assert limit.limit == 5
    for _ in range(40):
        answered(limit, clock)
    assert limit.limit == 8


def test_a_call_that_waits_goes_on_as_soon_as_another_ends(limit: AdaptiveLimit, clock: Clock) -> None:
    for _ in range(3):
        answered(limit, clock, refused=True)
    done = []

    def call(number: int) -> None:
        with limit.slot():
            done.append(number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(call, range(20)))
    assert sorted(done) == list(range(20))
