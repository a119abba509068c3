"""Proof that altered aliases have reached their readers.

The catalog switches in one step, but a proxy that had a read in flight can go on answering from the old collection
(measured on Milvus 2.3.5: 4 to 6 % of the switches under readers in tight loops, still so after 20 s). Such a read
fails inside the proxy, is tried again there after 0.2 and 0.6 s, and puts the old collection back into the proxy's
cache: 190 right answers in a row were followed by wrong ones, and none that was right after 0.7 s was. So each proxy
is read through the alias for longer than that, and until enough reads in a row were answered by the new collection.
Where it is stuck, altering again to the same collection makes the proxies read the catalog again, unless the server
ignores such an alter (see `ServerBehaviour.realter`). Where the version is not known it is tried, and its effect read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from reconciler.catalog.port import Catalog
from reconciler.catalog.server_behaviour import Realter
from reconciler.core.errors import CatalogError, JournalError
from reconciler.core.plan import Step, describe_location
from reconciler.core.report import Propagated, Reach
from reconciler.core.text import counted
from reconciler.execute.attempt import may_have_acted, where
from reconciler.execute.context import Halt
from reconciler.execute.marks import Answer, Mark, find_mark

PROVING_READS = 5
"""Reads in a row, at one endpoint, that the new collection must have answered."""
PROVING_SECONDS = 1.2
"""The time that they must span, from the last alter on: the longest that a read in flight took was 0.66 s."""
PAUSE = 0.1
"""Seconds between two rounds of reads, and as long is a read waited for; one that takes longer sits out the next."""

TOO_SHORT = "the time was too short for enough reads"

Intend = Callable[[Step], None]
"""Writes down that an alter is made again; raises `JournalError`, and then it is not."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A proxy of the Milvus in question: its address, and the way to it, or in words why there is none."""

    address: str
    catalog: Catalog | str


class Prover:
    """Proves for one wave. Made before the wave's calls, because the two collections are compared then.

    Args:
        endpoints: the proxies to prove for; the first is the one that writes.
        catalog: that one.
        pool: for as many calls to that one as may be in flight: the gates have just been asked, and their answers age
            meanwhile.
        timeout: seconds for the wave.
        steps: the alters to come.
    """

    def __init__(
        self, endpoints: Sequence[Endpoint], catalog: Catalog, pool: Executor, timeout: float, steps: Sequence[Step]
    ) -> None:
        self._endpoints = endpoints
        self._catalog = catalog
        self._pool = pool
        self._timeout = timeout
        self.adrift: dict[str, str] = {}
        """The aliases of which an alter that was made again was never answered, each with the error's code."""
        pairs = sorted({_pair(step) for step in steps})
        self._marks = dict(zip(pairs, pool.map(self._mark, pairs), strict=True))

    def prove(self, steps: Sequence[Step], intend: Intend, halt: Halt) -> dict[str, tuple[Propagated, ...]]:
        """Read through altered aliases, round by round, and heal what is stuck where that is possible.

        An endpoint that hangs keeps nothing else from being proved. An alias is healed when none of its reads is on
        the way: nobody could tell whether they were answered before or after it.

        Args:
            steps: the alters that were made and read back.
            intend: see `Intend`.
            halt: ends the proof.

        Returns:
            What was proved at each endpoint, by alias.
        """
        with self._pools() as pools:
            places = list(zip(self._endpoints, pools, strict=True))
            proofs = [_AliasProof(step, self._marks[_pair(step)], places, self._catalog) for step in steps]
            deadline = time.monotonic() + self._timeout
            self._alter_blindly([proof for proof in proofs if proof.has_no_mark], intend, halt)
            while open_ones := [proof for proof in proofs if not proof.settled]:
                list(
                    self._pool.map(lambda proof: proof.heal(intend), [proof for proof in open_ones if proof.needs_heal])
                )
                wait([begun for proof in open_ones for begun in proof.read()], PAUSE)
                if time.monotonic() > deadline or halt.pause(PAUSE):
                    break
            for proof in proofs:
                proof.call_off()  # all of them, or those that are waited for would make room for the next ones
            for proof in proofs:
                proof.finish()
        self.adrift |= {proof.alias: proof.adrift for proof in proofs if proof.adrift}
        return {proof.alias: proof.outcome() for proof in proofs}

    @contextmanager
    def _pools(self) -> Iterator[list[Executor]]:
        """One for each endpoint: reads that hang at one must not take the threads of another's."""
        with ExitStack() as stack:
            made = (ThreadPoolExecutor(self._catalog.concurrency, "read") for _ in self._endpoints[1:])
            yield [self._pool, *map(stack.enter_context, made)]

    def _alter_blindly(self, proofs: Sequence[_AliasProof], intend: Intend, halt: Halt) -> None:
        """Where no read can tell, alter again when nothing that was in flight at the move can be any more.

        Measured on 2.3.5 under readers in tight loops: 5 of 72 aliases were stuck before that, none after it.
        """
        heals = self._catalog.behaviour.realter is Realter.HEALS
        if proofs and heals and not halt.pause(PROVING_SECONDS):
            list(self._pool.map(lambda proof: proof.heal(intend), proofs))

    def _mark(self, pair: tuple[str, str]) -> Mark | str:
        try:
            return find_mark(self._catalog, *pair)
        except CatalogError as error:
            return f"the collections could not be compared: {error}"


