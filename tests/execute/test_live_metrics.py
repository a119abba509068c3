"""Metrics of Prometheus around a move, from the plan to the revert, against a Prometheus in this process."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from reconciler.core.errors import ExitCode
from reconciler.core.gates import Gates, OnUnknown
from reconciler.core.metrics import Metric, Preset
from reconciler.core.model import Alias, AliasSet, OnFailure, Verify
from reconciler.core.plan import BlockReason, GateResult, Plan, Verdict
from reconciler.core.report import MetricResult, Outcome, Report
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import LOCAL, alias_set, live, server
from tests.faults.memory import Recorder
from tests.integrations.fake_prometheus import FakePrometheus, bad_data, fake_prometheus, success

ERRORS = Metric(name="errors", preset=Preset.ERRORS, max=0.01)
LATENCY = Metric(name="latency", preset=Preset.LATENCY, quantile=0.99, max_ratio=1.5)
OWN = Metric(name="empty", query='sum(rate(empty_total{alias="{alias}"}[1m]))', max=5, max_ratio=2)
SOAK = 1.2
"""Seconds: six windows of the fake's scrape interval."""


@pytest.fixture
def prometheus() -> Iterator[FakePrometheus]:
    with fake_prometheus() as fake:
        yield fake


def shop() -> Recorder:
    made = server("old", "new", aliases={"a": "old"})
    for collection in ("old", "new"):
        made.insert(collection, [{"id": 1, "vector": (0.0, 0.0, 0.0, 1.0)}])
    return Recorder(made)


def desired(
    prometheus: FakePrometheus,
    *metrics: Metric,
    on_unknown: OnUnknown = OnUnknown.FAIL,
    on_failure: OnFailure = OnFailure.REVERT,
    soak: float = SOAK,
    name: str = "a",
) -> AliasSet:
    alias = Alias(name, "new", gates=Gates(on_unknown=on_unknown), metrics=metrics)
    connection = replace(LOCAL, prometheus=prometheus.endpoint)
    return alias_set({}, alias, connection=connection, verify=Verify(soak=soak), on_failure=on_failure)


def planned(prometheus: FakePrometheus, *metrics: Metric, on_unknown: OnUnknown = OnUnknown.FAIL) -> GateResult:
    """The result of the only metric in a plan."""
    made = make_plan([desired(prometheus, *metrics, on_unknown=on_unknown)], catalogs=shop().catalogs())
    return the_metric(made)


def the_metric(made: Plan) -> GateResult:
    [result] = [each for each in made.steps[0].gate_results if each.gate.startswith("metrics.")]
    return result


def moved(recorder: Recorder, wanted: AliasSet) -> Report:
    with recorder.catalogs() as opened:
        return apply_plan(make_plan([wanted], catalogs=opened), catalogs=opened)


def shown(report: Report, name: str) -> MetricResult:
    [result] = [each for each in report.results[0].metrics if each.metric.name == name]
    return result


class Moment:
    """Values before the first write to an alias, and of each window after it; the last one stays."""

    def __init__(self, recorder: Recorder, before: float | None, *after: float | None) -> None:
        self._before, self._after = before, after
        self._moved_at = math.inf
        self._windows = 0
        recorder.after = lambda method, alias: self._note()

    def _note(self) -> None:
        self._moved_at = min(self._moved_at, time.time())

    def value(self, query: str, at: float) -> float | None:
        """Each window is asked for once, in the order of time."""
        if at < self._moved_at:
            return self._before
        self._windows += 1
        return self._after[min(self._windows, len(self._after)) - 1]


# Before a move


def test_a_plan_shows_the_values_before_the_move(prometheus: FakePrometheus) -> None:
    prometheus.value = lambda query, at: 0.012 if "histogram_quantile" in query else 0.002
    made = make_plan([desired(prometheus, ERRORS, LATENCY)], catalogs=shop().catalogs())
    found = {each.gate: (each.verdict, each.detail) for each in made.steps[0].gate_results if "metrics" in each.gate}
    assert found == {
        "metrics.errors": (Verdict.PASS, "0.2 % before the move"),
        "metrics.latency": (Verdict.PASS, "12 ms before the move"),
    }


