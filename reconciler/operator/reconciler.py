"""Around one look at one set: asking the API server for it, publishing what was found, and when to look again."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock

import structlog

from reconciler.core.errors import InvalidInput
from reconciler.core.model import AliasSet
from reconciler.manifest.records import AliasSetManifest, DeletionPolicy
from reconciler.operator import status
from reconciler.operator.clients import Clients
from reconciler.operator.cluster import Cluster, ClusterError
from reconciler.operator.connections import ConnectionStatuses
from reconciler.operator.deletion import orphaned_note, seconds_left, take_leave
from reconciler.operator.events import Events
from reconciler.operator.examine import Conduct, Examiner
from reconciler.operator.finding import Finding
from reconciler.operator.metrics import Metrics
from reconciler.operator.objects import APPROVE, FINALIZER, Body, Ref, SetObject, connection_object
from reconciler.operator.publisher import Publisher
from reconciler.operator.queue import Trigger, Wake
from reconciler.operator.reads import next_tick
from reconciler.operator.reasons import MEANINGS, Next
from reconciler.operator.world import View, World
from reconciler.reconcile import target_of

FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 300.0
CONNECTION_SECONDS = 5.0
"""How long a MilvusConnection that was asked for serves other sets."""
RETRIED = frozenset(reason for reason, meaning in MEANINGS.items() if meaning.next is Next.RETRY)
"""Reasons after which every further try would only make the conditions flap."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Running:
    """A look that is going on, and what ends it early."""

    one: SetObject
    stop: Event = field(default_factory=Event)


