"""Proof that altered aliases have reached their readers.

The catalog switches in one step, but a proxy with a read in flight can continue to answer from the old collection
(measured on Milvus 2.3.5: 4 to 6 % of the moves under readers in tight loops, still so after 20 s). Such a read fails
inside the proxy, is retried there after 0.2 and 0.6 s, and puts the old collection back into the proxy's cache: 190
consecutive right answers were followed by wrong ones, and no answer that was right after 0.7 s was. So each proxy is
read through the alias for longer than that, until enough consecutive reads were answered by the new collection.

If a proxy is stuck, altering again to the same collection makes the proxies read the catalog again, unless the server
ignores such an alter (see `ServerBehaviour.realter`). If the version is not known it is tried, and its effect is
checked.

A cluster of its own that follows this one, such as a secondary, has a timeout of its own. It may answer from the old
collection until then, which no alter here would change.

A move can also take the rights of readers away. Each endpoint is read with the rights of its own token, and a read that
is denied after the move is a failure, unless it is known that it was denied before (see `rights`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, wait

from reconciler.catalog.port import Catalog, DataRead
from reconciler.catalog.server_behaviour import Realter
from reconciler.core.errors import CatalogError, JournalError, PermissionDenied
from reconciler.core.plan import Step, describe_location
from reconciler.core.report import Propagated, Reach
from reconciler.core.run_events import PropagationEnded, PropagationProbed, PropagationStarted
from reconciler.core.text import counted
from reconciler.execute.attempt import may_have_acted, where
from reconciler.execute.context import Halt
from reconciler.execute.endpoints import Endpoint, pools
from reconciler.execute.marks import Answer, Mark, answer_through, find_mark
from reconciler.execute.rights import Rights, remedy

PROVING_READS = 5
"""Consecutive reads at one endpoint that the new collection must have answered; also denials, to count as such."""
PROVING_SECONDS = 1.2
"""Seconds that they must span, since the last alter: the longest read in flight took 0.66 s."""
PAUSE = 0.1
"""Seconds between two rounds of reads, and the timeout of a round; a read that takes longer misses the next round."""

TOO_SHORT = "the time was too short for enough reads"

ReportProbe = Callable[[PropagationStarted | PropagationProbed | PropagationEnded], None]

Intend = Callable[[Step], None]
"""Records that an alter is made again; if it raises `JournalError`, the alter is not made."""
NotePlace = Callable[[Step, str | None], None]
"""Called with where an alias was found."""


class Prover:
    """Verifies propagation for one wave. Created before its calls, because the two collections are compared then.

    Args:
        endpoints: the proxies to verify; the first is the one that writes.
        rights: what was denied at them before the move.
        catalog: the catalog of that endpoint.
        pool: for as many calls to that endpoint as may be in flight: gates were just evaluated, and their results must
            not become outdated.
        timeout: seconds for the wave, where an endpoint has none of its own.
        steps: the alters to come.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        rights: Rights,
        catalog: Catalog,
        pool: Executor,
        timeout: float,
        steps: Sequence[Step],
    ) -> None:
        self._endpoints = endpoints
        self._rights = rights
        self._catalog = catalog
        self._pool = pool
        self._timeout = timeout
        self._longest = max([timeout, *(endpoint.timeout or 0 for endpoint in endpoints)])
        self.unanswered: dict[str, str] = {}
        """Error codes of repeated alters that were never answered, by alias."""
        self.moved_by_others: dict[str, str] = {}
        """Where aliases were that someone else had moved, in words."""
        pairs = sorted({_pair(step) for step in steps})
        self._marks = dict(zip(pairs, pool.map(self._mark, pairs), strict=True))

    def prove(
        self, steps: Sequence[Step], intend: Intend, halt: Halt, report: ReportProbe, note_place: NotePlace
    ) -> dict[str, tuple[Propagated, ...]]:
        """Read through altered aliases, round by round, and heal what is stuck where that is possible.

        An endpoint that hangs does not delay the others. An alias is healed when none of its reads is in flight: it
        would be unknown whether they were answered before or after it.

        Args:
            steps: the alters that were made and read back; at least one.
            intend: see `Intend`.
            halt: ends the proof.
            report: called when the proof begins, after each round, and when it ends.
            note_place: see `NotePlace`.

        Returns:
            The result at each endpoint, by alias.
        """
        with pools(self._endpoints, self._pool, self._catalog.concurrency) as by_endpoint:
            endpoints = list(zip(self._endpoints, by_endpoint, strict=True))
            proofs = [
                _AliasProof(
                    step, self._marks[_pair(step)], endpoints, self._timeout, self._rights, self._catalog, note_place
                )
                for step in steps
            ]
            begun = time.monotonic()
            deadline = begun + self._longest
            report(PropagationStarted(steps[0].set, len(steps), self._longest))
            self._heal_unmarked([proof for proof in proofs if proof.has_no_mark], intend, halt)
            while unsettled := [proof for proof in proofs if not proof.settled]:
                list(
                    self._pool.map(lambda proof: proof.heal(intend), [proof for proof in unsettled if proof.needs_heal])
                )
                wait([reading for proof in unsettled for reading in proof.read()], PAUSE)
                report(self._probed(proofs, time.monotonic() - begun))
                if time.monotonic() > deadline or halt.pause(PAUSE):
                    break
            for proof in proofs:
                proof.cancel()  # all first: each one that is waited for would make room for the next
            for proof in proofs:
                proof.finish()
            for checked in [check for proof in proofs for check in proof.check_rights(halt)]:
                checked.result()
        self.unanswered |= {proof.alias: proof.unanswered for proof in proofs if proof.unanswered}
        self.moved_by_others |= {proof.alias: proof.moved_by_others for proof in proofs if proof.moved_by_others}
        found = {proof.alias: proof.outcome() for proof in proofs}
        verified = sum(all(each.reach is Reach.VERIFIED for each in endpoints) for endpoints in found.values())
        report(PropagationEnded(steps[0].set, len(steps), verified, time.monotonic() - begun))
        return found

    def _probed(self, proofs: Sequence[_AliasProof], elapsed: float) -> PropagationProbed:
        verified = sum(proof.verified for proof in proofs)
        problem = next((f"{proof.alias}: {proof.problem}" for proof in proofs if proof.problem), "")
        left = max(0.0, self._longest - elapsed)
        return PropagationProbed(proofs[0].set, len(proofs), verified, elapsed, left, problem)

    def _heal_unmarked(self, proofs: Sequence[_AliasProof], intend: Intend, halt: Halt) -> None:
        """Alter aliases that have no mark again, once no read that was in flight at the move can still be.

        Measured on 2.3.5 under readers in tight loops: 5 of 72 aliases were stuck before that, none after it.
        """
        if proofs and not halt.pause(PROVING_SECONDS) and self._catalog.behaviour.realter is Realter.HEALS:
            list(self._pool.map(lambda proof: proof.heal(intend), proofs))

    def _mark(self, pair: tuple[str, str]) -> Mark | str:
        """Compare two collections, with the rights of any endpoint that may read both."""
        readers = [endpoint.catalog for endpoint in self._endpoints if not isinstance(endpoint.catalog, str)]
        failure: CatalogError | None = None
        for catalog in readers:
            try:
                return find_mark(catalog, *pair)
            except CatalogError as error:
                failure = failure or error
                if not isinstance(error, PermissionDenied):
                    break
        return f"the collections could not be compared: {failure}"


