"""Which alerts fire on what an operator's `/metrics` says, asked of Prometheus's own rule tester."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.install.built import ROOT
from tests.install.tools import output, promtool

RULES = ROOT / "manifests" / "monitoring" / "alerts.yaml"
MINUTES = 120
"""How long everything stays as it was scraped; longer than any rule waits."""


def assert_firing(scrape: str, alerts: Iterable[str], folder: Path, *, at: float, before: str = "") -> None:
    """The test fails unless exactly these alerts fire if all stays as it was scraped.

    Args:
        scrape: the text of `/metrics`.
        alerts: the names of the alerts.
        folder: an empty one, for the test's files.
        at: when it was scraped, in seconds since 1970. What was a minute ago then is a minute ago at the end.
        before: the text of `/metrics` a minute before. Counters go on as they went between the two.
    """
    end = f"{MINUTES}m"
    firing = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(alerts)]
    query = 'count by (alertname) (ALERTS{alertstate="firing"}) > bool 0'
    test = {
        "interval": "1m",
        "input_series": list(series(scrape, before, at)),
        "promql_expr_test": [{"expr": query, "eval_time": end, "exp_samples": firing}],
    }
    written = folder / "scraped.test.yaml"
    document = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [test]}
    written.write_text(yaml.safe_dump(document))
    output(promtool(), "test", "rules", written)


def series(scrape: str, before: str, at: float) -> Iterator[dict[str, str]]:
    """The input of a rule test; arguments as for `assert_firing`."""
    earlier = {_name(sample): sample.value for _, sample in _samples(before)}
    for kind, sample in _samples(scrape):
        value, step = sample.value, 0.0
        if sample.name.endswith("_timestamp_seconds"):
            value += MINUTES * 60 - at  # promtool's clock begins at 0
        elif kind in ("counter", "histogram") and before:
            step = value - earlier.get(_name(sample), 0.0)
        yield {"series": _name(sample), "values": f"{value:f}{step:+f}x{MINUTES}"}


def _samples(text: str) -> Iterator[tuple[str, Sample]]:
    """Each sample, with the type of its metric."""
    return ((family.type, sample) for family in text_string_to_metric_families(text) for sample in family.samples)


def _name(sample: Sample) -> str:
    labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
    return f"{sample.name}{{{labels}}}"
