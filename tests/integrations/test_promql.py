"""The queries of the presets, evaluated by Prometheus itself (promtool) on series as Milvus exports them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler.core.metrics import Metric, Preset
from reconciler.core.model import Label, Prometheus, Target
from reconciler.integrations.promql import escaped, interval_query, query_of
from tests.install import tools

ERRORS = Metric(name="errors", preset=Preset.ERRORS, max=0.01)
LATENCY = Metric(name="latency", preset=Preset.LATENCY, quantile=0.5, max=1)
ALIAS = 'collection_name="a"'
OF = 'function_name="Search",db_name="default",collection_name="a"'
Series = dict[str, str]

LATER: Series = {
    f'milvus_proxy_req_count{{{OF},status="total"}}': "0+20x60",
    f'milvus_proxy_req_count{{{OF},status="fail"}}': "0+5x60",
    f'milvus_proxy_req_count{{{OF.replace("default", "other")},status="total"}}': "0+900x60",
    f'milvus_proxy_sq_latency_count{{{ALIAS},db_name="default"}}': "0+20x60",
    f'milvus_proxy_sq_latency_bucket{{{ALIAS},db_name="default",le="8"}}': "0+0x60",
    f'milvus_proxy_sq_latency_bucket{{{ALIAS},db_name="default",le="16"}}': "0+20x60",
    f'milvus_proxy_sq_latency_bucket{{{ALIAS},db_name="default",le="+Inf"}}': "0+20x60",
}
"""20 requests per scrape, of which 5 fail; the same name in another database."""
BEFORE: Series = {
    'milvus_proxy_req_count{function_name="Search",status="total"}': "0+100x60",
    'milvus_proxy_req_count{function_name="Search",status="fail"}': "0+50x60",
    f'milvus_proxy_received_nq{{{ALIAS},query_type="search"}}': "0+20x60",
    f'milvus_proxy_collection_sq_latency_count{{{ALIAS},query_type="search"}}': "0+10x60",
    f'milvus_proxy_collection_sq_latency_count{{{ALIAS},query_type="query"}}': "0+5x60",
    f'milvus_proxy_collection_sq_latency_bucket{{{ALIAS},query_type="search",le="8"}}': "0+0x60",
    f'milvus_proxy_collection_sq_latency_bucket{{{ALIAS},query_type="search",le="16"}}': "0+10x60",
    f'milvus_proxy_collection_sq_latency_bucket{{{ALIAS},query_type="search",le="+Inf"}}': "0+10x60",
    "milvus_proxy_search_vectors_count": "0+10x60",
    'milvus_proxy_sq_latency_count{query_type="search"}': "0+10x60",
}
"""As measured on 2.3.5: what is counted by name has no status, and queries are counted as vectors received."""
MANY_VECTORS = BEFORE | {"milvus_proxy_search_vectors_count": "0+100x60"}
RESTARTED = LATER | {
    f'milvus_proxy_req_count{{{OF},status="total"}}': "0+20x38 0+20x22",
    f'milvus_proxy_req_count{{{OF},status="fail"}}': "0+5x38 0+5x22",
}


def evaluated(folder: Path, series: Series, query: str, value: float | None) -> None:
    """Fail unless the query has this value after 10 minutes of scrapes every 15 s, between two of them, or none."""
    samples = [] if value is None else [{"labels": "{}", "value": value}]
    test = {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": query, "eval_time": "10m7s", "exp_samples": samples}],
    }
    (folder / "test.yml").write_text(json.dumps({"rule_files": [], "evaluation_interval": "15s", "tests": [test]}))
    tools.output(tools.promtool(), "test", "rules", folder / "test.yml")


def asked(metric: Metric, *labels: Label, database: str = "default", least: float = 30) -> str:
    server = Prometheus(uri="http://localhost:9090", labels=labels)
    return query_of(metric, "a", Target("localhost:19530", database), server, 60, least)


@pytest.mark.parametrize(
    ("series", "metric", "value"),
    [
        (LATER, ERRORS, 0.25),
        (LATER, LATENCY, 0.012),
        (RESTARTED, ERRORS, 0.25),
        (BEFORE, ERRORS, 0.25),
        (BEFORE, LATENCY, 0.012),
        (MANY_VECTORS, ERRORS, None),
        ({}, ERRORS, None),
        ({}, LATENCY, None),
    ],
)
def test_the_presets_are_right(tmp_path: Path, series: Series, metric: Metric, value: float | None) -> None:
    evaluated(tmp_path, series, asked(metric), value)


@pytest.mark.parametrize("series", [LATER, BEFORE])
@pytest.mark.parametrize("metric", [ERRORS, LATENCY])
def test_few_requests_have_no_value(tmp_path: Path, series: Series, metric: Metric) -> None:
    """They may be those of the soak's own probes."""
    evaluated(tmp_path, series, asked(metric, least=200), None)


def test_the_labels_of_the_connection_choose_the_series(tmp_path: Path) -> None:
    here = {name.replace("{", '{cluster="eu",'): values for name, values in LATER.items()}
    there = {name.replace("{", '{cluster="us",'): "0+900x60" for name in LATER}
    evaluated(tmp_path, here | there, asked(ERRORS, Label("cluster", "eu")), 0.25)


def test_a_name_in_another_database_is_apart(tmp_path: Path) -> None:
    evaluated(tmp_path, LATER, asked(ERRORS, database="other"), 0.0)


@pytest.mark.parametrize("series", [LATER, BEFORE, {'scrape_duration_seconds{job="milvus"}': "1x60"}])
def test_the_samples_are_counted_that_tell_the_scrape_interval(tmp_path: Path, series: Series) -> None:
    """The least number that is enough: 5 in 75 s. Without requests to Milvus, it is that of all targets."""
    query = f"min(({interval_query(Prometheus(uri='http://localhost:9090'))}) >= 4)"
    evaluated(tmp_path, series, query, 5)


def test_what_stands_in_quotes_cannot_end_them() -> None:
    assert escaped('a"} or vector(1) #\n\\') == 'a\\"} or vector(1) #\\n\\\\'
