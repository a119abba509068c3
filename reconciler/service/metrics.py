"""Prometheus metrics that all have which run for long: calls to Milvus, changes of aliases, gates that failed."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from reconciler.core.plan import Step, Verdict
from reconciler.core.report import Report
from reconciler.version import __version__

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class CommonMetrics:
    """What `/metrics` tells. Used by several threads."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # a series for each series, with nothing in it that anybody asks for
        self.registry = CollectorRegistry()
        self._changes = Counter(
            "aliasctl_alias_changes", "Changes of aliases.", ["action", "result"], registry=self.registry
        )
        self._gates = Counter("aliasctl_gate_failures", "Gates that failed.", ["gate"], registry=self.registry)
        self._calls = Counter("aliasctl_milvus_calls", "Calls to Milvus.", ["method", "code"], registry=self.registry)
        self._call_duration = Histogram(
            "aliasctl_milvus_call_duration_seconds",
            "Time of a call to Milvus.",
            ["method"],
            buckets=SECONDS,
            registry=self.registry,
        )
        build = Gauge("aliasctl_build_info", "Which version this is.", ["version"], registry=self.registry)
        build.labels(__version__).set(1)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self.registry)

    def call(self, method: str, code: str, seconds: float) -> None:
        """A call to Milvus has ended."""
        self._calls.labels(method, code).inc()
        self._call_duration.labels(method).observe(seconds)

    def carried_out(self, report: Report) -> None:
        """A plan was carried out."""
        for result in report.results:
            self._changes.labels(str(result.step.action), str(result.outcome)).inc()
        self.asked([result.step for result in report.results])

    def asked(self, steps: Iterable[Step]) -> None:
        """Gates were asked about these steps, whether or not anything was done then."""
        for gate in (gate for step in steps for gate in step.gate_results):
            if gate.verdict is Verdict.FAIL:
                self._gates.labels(gate.gate).inc()
