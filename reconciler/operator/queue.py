"""When each set is reconciled. A slow Milvus delays only its own sets.

    wake ─▶ waiting (by due time) ─▶ ready (by urgency, a lane for each server) ─▶ running (a thread each)
              ▲                                                                        │ returns the next wake
              └────────────────────────────────────────────────────────────────────────┘

A set is in one place at a time and never runs twice at once; woken while it runs, it runs again afterwards. A lane has
room for a few runs. A run that takes long by design, such as one with a soak, steps aside and gives its room to others.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from enum import IntEnum
from itertools import count
from threading import Condition, Thread

import structlog
from msgspec import Struct

from reconciler.operator.objects import Ref

LANE_WIDTH = 8
"""Runs at once for one server."""
TICK_SECONDS = 5.0
"""The dispatcher runs at least this often; the liveness probe depends on it."""
INTERNAL_ERROR_SECONDS = 60.0

log = structlog.get_logger()


class Trigger(IntEnum):
    """Why a set is reconciled, the most urgent reason first.

    `LISTED`: together with many others, when the operator starts or their connection changes.
    """

    CHANGED = 0
    RETRY = 1
    LISTED = 2
    INTERVAL = 3


MANY = frozenset({Trigger.LISTED, Trigger.INTERVAL})
"""Triggers of many sets at once, which leave room in a lane for urgent ones."""
FOR_MANY = LANE_WIDTH // 2


class Wake(Struct, frozen=True):
    """When a set is due (seconds of the monotonic clock), and why."""

    due: float
    trigger: Trigger

    def merged(self, other: Wake | None) -> Wake:
        """Return one wake for both: the earlier time and the more urgent trigger."""
        return self if other is None else Wake(min(self.due, other.due), min(self.trigger, other.trigger))


Work = Callable[[Ref, Trigger], Wake | None]
"""Reconciles a set and returns the next wake; None to wait until it is woken."""


class Queue:
    """Runs the reconciles of all sets. `lane_of`: returns the server of a set; sets of one lane share its room."""

    def __init__(self, work: Work, lane_of: Callable[[Ref], str]) -> None:
        self._work = work
        self._lane_of = lane_of
        self._changed = Condition()
        self._waiting: dict[Ref, Wake] = {}
        self._by_due: list[tuple[float, int, Ref]] = []  # an entry that `_waiting` does not confirm is outdated
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
        self._dispatcher.start()

    def wake(self, ref: Ref, trigger: Trigger, delay: float = 0.0) -> None:
        """Reconcile a set within `delay` seconds."""
        with self._changed:
            self._put(ref, Wake(time.monotonic() + delay, trigger))
            self._changed.notify()

    def forget(self, ref: Ref) -> None:
        """Cancel what is planned for a set."""
        with self._changed:
            for wakes in (self._waiting, self._queued, self._again):
                wakes.pop(ref, None)

    def step_aside(self, ref: Ref) -> None:
        """Free the room of a running set that will take long."""
        with self._changed:
            if (lane := self._running.get(ref)) is not None:
                self._room[lane] -= 1
                self._running[ref] = None
                self._changed.notify()

    def stop(self, timeout: float) -> bool:
        """Start no further runs, and wait for the running ones; return whether all ended within `timeout` seconds."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._running, timeout)

    @property
    def silent(self) -> float:
        """Seconds since the dispatcher last ran."""
        return time.monotonic() - self._tick

    @property
    def overdue(self) -> float:
        """Seconds by which the set that waits longest is late; 0 if none is late."""
        with self._changed:
            dues = [wake.due for wakes in (self._waiting, self._queued) for wake in wakes.values()]
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
                continue  # cancelled, or queued again as more urgent
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
            following = Wake(time.monotonic() + INTERNAL_ERROR_SECONDS, Trigger.RETRY)
        with self._changed:
            if (lane := self._running.pop(ref)) is not None:  # "" is a lane too
                self._room[lane] -= 1
            again = self._again.pop(ref, None)
            for wake in (following, again):
                if wake:
                    self._put(ref, wake)
            self._changed.notify_all()
