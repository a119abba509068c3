"""What the readers of an alias experience, by Prometheus: before a move, and in windows of time during the soak.

    scrape interval S     counted from the samples that Prometheus has
    window W              four scrapes; windows follow each other without overlap
    before a move         the median of the last five windows; without a value the metric is unknown
    during the soak       each window since the wave was moved and proved; two bad ones in a row are a failure

Prometheus gets one request per set for the interval; per alias and metric, one before the move and one per window.
Times are those of its clock. What it does not answer after a move is reported, and never fails a move.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import ceil
from statistics import median
from threading import Event, Lock, Thread

from msgspec import Struct
from msgspec.structs import replace

from reconciler.core.durations import Duration
from reconciler.core.errors import AliasctlError, IntegrationFailed
from reconciler.core.gates import OnUnknown
from reconciler.core.metrics import GATE_PREFIX, Metric, thinned
from reconciler.core.model import Connection, Prometheus, Target
from reconciler.core.plan import Action, Block, BlockReason, Figure, GateResult, SetPlan, Step, Verdict, baselines
from reconciler.core.report import MetricResult
from reconciler.credentials import Secrets
from reconciler.execute.context import Halt
from reconciler.execute.soak import READS, pause_of
from reconciler.integrations.prometheus import PrometheusClient, QueryRefused
from reconciler.integrations.promql import MIN_SAMPLES, interval_query, query_of

SCRAPES_PER_WINDOW = 4
WINDOWS_BEFORE = 5
BAD_WINDOWS = 2
"""Number of consecutive bad windows that count as a failure."""
OWN_READS_FACTOR = 1.5
"""How many times as many requests as the probes of the soak make are needed for a value."""
CONCURRENCY = 8
"""Requests in flight at Prometheus."""
JOIN_SECONDS = 1.0
NO_TRAFFIC = "no requests through the alias"
NO_VALUE = "the query gives no value"


class Timing(Struct, frozen=True):
    """The scrape interval, the length of a window, and how far the clock of Prometheus is ahead of `monotonic`."""

    interval: float
    window: float
    offset: float

    def now(self) -> float:
        """Return the time by the clock of Prometheus."""
        return time.monotonic() + self.offset

    @property
    def least_soak(self) -> float:
        """Return the seconds in which two windows end and are scraped."""
        return BAD_WINDOWS * self.window + self.interval


class LiveMetrics:
    """The metrics of one database. Thread-safe.

    Args:
        server: Prometheus; None if the connection names none.
        target: the database.
        namespace: of the Kubernetes Secrets that `server` names.
        secrets: how they are read; None if they cannot be.
    """

    def __init__(self, server: Prometheus | None, target: Target, namespace: str, secrets: Secrets | None) -> None:
        self.server = server
        self._target = target
        self._client = PrometheusClient(server, namespace=namespace, secrets=secrets) if server else None
        self._timing: Timing | None = None
        self._known: dict[tuple[str, str, str], GateResult] = {}
        self._lock = Lock()

    @classmethod
    def of(cls, connection: Connection, target: Target, secrets: Secrets | None) -> LiveMetrics:
        """Return the metrics of a database by its connection."""
        return cls(connection.prometheus, target, connection.namespace, secrets)

    def timing(self) -> Timing:
        """Return the timing, determined once. Raises `IntegrationFailed`."""
        with self._lock:
            if self._timing is None:
                self._timing = self._determine_timing()
            return self._timing

    def _determine_timing(self) -> Timing:
        if self._client is None or self.server is None:
            raise IntegrationFailed("the MilvusConnection names no Prometheus; give spec.prometheus.uri")
        begun = time.monotonic()
        at, series = self._client.instant(interval_query(self.server))
        offset = at - (begun + time.monotonic()) / 2
        for seconds, samples in sorted((float(labels["range"]), samples) for labels, samples in series):
            if samples >= MIN_SAMPLES:
                interval = seconds / samples
                interval = float(round(interval)) if interval > 2 else interval
                return Timing(interval, SCRAPES_PER_WINDOW * interval, offset)
        raise IntegrationFailed(
            "Prometheus has too few samples to tell its scrape interval; check that it scrapes Milvus, and its labels"
        )

    def values(self, metric: Metric, alias: str, start: float, end: float, soak: float) -> list[tuple[float, float]]:
        """Return the value of each window that ends between two times. Raises `IntegrationFailed`.

        `soak`: its seconds. The reads of its probes are requests, too: with hardly any others there is no value.
        """
        timing = self.timing()
        if self._client is None or self.server is None:
            return []
        least = OWN_READS_FACTOR * READS * (timing.window / pause_of(soak) + 1)
        query = query_of(metric, alias, self._target, self.server, timing.window, least)
        return self._client.range(query, start, end, timing.window)

    def before(self, step: Step, soak: float) -> tuple[GateResult, ...]:
        """Return the value of each metric of a step before its move, as results of gates.

        A later wave is evaluated again right before it starts. If its value is unknown by then, the earlier one counts:
        what Prometheus does not answer must not fail the waves that were moved.
        """
        return tuple(self._latest(step, self._before(metric, step, soak)) for metric in step.metrics)

    def _latest(self, step: Step, result: GateResult) -> GateResult:
        with self._lock:
            key = (step.set, step.alias, result.gate)
            if result.verdict is Verdict.PASS:
                self._known[key] = result
            return self._known.get(key, result) if result.verdict is Verdict.UNKNOWN else result

    def _before(self, metric: Metric, step: Step, soak: float) -> GateResult:
        name = GATE_PREFIX + metric.name
        try:
            timing = self.timing()
            end = timing.now()
            points = self.values(metric, step.alias, end - (WINDOWS_BEFORE - 1) * timing.window, end, soak)
        except QueryRefused as error:
            return GateResult(name, Verdict.FAIL, str(error), {})
        except AliasctlError as error:  # also of the Kubernetes API, which did not return a Secret
            return GateResult(name, Verdict.UNKNOWN, str(error), {})
        if soak < timing.least_soak:
            least = Duration(ceil(timing.least_soak))
            reason = f"Prometheus scrapes every {timing.interval:.3g} s, so two windows take {least}"
            detail = f"the soak of {Duration(soak)} is too short: {reason}; set verify.soak to {least} or more"
            return GateResult(name, Verdict.FAIL, detail, {"scrapeSeconds": timing.interval})
        return _judged_before(metric, step, [value for _, value in points], timing)


def _judged_before(metric: Metric, step: Step, values: Sequence[float], timing: Timing) -> GateResult:
    """Return the result for the values of the windows before a move."""
    name = GATE_PREFIX + metric.name
    figures: dict[str, Figure] = {"windowSeconds": timing.window, "windows": len(values)}
    if not values and step.action is Action.CREATE:
        return GateResult(name, Verdict.NOT_APPLICABLE, "a new alias has no readers yet", figures)
    if not values:
        return GateResult(name, Verdict.UNKNOWN, _why_no_value(metric), figures)
    before = median(values)
    figures |= {"before": before, "values": tuple(values)}
    shown = f"{metric.shown(before)} before the move"
    if why := metric.cannot_judge(before):
        return GateResult(name, Verdict.UNKNOWN, why, figures)
    breach = metric.breach(before, None)
    detail = f"{shown} already exceeds its bound: {breach}" if breach else shown
    return GateResult(name, Verdict.PASS, detail, figures)


def with_values_before(
    steps: Iterable[Step], live: LiveMetrics, soak: float, *, blocking: bool = True
) -> tuple[Step, ...]:
    """Return the steps with the values of their metrics before the move; those that cannot be judged are blocked.

    Drops, reverts and blocked steps pass through.

    Args:
        live: the metrics of their database.
        soak: seconds that the wave is watched after the move.
        blocking: whether a metric that cannot be judged blocks its step; without, the results are only noted.
    """

    def judged(step: Step) -> Step:
        if step.blocked or not step.metrics:
            return step
        results = live.before(step, soak)
        block = _block(results, step) if blocking else None
        others = tuple(result for result in step.gate_results if result not in baselines(step))
        return replace(step, gate_results=(*others, *results), blocked=block)

    with ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="metrics") as pool:
        return tuple(pool.map(judged, steps))


def plans_with_values_before(plans: Iterable[SetPlan], live: LiveMetrics, *, blocking: bool) -> list[SetPlan]:
    """Return the plans of sets of one database with the values of their metrics before the moves."""
    return [
        replace(plan, steps=with_values_before(plan.steps, live, plan.verify.soak or 0.0, blocking=blocking))
        for plan in plans
    ]


def without_values_before(plan: SetPlan) -> SetPlan:
    """Return a plan in which the metrics of its steps have the verdict `notEvaluated`."""

    def marked(step: Step) -> Step:
        if step.blocked:
            return step
        left_out = (GateResult(GATE_PREFIX + each.name, Verdict.NOT_EVALUATED, "", {}) for each in step.metrics)
        return replace(step, gate_results=(*step.gate_results, *left_out))

    return replace(plan, steps=tuple(map(marked, plan.steps)))


def _block(results: Sequence[GateResult], step: Step) -> Block | None:
    passes_unknown = step.gates.on_unknown is OnUnknown.PASS
    failed = [
        result
        for result in results
        if result.verdict is Verdict.FAIL or (result.verdict is Verdict.UNKNOWN and not passes_unknown)
    ]
    if not failed:
        return None
    message = "; also ".join(f"{result.gate}: {result.detail}" for result in failed)
    if all(result.verdict is Verdict.UNKNOWN for result in failed):
        message += "; set gates.onUnknown: Pass to go on without an answer"
    return Block(BlockReason.GATE_FAILED, message)


def _why_no_value(metric: Metric) -> str:
    return NO_TRAFFIC if metric.preset else NO_VALUE


class _Series:
    """The windows of one metric of one alias since the move."""

    def __init__(self, step: Step, metric: Metric) -> None:
        self.step = step
        self.metric = metric
        figures = _figures_before(step, metric)
        self.before = figures.get("before")
        self.values_before = figures.get("values", ())
        self.points: list[tuple[float, float]] = []
        self.bad = 0
        self.problem = ""
        self.failure = ""
        self.error = ""

    def add(self, end: float, value: float | None, window: float) -> None:
        """Judge the window that ends at a time; without a value it says nothing and ends a row of bad ones."""
        if value is None:
            self.bad = 0
            return
        self.points.append((end, value))
        before = self.before if isinstance(self.before, float | int) else None
        breach = self.metric.breach(value, before)
        self.bad = self.bad + 1 if breach else 0
        self.problem = f"{self.metric.title}: {breach}" if breach else ""
        if self.bad >= BAD_WINDOWS:
            self.failure = f"{self.problem}, in {BAD_WINDOWS} windows of {Duration(window)}"

    def result(self, start: float, window: float) -> MetricResult:
        """Return what came of it. `start`: the time of the first window."""
        before = self.before if isinstance(self.before, float | int) else None
        verdict, detail = self._verdict(before)
        earlier = self.values_before if isinstance(self.values_before, tuple) else ()
        points = [((place - len(earlier) + 1) * window, value) for place, value in enumerate(earlier)]
        points += [(end - start, value) for end, value in self.points]
        return MetricResult(
            self.metric,
            verdict,
            detail,
            before,
            self.points[-1][1] if self.points else None,
            len(self.points),
            window,
            thinned(tuple(points)),
        )

    def _verdict(self, before: float | None) -> tuple[Verdict, str]:
        if self.failure:
            return Verdict.FAIL, self.failure
        if self.error:
            return Verdict.UNKNOWN, self.error
        if not self.points:
            return Verdict.UNKNOWN, _why_no_value(self.metric)
        if why := self.metric.cannot_judge(before):
            return Verdict.UNKNOWN, why
        return Verdict.PASS, ""


def _figures_before(step: Step, metric: Metric) -> Mapping[str, Figure]:
    name = GATE_PREFIX + metric.name
    return next((result.figures for result in step.gate_results if result.gate == name), {})


class MetricsWatch:
    """Watches the metrics of the aliases of a wave in a thread of its own, so that no slow answer delays a probe.

    Args:
        steps: the creates and alters of the wave, all of them made, with the values before the move.
        live: the metrics of their database.
        soak: its seconds.
        halt: ends the watch early.
    """

    def __init__(self, steps: Sequence[Step], live: LiveMetrics, soak: float, halt: Halt) -> None:
        self._soak = soak
        self._series = [_Series(step, metric) for step in steps for metric in step.metrics]
        self._live = live
        self._over = Event()
        self._halt = halt.also(self._over)
        self._lock = Lock()
        self._start = 0.0
        self._window = 0.0
        self._judged = 0
        self._thread = Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()

    @property
    def problem(self) -> str:
        """Return what is wrong in the last window, of the first alias with any; empty if nothing is known to be."""
        with self._lock:
            return next((f"{each.step.alias}: {each.problem}" for each in self._series if each.problem), "")

    def failed(self) -> dict[str, str]:
        """Return what has failed, as a sentence by alias."""
        with self._lock:
            return {each.step.alias: f"during the soak: {each.failure}" for each in self._series if each.failure}

    def conclude(self, pause: Callable[[float], bool]) -> dict[str, str]:
        """Wait until two windows were judged, and for one more where the last one was bad; return what has failed.

        `pause` ends it early.
        """
        while self._thread.is_alive() and self._undecided() and not pause(0.1):
            pass
        return self.failed()

    def _undecided(self) -> bool:
        with self._lock:
            begun = self._window > 0
            return begun and (self._judged < BAD_WINDOWS or any(0 < each.bad < BAD_WINDOWS for each in self._series))

    def end(self) -> dict[str, tuple[MetricResult, ...]]:
        """End the watch; return the results by alias."""
        self._over.set()
        self._thread.join(JOIN_SECONDS)  # a request in flight ends by its own deadline
        with self._lock:
            found: dict[str, tuple[MetricResult, ...]] = {}
            for each in self._series:
                result = each.result(self._start, self._window)
                found[each.step.alias] = (*found.get(each.step.alias, ()), result)
            return found

    def _run(self) -> None:
        """Judge each window once it has ended and its last scrape is due."""
        while not (timing := self._begin()):
            if self._halt.pause(1.0):
                return
        last = self._start
        with ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="metrics") as pool:
            while True:
                wait = last + timing.window + timing.interval - timing.now()
                if self._halt.pause(max(0.0, wait)):
                    return
                count = int((timing.now() - timing.interval - last) // timing.window)
                ends = [last + (number + 1) * timing.window for number in range(count)]
                if ends:
                    list(pool.map(partial(self._look, ends, timing), self._series))
                    last = ends[-1]
                    with self._lock:
                        self._judged += len(ends)

    def _begin(self) -> Timing | None:
        """Set the time of the first window; None while Prometheus does not answer."""
        try:
            timing = self._live.timing()
        except AliasctlError as error:
            with self._lock:
                for each in self._series:
                    each.error = str(error)
            return None
        with self._lock:
            self._start, self._window = timing.now(), timing.window
            for each in self._series:
                each.error = ""
        return timing

    def _look(self, ends: Sequence[float], timing: Timing, series: _Series) -> None:
        """Judge the windows of one metric that ended since the last look."""
        try:
            points = self._live.values(series.metric, series.step.alias, ends[0], ends[-1], self._soak)
        except AliasctlError as error:
            with self._lock:
                series.error, series.bad, series.problem = str(error), 0, ""
            return
        with self._lock:
            series.error = ""
            by_window = {round((at - ends[0]) / timing.window): value for at, value in points}
            for number, end in enumerate(ends):
                series.add(end, by_window.get(number), timing.window)
