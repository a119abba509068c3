"""Publish the result of a reconcile: statuses if they differ, Events for what is new, and a log entry."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from threading import Lock
from typing import cast

import structlog
from msgspec.structs import replace

from reconciler.core.errors import InvalidInput
from reconciler.core.json_strict import without_none
from reconciler.core.reasons import Reason
from reconciler.documents.timestamps import now
from reconciler.operator import status
from reconciler.operator.cluster import Cluster, ClusterError
from reconciler.operator.events import Events, of_finding
from reconciler.operator.finding import Finding
from reconciler.operator.findings import Findings
from reconciler.operator.objects import ConnectionObject, Ref, SetObject
from reconciler.operator.world import World

ATTEMPTS = 5
"""How often the removal of notifications is tried while others change the object."""

log = structlog.get_logger()


class Publisher:
    """Publishes results. Thread-safe, for different sets."""

    def __init__(self, cluster: Cluster, world: World, events: Events) -> None:
        self._cluster = cluster
        self._world = world
        self._events = events
        self.findings = Findings()
        self._statuses: dict[str, dict[str, object]] = {}  # by uid: as last written; the watch reports it later
        self._pending: dict[str, tuple[SetObject, Finding]] = {}  # by uid: of runs, not written yet
        self._unpublished: dict[str, str] = {}  # by uid: what was last announced
        self._writing: dict[str, Lock] = {}  # by uid: notifications are removed by other threads
        self._reasons: dict[str, tuple[int, Reason]] = {}  # by uid: last announced, and for which generation

    def newest(self, set_object: SetObject) -> SetObject:
        """Return a set with the status that was last written."""
        return replace(set_object, status=self._statuses.get(set_object.uid, set_object.status))

    def take(self, set_object: SetObject) -> SetObject:
        """Return a set that was just read; its status counts from now on, whatever was last written."""
        if set_object.uid in self._statuses:
            self._statuses[set_object.uid] = dict(set_object.status)
        return set_object

    def write_pending(self, set_object: SetObject) -> SetObject:
        """Write the result of a run that could not be written at its end, and return the set with that status.

        Without it the next reconcile would retry moves that had to be reverted. Raises `ClusterError`.
        """
        if pending := self._pending.get(set_object.uid):
            then, finding = pending
            self.write(replace(then, status=set_object.status), finding)
        return self.newest(set_object)

    def publish(self, set_object: SetObject, finding: Finding) -> bool:
        """Announce a result and write the status; return False if the set is gone. Raises `ClusterError`."""
        self.announce(set_object, finding)
        return self.write(set_object, finding)

    def write(self, set_object: SetObject, finding: Finding, fields: Collection[str] = status.ALL) -> bool:
        """Write the status if it differs; return False if the set is gone. Raises `ClusterError`."""
        known = self._world.get(set_object.ref)
        if known is None or known.uid != set_object.uid:
            return False
        if finding.report:
            self._pending[set_object.uid] = (set_object, finding)
        with self._writing.setdefault(set_object.uid, Lock()):
            written = self._write(set_object, finding, fields)
        if written and finding.report:
            self._pending.pop(set_object.uid, None)
        return written

    def _write(self, set_object: SetObject, finding: Finding, fields: Collection[str]) -> bool:
        set_object = self.newest(set_object)
        after = status.status_of(set_object, finding, now())
        patch = {name: value for name, value in status.merge_patch(set_object.status, after).items() if name in fields}
        if patch:
            body = self._cluster.patch_status(set_object.ref, patch)
            if body is None:
                return False
            self._world.take(body, observed=False)
            merged = {**set_object.status, **{name: after.get(name) for name in patch}}
            self._statuses[set_object.uid] = without_none(**merged)
            _log_lost(set_object.status, after)
        return True

    def with_notifications(self, namespace: str) -> Iterator[SetObject]:
        """Yield the sets of a namespace that have notifications, with the status that was last written."""
        for ref in self._world.view().sets:
            if ref.namespace == namespace and (known := self._world.get(ref)):
                set_object = self.newest(known)
                if set_object.status.get("notifications"):
                    yield set_object

    def notified(self, ref: Ref, address: str, receiver: str, delivered: Callable[[str], bool]) -> None:
        """Remove what a receiver has got from the status of a set.

        The patch has the version of the object, so that it removes nothing that was added since. Raises
        `ClusterError`: a conflict if others change the object all the time.
        """
        from reconciler.operator.notifications import without

        known = self._world.get(ref)
        if known is None:
            return
        for attempt in range(ATTEMPTS):
            with self._writing.setdefault(known.uid, Lock()):
                set_object = self.newest(self._world.get(ref) or known)
                merged = without_none(
                    **{**set_object.status, "notifications": without(set_object, address, receiver, delivered)}
                )
                patch = status.merge_patch(set_object.status, merged)
                if not patch:
                    return
                try:
                    body = self._cluster.patch_status(ref, patch, set_object.resource_version)
                except ClusterError as error:
                    if not error.conflict or attempt == ATTEMPTS - 1:
                        raise
                    if newest := self._cluster.alias_set(ref):
                        self.take(self._world.take(newest, observed=False))
                    continue
                if body:
                    self._world.take(body, observed=False)
                    self._statuses[known.uid] = merged
                return

    def announce(self, set_object: SetObject, finding: Finding) -> None:
        """Log what is new, and post Events for it."""
        self.findings.put(set_object, finding)
        before = self.last_reason(set_object)
        if finding.reason is not before or finding.report:
            log.info(
                "reconciled",
                reason=str(finding.reason),
                detail=finding.message,
                connection=finding.desired.connection_name if finding.desired else None,
                digest=finding.plan.digest if finding.plan and finding.plan.steps else None,
            )
        for reason, note, warning in of_finding(finding, before):
            self._events.post(set_object, reason, note, warning=warning)
        if finding.reason is not Reason.PROGRESSING:
            if finding.unpublished and finding.unpublished != self._unpublished.get(set_object.uid):
                log.warning("the resolution is not published", reason=finding.unpublished)
                self._events.post(set_object, "PublishFailed", finding.unpublished, warning=True)
            self._unpublished[set_object.uid] = finding.unpublished
            self._reasons[set_object.uid] = (set_object.generation, finding.reason)

    def last_reason(self, set_object: SetObject) -> Reason | None:
        """Return the last reason announced for this spec, `Progressing` aside; after a restart, from the status."""
        if set_object.uid not in self._reasons:
            ready = status.condition(self.newest(set_object).status, "Ready")
            if ready.get("reason") in set(Reason) - {Reason.PROGRESSING}:
                generation = int(str(ready.get("observedGeneration", 0)))
                self._reasons[set_object.uid] = (generation, Reason(str(ready["reason"])))
        generation, reason = self._reasons.get(set_object.uid, (0, None))
        return reason if generation == set_object.generation else None

    def forget(self, set_object: SetObject) -> None:
        self.findings.forget(set_object)
        self._statuses.pop(set_object.uid, None)
        self._pending.pop(set_object.uid, None)
        self._writing.pop(set_object.uid, None)
        self._reasons.pop(set_object.uid, None)
        self._unpublished.pop(set_object.uid, None)


def _log_lost(before: Mapping[str, object], after: Mapping[str, object]) -> None:
    """Log that notifications were dropped, or that changes are not reported any more."""
    earlier, later = (cast("Mapping[str, int]", body.get("notifications") or {}) for body in (before, after))
    dropped = later.get("dropped", 0) - earlier.get("dropped", 0)
    if dropped > 0:
        log.warning("notifications dropped, the oldest first: more wait than fit into the status", count=dropped)
    if later.get("incomplete") and not earlier.get("incomplete"):
        log.warning("some changes are not notified: more aliases have a problem than fit into the status")


class ConnectionStatuses:
    """Writes the status of each MilvusConnection, whether the server responds, when it changes. Thread-safe."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._lock = Lock()
        self._written: dict[Ref, tuple[str, Mapping[str, object]]] = {}  # with the uid: the name can be reused

    def report(self, connection_object: ConnectionObject, finding: Finding) -> None:
        """Record that a set of this connection was reconciled. A status that cannot be written is only logged."""
        condition = _condition(connection_object, finding)
        if condition is None:
            return
        with self._lock:
            if self._written.get(connection_object.ref) == (connection_object.uid, condition):
                return
            self._written[connection_object.ref] = (connection_object.uid, condition)
        try:
            conditions = [{**condition, "lastTransitionTime": now()}]
            self._cluster.patch_connection_status(
                connection_object.ref, {"observedGeneration": connection_object.generation, "conditions": conditions}
            )
        except ClusterError as error:
            with self._lock:
                self._written.pop(connection_object.ref, None)
            log.warning(
                "the status of a connection could not be written",
                connection=str(connection_object.ref),
                reason=str(error),
            )

    def forget(self, ref: Ref) -> None:
        with self._lock:
            self._written.pop(ref, None)


def _condition(connection_object: ConnectionObject, finding: Finding) -> Mapping[str, object] | None:
    """Return what a finding says about the connection, or None."""
    if isinstance(connection_object.spec, InvalidInput):
        status, reason, message = "False", Reason.INVALID_SPEC, connection_object.spec.in_one_line
    elif finding.plan and finding.plan.targets:
        version = finding.plan.targets[0].server_version
        status, reason, message = "True", Reason.SUCCEEDED, f"Milvus {version} answers"
    elif finding.unreachable:
        status, reason, message = "False", Reason.CONNECTION_FAILED, finding.message
    else:
        return None
    return {
        "type": "Ready",
        "status": status,
        "reason": str(reason),
        "message": message,
        "observedGeneration": connection_object.generation,
    }
