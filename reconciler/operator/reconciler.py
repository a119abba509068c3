"""One reconcile of one set: read it from the API server, reconcile, publish the result, decide when to do so again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Lock

import structlog
from msgspec import Struct, field

from reconciler.core.errors import InvalidInput
from reconciler.core.model import AliasSet
from reconciler.core.reasons import MEANINGS
from reconciler.manifest.records import AliasSetManifest
from reconciler.manifest.specs.alias_set import DeletionPolicy
from reconciler.operator import status
from reconciler.operator.clients import Clients
from reconciler.operator.cluster import Cluster, ClusterError
from reconciler.operator.deletion import finalize, orphaned_note, seconds_left
from reconciler.operator.dependencies import dependencies, waiting_for
from reconciler.operator.events import Events
from reconciler.operator.finding import Finding
from reconciler.operator.metrics import Metrics
from reconciler.operator.objects import APPROVE, FINALIZER, Body, Ref, SetObject, connection_object
from reconciler.operator.publisher import ConnectionStatuses, Publisher
from reconciler.operator.queue import Trigger, Wake
from reconciler.operator.reads import next_tick
from reconciler.operator.reconcile_set import ReconcileHooks, SetReconciler
from reconciler.operator.world import View, World
from reconciler.reconcile import target_of
from reconciler.service.backoff import backoff, jittered

FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 300.0
JITTER = 0.2
CONNECTION_SECONDS = 5.0
"""How long a MilvusConnection that was read serves other sets."""
RETRIED = frozenset(reason for reason, meaning in MEANINGS.items() if meaning.reconciling)
"""Reasons after which publishing each further attempt would only make the conditions flap."""

log = structlog.get_logger()


class _Running(Struct):
    """A reconcile that is running, and the event that ends it early."""

    set_object: SetObject
    stop: Event = field(default_factory=Event)


class Reconciler:
    """Does the work of the queue. Thread-safe, for different sets.

    Args:
        step_aside: called when a run will take long.
        notify: called when a set was reconciled.
    """

    def __init__(
        self,
        cluster: Cluster,
        world: World,
        set_reconciler: SetReconciler,
        clients: Clients,
        events: Events,
        metrics: Metrics,
        step_aside: Callable[[Ref], None],
        publisher: Publisher,
        notify: Callable[[], None],
    ) -> None:
        self._cluster = cluster
        self._world = world
        self._set_reconciler = set_reconciler
        self._clients = clients
        self._connections = ConnectionStatuses(cluster)
        self._events = events
        self._publisher = publisher
        self._metrics = metrics
        self._step_aside = step_aside
        self._notify = notify
        self._lock = Lock()
        self._running: dict[Ref, _Running] = {}
        self._retries: Counter[Ref] = Counter()
        self._connections_read: dict[Ref, float] = {}
        self._stopping = False

    def lane_of(self, ref: Ref) -> str:
        """Return the address of the server that a set is on; empty for a set without a valid connection."""
        desired = self._world.view().desired.get(ref)
        return target_of(desired).address if isinstance(desired, AliasSet) else ""

    def work(self, ref: Ref, trigger: Trigger) -> Wake | None:
        """Reconcile a set, and return when to do so again; None to wait until it is woken."""
        started = time.monotonic()
        if trigger is Trigger.CHANGED:
            self._retries.pop(ref, None)
        with structlog.contextvars.bound_contextvars(set=str(ref), trigger=trigger.name.lower()):
            try:
                known = self._world.get(ref)
                if known is None:
                    return None
                periodic = trigger in (Trigger.INTERVAL, Trigger.RETRY)
                set_object = self._fetch(ref) if periodic else self._publisher.newest(known)
                if set_object is None:
                    self._forget(known)
                    return None
                with self._running_until_stopped(set_object) as stop:
                    finding = self._reconcile(set_object, trigger, stop)
                self._release_unused()
                self._notify()
            except ClusterError as error:
                log.warning("cannot work with the Kubernetes API", reason=str(error))
                self._metrics.failed(time.monotonic() - started)
                return self._retry(ref, LONGEST_RETRY_SECONDS)
            if finding is None:
                return None
            self._metrics.reconciled(ref, finding, time.monotonic() - started, status.interval_of(set_object))
            if self._world.get(ref) is None:  # deleted during the reconcile; its series go with it
                self._forget(set_object)
                return None
            return self._next(set_object, finding)

    def changed(self, set_object: SetObject) -> None:
        """End the running reconcile of a set whose spec is another one now."""
        with self._lock:
            running = self._running.get(set_object.ref)
            if running and not _same_spec(running.set_object, set_object):
                running.stop.set()

    def stop(self) -> None:
        """End every reconcile: calls in flight are finished, and nothing further is started."""
        with self._lock:
            self._stopping = True
            for running in self._running.values():
                running.stop.set()

    def deleted(self, ref: Ref) -> None:
        """End the running reconcile of a set that does not exist any more, and forget the set."""
        with self._lock:
            if running := self._running.get(ref):
                running.stop.set()
        if set_object := self._world.get(ref):
            self._forget(set_object)

    def _reconcile(self, set_object: SetObject, trigger: Trigger, stop: Event) -> Finding | None:
        """Reconcile a set and publish the result; return None if the set is gone."""
        if not set_object.deleting:
            set_object = self._with_finalizer(self._publisher.write_pending(set_object))
        view = self._world.view()
        current = view.sets.get(set_object.ref)
        if current is None:
            return None
        if (current.uid, current.generation) != (set_object.uid, set_object.generation):
            set_object = self._publisher.newest(current)
        if set_object.deleting:
            return self._delete(set_object, view, stop)
        hooks = ReconcileHooks(
            stop=stop,
            still_desired=self._still_desired,
            consume_approval=self._consume_approval,
            step_aside=lambda running: self._step_aside(running.ref),
            decide_revert=self._decide_revert,
            waits_for=lambda waiting: waiting_for(waiting.ref, self._world.get),
        )
        finding = self._set_reconciler.reconcile(set_object, view, trigger, hooks)
        if not self._publisher.publish(set_object, finding):
            self._forget(set_object)
            return None
        if isinstance(set_object.spec, AliasSetManifest):
            connection = self._world.get_connection(Ref(set_object.ref.namespace, set_object.spec.connection_name))
            if connection:
                self._connections.report(connection, finding)
        return finding

    def _delete(self, set_object: SetObject, view: View, stop: Event) -> Finding | None:
        if not set_object.keeps_finalizer:
            return None
        result = finalize(
            set_object,
            view,
            self._clients,
            may_write=self._set_reconciler.may_write,
            read_only=self._set_reconciler.read_only,
            stop=stop,
        )
        if result.orphaned:
            self._events.post(set_object, "AliasesOrphaned", orphaned_note(set_object, result.orphaned), warning=True)
        if result.finding:
            self._publisher.announce(set_object, result.finding)
        if not result.release:
            if result.finding:
                self._publisher.write(set_object, result.finding)
            return result.finding
        if result.finding and result.finding.report:
            self._metrics.carried_out(result.finding.report)
        self._set_finalizers(set_object, tuple(name for name in set_object.finalizers if name != FINALIZER))
        self._forget(set_object)
        return None

    def _with_finalizer(self, set_object: SetObject) -> SetObject:
        """Add our finalizer if the aliases must be dropped with the object, remove it if not; return the set."""
        if not isinstance(set_object.spec, AliasSetManifest) or self._set_reconciler.read_only:
            return set_object
        desired = set_object.spec.operation.deletion_policy is DeletionPolicy.DELETE
        if desired == set_object.keeps_finalizer:
            return set_object
        others = tuple(name for name in set_object.finalizers if name != FINALIZER)
        return self._set_finalizers(set_object, (*others, FINALIZER) if desired else others) or set_object

    def _set_finalizers(self, set_object: SetObject, finalizers: tuple[str, ...]) -> SetObject | None:
        patch = {"finalizers": list(finalizers), "resourceVersion": set_object.resource_version}
        return self._taken(self._cluster.patch_metadata(set_object.ref, patch))

    def _consume_approval(self, set_object: SetObject, digest: str) -> None:
        """Remove an approval, which is valid for one plan and one run, before it is used."""
        patch = {"annotations": {APPROVE: None}, "resourceVersion": set_object.resource_version}
        self._taken(self._cluster.patch_metadata(set_object.ref, patch))
        if set_object.approved != digest:
            approval = f"{set_object.approved} was approved by {set_object.approver}"
            note = f"{approval}, and the plan is {digest}; approve that, if it is meant"
            self._events.post(set_object, "ApprovalStale", note, warning=True)

    def _still_desired(self, set_object: SetObject, about_to: Finding) -> bool:
        """Return whether the spec is still the same on the server; if so, publish what is about to be done.

        What may be left pending verification is written even where the rest would make the conditions flap.
        """
        current = self._fetch(set_object.ref, observed=False)
        if current is None or not _same_spec(current, set_object) or not self._still_ready(current):
            return False
        self._metrics.sets.run_started(set_object.ref)
        if self._publisher.last_reason(set_object) in RETRIED:
            self._publisher.write(current, about_to, {"pendingVerification", "pendingRevert", "notifications"})
        else:
            self._publisher.publish(current, about_to)
        return True

    def _still_ready(self, set_object: SetObject) -> bool:
        """Return whether the sets that a set depends on are ready on the server, whatever the watch has missed."""
        for ref in dependencies(set_object):
            if self._taken(self._cluster.alias_set(ref), observed=False) is None:
                return False
        return not waiting_for(set_object.ref, self._world.get)

    def _decide_revert(self, set_object: SetObject, about_to: Finding) -> None:
        """Write what a run is about to revert, and nothing else. Raises `ClusterError`."""
        self._publisher.write(set_object, about_to, {"rejected", "pendingVerification", "pendingRevert"})

    def _fetch(self, ref: Ref, *, observed: bool = True) -> SetObject | None:
        """Read a set and its connection from the API server, whatever the watch has missed.

        `observed`: see `World.take`.
        """
        set_object = self._taken(self._cluster.alias_set(ref), observed=observed)
        if set_object and isinstance(set_object.spec, AliasSetManifest):
            self._fetch_connection(Ref(ref.namespace, set_object.spec.connection_name))
        return set_object

    def _taken(self, body: Body | None, *, observed: bool = True) -> SetObject | None:
        """Store an object that the API server returned, and return it with the status as published."""
        return self._publisher.take(self._world.take(body, observed=observed)) if body else None

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

    def _forget(self, set_object: SetObject) -> None:
        self._publisher.forget(set_object)
        if self._world.remove(set_object):
            self._metrics.sets.remove(set_object.ref)
            self._retries.pop(set_object.ref, None)

    def _release_unused(self) -> None:
        in_use = self._world.view().connections_in_use
        self._clients.close_unused(in_use)
        self._set_reconciler.outages.forget(in_use)

    def _next(self, set_object: SetObject, finding: Finding) -> Wake:
        interval = status.interval_of(set_object)
        if MEANINGS[finding.reason].reconciling and not finding.stalled:
            return self._retry(set_object.ref, min(interval, LONGEST_RETRY_SECONDS, seconds_left(set_object) + 1))
        self._retries.pop(set_object.ref, None)
        desired = self._world.view().desired.get(set_object.ref)
        moment = time.monotonic()
        if isinstance(desired, InvalidInput) or desired is None:
            return Wake(moment + interval, Trigger.INTERVAL)
        return Wake(moment + next_tick(moment, interval, target_of(desired)), Trigger.INTERVAL)

    def _retry(self, ref: Ref, longest: float) -> Wake:
        delay = jittered(backoff(self._retries[ref], FIRST_RETRY_SECONDS, longest), JITTER)
        self._retries[ref] += 1
        return Wake(time.monotonic() + delay, Trigger.RETRY)

    @contextmanager
    def _running_until_stopped(self, set_object: SetObject) -> Iterator[Event]:
        running = _Running(set_object)
        with self._lock:
            self._running[set_object.ref] = running
            if self._stopping:
                running.stop.set()
        try:
            yield running.stop
        finally:
            with self._lock:
                self._running.pop(set_object.ref, None)
            self._metrics.sets.run_ended(set_object.ref)


def _same_spec(before: SetObject, after: SetObject) -> bool:
    return (before.uid, before.generation, before.deleting) == (after.uid, after.generation, after.deleting)