class _AliasProof:
    """The proof for one alias, at every endpoint."""

    def __init__(
        self,
        step: Step,
        mark: Mark | str,
        endpoints: Sequence[tuple[Endpoint, Executor]],
        timeout: float,
        rights: Rights,
        catalog: Catalog,
        note_place: NotePlace,
    ) -> None:
        self.set = step.set
        self.alias = step.alias
        self._step = step
        self._mark = mark
        self._catalog = catalog
        self._note_place = note_place
        self._started = time.monotonic()
        self._views = [_View(endpoint, pool, timeout, rights) for endpoint, pool in endpoints]
        self._heals = 0
        self._obstacle = ""  # why an alter cannot help
        self._failure = ""  # why the last alter was not made, or may not have been
        self.unanswered = ""
        self.moved_by_others = ""  # where a heal found the alias, if not at the desired collection

    @property
    def settled(self) -> bool:
        return self.has_no_mark or bool(self.moved_by_others) or all(view.settled for view in self._views)

    @property
    def verified(self) -> bool:
        """Return whether enough reads were answered by the desired collection, at each endpoint."""
        return not self.has_no_mark and all(view.verified for view in self._views)

    @property
    def problem(self) -> str:
        """Return what the last read at the first endpoint with a bad one found; empty without one."""
        for view in self._views:
            if view.last and view.last.is_stale:
                return f"reads are still answered by {self._named(view.last)}"
            if view.trouble:
                return view.trouble
        return ""

    @property
    def has_no_mark(self) -> bool:
        """Return whether no read can distinguish the two collections."""
        return isinstance(self._mark, str)

    @property
    def needs_heal(self) -> bool:
        """Return whether another collection was the last to answer since the last heal, and no read is in flight."""
        stale = any(view.last and view.last.is_stale and not view.follows for view in self._views)
        return stale and self.cancel()

    def cancel(self) -> bool:
        """Cancel reads that have not started; return whether none is in flight."""
        in_flight = [view for view in self._views if not view.cancel()]
        return not in_flight

    def read(self) -> list[Future[None]]:
        """Start another read at each endpoint where it is needed and none is in flight."""
        if isinstance(self._mark, str):
            return []
        return [begun for view in self._views if (begun := view.read(self._mark, self._step))]

    def finish(self) -> None:
        """Wait for reads in flight."""
        for view in self._views:
            view.finish()

    def check_rights(self, halt: Halt) -> list[Future[None]]:
        """Start to read with all rights that there may have been before the move, at each endpoint that answers."""
        views = [] if halt.is_set() else [view for view in self._views if self.has_no_mark or view.answers]
        return [view.check_rights(self._step, halt) for view in views]

    def heal(self, intend: Intend) -> None:
        """Alter again to the same collection; reads before that prove nothing about the time after it."""
        for view in self._views:
            view.last = None
        if not self._obstacle:
            self._obstacle = self._why_not_healable(intend)
        if self._obstacle or self._failure:
            return
        try:
            self._catalog.alter_alias(self.alias, self._step.desired or "")
        except CatalogError as error:
            self._failure = f"it could not be altered again: {error}"
            if may_have_acted(error):
                self.unanswered = error.code
                for view in self._views:
                    view.reset_count()
            return
        self._heals += 1
        for view in self._views:
            view.restart()

    def _why_not_healable(self, intend: Intend) -> str:
        """Return why the alias can never be altered again; a reason that may pass is set as `_failure`."""
        self._failure = ""
        if self._catalog.behaviour.realter is not Realter.HEALS:
            return "this Milvus ignores an alter to the same collection, so it cannot be healed from here"
        try:
            intend(self._step)
            at = where(self.alias, self._catalog)
        except JournalError as error:
            return str(error)
        except CatalogError as error:
            self._failure = f"it could not be altered again: {error}"
            return ""
        self._note_place(self._step, at)
        if at == self._step.desired:
            return ""
        self.moved_by_others = describe_location(at)
        return f"the alias is {self.moved_by_others} now, moved by someone else"

    def outcome(self) -> tuple[Propagated, ...]:
        seconds = round(time.monotonic() - self._started, 3)
        return tuple(self._at(view, seconds) for view in self._views)

    def _at(self, view: _View, seconds: float) -> Propagated:
        reach, detail = self._finding(view)
        endpoint = view.endpoint
        return Propagated(endpoint.address, reach, detail, view.reads, self._heals, seconds, endpoint.connection)

    def _finding(self, view: _View) -> tuple[Reach, str]:
        catalog = view.endpoint.catalog
        if isinstance(catalog, str):
            return Reach.UNKNOWN, f"it cannot be read: {catalog}"
        if self.moved_by_others and not view.verified:
            return Reach.UNKNOWN, self._obstacle
        if view.taken:
            known = view.known_before(self.alias)
            before = "were permitted before the move" if known else "could not all be tried before the move"
            denied = f"reads through the alias {before} and are denied now: {view.taken}"
            return Reach.DENIED, f"{denied}; {remedy(view.taken, catalog, self._step)}"
        if isinstance(self._mark, str):
            again = "; the alias was altered once more in case they are stuck" if self._heals else ""
            return Reach.UNKNOWN, self._mark + again
        if view.verified:
            return Reach.VERIFIED, ""
        if view.stuck_at:
            say = self._behind if view.follows else self._stuck
            return Reach.STUCK, say(view, view.stuck_at)
        if view.denial and view.denied_before(self.alias):
            denied = f"reads through the alias are denied, as before the move: {view.denial}"
            other = "or name a connection with a reader's token in verify.endpoints"
            return Reach.UNKNOWN, f"{denied}; {remedy(view.denial, catalog, self._step)}, {other}"
        return Reach.UNKNOWN, view.problem

    def _behind(self, view: _View, answer: Answer) -> str:
        after = f"after {view.timeout:g} s"
        return f"reads through the alias are still answered by {self._named(answer)} {after}; check the replication"

    def _stuck(self, view: _View, answer: Answer) -> str:
        why = (
            self._obstacle
            or self._failure
            or (f"{counted(self._heals, 'repeated alter')} did not help" if self._heals else "")
            or "there was no time to alter it again"
        )
        catalog = f"the catalog has {self._step.desired}"
        since = f"; since then {view.trouble}" if view.last is None and view.trouble else ""
        return f"{catalog}, but reads through the alias are still answered by {self._named(answer)}{since}; {why}"

    def _named(self, answer: Answer) -> str:
        return "a third collection" if answer is Answer.THIRD else self._step.current or ""


