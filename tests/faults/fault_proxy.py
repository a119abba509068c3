"""A proxy between pymilvus and a real Milvus on which a schedule of faults befalls the calls."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition, Event
from typing import Any

import grpc

from tests.faults.relay import Call, Relay
from tests.faults.schedule import REFUSALS, Fault, Schedule
from tests.faults.wire import Wire

DELAY = 0.05
VERY_LATE = 1.0
PATIENCE = 20.0
"""Seconds that a call is kept at most for a client that does not give up."""
RATE_LIMIT = {"code": 8, "error_code": 49, "reason": "request is rejected by grpc RateLimiter middleware"}


@dataclass(frozen=True)
class Write:
    """A write that arrived: the method, the alias, the collection it should be at, and what befell it."""

    method: str
    alias: str
    collection: str | None
    fault: Fault | None


class FaultProxy(Relay):
    """A relay behind a wire. Without a schedule it only passes on.

    Args:
        uri: the server.
        somebody_else: changes an alias behind our back.
    """

    def __init__(self, uri: str, somebody_else: Callable[[str], None] = lambda alias: None) -> None:
        super().__init__(uri)
        self.wire = Wire(self.port)
        self.uri = self.wire.uri
        self.schedule: Schedule | None = None
        self.writes: list[Write] = []
        self.faults: Counter[Fault] = Counter()
        self.overtaken: set[str] = set()
        self.late: set[str] = set()
        """Aliases that a write reached when its sender had given up or was reading again."""
        self._somebody_else = somebody_else
        self._in_flight: Counter[str] = Counter()
        self._being_overtaken: set[str] = set()
        self._calls = 0
        self._changed = Condition()

    def befall(self, call: Call) -> Any:
        with self._changed:
            self._calls += 1
            fault = self.schedule.draw(call) if self.schedule else None
            self._note(call, fault)
            if not call.writes:
                self._changed.wait_for(lambda: not self._being_overtaken, PATIENCE)
        try:
            return self._suffer(call, fault)
        finally:
            with self._changed:
                self._calls -= 1
                self._changed.notify_all()

    def resolve(self) -> None:
        """Wait until nothing is on its way to the server any more."""
        with self._changed:
            assert self._changed.wait_for(lambda: not self._calls, 2 * PATIENCE), "a call never ended"

    def _note(self, call: Call, fault: Fault | None) -> None:
        if fault:
            self.faults[fault] += 1
        if call.writes:
            self.writes.append(Write(call.method, call.about, call.collection, fault))
        elif call.method == "ListAliases":
            self.late |= self._in_flight.keys()
        elif call.about in self._in_flight:
            self.late.add(call.about)

    def _suffer(self, call: Call, fault: Fault | None) -> Any:
        """The reply, or the end of the call without one."""
        match fault:
            case None:
                return self._forward(call)
            case Fault.DELAYED:
                time.sleep(DELAY)
                return self._forward(call)
            case Fault.RATE_LIMITED:
                return call.reply(**RATE_LIMIT)
            case Fault.EXHAUSTED:
                call.context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many requests")
            case Fault.CUT_BEFORE:
                self.wire.cut()
            case Fault.CUT_AFTER:
                self._forward(call)
                self.wire.cut()
            case Fault.DROPPED:
                _until_given_up(call)
            case Fault.HUNG:
                self._forward(call)
                _until_given_up(call)
            case Fault.LATE:
                self._forward(call, late_by=0.0)
            case Fault.VERY_LATE:
                self._forward(call, late_by=VERY_LATE)
            case Fault.OVERTAKEN:
                self._forward(call, overtake=True)
                self.wire.cut()
        return call.context.abort(grpc.StatusCode.UNAVAILABLE, "upstream connect error")

    def _forward(self, call: Call, *, late_by: float | None = None, overtake: bool = False) -> Any:
        """The server's reply; notes a write that its sender did not wait for."""
        if not call.writes:
            return call.pass_on()
        with self._changed:
            self._in_flight[call.about] += 1
        try:
            if late_by is not None:
                _until_given_up(call)
                time.sleep(late_by)
            reply = call.pass_on()
            if overtake:
                self._overtake(call.about, call.context)
            return reply
        finally:
            with self._changed:
                self._in_flight[call.about] -= 1
                self._in_flight += Counter()  # without what is at 0
                if not call.context.is_active():
                    self.late.add(call.about)

    def _overtake(self, alias: str, context: grpc.ServicerContext) -> None:
        """Let somebody else change an alias before its writer can see it again; not if that has seen it already."""
        with self._changed:
            if alias in self.late or not context.is_active():
                return
            self.overtaken.add(alias)
            self._being_overtaken.add(alias)
        try:
            self._somebody_else(alias)
        finally:
            with self._changed:
                self._being_overtaken.remove(alias)
                self._changed.notify_all()

    def stop(self) -> None:
        self.wire.cut(refuse=True)
        super().stop()


def repeated(writes: Sequence[Write]) -> list[Write]:
    """The writes that came again although the server had not said that it did not act."""
    last = {(write.method, write.alias, write.collection): write for write in writes}
    return [
        write
        for write in writes
        if write.fault not in REFUSALS and write is not last[write.method, write.alias, write.collection]
    ]


def _until_given_up(call: Call) -> None:
    """Until the client does not wait for an answer any more."""
    gone = Event()
    if call.context.add_callback(gone.set):
        gone.wait(PATIENCE)


@contextmanager
def fault_proxy(uri: str, somebody_else: Callable[[str], None] = lambda alias: None) -> Iterator[FaultProxy]:
    proxy = FaultProxy(uri, somebody_else)
    try:
        yield proxy
    finally:
        proxy.stop()
