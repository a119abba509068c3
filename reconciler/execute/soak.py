"""The soak: a wave that was moved is watched for a while before the next one starts.

Each probe asks for every alias that was created or altered: does it still point where it should, do reads through it
work, and do the gates `loaded` and `canary` still pass. One bad probe may be a hiccup; two in a row are a failure. A
server that cannot be reached at all says nothing about the new collection: such a probe counts only at the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from reconciler.catalog.port import Catalog
from reconciler.core.errors import CatalogError, NotLoaded
from reconciler.core.plan import Step, describe_location
from reconciler.core.text import counted
from reconciler.execute.attempt import where
from reconciler.execute.context import Halt
from reconciler.gates import evaluate_gates
from reconciler.gates.probe import Halted

WATCHED_GATES = frozenset({"loaded", "canary"})
LONGEST_PAUSE = 30.0
"""Seconds between two probes of a long soak."""
SHORTEST_PAUSE = 0.2
PROBES = 20
"""A soak of less than `PROBES * LONGEST_PAUSE` seconds has about so many probes."""
BAD_PROBES = 2
"""So many in a row are a failure."""


def soak(
    steps: Sequence[Step], catalog: Catalog, pool: Executor, seconds: float, halt: Halt, tell: Callable[[str], None]
) -> dict[str, str]:
    """Watch the aliases of a wave.

    Args:
        steps: the creates and alters of the wave, all of them made.
        catalog: their database.
        pool: for as many calls as may be in flight.
        seconds: how long.
        halt: ends it early, in the middle of a probe too.
        tell: told what is being done.

    Returns:
        What is wrong, in a sentence, by alias; empty if all went well, or if it was ended early.
    """
    watch = _Watch(steps, catalog, pool, halt)
    pause = min(LONGEST_PAUSE, max(SHORTEST_PAUSE, seconds / PROBES))
    end = time.monotonic() + seconds
    tell(f"watching {counted(len(steps), 'alias')} for {seconds:g} s")
    while True:
        begun = time.monotonic()
        if failed := watch.probe():
            return failed
        ended = time.monotonic()
        if ended >= end and not halt.is_set():
            return watch.last_look()
        if halt.pause(min(max(SHORTEST_PAUSE, pause - (ended - begun)), end - ended)):
            return {}


class _Watch:
    """The state of one soak: which aliases were bad at the last probe."""

    def __init__(self, steps: Sequence[Step], catalog: Catalog, pool: Executor, halt: Halt) -> None:
        self._steps = steps
        self._catalog = catalog
        self._pool = pool
        self._halt = halt
        self._bad: dict[str, int] = {}
        self._primary: dict[str, str | None] = {}
        self._unreachable: CatalogError | None = None

    @property
    def _asking(self) -> Catalog:
        """For one call, unless nothing further should be asked."""
        if self._halt.is_set():
            raise Halted
        return self._catalog

    def last_look(self) -> dict[str, str]:
        """At the end: what is bad now is looked at once more, and what cannot be watched is not good."""
        if any(self._bad.values()) and not self._halt.pause(SHORTEST_PAUSE) and (failed := self.probe()):
            return failed
        if self._unreachable is None:
            return {}
        reason = f"at the end of the soak it could not be watched: {self._unreachable}"
        return {step.alias: reason for step in self._steps}

    def probe(self) -> dict[str, str]:
        """One look at every alias; what is wrong for good. Nothing is said of one that was halted."""
        try:
            reasons = self._look()
        except Halted:
            return {}
        except CatalogError as error:
            self._unreachable = error
            self._bad.clear()
            return {}
        self._unreachable = None
        failed = {}
        for alias, reason in reasons.items():
            self._bad[alias] = self._bad.get(alias, 0) + 1 if reason else 0
            if reason and self._bad[alias] >= BAD_PROBES:
                failed[alias] = f"during the soak: {reason}"
        return failed

    def _look(self) -> dict[str, str | None]:
        """What is wrong with each alias now. Raises `Halted`, or `CatalogError` where the server does not answer."""
        judged = evaluate_gates(self._steps, self._asking, which=WATCHED_GATES, halted=self._halt.is_set)
        unseen = sorted({step.desired or "" for step in judged if not step.blocked} - self._primary.keys())
        self._primary |= zip(unseen, self._pool.map(self._readable_by, unseen), strict=True)
        reasons = self._pool.map(lambda step: step.blocked.message if step.blocked else self._trouble(step), judged)
        return dict(zip((step.alias for step in judged), reasons, strict=True))

    def _trouble(self, step: Step) -> str | None:
        """What a reader of the alias would meet. Raises `CatalogError` where the server does not answer at all."""
        now_at = where(step.alias, self._asking)
        if now_at != step.desired:
            return f"somebody moved the alias; it is {describe_location(now_at)} now"
        primary = self._primary[step.desired or ""]
        if primary is None:
            return None
        try:
            self._asking.sample_keys(step.alias, primary, 1)
        except CatalogError as error:
            if error.transient:
                where(step.alias, self._asking)  # which fails too if it is not the collection's fault
            return f"a read through the alias failed: {error}"
        return None

    def _readable_by(self, collection: str) -> str | None:
        """The primary key's field; None where the collection is not loaded, so that nobody can read it anyway."""
        primary = self._asking.schema(collection).primary
        if primary is None:
            return None
        try:
            self._asking.sample_keys(collection, primary.name, 1)
        except NotLoaded:
            return None
        return primary.name