class _View:
    """The reads of one alias at one endpoint."""

    def __init__(self, endpoint: Endpoint, pool: Executor, timeout: float, rights: Rights) -> None:
        self.endpoint = endpoint
        self.follows = endpoint.timeout is not None
        self.timeout = endpoint.timeout or timeout
        self._deadline = time.monotonic() + self.timeout
        self._pool = pool
        self._rights = rights
        self._reading: Future[None] | None = None
        self.reads = 0
        self.last: Answer | None = None
        self.problem = TOO_SHORT
        self.taken: PermissionDenied | None = None  # a read is denied that was not denied before the move
        self._known: Answer | None = None  # the last answer that showed which collection had answered
        self.restart()

    def restart(self) -> None:
        """Count anew after an alter. Readers that were stuck before it are so until the new collection answers."""
        self._stale: Answer | None = None  # the last such answer since the last alter that was stale
        self.reset_count()

    @property
    def stuck_at(self) -> Answer | None:
        """Return the answer of another collection since the last alter, or if it was the last answer before it."""
        return self._stale or (self._known if self._known and self._known.is_stale else None)

    def reset_count(self) -> None:
        """Reset the count of consecutive reads that ended alike: with the new collection's answer, or denied."""
        self.denial: PermissionDenied | None = None  # the last read was denied
        self._consecutive = 0
        self._since = self._until = time.monotonic()

    @property
    def settled(self) -> bool:
        return isinstance(self.endpoint.catalog, str) or self._lasted or time.monotonic() > self._deadline

    @property
    def verified(self) -> bool:
        return self._lasted and self.denial is None

    @property
    def _lasted(self) -> bool:
        return self._consecutive >= PROVING_READS and self._until - self._since >= PROVING_SECONDS

    @property
    def trouble(self) -> str:
        """Return why the last read was of no use; empty if it was."""
        return "" if self.problem == TOO_SHORT else self.problem

    @property
    def answers(self) -> bool:
        """Return whether the last read ended with an answer; a denial is one."""
        return self.last is not None or self.denial is not None

    def denied_before(self, alias: str) -> bool:
        """Return whether a query through the alias was denied before the move."""
        return DataRead.QUERY in self._rights.denied_before(self.endpoint, alias)

    def known_before(self, alias: str) -> bool:
        """Return whether all reads through the alias were answered before the move."""
        return self._rights.known_before(self.endpoint, alias)

    def read(self, mark: Mark, step: Step) -> Future[None] | None:
        """Start another read; return None if it is not needed, or one is in flight."""
        if isinstance(self.endpoint.catalog, str) or self.settled or (self._reading and not self._reading.done()):
            return None
        self.finish()
        self._reading = self._pool.submit(self._read, self.endpoint.catalog, mark, step)
        return self._reading

    def cancel(self) -> bool:
        """Cancel a read that has not started; return whether none is in flight."""
        return self._reading is None or self._reading.cancel() or self._reading.done()

    def finish(self) -> None:
        """Wait for a read that has started."""
        if self._reading and not self._reading.cancel():
            self._reading.result()  # a bug in our own code must not pass silently

    def check_rights(self, step: Step, halt: Halt) -> Future[None]:
        """Start to read with all rights that there may have been before the move; note a denial that is repeated."""
        return self._pool.submit(self._check_rights, step, halt)

    def _check_rights(self, step: Step, halt: Halt) -> None:
        denial = None
        for _ in range(PROVING_READS):
            try:
                denial = self._rights.taken(self.endpoint, step)
            except CatalogError:
                return
            if denial is None or halt.pause(PAUSE):
                return
        self.taken = denial

    def _read(self, catalog: Catalog, mark: Mark, step: Step) -> None:
        self.reads += 1
        begun = time.monotonic()
        try:
            self.last = answer_through(step.alias, mark, catalog, step.desired or "")
        except CatalogError as error:
            self.last, self.problem = None, f"reads through the alias fail: {error}"
            self._note(begun, error if isinstance(error, PermissionDenied) else None, counts=False)
            return
        self.problem = {
            Answer.NEW: TOO_SHORT,
            Answer.UNMARKED: "the rows that tell the collections apart have changed",
        }.get(self.last, "")
        if self.last is not Answer.UNMARKED:
            self._known = self.last
        if self.last.is_stale:
            self._stale = self.last
        self._note(begun, None, counts=self.last is Answer.NEW)

    def _note(self, begun: float, denial: PermissionDenied | None, *, counts: bool) -> None:
        """Count a read that was answered by the new collection, or denied; any other resets the count.

        Args:
            begun: when it began, in seconds of the monotonic clock.
            denial: the error if it was denied.
            counts: whether the new collection answered.
        """
        if (denial is None) is not (self.denial is None) or not (denial or counts):
            self.reset_count()
        self.denial = denial
        if denial or counts:
            self._consecutive += 1
            self._until = begun


def _pair(step: Step) -> tuple[str, str]:
    return step.current or "", step.desired or ""
