"""Share one read of a database among all its sets that are due at about the same time (`next_tick`).

The first of them reads for all. A set that was just edited reads for itself, with a few calls; so does every set for a
moment after a write, when a read for all would soon be outdated.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from threading import Lock
from weakref import WeakKeyDictionary

from msgspec import Struct, field

from reconciler.catalog import Catalog
from reconciler.catalog.read import answers, read_live
from reconciler.core.model import AliasSet, LiveCatalog, Target
from reconciler.reconcile import Read

WINDOW_SECONDS = 5.0
"""How old a shared read may be."""
JITTER = 0.1
"""Share of an interval by which its ticks are moved."""


class _Slot(Struct):
    """The last read through one connection; `began` and `written` are seconds of the monotonic clock."""

    lock: Lock = field(default_factory=Lock)
    live: LiveCatalog | None = None
    began: float = float("-inf")
    written: float = float("-inf")


class SharedReads:
    """The last reads, by open connection: a read is not shared with other credentials."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._slots: WeakKeyDictionary[Catalog, _Slot] = WeakKeyDictionary()

    def sharing(self, companions: Callable[[Target], Sequence[AliasSet]], since: float | None = None) -> Read:
        """Return a reader that shares one read among all sets of a database.

        `companions`: the sets of a database that are reached through the same connection. `since`: when the set was due
        (seconds of the monotonic clock). Any later read can be used, even if the set is late because many were due. By
        default a read may be `WINDOW_SECONDS` old.
        """

        def read(catalog: Catalog, target: Target, sets: Sequence[AliasSet]) -> LiveCatalog:
            slot = self._slot(catalog)
            oldest = time.monotonic() - WINDOW_SECONDS
            if slot.written >= oldest:
                return read_live(catalog, target, sets)
            if since is not None:
                oldest = max(slot.written, since)
            with slot.lock:
                if slot.live is None or slot.began < oldest or not answers(slot.live, sets):
                    began, keys = time.monotonic(), {alias_set.key for alias_set in sets}
                    others = [companion for companion in companions(target) if companion.key not in keys]
                    slot.live = read_live(catalog, target, [*sets, *others])
                    slot.began = began  # only now: a read that fails makes no older one new
                return slot.live

        return read

    def wrote(self, catalog: Catalog) -> None:
        """Record that something was, or may have been, written: earlier reads must not be used."""
        self._slot(catalog).written = time.monotonic()

    def _slot(self, catalog: Catalog) -> _Slot:
        with self._lock:
            return self._slots.setdefault(catalog, _Slot())


def next_tick(now: float, interval: float, target: Target) -> float:
    """Return the seconds until the sets of a database with the same interval are due again.

    Databases have different moments, and each tick comes up to a tenth of the interval early or late. `now`: seconds of
    any clock that all callers share.
    """
    number = math.floor(now / interval)
    ahead = (_tick(number + step, interval, target) - now for step in range(4))
    return next(seconds for seconds in ahead if seconds > interval * JITTER)


def last_tick(now: float, interval: float, target: Target) -> float:
    """Return when the sets of a database were last due; arguments and clock as for `next_tick`."""
    number = math.floor(now / interval)
    return max(at for step in (-1, 0, 1) if (at := _tick(number + step, interval, target)) <= now)


def _tick(number: int, interval: float, target: Target) -> float:
    seed = hashlib.blake2b(f"{target}\n{number}".encode(), digest_size=8).digest()
    return (number + JITTER * (int.from_bytes(seed) / 2**63 - 1)) * interval
