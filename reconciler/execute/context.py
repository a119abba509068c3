"""How a run goes about its plan: when to stop, where to write it down, whom to tell."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event

from reconciler.catalog.port import Catalog
from reconciler.core.model import Connection
from reconciler.journal import NoRun, RecordedRun

LONGEST_NAP = 0.1
"""Seconds after which a pause looks whether it should end."""


def _no_endpoints(connection: Connection, database: str) -> Catalog:
    raise LookupError(f"no way to open {connection.address}, {database}")


@dataclass(frozen=True, slots=True)
class RunContext:
    """What holds for all databases of one run.

    Args:
        stop: when set, calls in flight are finished, and nothing further is started.
        record: where intents and outcomes go.
        wait: seconds that a wave may wait for gates that do not pass yet.
        open_endpoint: opens a database through another proxy (`verify.endpoints`).
        tell: told, in a sentence, what takes long.
    """

    stop: Event
    record: RecordedRun = field(default_factory=NoRun)
    wait: float = 0.0
    open_endpoint: Callable[[Connection, str], Catalog] = _no_endpoints
    tell: Callable[[str], None] = lambda _: None


class Halt:
    """Several reasons to start nothing further, as one."""

    def __init__(self, *reasons: Event) -> None:
        self._reasons = reasons

    def is_set(self) -> bool:
        return any(reason.is_set() for reason in self._reasons)

    def also(self, reason: Event) -> Halt:
        """This halt with one reason more."""
        return Halt(*self._reasons, reason)

    def pause(self, seconds: float) -> bool:
        """Wait so long, or until there is a reason to halt; True if there is one."""
        end = time.monotonic() + seconds
        while not self.is_set() and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, LONGEST_NAP))
        return self.is_set()