@pytest.mark.parametrize("nothing", [None, math.nan, math.inf])
def test_an_alias_without_traffic_is_blocked(prometheus: FakePrometheus, nothing: float | None) -> None:
    prometheus.value = lambda query, at: nothing
    recorder = shop()
    report = moved(recorder, desired(prometheus, ERRORS))
    [result] = report.results
    assert (report.exit_code, result.code) == (ExitCode.REFUSED, BlockReason.GATE_FAILED)
    assert "metrics.errors: no requests through the alias" in (result.message or "")
    assert "set gates.onUnknown: Pass" in (result.message or "")
    assert live(recorder.server) == {"a": "old"}


def test_a_new_alias_has_no_value_before_and_is_not_blocked(prometheus: FakePrometheus) -> None:
    prometheus.value = lambda query, at: None
    made = make_plan([desired(prometheus, ERRORS, name="b")], catalogs=shop().catalogs())
    assert the_metric(made).verdict is Verdict.NOT_APPLICABLE
    assert made.runnable


def test_a_query_with_a_mistake_is_refused_even_where_unknown_passes(prometheus: FakePrometheus) -> None:
    mistake = 'invalid parameter "query": 1:5: parse error: unclosed left parenthesis'
    prometheus.respond = lambda query: bad_data(mistake) if "empty_total" in query else prometheus._instant()
    recorder = shop()
    report = moved(recorder, desired(prometheus, OWN, on_unknown=OnUnknown.PASS))
    assert mistake in (report.results[0].message or "")
    assert (report.exit_code, live(recorder.server)) == (ExitCode.REFUSED, {"a": "old"})


def test_a_query_with_several_series_is_refused(prometheus: FakePrometheus) -> None:
    series = [{"metric": {"node": str(node)}, "values": [[time.time(), "1"]]} for node in range(3)]
    prometheus.respond = lambda query: success("matrix", series) if "empty_total" in query else prometheus._instant()
    result = planned(prometheus, OWN)
    assert (result.verdict, result.detail) == (
        Verdict.FAIL,
        "the query gives 3 series, need 1; aggregate them, for example with sum()",
    )


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((200, b"<html>login</html>"), "something else than JSON"),
        ((200, b"[" * 100_000), "something else than JSON"),
        ((200, b'{"status": "success"}'), "JSON that is no answer of Prometheus"),
        ((200, b'{"status": "success", "data": {"resultType": "vector", "result": 5}}'), "JSON without a result"),
        (success("vector", [{"metric": {}, "value": "x"}]), "a vector whose form is not known"),
        (success("vector", [{"metric": {}, "value": [1, "x"]}]), "a vector whose form is not known"),
        ((200, b" " * 600_000), "more than 512 KiB"),
        ((503, b"starting"), "Prometheus answers 503: starting"),
        ((401, b""), "check prometheus.token"),
        ((302, b""), "redirect"),
        (success("vector", []), "too few samples to tell its scrape interval"),
    ],
)
def test_an_answer_that_cannot_be_used_is_unknown(
    prometheus: FakePrometheus, answer: tuple[int, bytes], reason: str
) -> None:
    prometheus.respond = lambda query: answer
    result = planned(prometheus, ERRORS)
    assert result.verdict is Verdict.UNKNOWN
    assert reason in result.detail


def test_an_unreachable_prometheus_is_unknown_and_passes_where_the_set_says_so(prometheus: FakePrometheus) -> None:
    gone = FakePrometheus()
    gone.uri = "http://127.0.0.1:1"
    recorder = shop()
    report = moved(recorder, desired(gone, ERRORS, on_unknown=OnUnknown.PASS))
    assert (report.exit_code, live(recorder.server)) == (ExitCode.DONE, {"a": "new"})
    assert shown(report, "errors").verdict is Verdict.UNKNOWN
    assert "errors is unknown: Prometheus at 127.0.0.1:1 cannot be reached" in (report.results[0].message or "")


