"""What Prometheus must show of the readers of an alias, and what it showed before and after a move.

`reconciler.integrations.promql` writes the queries, `reconciler.execute.live_metrics` makes them, and
`core.report.MetricResult` is what came of one.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from reconciler.core.record import Record

GATE_PREFIX = "metrics."
"""Before the name of a metric, where its value before a move is shown among the results of gates."""
MAX_METRICS = 8
"""Of an alias."""
MAX_POINTS = 60
"""Values that a result keeps; of more, neighbors are averaged."""
DEFAULT_QUANTILE = 0.99
BOUND_PATTERN = r"-?[0-9]{1,12}(\.[0-9]{1,9})?(%|ms|s|m)?"
_BOUND = re.compile(r"(-?[0-9.]+)(%|ms|s|m)?")
_FACTORS = {None: 1.0, "%": 0.01, "ms": 0.001, "s": 1.0, "m": 60.0}


class Preset(StrEnum):
    """A metric that Milvus itself exports for each name that clients use.

    `errors`: share of failed searches and queries. `latency`: a quantile of their duration, in seconds.
    """

    ERRORS = "errors"
    LATENCY = "latency"


class Metric(Record, frozen=True, kw_only=True):
    """One check: a preset or a query, and its bounds. The values of presets are shares, or seconds."""

    name: str
    preset: Preset | None = None
    query: Annotated[str, Meta(description="PromQL; {alias} stands for the alias.")] = ""
    quantile: Annotated[float | None, Meta(gt=0, lt=1)] = None
    max: float | None = None
    min: float | None = None
    max_ratio: Annotated[float | None, Meta(gt=0, description="To the value before the move.")] = None

    @property
    def title(self) -> str:
        """Return the name for people, such as `latency p99`."""
        if self.preset is Preset.LATENCY and self.quantile is not None:
            return f"{self.name} p{self.quantile * 100:g}"
        return self.name

    def shown(self, value: float | None) -> str:
        """Return a value with its unit."""
        return shown(self.preset, value)

    def limit(self, before: float | None) -> float | None:
        """Return the lowest value that is too much; None if there is none, or the value before is not known."""
        ratio = self.max_ratio * before if self.max_ratio is not None and before else None
        return min((each for each in (self.max, ratio) if each is not None), default=None)

    def breach(self, value: float, before: float | None) -> str:
        """Return which bound a value exceeds, in words; empty for none.

        `before`: the value before the move; without one, or with 0, `max_ratio` is not applied.
        """
        if self.max is not None and value > self.max:
            return f"{self.shown(value)}, need ≤ {self.shown(self.max)}"
        if self.min is not None and value < self.min:
            return f"{self.shown(value)}, need ≥ {self.shown(self.min)}"
        if self.max_ratio is not None and before and value > self.max_ratio * before:
            limit = self.shown(self.max_ratio * before)
            return f"{self.shown(value)}, need ≤ {limit} ({self.max_ratio:g} × {self.shown(before)} before the move)"
        return ""

    def cannot_judge(self, before: float | None) -> str:
        """Return why no value can be judged, given the value before the move; empty if it can."""
        if self.max_ratio is None or self.max is not None or self.min is not None:
            return ""
        if before is None:
            return "no value before the move to compare with"
        return "" if before else "the value before the move is 0, so maxRatio cannot be applied; give max as well"


def shown(preset: Preset | None, value: float | None) -> str:
    """Return the value of a metric with its unit."""
    if value is None:
        return "unknown"
    if preset is Preset.ERRORS:
        return f"{value * 100:.3g} %"
    if preset is Preset.LATENCY:
        return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"
    return f"{value:.4g}"


def bound(text: str) -> float:
    """Return a bound as a manifest writes it: `1%`, `200ms`, `1.5s`, `5`; shares and seconds."""
    found = _BOUND.fullmatch(text)
    if found is None:
        raise ValueError(f"no bound: {text}")
    return float(found[1]) * _FACTORS[found[2]]


def thinned(points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
    """Return at most `MAX_POINTS` points; neighbors are averaged."""
    from statistics import fmean  # not needed to read a manifest

    size = -(-len(points) // MAX_POINTS) or 1
    groups = (points[start : start + size] for start in range(0, len(points), size))
    return tuple((fmean(at for at, _ in group), fmean(value for _, value in group)) for group in groups)
