"""What holds for all databases of one run: when to stop, where to record, how to open other proxies."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event

from reconciler.catalog.port import Catalog
from reconciler.core.model import Connection
from reconciler.credentials import Secrets
from reconciler.integrations.hooks import RunFacts
from reconciler.journal import NoRun, RecordedRun

LONGEST_NAP = 0.1
"""Seconds after which a pause checks whether it should end."""


def _no_endpoints(connection: Connection, database: str) -> Catalog:
    raise LookupError(f"no way to open {connection.address}, {database}")


@dataclass(frozen=True, slots=True)
class RunContext:
    """Settings and collaborators that all databases of one run share.

    Args:
        stop: when set, calls in flight finish and nothing further starts.
        record: where intents and outcomes are recorded.
        wait: maximum seconds to wait for the gates of a wave to pass.
        open_endpoint: opens a database through another proxy (`verify.endpoints`).
        retry_rejected: make moves that other runs reverted, and do not verify what other runs moved.
        secrets: how Kubernetes Secrets are read; None if they cannot be.
        facts: what hooks are told of the run.
    """

    stop: Event
    record: RecordedRun = field(default_factory=NoRun)
    wait: float = 0.0
    open_endpoint: Callable[[Connection, str], Catalog] = _no_endpoints
    retry_rejected: bool = False
    secrets: Secrets | None = None
    facts: RunFacts = RunFacts()


class Halt:
    """Combine several reasons to start nothing further."""

    def __init__(self, *reasons: Event) -> None:
        self._reasons = reasons

    def is_set(self) -> bool:
        """Return whether nothing further may start."""
        return any(reason.is_set() for reason in self._reasons)

    def also(self, reason: Event) -> Halt:
        """Return this halt with an additional reason."""
        return Halt(*self._reasons, reason)

    def pause(self, seconds: float) -> bool:
        """Wait for this many seconds or until there is a reason to halt; return whether there is one."""
        end = time.monotonic() + seconds
        while not self.is_set() and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, LONGEST_NAP))
        return self.is_set()
