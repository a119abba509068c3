"""Prometheus metrics of the operator. The series of a set are removed with the set."""

from __future__ import annotations

import time
from collections.abc import Mapping
from threading import Lock

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from reconciler.core.reasons import MEANINGS, Ready, Reason
from reconciler.operator.finding import Finding
from reconciler.operator.objects import Ref
from reconciler.service.metrics import SECONDS, CommonMetrics


class Metrics(CommonMetrics):
    """All metrics of the operator. Thread-safe. `alias_info`: export where each alias points, one series per alias."""

    def __init__(self, *, alias_info: bool = False) -> None:
        super().__init__()
        self._alias_info = alias_info
        self._runs = Counter("aliasctl_reconcile", "Reconciles by result.", ["result"], registry=self.registry)
        self._errors = Counter("aliasctl_reconcile_errors", "Reconciles that failed.", registry=self.registry)
        self._duration = Histogram(
            "aliasctl_reconcile_duration_seconds", "Time of a reconcile.", buckets=SECONDS, registry=self.registry
        )
        self.leader = Gauge("aliasctl_leader", "1 while this process holds the Lease.", registry=self.registry)
        self.sets = _Sets()
        self.registry.register(self.sets)

    def reconciled(self, ref: Ref, finding: Finding, seconds: float, interval: float) -> None:
        meaning = MEANINGS[finding.reason]
        result = "success" if meaning.ready is Ready.TRUE else "error" if meaning.warning else "waiting"
        self._runs.labels(result).inc()
        self._errors.inc(result == "error")
        self._duration.observe(seconds)
        if finding.report:
            self.carried_out(finding.report)
        elif finding.plan:
            self.evaluated(finding.plan.steps)
        self.sets.put(ref, finding, interval, alias_info=self._alias_info)

    def failed(self, seconds: float) -> None:
        """Record a reconcile that ended with an error that says nothing about the set."""
        self._runs.labels("error").inc()
        self._errors.inc()
        self._duration.observe(seconds)


class _Sets(Collector):
    """The series of each set, made at each scrape."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._findings: dict[Ref, Finding] = {}
        self._progressing: set[Ref] = set()
        self._intervals: dict[Ref, float] = {}
        self._successes: dict[Ref, float] = {}
        self._aliases: dict[Ref, Mapping[str, str]] = {}

    def put(self, ref: Ref, finding: Finding, interval: float, *, alias_info: bool) -> None:
        with self._lock:
            if finding.reason is Reason.SUSPENDED:  # on purpose: no reason for an alert
                self._remove(ref)
                return
            self._findings[ref] = finding
            self._intervals[ref] = interval
            if MEANINGS[finding.reason].ready is Ready.TRUE:
                self._successes[ref] = time.time()
                if alias_info and finding.desired:
                    pairs = ((alias.name, alias.collection) for alias in finding.desired.aliases)
                    self._aliases[ref] = {name: collection for name, collection in pairs if collection}

    def run_started(self, ref: Ref) -> None:
        """Record that a run of a set starts, which may take long."""
        with self._lock:
            self._progressing.add(ref)

    def run_ended(self, ref: Ref) -> None:
        with self._lock:
            self._progressing.discard(ref)

    def remove(self, ref: Ref) -> None:
        with self._lock:
            self._remove(ref)

    def _remove(self, ref: Ref) -> None:
        for series in (self._findings, self._intervals, self._successes, self._aliases):
            series.pop(ref, None)
        self._progressing.discard(ref)

    def collect(self) -> list[GaugeMetricFamily]:
        labels = ["namespace", "name"]
        ready = GaugeMetricFamily("aliasctl_set_ready", "1 if a set is up to date.", labels=labels)
        progressing = GaugeMetricFamily(
            "aliasctl_set_progressing", "1 while a set is changed, or watched in a soak.", labels=labels
        )
        stalled = GaugeMetricFamily(
            "aliasctl_set_stalled", "1 for a set that needs a person to act.", labels=[*labels, "reason"]
        )
        drift = GaugeMetricFamily("aliasctl_alias_drift", "Aliases that were moved by something else.", labels=labels)
        interval = GaugeMetricFamily(
            "aliasctl_set_interval_seconds", "Time between two reconciles of a set when nothing happens.", labels=labels
        )
        success = GaugeMetricFamily(
            "aliasctl_last_success_timestamp_seconds", "When a set was last seen up to date.", labels=labels
        )
        info = GaugeMetricFamily(
            "aliasctl_alias_info", "Where an alias points.", labels=[*labels, "alias", "collection"]
        )
        with self._lock:
            for ref in self._progressing | self._findings.keys():
                own, running = [ref.namespace, ref.name], ref in self._progressing
                found = None if running else self._findings[ref]  # during a run, the last finding is outdated
                ready.add_metric(own, float(found is not None and MEANINGS[found.reason].ready is Ready.TRUE))
                progressing.add_metric(own, float(running))
                drift.add_metric(own, len(found.drift) if found else 0)
                if found and (MEANINGS[found.reason].stalled or found.stalled):
                    stalled.add_metric([*own, str(found.reason)], 1)
            for ref, seconds in self._intervals.items():
                interval.add_metric([ref.namespace, ref.name], seconds)
            for ref, at in self._successes.items():
                success.add_metric([ref.namespace, ref.name], at)
            for ref, aliases in self._aliases.items():
                for alias, collection in aliases.items():
                    info.add_metric([ref.namespace, ref.name, alias, collection], 1)
        return [ready, progressing, stalled, drift, interval, success, *([info] if self._aliases else [])]