class _AliasProof:
    """One alias, at every endpoint."""

    def __init__(
        self, step: Step, mark: Mark | str, places: Sequence[tuple[Endpoint, Executor]], catalog: Catalog
    ) -> None:
        self.alias = step.alias
        self._step = step
        self._mark = mark
        self._catalog = catalog
        self._started = time.monotonic()
        self._views = [_View(endpoint, pool) for endpoint, pool in places]
        self._heals = 0
        self._obstacle = ""  # why no alter can help
        self._trouble = ""  # why the last one was not made, or whether it was is not known
        self.adrift = ""

    @property
    def settled(self) -> bool:
        return self.has_no_mark or all(view.settled for view in self._views)

    @property
    def has_no_mark(self) -> bool:
        """Whether no read can tell the two collections apart."""
        return isinstance(self._mark, str)

    @property
    def needs_heal(self) -> bool:
        """Whether the old collection has answered since the last heal, and no read is on the way."""
        return any(view.last is Answer.OLD for view in self._views) and self.call_off()

    def call_off(self) -> bool:
        """Begin no read that has not begun; whether none is on the way."""
        on_the_way = [view for view in self._views if not view.call_off()]
        return not on_the_way

    def read(self) -> list[Future[None]]:
        """Begin one read more at each endpoint where it is needed and none is on the way."""
        if isinstance(self._mark, str):
            return []
        return [begun for view in self._views if (begun := view.read(self._mark, self.alias))]

    def finish(self) -> None:
        """Wait for what is being read."""
        for view in self._views:
            view.finish()

    def heal(self, intend: Intend) -> None:
        """Alter again to the same collection; what was seen before proves nothing about after it."""
        for view in self._views:
            view.last = None
        if not self._obstacle:
            self._obstacle = self._why_not_healable(intend)
        if self._obstacle or self._trouble:
            return
        try:
            self._catalog.alter_alias(self.alias, self._step.desired or "")
        except CatalogError as error:
            self._trouble = f"it could not be altered again: {error}"
            if may_have_acted(error):
                self.adrift = error.code
                for view in self._views:
                    view.break_row()
            return
        self._heals += 1
        for view in self._views:
            view.start_anew()

    def _why_not_healable(self, intend: Intend) -> str:
        """In words why it is not altered again, and never will be; what may pass is `_trouble`."""
        self._trouble = ""
        if self._catalog.behaviour.realter is not Realter.HEALS:
            return "this Milvus ignores an alter to the same collection, so it cannot be healed from here"
        try:
            intend(self._step)
            at = where(self.alias, self._catalog)
        except JournalError as error:
            return str(error)
        except CatalogError as error:
            self._trouble = f"it could not be altered again: {error}"
            return ""
        return "" if at == self._step.desired else f"the alias is {describe_location(at)} now, moved by someone else"

    def outcome(self) -> tuple[Propagated, ...]:
        seconds = round(time.monotonic() - self._started, 3)
        return tuple(self._at(view, seconds) for view in self._views)

    def _at(self, view: _View, seconds: float) -> Propagated:
        address = view.endpoint.address
        if isinstance(self._mark, str):
            again = "; the alias was altered once more in case they are stuck" if self._heals else ""
            return Propagated(address, Reach.UNKNOWN, self._mark + again, 0, self._heals, seconds)
        if isinstance(view.endpoint.catalog, str):
            return Propagated(address, Reach.UNKNOWN, f"it cannot be read: {view.endpoint.catalog}")
        reach, detail = Reach.UNKNOWN, view.trouble
        if view.settled:
            reach, detail = Reach.VERIFIED, ""
        elif view.old_seen:
            why = (
                self._obstacle
                or self._trouble
                or (f"{counted(self._heals, 'repeated alter')} did not help" if self._heals else "")
            )
            why = why or "there was no time to alter it again"
            catalog = f"the catalog has {self._step.desired}"
            reach = Reach.STUCK
            detail = f"{catalog}, but reads through the alias are still answered by {self._step.current}; {why}"
        return Propagated(address, reach, detail, view.reads, self._heals, seconds)