def test_metrics_need_a_connection_with_a_prometheus() -> None:
    alias = Alias("a", "new", metrics=(ERRORS,))
    made = make_plan([alias_set({}, alias, verify=Verify(soak=SOAK))], catalogs=shop().catalogs())
    assert "the MilvusConnection names no Prometheus" in the_metric(made).detail


def test_a_soak_that_is_too_short_for_two_windows_is_refused(prometheus: FakePrometheus) -> None:
    prometheus.interval = 15
    result = planned(prometheus, ERRORS)
    assert result.verdict is Verdict.FAIL
    assert "every 15 s, so two windows take 2m15s; set verify.soak to 2m15s or more" in result.detail


def test_a_ratio_to_nothing_is_unknown_unless_there_is_a_maximum(prometheus: FakePrometheus) -> None:
    assert planned(prometheus, LATENCY).verdict is Verdict.UNKNOWN
    assert planned(prometheus, OWN).verdict is Verdict.PASS


def test_values_that_are_bad_already_are_shown_and_block_nothing(prometheus: FakePrometheus) -> None:
    prometheus.value = lambda query, at: 0.05
    result = planned(prometheus, ERRORS)
    assert (result.verdict, result.detail) == (
        Verdict.PASS,
        "5 % before the move already exceeds its bound: 5 %, need ≤ 1 %",
    )


def test_a_plan_against_an_export_does_not_ask(prometheus: FakePrometheus) -> None:
    recorder = shop()
    with recorder.catalogs() as opened:
        wanted = desired(prometheus, ERRORS)
        from reconciler.catalog.read import read_live
        from reconciler.reconcile import target_of

        seen = read_live(opened.open(LOCAL, "default"), target_of(wanted), [wanted])
        made = make_plan([wanted], against={target_of(wanted): seen})
    assert (the_metric(made).verdict, prometheus.queries) == (Verdict.NOT_EVALUATED, [])


# After a move


def test_a_good_move_passes_with_its_values(prometheus: FakePrometheus) -> None:
    recorder = shop()
    prometheus.value = Moment(recorder, 0.010, 0.012).value
    report = moved(recorder, desired(prometheus, LATENCY))
    result = shown(report, "latency")
    assert report.exit_code is ExitCode.DONE
    assert (result.verdict, result.before, result.after) == (Verdict.PASS, 0.010, 0.012)
    assert result.windows >= 2
    assert {at < 0.1 for at, _ in result.points} == {True, False}


@pytest.mark.parametrize("on_failure", OnFailure)
def test_two_bad_windows_in_a_row_are_a_failure(prometheus: FakePrometheus, on_failure: OnFailure) -> None:
    recorder = shop()
    prometheus.value = Moment(recorder, 0.010, 0.5).value
    report = moved(recorder, desired(prometheus, LATENCY, on_failure=on_failure, soak=30))
    [result] = report.results
    reverts = on_failure is OnFailure.REVERT
    assert (result.outcome, live(recorder.server)["a"]) == (
        (Outcome.REVERTED, "old") if reverts else (Outcome.FAILED, "new")
    )
    assert "latency p99: 500 ms, need ≤ 15 ms (1.5 × 10 ms before the move), in 2 windows" in (result.message or "")
    assert shown(report, "latency").verdict is Verdict.FAIL
    assert result.code == (None if reverts else "SoakFailed")


def test_single_bad_windows_are_no_failure(prometheus: FakePrometheus) -> None:
    recorder = shop()
    prometheus.value = Moment(recorder, 0.0, *[0.5, 0.0] * 20).value
    assert moved(recorder, desired(prometheus, ERRORS, soak=2)).exit_code is ExitCode.DONE


def test_a_gap_between_bad_windows_ends_the_row(prometheus: FakePrometheus) -> None:
    recorder = shop()
    prometheus.value = Moment(recorder, 0.0, *[0.5, None] * 20).value
    report = moved(recorder, desired(prometheus, ERRORS, soak=2))
    assert (report.exit_code, live(recorder.server)) == (ExitCode.DONE, {"a": "new"})


