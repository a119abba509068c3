"""Prometheus metrics. Series of a set go when the set goes."""

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
    """Everything that `/metrics` tells. Used by several threads.

    Args:
        alias_info: also tell where each alias points: a series an alias.
    """

    def __init__(self, *, alias_info: bool = False) -> None:
        super().__init__()
        self._alias_info = alias_info
        self._runs = Counter("aliasctl_reconcile", "Reconciles by result.", ["result"], registry=self.registry)
        self._errors = Counter("aliasctl_reconcile_errors", "Reconciles that failed.", registry=self.registry)
        self._duration = Histogram(
            "aliasctl_reconcile_duration_seconds", "Time of a reconcile.", buckets=SECONDS, registry=self.registry
        )
        leader = Gauge("aliasctl_leader", "1 while this process holds the Lease.", registry=self.registry)
        self.leader = leader
        self._sets = _Sets()
        self.registry.register(self._sets)

    def reconciled(self, ref: Ref, finding: Finding, seconds: float, interval: float) -> None:
        """A set was looked at, which took `seconds`; it is looked at every `interval` seconds."""
        meaning = MEANINGS[finding.reason]
        result = "success" if meaning.ready is Ready.TRUE else "error" if meaning.warning else "waiting"
        self._runs.labels(result).inc()
        self._errors.inc(result == "error")
        self._duration.observe(seconds)
        if finding.report:
            self.carried_out(finding.report)
        elif finding.plan:
            self.evaluated(finding.plan.steps)
        self._sets.put(ref, finding, interval, alias_info=self._alias_info)

    def begun(self, ref: Ref) -> None:
        """A run of a set begins, which may take long."""
        self._sets.begun(ref)

    def over(self, ref: Ref) -> None:
        """No run of a set goes on any more."""
        self._sets.over(ref)

    def broke(self, seconds: float) -> None:
        """A look at a set ended with an error that says nothing about the set."""
        self._runs.labels("error").inc()
        self._errors.inc()
        self._duration.observe(seconds)

    def forget(self, ref: Ref) -> None:
        """A set is gone."""
        self._sets.remove(ref)


class _Sets(Collector):
    """The series of each set, made when somebody asks."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._findings: dict[Ref, Finding] = {}
        self._progressing: set[Ref] = set()
        self._intervals: dict[Ref, float] = {}
        self._successes: dict[Ref, float] = {}
        self._aliases: dict[Ref, Mapping[str, str]] = {}

    def put(self, ref: Ref, finding: Finding, interval: float, *, alias_info: bool) -> None:
        with self._lock:
            if finding.reason is Reason.SUSPENDED:  # asleep on purpose: nothing to be alarmed about
                self._remove(ref)
                return
            self._findings[ref] = finding
            self._intervals[ref] = interval
            if MEANINGS[finding.reason].ready is Ready.TRUE:
                self._successes[ref] = time.time()
                if alias_info and finding.desired:
                    pairs = ((alias.name, alias.collection) for alias in finding.desired.aliases)
                    self._aliases[ref] = {name: collection for name, collection in pairs if collection}

    def begun(self, ref: Ref) -> None:
        with self._lock:
            self._progressing.add(ref)

    def over(self, ref: Ref) -> None:
        with self._lock:
            self._progressing.discard(ref)

    def remove(self, ref: Ref) -> None:
        with self._lock:
            self._remove(ref)

    def _remove(self, ref: Ref) -> None:
        for each in (self._findings, self._intervals, self._successes, self._aliases):
            each.pop(ref, None)
        self._progressing.discard(ref)

    def collect(self) -> list[GaugeMetricFamily]:
        labels = ["namespace", "name"]
        ready = GaugeMetricFamily("aliasctl_set_ready", "1 if a set is in place.", labels=labels)
        progressing = GaugeMetricFamily(
            "aliasctl_set_progressing", "1 while a set is changed, or watched in a soak.", labels=labels
        )
        stalled = GaugeMetricFamily(
            "aliasctl_set_stalled", "1 for a set that only a person can help.", labels=[*labels, "reason"]
        )
        drift = GaugeMetricFamily("aliasctl_alias_drift", "Aliases that others have moved.", labels=labels)
        interval = GaugeMetricFamily(
            "aliasctl_set_interval_seconds", "How often a set is looked at when nothing happens.", labels=labels
        )
        success = GaugeMetricFamily(
            "aliasctl_last_success_timestamp_seconds", "When a set was last seen in place.", labels=labels
        )
        info = GaugeMetricFamily(
            "aliasctl_alias_info", "Where an alias points.", labels=[*labels, "alias", "collection"]
        )
        with self._lock:
            for ref in self._progressing | self._findings.keys():
                own, goes_on = [ref.namespace, ref.name], ref in self._progressing
                found = None if goes_on else self._findings[ref]  # of the last look, which by now is another state
                ready.add_metric(own, float(found is not None and MEANINGS[found.reason].ready is Ready.TRUE))
                progressing.add_metric(own, float(goes_on))
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
