"""Prometheus metrics of the agent."""

from __future__ import annotations

import time

from prometheus_client import Counter, Gauge

from reconciler.core.reasons import Reason
from reconciler.service.metrics import CommonMetrics
from reconciler.sync.finding import Finding
from reconciler.sync.settings import Settings


class SyncMetrics(CommonMetrics):
    """All metrics of the agent."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._reconciles = Counter(
            "aliasctl_sync_reconcile", "Reconciles by reason.", ["reason"], registry=self.registry
        )
        self._state = self._gauge("reason", "1 for the reason of the last reconcile.", ["reason"])
        self._synced = self._gauge("synced", "1 while all aliases match the newest commit.")
        self._read = self._gauge("last_read_timestamp_seconds", "When the repository was last read.")
        self._success = self._gauge("last_synced_timestamp_seconds", "When all aliases last matched the newest commit.")
        self._revision = self._gauge(
            "revision_info", "The newest commit, and the one in force.", ["attempted", "in_force"]
        )
        self._gauge("interval_seconds", "Time between two reconciles when nothing happens.").set(settings.interval)
        followed = self._gauge("info", "The repository, ref and path.", ["repository", "ref", "path"])
        followed.labels(settings.access.url, settings.ref, settings.path).set(1)

    def reconciled(self, finding: Finding) -> None:
        self._reconciles.labels(str(finding.reason)).inc()
        self._state.clear()
        self._state.labels(str(finding.reason)).set(1)
        self._revision.clear()
        self._revision.labels(finding.attempted, finding.in_force).set(1)
        self._synced.set(finding.reason is Reason.SUCCEEDED)
        if finding.saw_the_ref:
            self._read.set(time.time())
        if finding.reason is Reason.SUCCEEDED:
            self._success.set(time.time())
        if finding.report:
            self.carried_out(finding.report)

    def _gauge(self, name: str, about: str, labels: list[str] | None = None) -> Gauge:
        return Gauge(f"aliasctl_sync_{name}", about, labels or [], registry=self.registry)
