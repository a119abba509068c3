"""Leader election: a `coordination.k8s.io` Lease that the operator holds while it works.

    standing by ─▶ the Lease is free, or was not renewed for its duration ─▶ taken over ─▶ held, renewed every 2 s
                                                                                             │ not renewed for 18 s
                                                                                             ▼
                                                                                   lost: the process ends

Clocks of two machines are not compared: a Lease has expired when this process has not seen it *change* for its whole
duration. Its holder stops 7 s before that. A new leader waits for calls to Milvus that could still be in flight.
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
"""Time without a renewal after which the holder stops."""
CALLS_IN_FLIGHT_SECONDS = 10.0

log = structlog.get_logger()


class Elector:
    """Acquires, renews and releases a Lease.

    `ref`: namespace and name of the Lease. `lost`: called once, with the reason, if the Lease is lost; it should end
    the process.
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
        """Whether this process holds the Lease, so that no other one can."""
        return not self._released.is_set() and time.monotonic() < self._renewed + GIVE_UP_SECONDS

    def acquire(self, stop: Event) -> bool:
        """Wait for the Lease; return False if `stop` was set first."""
        log.info("standing by", lease=str(self._ref), identity=self._identity)
        while not stop.is_set():
            try:
                if (orphaned := self._acquire_or_renew()) is not None:
                    Thread(target=self._renew_until_released, name="lease", daemon=True).start()
                    log.info("leading", lease=str(self._ref), taken_over=orphaned)
                    return not (orphaned and stop.wait(CALLS_IN_FLIGHT_SECONDS))
            except ClusterError as error:
                log.warning("the lease could not be read", lease=str(self._ref), reason=str(error))
            stop.wait(RENEW_SECONDS)
        return False

    def release(self) -> None:
        """Release the Lease, so that another process need not wait until it expires."""
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
            log.warning("the lease could not be released", reason=str(error))

    def _acquire_or_renew(self) -> bool | None:
        """Acquire or renew the Lease; return whether from a holder that did not release it, None if it is another's."""
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
        """Return whether the Lease of another process has not changed for its duration, by the clock of this one."""
        version = lease.metadata.resourceVersion if lease.metadata else None
        now = time.monotonic()
        if version != self._seen[0]:
            self._seen = (version, now)
        duration = (lease.spec.leaseDurationSeconds if lease.spec else None) or LEASE_SECONDS
        return now - self._seen[1] >= duration

    def _renew_until_released(self) -> None:
        """Renew the Lease until it is released; report it as lost when that failed for too long."""
        while not self._released.wait(RENEW_SECONDS):
            reason = "it could not be renewed in time"
            try:
                if self._acquire_or_renew() is None:
                    reason = "another process holds it"
                    self._renewed = float("-inf")
            except ClusterError as error:
                reason = str(error)
                log.warning("the lease could not be renewed", reason=reason)
            except Exception as error:  # if this thread ended, a lost Lease would go unnoticed
                reason = f"internal error: {type(error).__name__}"
                log.exception("internal error, please report it", lease=str(self._ref))
            if not self.held and not self._released.is_set():
                self._lost(reason)
                return

    def _spec(self, lease: Lease | None) -> LeaseSpec:
        """Return a spec with this process as the holder."""
        old = lease.spec if lease and lease.spec else LeaseSpec()
        ours, now = old.holderIdentity == self._identity, datetime.now(UTC)
        return LeaseSpec(
            holderIdentity=self._identity,
            leaseDurationSeconds=LEASE_SECONDS,
            acquireTime=old.acquireTime if ours else now,
            renewTime=now,
            leaseTransitions=(old.leaseTransitions or 0) + (not ours and lease is not None),
        )
