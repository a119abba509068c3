"""One writer: a `coordination.k8s.io` Lease that the operator holds while it works.

    standing by ─▶ the Lease is free, or was not renewed for its duration ─▶ taken over ─▶ held, renewed every 2 s
                                                                                             │ not renewed for 18 s
                                                                                             ▼
                                                                                   lost: the process ends

The clocks of two machines are not compared: a holder is dead when its Lease has not *changed* for its whole duration as
seen from here. A holder stops 7 s before that. Who takes over from one that did not let go waits for the calls to
Milvus that could still be in flight.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event, Thread

import structlog
from lightkube.models.coordination_v1 import LeaseSpec
from lightkube.resources.coordination_v1 import Lease

from reconciler.operator.cluster import Cluster, ClusterError
from reconciler.operator.objects import Ref

LEASE_SECONDS = 25
RENEW_SECONDS = 2.0
GIVE_UP_SECONDS = 18.0
"""Seconds without a renewal after which the holder no longer trusts that it is one."""
CALLS_IN_FLIGHT_SECONDS = 10.0

log = structlog.get_logger()


class Elector:
    """Takes, keeps and gives back one Lease.

    Args:
        cluster: where it is.
        ref: its name.
        identity: ours; no other process may have it.
        lost: called once if it is lost; it should end the process.
    """

    def __init__(self, cluster: Cluster, ref: Ref, identity: str, lost: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._ref = ref
        self._identity = identity
        self._lost = lost
        self._renewed = float("-inf")
        self._seen: tuple[str | None, float] = (None, time.monotonic())
        self._released = Event()

    @property
    def held(self) -> bool:
        """Whether nobody else can hold the Lease now."""
        return not self._released.is_set() and time.monotonic() < self._renewed + GIVE_UP_SECONDS

    def acquire(self, stop: Event) -> bool:
        """Wait until the Lease is ours; False if `stop` was set first."""
        log.info("standing by", lease=str(self._ref), identity=self._identity)
        while not stop.is_set():
            try:
                if (orphaned := self._try()) is not None:
                    Thread(target=self._keep, name="lease", daemon=True).start()
                    log.info("leading", lease=str(self._ref), taken_over=orphaned)
                    return not (orphaned and stop.wait(CALLS_IN_FLIGHT_SECONDS))
            except ClusterError as error:
                log.warning("the lease could not be read", lease=str(self._ref), reason=str(error))
            stop.wait(RENEW_SECONDS)
        return False

    def release(self) -> None:
        """Let go, so that another process need not wait."""
        if self._released.is_set():
            return
        held = self.held
        self._released.set()
        if not held:
            return
        try:
            lease = self._cluster.lease(self._ref)
            if lease and lease.spec and lease.spec.holderIdentity == self._identity:
                lease.spec.holderIdentity = ""
                self._cluster.replace_lease(lease)
        except ClusterError as error:
            log.warning("the lease could not be given back", reason=str(error))

    def _try(self) -> bool | None:
        """Take the Lease if it is to be had: False if it was free, True if its holder had died; None if it is not."""
        started = time.monotonic()
        lease = self._cluster.lease(self._ref)
        try:
            if lease is None:
                self._cluster.create_lease(self._ref, self._spec(None))
                orphaned = False
            else:
                holder = lease.spec.holderIdentity if lease.spec else None
                if holder and holder != self._identity and not self._expired(lease):
                    return None
                orphaned = bool(holder) and holder != self._identity
                lease.spec = self._spec(lease)
                self._cluster.replace_lease(lease)
        except ClusterError as error:
            if error.conflict:
                return None
            raise
        self._renewed = started
        return orphaned

    def _expired(self, lease: Lease) -> bool:
        """Whether a foreign Lease has not changed for its duration, as seen by our own clock."""
        version = lease.metadata.resourceVersion if lease.metadata else None
        now = time.monotonic()
        if version != self._seen[0]:
            self._seen = (version, now)
        duration = (lease.spec.leaseDurationSeconds if lease.spec else None) or LEASE_SECONDS
        return now - self._seen[1] >= duration

    def _keep(self) -> None:
        """Renew until released; end the process when that has not worked for too long."""
        while not self._released.wait(RENEW_SECONDS):
            reason = "it could not be renewed in time"
            try:
                if self._try() is None:
                    reason = "another process holds it"
                    self._renewed = float("-inf")
            except ClusterError as error:
                reason = str(error)
                log.warning("the lease could not be renewed", reason=reason)
            except Exception as error:  # without this thread nobody would learn that the Lease is lost
                reason = repr(error)
                log.exception("internal error, please report it", lease=str(self._ref))
            if not self.held and not self._released.is_set():
                self._lost(reason)
                return

    def _spec(self, lease: Lease | None) -> LeaseSpec:
        """Ours from now on; when it changes hands, that is counted."""
        old = lease.spec if lease and lease.spec else LeaseSpec()
        ours, now = old.holderIdentity == self._identity, datetime.now(UTC)
        return LeaseSpec(
            holderIdentity=self._identity,
            leaseDurationSeconds=LEASE_SECONDS,
            acquireTime=old.acquireTime if ours else now,
            renewTime=now,
            leaseTransitions=(old.leaseTransitions or 0) + (not ours and lease is not None),
        )
