"""When each set is looked at, and that none waits for another server's."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from threading import Event, Lock

import pytest

from reconciler.operator.objects import Ref
from reconciler.operator.queue import FOR_MANY, LANE_WIDTH, Queue, Trigger, Wake
from tests.emulated_kubernetes.harness import TIMEOUT, wait_until

A, B, C = Ref("team", "a"), Ref("team", "b"), Ref("team", "c")


class Work:
    """Notes what is worked on. Sets in `held` do not end before their event is set; `following` is what they answer."""

    def __init__(self) -> None:
        self.begun: list[tuple[Ref, Trigger]] = []
        self.ended: list[Ref] = []
        self.held: dict[Ref, Event] = {}
        self.following: dict[Ref, Callable[[], Wake | None]] = {}
        self.at_once: Counter[Ref] = Counter()
        self.most = 0
        self._lock = Lock()

    def __call__(self, ref: Ref, trigger: Trigger) -> Wake | None:
        with self._lock:
            self.begun.append((ref, trigger))
            self.at_once[ref] += 1
            self.most = max(self.most, self.at_once[ref])
        if held := self.held.get(ref):
            assert held.wait(TIMEOUT)
        with self._lock:
            self.at_once[ref] -= 1
            self.ended.append(ref)
        return self.following.get(ref, lambda: None)()

    def times(self, ref: Ref) -> int:
        return [item for item, _ in self.begun].count(ref)


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def queue(work: Work) -> Iterator[Queue]:
    """The lane of a set is its namespace."""
    made = Queue(work, lambda ref: ref.namespace)
    yield made
    for held in work.held.values():
        held.set()
    assert made.stop(TIMEOUT)


def test_what_is_woken_is_worked_on_once(queue: Queue, work: Work) -> None:
    queue.start()
    queue.wake(A, Trigger.CHANGED)
    wait_until("done", lambda: work.ended == [A])
    queue.wake(B, Trigger.CHANGED)
    wait_until("done", lambda: work.ended == [A, B])


def test_nothing_is_worked_on_before_the_start(queue: Queue, work: Work) -> None:
    queue.wake(A, Trigger.LISTED)
    queue.wake(A, Trigger.LISTED)
    assert work.begun == []
    queue.start()
    queue.wake(B, Trigger.LISTED)
    wait_until("done", lambda: len(work.ended) == 2)
    assert work.times(A) == 1


def test_woken_while_it_runs_it_runs_again_and_never_twice_at_once(queue: Queue, work: Work) -> None:
    go_on = work.held[A] = Event()
    queue.start()
    queue.wake(A, Trigger.CHANGED)
    wait_until("begun", lambda: work.begun)
    for _ in range(5):
        queue.wake(A, Trigger.CHANGED)
    queue.wake(B, Trigger.CHANGED)
    wait_until("another one done", lambda: work.ended == [B])
    assert work.times(A) == 1
    go_on.set()
    wait_until("run again", lambda: work.ended.count(A) == 2)
    queue.wake(C, Trigger.CHANGED)
    wait_until("the rest done", lambda: C in work.ended)
    assert (work.times(A), work.most) == (2, 1)


def test_it_comes_again_when_it_said(queue: Queue, work: Work) -> None:
    answers = iter([Wake(time.monotonic() + 0.05, Trigger.RETRY), None])
    work.following[A] = lambda: next(answers)
    queue.start()
    queue.wake(A, Trigger.CHANGED)
    wait_until("come again", lambda: work.begun == [(A, Trigger.CHANGED), (A, Trigger.RETRY)])


def test_a_far_visit_is_brought_forward(queue: Queue, work: Work) -> None:
    queue.start()
    queue.wake(A, Trigger.INTERVAL, delay=3600)
    queue.wake(A, Trigger.CHANGED)
    wait_until("done", lambda: work.begun == [(A, Trigger.CHANGED)])
    queue.wake(A, Trigger.RETRY, delay=3600)
    queue.wake(A, Trigger.INTERVAL)
    wait_until("done", lambda: len(work.begun) == 2)


def test_a_lane_that_hangs_does_not_delay_another(queue: Queue, work: Work) -> None:
    dead = [Ref("dead", str(number)) for number in range(LANE_WIDTH + 5)]
    go_on = Event()
    work.held.update(dict.fromkeys(dead, go_on))
    queue.start()
    for ref in dead:
        queue.wake(ref, Trigger.CHANGED)
    wait_until("full", lambda: len(work.begun) == LANE_WIDTH)
    queue.wake(A, Trigger.INTERVAL)
    wait_until("done", lambda: work.ended == [A])
    assert len(work.begun) == LANE_WIDTH + 1
    go_on.set()
    wait_until("all done", lambda: set(work.ended) == {A, *dead})


def full_lane(queue: Queue, work: Work, *first: Event) -> Event:
    """Fill the lane `team`; it is emptied when the event is set, but for the first sets: they wait for their own."""
    go_on = Event()
    for number in range(LANE_WIDTH):
        ref = Ref("team", f"busy-{number}")
        work.held[ref] = first[number] if number < len(first) else go_on
        queue.wake(ref, Trigger.CHANGED)
    wait_until("full", lambda: len(work.begun) == LANE_WIDTH)
    return go_on


def test_the_most_urgent_goes_first(queue: Queue, work: Work) -> None:
    queue.start()
    for_edit, for_retry, hold = Event(), Event(), Event()
    go_on = full_lane(queue, work, for_edit, for_retry)
    work.held.update({A: hold, B: hold, C: hold})
    queue.wake(A, Trigger.INTERVAL)
    queue.wake(B, Trigger.RETRY)
    queue.wake(C, Trigger.INTERVAL)
    wait_until("taken up", lambda: queue.overdue > 0)
    queue.wake(C, Trigger.CHANGED)  # an edit overtakes
    for number, room in enumerate((for_edit, for_retry, go_on), 1):
        room.set()
        wait_until("begun", lambda number=number: len(work.begun) == LANE_WIDTH + number)  # type: ignore[misc]
    hold.set()
    assert dict(work.begun[LANE_WIDTH:]) == {
        A: Trigger.INTERVAL,
        B: Trigger.RETRY,
        C: Trigger.CHANGED,
    }
    assert [ref for ref, _ in work.begun[LANE_WIDTH:]] == [C, B, A]


@pytest.mark.parametrize("trigger", [Trigger.LISTED, Trigger.INTERVAL])
def test_an_edit_needs_not_wait_for_many_that_are_due_at_once(trigger: Trigger, queue: Queue, work: Work) -> None:
    many = [Ref("team", f"due-{number}") for number in range(2 * LANE_WIDTH)]
    go_on = Event()
    work.held.update(dict.fromkeys(many, go_on))
    queue.start()
    for ref in many:
        queue.wake(ref, trigger)
    wait_until("as many as may be", lambda: len(work.begun) == FOR_MANY)
    queue.wake(A, Trigger.CHANGED)
    wait_until("done", lambda: work.ended == [A])
    go_on.set()
    wait_until("all done", lambda: set(work.ended) == {A, *many})


def test_one_that_steps_aside_makes_room(queue: Queue, work: Work) -> None:
    queue.start()
    go_on = full_lane(queue, work)
    queue.wake(A, Trigger.CHANGED)
    time.sleep(0.05)
    assert work.times(A) == 0
    queue.step_aside(Ref("team", "busy-0"))
    wait_until("done", lambda: A in work.ended)
    go_on.set()
    wait_until("all done", lambda: len(work.ended) == LANE_WIDTH + 1)
    again = [Ref("team", f"again-{number}") for number in range(LANE_WIDTH + 1)]
    stuck = Event()
    work.held.update(dict.fromkeys(again, stuck))
    for ref in again:
        queue.wake(ref, Trigger.CHANGED)
    wait_until("full again", lambda: sum(work.times(ref) for ref in again) >= LANE_WIDTH)
    time.sleep(0.05)
    assert sum(work.times(ref) for ref in again) == LANE_WIDTH  # its room was given back once, not twice
    stuck.set()


def test_sets_without_a_server_share_a_lane_that_gives_its_room_back_too(work: Work) -> None:
    queue = Queue(work, lambda ref: "")
    many = [Ref("team", f"lost-{number}") for number in range(2 * LANE_WIDTH)]
    queue.start()
    for ref in many:
        queue.wake(ref, Trigger.CHANGED)
    wait_until("all done", lambda: set(work.ended) == set(many))
    go_on = Event()
    work.held.update(dict.fromkeys(many[:LANE_WIDTH], go_on))
    for ref in many[:LANE_WIDTH]:
        queue.wake(ref, Trigger.CHANGED)
    wait_until("full", lambda: len(work.begun) == len(many) + LANE_WIDTH)
    queue.step_aside(many[0])
    queue.wake(A, Trigger.CHANGED)
    wait_until("done beside one that stepped aside", lambda: A in work.ended)
    go_on.set()
    assert queue.stop(TIMEOUT)


def test_a_forgotten_set_is_not_worked_on(queue: Queue, work: Work) -> None:
    queue.start()
    go_on = full_lane(queue, work)
    queue.wake(A, Trigger.CHANGED)
    queue.wake(B, Trigger.CHANGED, delay=0.01)
    queue.wake(C, Trigger.CHANGED)
    wait_until("taken up", lambda: queue.overdue > 0)
    queue.forget(A)
    queue.forget(B)
    go_on.set()
    wait_until("the other done", lambda: C in work.ended)
    time.sleep(0.05)
    assert (work.times(A), work.times(B)) == (0, 0)
    queue.wake(A, Trigger.CHANGED)
    wait_until("woken anew", lambda: A in work.ended)


def test_stop_waits_for_what_runs_and_starts_nothing(work: Work) -> None:
    queue = Queue(work, lambda ref: ref.namespace)
    go_on = work.held[A] = Event()
    queue.start()
    queue.wake(A, Trigger.CHANGED)
    wait_until("begun", lambda: work.begun)
    queue.wake(A, Trigger.CHANGED)
    assert not queue.stop(0.05)
    queue.wake(B, Trigger.CHANGED)
    go_on.set()
    assert queue.stop(TIMEOUT)
    assert [ref for ref, _ in work.begun] == [A]


def test_a_bug_in_one_look_is_no_end_of_the_others(queue: Queue, work: Work, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Wake | None:
        raise ZeroDivisionError

    work.following[A] = broken
    queue.start()
    queue.wake(A, Trigger.CHANGED)
    wait_until("logged", lambda: "internal error" in caplog.text)
    queue.wake(B, Trigger.CHANGED)
    wait_until("done", lambda: B in work.ended)
    queue.wake(A, Trigger.CHANGED)
    wait_until("tried again when woken", lambda: work.times(A) == 2)


def test_how_late_it_is_is_told(queue: Queue, work: Work) -> None:
    assert queue.overdue == 0
    queue.start()
    queue.wake(A, Trigger.INTERVAL, delay=3600)
    assert queue.overdue == 0
    go_on = full_lane(queue, work)
    queue.wake(B, Trigger.CHANGED)
    wait_until("late", lambda: queue.overdue > 0.02)
    go_on.set()
    wait_until("no longer", lambda: queue.overdue == 0)


def test_it_gives_signs_of_life(queue: Queue, work: Work) -> None:
    queue.start()
    time.sleep(0.05)
    queue.wake(A, Trigger.CHANGED)
    wait_until("alive", lambda: queue.silent < 0.05)
