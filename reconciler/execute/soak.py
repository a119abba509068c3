"""The soak: a wave that was moved is watched for a while before the next one starts.

Each probe asks for every alias that was created or altered: does it still point where it should, do reads through it
work, and do the gates `loaded` and `canary` still pass. One bad probe may be a hiccup; two in a row are a failure. A
server that cannot be reached at all says nothing about the new collection: such a probe counts only at the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from reconciler.catalog.port import Catalog
from reconciler.errors import CatalogError, NotLoaded
from reconciler.execute.attempt import where
from reconciler.execute.conduct import Halt
from reconciler.gates import gated
from reconciler.plan import Step, place
from reconciler.printable import counted

WATCHED_GATES = frozenset({"loaded", "canary"})
LONGEST_PAUSE = 30.0
"""Seconds between two probes of a long soak."""
SHORTEST_PAUSE = 0.2
PROBES = 20
"""A soak of less than `PROBES * LONGEST_PAUSE` seconds has about so many probes."""
BAD_PROBES = 2
"""So many in a row are a failure."""


def soak(
    steps: Sequence[Step], catalog: Catalog, seconds: float, halt: Halt, tell: Callable[[str], None]
) -> dict[str, str]:
    """Watch the aliases of a wave.

    Args:
        steps: the creates and alters of the wave, all of them made.
        catalog: their database.
        seconds: how long.
        halt: ends it early.
        tell: told what is being done.

    Returns:
        What is wrong, in a sentence, by alias; empty if all went well, or if it was ended early.
    """
    watch = _Watch(steps, catalog)
    pause = min(LONGEST_PAUSE, max(SHORTEST_PAUSE, seconds / PROBES))
    end = time.monotonic() + seconds
    tell(f"watching {counted(len(steps), 'alias')} for {seconds:g} s")
    while not (failed := watch.probe()):
        left = end - time.monotonic()
        if left <= 0:
            return watch.last_look(halt)
        if halt.pause(min(pause, left)):
            return {}
    return failed


class _Watch:
    """The state of one soak: which aliases were bad at the last probe."""

    def __init__(self, steps: Sequence[Step], catalog: Catalog) -> None:
        self._steps = steps
        self._catalog = catalog
        self._bad: dict[str, int] = {}
        self._primary: dict[str, str | None] = {}
        self._unreachable: CatalogError | None = None

    def last_look(self, halt: Halt) -> dict[str, str]:
        """At the end: what is bad now is looked at once more, and what cannot be watched is not good."""
        if any(self._bad.values()) and not halt.pause(SHORTEST_PAUSE) and (failed := self.probe()):
            return failed
        if self._unreachable is None:
            return {}
        reason = f"at the end of the soak it could not be watched: {self._unreachable}"
        return {step.alias: reason for step in self._steps}

    def probe(self) -> dict[str, str]:
        """One look at every alias; what is wrong for good."""
        try:
            judged = gated(self._steps, self._catalog, which=WATCHED_GATES)
            reasons = {step.alias: step.blocked.message if step.blocked else self._trouble(step) for step in judged}
        except CatalogError as error:
            self._unreachable = error
            self._bad.clear()
            return {}
        self._unreachable = None
        failed = {}
        for step in judged:
            reason = reasons[step.alias]
            self._bad[step.alias] = self._bad.get(step.alias, 0) + 1 if reason else 0
            if reason and self._bad[step.alias] >= BAD_PROBES:
                failed[step.alias] = f"during the soak: {reason}"
        return failed

    def _trouble(self, step: Step) -> str | None:
        """What a reader of the alias would meet. Raises `CatalogError` where the server does not answer at all."""
        collection = step.wanted or ""
        now_at = where(step.alias, self._catalog)
        if now_at != collection:
            return f"somebody moved the alias; it is {place(now_at)} now"
        if collection not in self._primary:
            self._primary[collection] = self._readable_by(collection)
        primary = self._primary[collection]
        if primary is None:
            return None
        try:
            self._catalog.sample_keys(step.alias, primary, 1)
        except CatalogError as error:
            if error.transient:
                where(step.alias, self._catalog)  # which fails too if it is not the collection's fault
            return f"a read through the alias failed: {error}"
        return None

    def _readable_by(self, collection: str) -> str | None:
        """The primary key's field; None where the collection is not loaded, so that nobody can read it anyway."""
        primary = self._catalog.schema(collection).primary
        if primary is None:
            return None
        try:
            self._catalog.sample_keys(collection, primary.name, 1)
        except NotLoaded:
            return None
        return primary.name
