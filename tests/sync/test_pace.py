"""When the agent looks again, and how often it corrects what others keep moving."""

from __future__ import annotations

import random
import time
from itertools import pairwise

import pytest

from reconciler.core.reasons import Reason
from reconciler.sync.finding import Finding
from reconciler.sync.pace import BackOff, Pace


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


@pytest.fixture
def evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    """No jitter."""
    monkeypatch.setattr(random, "uniform", lambda low, high: (low + high) / 2)


def pauses(interval: float, *reasons: Reason) -> list[float]:
    pace = Pace(interval)
    return [pace.after(Finding(reason, "")) for reason in reasons]


def test_what_may_pass_by_itself_is_tried_again_with_growing_pauses_up_to_the_interval(evenly: None) -> None:
    assert pauses(60, *[Reason.GIT_UNREACHABLE] * 7) == [2, 4, 8, 16, 32, 60, 60]
    assert pauses(3600, *[Reason.CONNECTION_FAILED] * 10)[-2:] == [300, 300]
    assert pauses(1, *[Reason.PROGRESSING_WITH_RETRY] * 3) == [2, 2, 2]


def test_a_good_look_ends_the_growing(evenly: None) -> None:
    unreachable = Reason.GIT_UNREACHABLE
    assert pauses(60, unreachable, unreachable, Reason.SUCCEEDED, unreachable) == [2, 4, 60, 2]


@pytest.mark.parametrize(
    "reason", [Reason.SUCCEEDED, Reason.INVALID_REVISION, Reason.SIGNATURE_INVALID, Reason.BLOCKED]
)
def test_what_does_not_pass_by_itself_waits_for_the_interval(evenly: None, reason: Reason) -> None:
    assert pauses(60, reason, reason) == [60, 60]


def test_agents_that_start_together_do_not_look_together() -> None:
    found = pauses(60, *[Reason.SUCCEEDED] * 50)
    assert 54 <= min(found) < 58
    assert 62 < max(found) <= 66


def rival(clock: Clock, corrections: BackOff, *, every: float, interval: float, seconds: float) -> list[float]:
    """When corrections are made if somebody moves the alias back again and again."""
    made, moved, next_move = [], False, clock.now
    end = clock.now + seconds
    while clock.now < end:
        if clock.now >= next_move:
            moved, next_move = True, next_move + every
        if moved and not corrections.seconds:
            corrections.repeated()
            made.append(clock.now - 1000)
            moved = False
        elif not moved:
            corrections.not_needed()
        clock.now += interval
    return made


def test_each_further_correction_waits_twice_as_long_up_to_an_hour(clock: Clock) -> None:
    made = rival(clock, BackOff(60), every=60, interval=60, seconds=86400)
    gaps = [later - earlier for earlier, later in pairwise(made)]
    assert gaps[:7] == [60, 60, 120, 240, 480, 960, 1920]
    assert set(gaps[7:]) == {3600}


def test_a_rival_that_is_slower_than_we_are_is_corrected_less_and_less_too(clock: Clock) -> None:
    """Such as a script that runs every second minute."""
    made = rival(clock, BackOff(60), every=120, interval=60, seconds=86400)
    assert len(made) < 40


def test_drift_now_and_then_is_corrected_at_once_each_time(clock: Clock) -> None:
    made = rival(clock, BackOff(60), every=3 * 3600, interval=60, seconds=86400)
    assert made == [hours * 3600 for hours in range(0, 24, 3)]


def test_another_wish_starts_afresh(clock: Clock) -> None:
    corrections = BackOff(60)
    for _ in range(5):
        corrections.repeated()
    assert corrections.seconds > 0
    corrections.reset()
    assert (corrections.seconds, corrections.count) == (0, 0)


def test_the_pause_stays_at_an_hour_however_often_drift_was_corrected(clock: Clock) -> None:
    corrections = BackOff(60)
    for _ in range(2000):
        corrections.repeated()
    assert corrections.seconds == 3600
