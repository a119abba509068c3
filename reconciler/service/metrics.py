"""Prometheus metrics shared by operator and sync."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from reconciler.core.plan import Step, Verdict
from reconciler.core.report import Report
from reconciler.version import __version__

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class CommonMetrics:
    """Calls to Milvus, changes of aliases and failed gates. Thread-safe."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # would double the number of series
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
        return generate_latest(self.registry)

    def call(self, method: str, code: str, seconds: float) -> None:
        """Count a call to Milvus, which took `seconds`."""
        self._calls.labels(method, code).inc()
        self._call_duration.labels(method).observe(seconds)

    def carried_out(self, report: Report) -> None:
        """Count the changes and the gates of a run."""
        for result in report.results:
            self._changes.labels(str(result.step.action), str(result.outcome)).inc()
        self.evaluated([result.step for result in report.results])

    def evaluated(self, steps: Iterable[Step]) -> None:
        """Count the failed gates of some steps, whether or not anything was changed."""
        for gate in (gate for step in steps for gate in step.gate_results):
            if gate.verdict is Verdict.FAIL:
                self._gates.labels(gate.gate).inc()
