"""The values of metrics around a move, in each format."""

from __future__ import annotations

import json

from msgspec.structs import replace

from reconciler.core.metrics import MAX_POINTS, Metric, Preset, thinned
from reconciler.core.plan import Verdict
from reconciler.core.report import MetricResult, Outcome, Report
from reconciler.documents.codec import decode, encode
from reconciler.render.formats import JSON, MARKDOWN
from reconciler.render.results import report_result
from tests.render.markup import Parsed
from tests.render.scenes import HOSTILE, move, plan_of, report_html, report_of, result

ERRORS = Metric(name="errors", preset=Preset.ERRORS, max=0.01)
LATENCY = Metric(name="latency", preset=Preset.LATENCY, quantile=0.99, max_ratio=1.2)
POINTS = ((-120.0, 0.010), (-60.0, 0.012), (0.0, 0.011), (60.0, 0.012), (120.0, 0.48))
SLOW = "latency p99: 480 ms, need ≤ 13.2 ms (1.2 × 11 ms before the move), in 2 windows of 1m"


def watched(*metrics: MetricResult, outcome: Outcome = Outcome.DONE, message: str | None = None) -> Report:
    step = move("products", "products_v1", "products_v2")
    return report_of(plan_of(step), replace(result(step, outcome, message), metrics=metrics))


def good() -> Report:
    return watched(
        MetricResult(ERRORS, Verdict.PASS, "", 0.0, 0.001, 9, 60.0, ((-60.0, 0.0), (60.0, 0.001))),
        MetricResult(LATENCY, Verdict.PASS, "", 0.011, 0.012, 9, 60.0, POINTS[:4]),
    )


def failed() -> Report:
    result = MetricResult(LATENCY, Verdict.FAIL, SLOW, 0.011, 0.48, 2, 60.0, POINTS)
    return watched(result, outcome=Outcome.REVERTED, message=f"during the soak: {SLOW}")


def test_the_text_shows_the_values_before_and_after() -> None:
    assert [line.plain for line in report_result(good()).lines()][1] == (
        "  ~ products   products_v1 → products_v2   done, readers verified, "
        "errors 0 % → 0.1 %, latency p99 11 ms → 12 ms"
    )


def test_markdown_and_json_have_them() -> None:
    assert "latency p99 11 ms → 12 ms" in MARKDOWN.render(report_result(good()))
    [step] = json.loads(JSON.render(report_result(good())))["targets"][0]["steps"]
    assert [(each["metric"]["name"], each["before"], each["after"]) for each in step["metrics"]] == [
        ("errors", 0.0, 0.001),
        ("latency", 0.011, 0.012),
    ]


def test_a_result_is_the_same_after_it_was_written() -> None:
    for each in (*good().results[0].metrics, *failed().results[0].metrics):
        assert decode(json.loads(json.dumps(encode(each))), MetricResult) == each


def test_the_page_has_a_chart_per_metric_without_a_script_of_its_own() -> None:
    page = Parsed(report_html(good()))
    charts = [dict(pairs) for tag, pairs in page.tags if tag == "polyline"]
    assert [len(str(chart["points"]).split()) for chart in charts] == [2, 4]
    assert "latency p99" in report_html(good())
    assert report_html(good()).count("<script>") == report_html(watched()).count("<script>") == 1


def test_a_failed_metric_is_drawn_with_its_limit_and_reason() -> None:
    page = report_html(failed())
    assert 'class="chart fail"' in page
    assert 'class="limit"' in page
    assert SLOW in page


def test_a_page_without_metrics_has_no_charts() -> None:
    assert "<figure" not in report_html(watched())


def test_names_and_details_cannot_be_markup() -> None:
    for text in HOSTILE:
        hostile = replace(good().results[0].metrics[0], metric=replace(ERRORS, name=text), detail=text)
        page = report_html(watched(hostile))
        assert "<script>alert" not in page
        assert {tag for tag, _ in Parsed(page).tags} == {tag for tag, _ in Parsed(report_html(watched(ODD))).tags}


ODD = MetricResult(ERRORS, Verdict.PASS, "x", 0.0, 0.001, 9, 60.0, ((-60.0, 0.0), (60.0, 0.001)))


def test_a_long_soak_keeps_a_bounded_number_of_points() -> None:
    points = tuple((float(at), 1.0) for at in range(20_000))
    assert len(thinned(points)) <= MAX_POINTS
    assert thinned(POINTS) == POINTS
