"""Soak: watch the aliases of a wave for a while before the next wave starts.

Each probe checks, for every alias that was created or altered, that it still points where it should, that reads
through it work, and that the gates `loaded` and `canary` still pass. Two bad probes in a row are a failure. A server
that cannot be reached says nothing about the new collection: such a probe counts only at the end. Reads that were
denied before the move are not made. `live_metrics` watches what Prometheus shows of the readers at the same time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING

from reconciler.catalog.port import Catalog, DataRead
from reconciler.core.errors import CatalogError, NotLoaded, PermissionDenied
from reconciler.core.plan import Step, describe_location
from reconciler.core.run_events import SoakPassed, SoakProbed, SoakStarted
from reconciler.execute.attempt import where
from reconciler.execute.context import Halt
from reconciler.execute.endpoints import Endpoint
from reconciler.execute.rights import Rights
from reconciler.gates import evaluate_gates, watched_gates
from reconciler.gates.probe import Halted

if TYPE_CHECKING:
    from reconciler.execute.live_metrics import MetricsWatch  # only loaded by runs that use it

LONGEST_PAUSE = 30.0
"""Seconds between two probes of a long soak."""
SHORTEST_PAUSE = 0.2
PROBES = 20
"""Number of probes of a soak of less than `PROBES * LONGEST_PAUSE` seconds, approximately."""
BAD_PROBES = 2
"""Number of consecutive bad probes that count as a failure."""
READS = 2
"""Reads through an alias that a probe makes."""


def soak(
    steps: Sequence[Step],
    home: Endpoint,
    rights: Rights,
    catalog: Catalog,
    pool: Executor,
    seconds: float,
    halt: Halt,
    report: Callable[[SoakStarted | SoakProbed | SoakPassed], None],
    note_place: Callable[[Step, str | None], None],
    metrics: MetricsWatch | None = None,
) -> dict[str, str]:
    """Watch the aliases of a wave.

    Args:
        steps: the creates and alters of the wave, all of them made.
        home: the endpoint to read at.
        rights: what was denied there before the move.
        catalog: their database.
        pool: runs as many calls as may be in flight.
        seconds: duration of the soak.
        halt: ends the soak early, also in the middle of a probe.
        report: called when it begins, after each probe, and when it has passed.
        note_place: called with where an alias was found.
        metrics: what Prometheus shows of the readers of these aliases, if that is watched too.

    Returns:
        What is wrong, as a sentence by alias; empty if the soak passed or ended early.
    """
    watch = _Watch(steps, home, rights, catalog, pool, halt, note_place)
    pause = pause_of(seconds)
    if halt.is_set():
        return {}
    start, name = time.monotonic(), steps[0].set
    end = start + seconds
    report(SoakStarted(name, len(steps), seconds))
    while True:
        begun = time.monotonic()
        failed = watch.probe() | (metrics.failed() if metrics else {})
        ended = time.monotonic()
        if not halt.is_set():
            problem = watch.problem or (metrics.problem if metrics else "")
            report(SoakProbed(name, ended - start, max(0.0, end - ended), problem))
        if failed:
            return failed
        if ended >= end and not halt.is_set():
            failed = watch.last_probe() or (metrics.conclude(halt.pause) if metrics else {})
            if not failed and not halt.is_set():
                report(SoakPassed(name, time.monotonic() - start))
            return failed
        if halt.pause(min(max(SHORTEST_PAUSE, pause - (ended - begun)), end - ended)):
            return {}


def pause_of(seconds: float) -> float:
    """Return the seconds between two probes of a soak."""
    return min(LONGEST_PAUSE, max(SHORTEST_PAUSE, seconds / PROBES))


class _Watch:
    """The state of one soak: how many consecutive probes of each alias were bad."""

    def __init__(
        self,
        steps: Sequence[Step],
        home: Endpoint,
        rights: Rights,
        catalog: Catalog,
        pool: Executor,
        halt: Halt,
        note_place: Callable[[Step, str | None], None],
    ) -> None:
        self._steps = steps
        self._home = home
        self._rights = rights
        self._catalog = catalog
        self._pool = pool
        self._halt = halt
        self._note_place = note_place
        self._bad: dict[str, int] = {}
        self._primary: dict[str, str | None] = {}
        self._unreachable: CatalogError | None = None
        self.problem = ""  # what the last probe found, of the first alias with any

    @property
    def _open_catalog(self) -> Catalog:
        """Return the catalog for one call. Raises `Halted` once nothing further may start."""
        if self._halt.is_set():
            raise Halted
        return self._catalog

    def last_probe(self) -> dict[str, str]:
        """Probe bad aliases again at the end; aliases that cannot be probed then have failed."""
        while any(self._bad.values()) and not self._halt.pause(SHORTEST_PAUSE):
            if failed := self.probe():
                return failed
        if self._unreachable is None:
            return {}
        reason = f"the soak could not be completed: {self._unreachable}"
        return {step.alias: reason for step in self._steps}

    def probe(self) -> dict[str, str]:
        """Probe every alias; return those that have failed, with the reason. A halted probe returns nothing."""
        try:
            reasons = self._probe_once()
        except Halted:
            return {}
        except CatalogError as error:
            self._unreachable = error
            self.problem = str(error)
            self._bad.clear()
            return {}
        self._unreachable = None
        self.problem = next(filter(None, reasons.values()), "")
        failed = {}
        for alias, reason in reasons.items():
            self._bad[alias] = self._bad.get(alias, 0) + 1 if reason else 0
            if reason and self._bad[alias] >= BAD_PROBES:
                failed[alias] = f"during the soak: {reason}"
        return failed

    def _probe_once(self) -> dict[str, str | None]:
        """Return what is wrong with each alias. Raises `Halted`, or `CatalogError` if the server does not answer."""
        judged = evaluate_gates(self._steps, self._open_catalog, which=watched_gates(), halted=self._halt.is_set)
        unseen = sorted({step.desired or "" for step in judged if not step.blocked} - self._primary.keys())
        self._primary |= zip(unseen, self._pool.map(self._readable_by, unseen), strict=True)
        reasons = self._pool.map(lambda step: step.blocked.message if step.blocked else self._trouble(step), judged)
        return dict(zip((step.alias for step in judged), reasons, strict=True))

    def _trouble(self, step: Step) -> str | None:
        """Return the error that a reader of the alias would get. Raises `CatalogError` without an answer."""
        found = where(step.alias, self._open_catalog)
        self._note_place(step, found)
        if found != step.desired:
            return f"someone else moved the alias; it is {describe_location(found)} now"
        primary = self._primary[step.desired or ""]
        if primary is None:
            return None
        try:
            if DataRead.QUERY not in self._rights.denied_before(self._home, step.alias):
                self._open_catalog.sample_keys(step.alias, primary, 1)
            if self._halt.is_set():
                raise Halted
            if denial := self._rights.taken(self._home, step, [DataRead.SEARCH]):
                raise denial
        except CatalogError as error:
            if error.transient:
                where(step.alias, self._open_catalog)  # fails as well if the collection is not the cause
            return f"a read through the alias failed: {error}"
        return None

    def _readable_by(self, collection: str) -> str | None:
        """Return the name of the primary key; None if the collection is not loaded and so cannot be read."""
        primary = self._open_catalog.schema(collection).primary
        if primary is None:
            return None
        try:
            self._open_catalog.sample_keys(collection, primary.name, 1)
        except NotLoaded:
            return None
        except PermissionDenied:
            pass  # reads through the alias may still be permitted
        return primary.name