def test_traffic_that_ends_with_the_move_is_reported_and_fails_nothing(prometheus: FakePrometheus) -> None:
    recorder = shop()
    prometheus.value = Moment(recorder, 0.0, None).value
    report = moved(recorder, desired(prometheus, ERRORS))
    assert (report.exit_code, live(recorder.server)) == (ExitCode.DONE, {"a": "new"})
    assert "errors is unknown: no requests through the alias" in (report.results[0].message or "")


@pytest.mark.parametrize("trouble", ["down", "refused", "drip"])
def test_a_prometheus_that_fails_after_the_move_fails_nothing(prometheus: FakePrometheus, trouble: str) -> None:
    recorder = shop()

    def break_down(method: str, alias: str) -> None:
        if trouble == "drip":
            prometheus.bytes_per_second = 1
        else:
            prometheus.respond = lambda query: (500, b"broken") if trouble == "down" else bad_data("no longer")

    recorder.after = break_down
    report = moved(recorder, desired(prometheus, ERRORS))
    assert (report.exit_code, live(recorder.server)) == (ExitCode.DONE, {"a": "new"})
    assert shown(report, "errors").verdict is Verdict.UNKNOWN


def test_the_clock_of_prometheus_may_differ(prometheus: FakePrometheus) -> None:
    prometheus.skew = -3600.0
    recorder = shop()
    prometheus.value = Moment(recorder, 0.0, 0.0).value
    report = moved(recorder, desired(prometheus, ERRORS))
    assert (shown(report, "errors").verdict, shown(report, "errors").after) == (Verdict.PASS, 0.0)


def test_a_later_wave_keeps_its_value_when_prometheus_fails(prometheus: FakePrometheus) -> None:
    """With onFailure: Revert a blocked later wave would revert the first one."""
    recorder = shop()
    recorder.server.connect(LOCAL, "default").create_alias("b", "old")
    recorder.after = lambda method, alias: setattr(prometheus, "respond", lambda query: (500, b"broken"))
    waves = [Alias("a", "new", metrics=(ERRORS,)), Alias("b", "new", wave=1, metrics=(ERRORS,))]
    connection = replace(LOCAL, prometheus=prometheus.endpoint)
    wanted = alias_set({}, *waves, connection=connection, verify=Verify(soak=SOAK), on_failure=OnFailure.REVERT)
    report = moved(recorder, wanted)
    assert (report.exit_code, live(recorder.server)) == (ExitCode.DONE, {"a": "new", "b": "new"})


# The cost, and the query


def test_the_requests_are_counted(prometheus: FakePrometheus) -> None:
    """As docs/metrics.md states: one for the interval, and one per alias and metric."""
    make_plan([desired(prometheus, ERRORS, LATENCY)], catalogs=shop().catalogs())
    assert len(prometheus.queries) == 1 + 2


def test_the_placeholder_of_a_query_is_the_alias(prometheus: FakePrometheus) -> None:
    planned(prometheus, OWN)
    assert 'sum(rate(empty_total{alias="a"}[1m]))' in prometheus.queries


def test_a_run_without_metrics_loads_nothing_and_asks_nothing(prometheus: FakePrometheus) -> None:
    code = (
        "import sys\n"
        "from tests.execute.test_live_metrics import FakePrometheus, desired, moved, shop\n"
        "from reconciler.core.errors import ExitCode\n"
        "fake = FakePrometheus(); fake.uri = 'http://127.0.0.1:1'\n"
        "assert moved(shop(), desired(fake, soak=0.3)).exit_code is ExitCode.DONE\n"
        "unused = ('execute.live_metrics', 'integrations.http', 'integrations.prometheus', 'integrations.promql')\n"
        "print([name for name in unused if f'reconciler.{name}' in sys.modules])\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (ran.stdout, ran.stderr) == ("[]\n", "")