class Reconciler:
    """Work for the queue. Used by several threads, never for one set by two at once.

    Args:
        cluster: the Kubernetes API.
        world: all objects.
        examiner: looks at a set.
        clients: open connections.
        events: where changes are told.
        metrics: where they are counted.
        step_aside: tells the queue that a run will take long.
    """

    def __init__(
        self,
        cluster: Cluster,
        world: World,
        examiner: Examiner,
        clients: Clients,
        events: Events,
        metrics: Metrics,
        step_aside: Callable[[Ref], None],
    ) -> None:
        self._cluster = cluster
        self._world = world
        self._examiner = examiner
        self._clients = clients
        self._connections = ConnectionStatuses(cluster)
        self._events = events
        self._publisher = Publisher(cluster, world, events)
        self._metrics = metrics
        self._step_aside = step_aside
        self._lock = Lock()
        self._running: dict[Ref, _Running] = {}
        self._retries: Counter[Ref] = Counter()
        self._connections_read: dict[Ref, float] = {}
        self._stopping = False

    def lane_of(self, ref: Ref) -> str:
        """The server that a set is on; sets without one share a lane."""
        wanted = self._world.view().wanted.get(ref)
        return target_of(wanted).address if isinstance(wanted, AliasSet) else ""

    def work(self, ref: Ref, trigger: Trigger) -> Wake | None:
        """Look at a set; when to look again."""
        started = time.monotonic()
        if trigger is Trigger.CHANGED:
            self._retries.pop(ref, None)
        with structlog.contextvars.bound_contextvars(set=str(ref), trigger=trigger.name.lower()):
            try:
                known = self._world.get(ref)
                if known is None:
                    return None
                asked = trigger in (Trigger.INTERVAL, Trigger.RETRY)
                one = self._fetch(ref) if asked else self._publisher.newest(known)
                if one is None:
                    self._forget(known)
                    return None
                with self._ending_early(one) as stop:
                    finding = self._look(one, trigger, stop)
                self._release_unused()
            except ClusterError as error:
                log.warning("cannot work with the Kubernetes API", reason=str(error))
                self._metrics.broke(time.monotonic() - started)
                return self._retry(ref, LONGEST_RETRY_SECONDS)
            if finding is None:
                return None
            self._metrics.reconciled(ref, finding, time.monotonic() - started, status.interval_of(one))
            if self._world.get(ref) is None:  # it went meanwhile, and its series go with it
                self._forget(one)
                return None
            return self._next(one, finding)

    def seen(self, one: SetObject) -> None:
        """A set asks for something else now: end the look that is going on."""
        with self._lock:
            running = self._running.get(one.ref)
            if running and (running.one.uid, running.one.generation, running.one.deleting) != (
                one.uid,
                one.generation,
                one.deleting,
            ):
                running.stop.set()

    def stop(self) -> None:
        """End every look: calls in flight are finished, and nothing further is started."""
        with self._lock:
            self._stopping = True
            for running in self._running.values():
                running.stop.set()

    def gone(self, ref: Ref) -> None:
        """A set does not exist any more."""
        with self._lock:
            if running := self._running.get(ref):
                running.stop.set()
        if one := self._world.get(ref):
            self._forget(one)

    def _look(self, one: SetObject, trigger: Trigger, stop: Event) -> Finding | None:
        """Look at a set and publish it; None if there is nothing more to come."""
        if not one.deleting:
            one = self._with_finalizer(self._publisher.settle(one))
        view = self._world.view()
        current = view.sets.get(one.ref)
        if current is None:  # it went meanwhile
            return None
        if (current.uid, current.generation) != (one.uid, one.generation):
            one = self._publisher.newest(current)
        if one.deleting:
            return self._delete(one, view, stop)
        conduct = Conduct(
            stop=stop,
            still_wanted=self._still_wanted,
            consume_approval=self._consume_approval,
            step_aside=lambda each: self._step_aside(each.ref),
        )
        finding = self._examiner.examine(one, view, trigger, conduct)
        if not self._publisher.publish(one, finding):
            self._forget(one)
            return None
        if isinstance(one.spec, AliasSetManifest):
            connection = self._world.get_connection(Ref(one.ref.namespace, one.spec.connection_name))
            if connection:
                self._connections.report(connection, finding)
        return finding

    def _delete(self, one: SetObject, view: View, stop: Event) -> Finding | None:
        if not one.keeps_finalizer:
            return None
        farewell = take_leave(
            one,
            view,
            self._clients,
            may_write=self._examiner.may_write,
            read_only=self._examiner.read_only,
            stop=stop,
        )
        if farewell.orphaned:
            self._events.tell(one, "AliasesOrphaned", orphaned_note(one, farewell.orphaned), warning=True)
        if farewell.finding:
            self._publisher.tell(one, farewell.finding)
        if not farewell.release:
            if farewell.finding:
                self._publisher.write(one, farewell.finding)
            return farewell.finding
        if farewell.finding and farewell.finding.report:
            self._metrics.carried_out(farewell.finding.report)
        self._set_finalizers(one, tuple(name for name in one.finalizers if name != FINALIZER))
        self._forget(one)
        return None

    def _with_finalizer(self, one: SetObject) -> SetObject:
        """Ours is there exactly while the aliases are to go with the object."""
        if not isinstance(one.spec, AliasSetManifest) or self._examiner.read_only:
            return one
        wanted = one.spec.operation.deletion_policy is DeletionPolicy.DELETE
        if wanted == one.keeps_finalizer:
            return one
        others = tuple(name for name in one.finalizers if name != FINALIZER)
        return self._set_finalizers(one, (*others, FINALIZER) if wanted else others) or one

    def _set_finalizers(self, one: SetObject, finalizers: tuple[str, ...]) -> SetObject | None:
        patch = {"finalizers": list(finalizers), "resourceVersion": one.resource_version}
        return self._taken(self._cluster.patch_metadata(one.ref, patch))

    def _consume_approval(self, one: SetObject, digest: str) -> None:
        """An approval is good for one plan, once: it is taken off before anything is done with it."""
        patch = {"annotations": {APPROVE: None}, "resourceVersion": one.resource_version}
        self._taken(self._cluster.patch_metadata(one.ref, patch))
        if one.approved != digest:
            note = (
                f"{one.approved} was approved by {one.approver}, and the plan is {digest}; approve that, if it is meant"
            )
            self._events.tell(one, "ApprovalStale", note, warning=True)

    def _still_wanted(self, one: SetObject, about_to: Finding) -> bool:
        """Say what is about to be done; whether the object, asked for anew, is still the same.

        What may be left unverified is written even where the rest would make the conditions flap.
        """
        current = self._fetch(one.ref, heeded=False)
        same = current is not None and (current.uid, current.generation, current.deleting) == (
            one.uid,
            one.generation,
            one.deleting,
        )
        if same:
            self._metrics.begun(one.ref)
        if current and same:
            if self._publisher.told_last(one) in RETRIED:
                self._publisher.write(current, about_to, {"unverified"})
            else:
                self._publisher.publish(current, about_to)
        return same

    def _fetch(self, ref: Ref, *, heeded: bool = True) -> SetObject | None:
        """The set and its connection as they are now, whatever the watch has missed; `heeded` as for `World.take`."""
        one = self._taken(self._cluster.alias_set(ref), heeded=heeded)
        if one and isinstance(one.spec, AliasSetManifest):
            self._fetch_connection(Ref(ref.namespace, one.spec.connection_name))
        return one

    def _taken(self, body: Body | None, *, heeded: bool = True) -> SetObject | None:
        """An object that the API server gave; None if it has none."""
        return self._publisher.take(self._world.take(body, heeded=heeded)) if body else None

    def _fetch_connection(self, ref: Ref) -> None:
        with self._lock:
            known = self._connections_read.get(ref, float("-inf"))
            if time.monotonic() - known < CONNECTION_SECONDS:
                return
            self._connections_read[ref] = time.monotonic()
        body = self._cluster.connection(ref)
        if body is None:
            self._world.remove_connection(ref)
            self._connections.forget(ref)
        else:
            self._world.put_connection(connection_object(body, self._world.get_connection(ref)))

    def _forget(self, one: SetObject) -> None:
        self._publisher.forget(one)
        if self._world.remove(one):
            self._metrics.forget(one.ref)
            self._retries.pop(one.ref, None)

    def _release_unused(self) -> None:
        in_use = self._world.view().connections_in_use
        self._clients.close_unused(in_use)
        self._examiner.outages.forget(in_use)

    def _next(self, one: SetObject, finding: Finding) -> Wake:
        interval = status.interval_of(one)
        if MEANINGS[finding.reason].next is Next.RETRY and not finding.stalled:
            return self._retry(one.ref, min(interval, LONGEST_RETRY_SECONDS, seconds_left(one) + 1))
        self._retries.pop(one.ref, None)
        wanted = self._world.view().wanted.get(one.ref)
        moment = time.monotonic()
        if isinstance(wanted, InvalidInput) or wanted is None:
            return Wake(moment + interval, Trigger.INTERVAL)
        return Wake(moment + next_tick(moment, interval, target_of(wanted)), Trigger.INTERVAL)

    def _retry(self, ref: Ref, longest: float) -> Wake:
        """Twice as late each time, and not all at once."""
        delay = min(FIRST_RETRY_SECONDS * 2 ** min(self._retries[ref], 16), longest)
        self._retries[ref] += 1
        return Wake(time.monotonic() + delay * random.uniform(0.8, 1.2), Trigger.RETRY)  # noqa: S311

    @contextmanager
    def _ending_early(self, one: SetObject) -> Iterator[Event]:
        running = _Running(one)
        with self._lock:
            self._running[one.ref] = running
            if self._stopping:
                running.stop.set()
        try:
            yield running.stop
        finally:
            with self._lock:
                self._running.pop(one.ref, None)
            self._metrics.over(one.ref)