class _View:
    """What was seen of one alias at one endpoint so far."""

    def __init__(self, endpoint: Endpoint, pool: Executor) -> None:
        self.endpoint = endpoint
        self._pool = pool
        self._reading: Future[None] | None = None
        self.reads = 0
        self.last: Answer | None = None
        self.trouble = TOO_SHORT
        self.start_anew()

    def start_anew(self) -> None:
        """After an alter: nothing of what was seen before counts."""
        self.old_seen = False
        self.break_row()

    def break_row(self) -> None:
        """Whatever happened, the row that is to prove it starts after it."""
        self._in_a_row = 0
        self._since = time.monotonic()

    @property
    def settled(self) -> bool:
        if isinstance(self.endpoint.catalog, str):
            return True
        return self._in_a_row >= PROVING_READS and self._until - self._since >= PROVING_SECONDS

    def read(self, mark: Mark, alias: str) -> Future[None] | None:
        """Begin one read more; None where that is not needed, or one is on the way."""
        if isinstance(self.endpoint.catalog, str) or self.settled or (self._reading and not self._reading.done()):
            return None
        self.finish()
        self._reading = self._pool.submit(self._read, self.endpoint.catalog, mark, alias)
        return self._reading

    def call_off(self) -> bool:
        """Begin no read that has not begun; whether none is on the way."""
        return self._reading is None or self._reading.cancel() or self._reading.done()

    def finish(self) -> None:
        """Wait for a read that has begun."""
        if self._reading and not self._reading.cancel():
            self._reading.result()  # a bug in our own code must not pass for a quiet end

    def _read(self, catalog: Catalog, mark: Mark, alias: str) -> None:
        self.reads += 1
        begun = time.monotonic()
        try:
            self.last = mark.read(catalog, alias)
        except CatalogError as error:
            self.last, self.trouble = None, f"reads through the alias fail: {error}"
            self.break_row()
            return
        self.trouble = {
            Answer.NEW: TOO_SHORT,
            Answer.OTHER: "the rows that tell the collections apart have changed",
        }.get(self.last, "")
        if self.last is Answer.NEW:
            self._in_a_row += 1
            self._until = begun
        else:
            self.old_seen |= self.last is Answer.OLD
            self.break_row()


def _pair(step: Step) -> tuple[str, str]:
    return step.current or "", step.desired or ""
