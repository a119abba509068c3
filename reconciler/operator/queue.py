"""When each set is looked at, and that a slow Milvus delays nobody but its own sets.

    wake ─▶ waiting (by due time) ─▶ ready (by urgency, a lane for each server) ─▶ running (a thread each)
              ▲                                                                        │ says when to look again
              └────────────────────────────────────────────────────────────────────────┘

A set is in one place at a time and never runs twice at once; woken while it runs, it runs again afterwards. A lane has
room for a few runs; one that will take long on purpose, such as a soak, steps aside and gives its room to others.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from itertools import count
from threading import Condition, Thread

import structlog

from reconciler.operator.objects import Ref

LANE_WIDTH = 8
"""Runs at once for one server."""
TICK_SECONDS = 5.0
"""The dispatcher looks around at least this often, which is also its sign of life."""
AFTER_A_BUG_SECONDS = 60.0

log = structlog.get_logger()


class Trigger(IntEnum):
    """Why a set is looked at; the most urgent first. `LISTED`: with many others, when the operator starts or their
    connection changes."""

    CHANGED = 0
    RETRY = 1
    LISTED = 2
    INTERVAL = 3


MANY = frozenset({Trigger.LISTED, Trigger.INTERVAL})
"""Triggers that come for many sets at once: they leave room for what somebody is waiting for."""
FOR_MANY = LANE_WIDTH // 2


@dataclass(frozen=True, slots=True)
class Wake:
    """When a set is due (seconds of the monotonic clock), and why."""

    due: float
    trigger: Trigger

    def merged(self, other: Wake | None) -> Wake:
        """One visit for both: as early and as urgent as either."""
        return self if other is None else Wake(min(self.due, other.due), min(self.trigger, other.trigger))


Work = Callable[[Ref, Trigger], Wake | None]
"""Looks at a set, and says when to look again; None for never, until it is woken."""


class Queue:
    """See above.

    Args:
        work: what is done with a set.
        lane_of: which server a set is on; sets of one lane share its room.
    """

    def __init__(self, work: Work, lane_of: Callable[[Ref], str]) -> None:
        self._work = work
        self._lane_of = lane_of
        self._changed = Condition()
        self._waiting: dict[Ref, Wake] = {}
        self._by_due: list[tuple[float, int, Ref]] = []  # has outdated entries, which `_waiting` tells
        self._ready: dict[str, list[tuple[Trigger, int, Ref]]] = defaultdict(list)
        self._queued: dict[Ref, Wake] = {}  # those in `_ready`
        self._running: dict[Ref, str | None] = {}  # the lane whose room it takes
        self._again: dict[Ref, Wake] = {}
        self._room: Counter[str] = Counter()
        self._order = count()
        self._stopping = False
        self._tick = time.monotonic()
        self._dispatcher = Thread(target=self._dispatch, name="dispatcher", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._dispatcher.start()

    def wake(self, ref: Ref, trigger: Trigger, delay: float = 0.0) -> None:
        """Look at a set, after `delay` seconds at the latest."""
        with self._changed:
            self._put(ref, Wake(time.monotonic() + delay, trigger))
            self._changed.notify()

    def forget(self, ref: Ref) -> None:
        """Do not look at a set again."""
        with self._changed:
            for each in (self._waiting, self._queued, self._again):
                each.pop(ref, None)

    def step_aside(self, ref: Ref) -> None:
        """A running set will take long, and needs no room meanwhile."""
        with self._changed:
            if (lane := self._running.get(ref)) is not None:
                self._room[lane] -= 1
                self._running[ref] = None
                self._changed.notify()

    def stop(self, timeout: float) -> bool:
        """Start nothing further, and wait for what runs; False if something still does after `timeout` seconds."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._running, timeout)

    @property
    def silent(self) -> float:
        """Seconds since the dispatcher last gave a sign of life."""
        return time.monotonic() - self._tick

    @property
    def overdue(self) -> float:
        """By how many seconds the set that is waiting longest is late; 0 if none is."""
        with self._changed:
            dues = [wake.due for each in (self._waiting, self._queued) for wake in each.values()]
        return max(0.0, time.monotonic() - min(dues)) if dues else 0.0

    def _put(self, ref: Ref, wake: Wake) -> None:
        if ref in self._running:
            self._again[ref] = wake.merged(self._again.get(ref))
            return
        if queued := self._queued.get(ref):
            if wake.due <= time.monotonic() and wake.trigger < queued.trigger:
                self._make_ready(ref, wake)
            return
        merged = wake.merged(self._waiting.get(ref))
        self._waiting[ref] = merged
        heapq.heappush(self._by_due, (merged.due, next(self._order), ref))

    def _make_ready(self, ref: Ref, wake: Wake) -> None:
        self._queued[ref] = wake
        heapq.heappush(self._ready[self._lane_of(ref)], (wake.trigger, next(self._order), ref))

    def _dispatch(self) -> None:
        with self._changed:
            while not self._stopping:
                self._tick = time.monotonic()
                self._collect_due(self._tick)
                for lane in list(self._ready):
                    self._fill(lane)
                until = self._by_due[0][0] - time.monotonic() if self._by_due else TICK_SECONDS
                if until > 0:
                    self._changed.wait(min(until, TICK_SECONDS))

    def _collect_due(self, now: float) -> None:
        while self._by_due and self._by_due[0][0] <= now:
            due, _, ref = heapq.heappop(self._by_due)
            wake = self._waiting.get(ref)
            if wake and wake.due == due:
                del self._waiting[ref]
                self._make_ready(ref, wake)

    def _fill(self, lane: str) -> None:
        """Start as many runs as a lane has room for."""
        ready = self._ready[lane]
        while ready and self._room[lane] < (FOR_MANY if ready[0][0] in MANY else LANE_WIDTH):
            trigger, _, ref = heapq.heappop(ready)
            wake = self._queued.get(ref)
            if wake is None or wake.trigger != trigger:
                continue  # forgotten, or it came again as more urgent
            del self._queued[ref]
            self._running[ref] = lane
            self._room[lane] += 1
            Thread(target=self._run, args=(ref, trigger), name=f"reconcile {ref}", daemon=True).start()
        if not ready:
            del self._ready[lane]

    def _run(self, ref: Ref, trigger: Trigger) -> None:
        try:
            following = self._work(ref, trigger)
        except Exception:
            log.exception("internal error, please report it", set=str(ref))
            following = Wake(time.monotonic() + AFTER_A_BUG_SECONDS, Trigger.RETRY)
        with self._changed:
            if (lane := self._running.pop(ref)) is not None:  # "" is a lane too
                self._room[lane] -= 1
            again = self._again.pop(ref, None)
            for wake in (following, again):
                if wake:
                    self._put(ref, wake)
            self._changed.notify_all()
