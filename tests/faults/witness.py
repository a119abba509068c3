"""A relay that only watches: which calls passed, when, and what the server said."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

from pymilvus.grpc_gen import common_pb2

from tests.faults.relay import WRITES, Call, Relay

READ = "DescribeCollection"
"""Tells where an alias points, on Milvus 2.3.5 and Milvus Lite."""
CHANGES = (*WRITES, "DropCollection", "CreateCollection")


@dataclass(frozen=True)
class Seen:
    """A call that the server has answered.

    `about` is the alias, or the collection, that it names, `collection` where a write points it. `arrived` and
    `answered` are seconds of `time.monotonic()`; whatever the server did, it did between them.
    """

    method: str
    about: str
    collection: str | None
    arrived: float
    answered: float


class Witness(Relay):
    """`seen` are the reads of one name and the accepted changes, in the order in which they were answered."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.seen: list[Seen] = []
        self._lock = Lock()

    def befall(self, call: Call) -> Any:
        arrived = time.monotonic()
        reply = call.pass_on()
        answered = time.monotonic()
        if call.method == READ or (call.method in CHANGES and _accepted(reply)):
            with self._lock:
                collection = call.collection if call.writes else None
                self.seen.append(Seen(call.method, call.about, collection, arrived, answered))
        return reply

    @property
    def writes(self) -> list[Seen]:
        """The accepted alias writes."""
        return [item for item in self.seen if item.method in WRITES]

    @property
    def changes(self) -> list[Seen]:
        """The accepted changes of aliases and collections."""
        return [item for item in self.seen if item.method in CHANGES]

    def read_before(self, write: Seen) -> Seen:
        """The read on which the sender of a write relied: the last one of the alias that was answered before."""
        reads = [item for item in self.seen if (item.method, item.about) == (READ, write.about)]
        return max((read for read in reads if read.answered < write.arrived), key=lambda read: read.answered)

    def windows(self) -> list[float]:
        """For each write the seconds between the answer to the read before it and its own arrival."""
        return [write.arrived - self.read_before(write).answered for write in self.writes]


def last_before(changes: Iterable[Seen], moment: float) -> Seen | None:
    """The last change that was answered before a moment."""
    return max(
        (change for change in changes if change.answered < moment), key=lambda change: change.answered, default=None
    )


def about(alias: str, changes: Sequence[Seen]) -> list[Seen]:
    return [change for change in changes if change.about == alias]


def _accepted(reply: bytes) -> bool:
    answer = common_pb2.Status.FromString(reply)
    return bool(answer.code == answer.error_code == 0)


@contextmanager
def witnesses(uri: str, number: int) -> Iterator[list[Witness]]:
    """So many relays to one server, each for one client."""
    with ExitStack() as stack:
        made = [Witness(uri) for _ in range(number)]
        for item in made:
            stack.callback(item.stop)
        yield made
