"""Alert rules: promtool's opinion of them, when they fire, and that they speak of what the operator tells."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.core import errors
from reconciler.core.reasons import MEANINGS, Ready, Reason
from reconciler.operator.finding import Finding
from reconciler.operator.metrics import Metrics
from reconciler.operator.objects import Ref
from reconciler.service.metrics import CommonMetrics
from tests.install.built import ROOT, Object, only
from tests.install.scraped import RULES, assert_firing
from tests.install.tools import output, promtool
from tests.reasons import SYNC_ONLY

MONITORING = ROOT / "manifests" / "monitoring"
SET = Ref("search", "search")
HOURS = 2 * 3600.0
INTERVAL = 300.0


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def expressions() -> str:
    return "\n".join(rule["expr"] for group in read(RULES)["groups"] for rule in group["rules"])


def test_promtool_takes_the_rules() -> None:
    output(promtool(), "check", "rules", RULES)


def test_each_alert_fires_when_it_should_and_not_before() -> None:
    output(promtool(), "test", "rules", ROOT / "tests" / "install" / "alerts.test.yaml")


def test_no_alert_is_untested() -> None:
    tested = {
        rule["alertname"]
        for test in read(ROOT / "tests" / "install" / "alerts.test.yaml")["tests"]
        for rule in test["alert_rule_test"]
        if rule["exp_alerts"]
    }
    assert tested == {rule["alert"] for group in read(RULES)["groups"] for rule in group["rules"]}


def test_the_prometheus_operator_gets_the_same_rules() -> None:
    assert read(MONITORING / "prometheus-rule.yaml")["spec"] == read(RULES)


def test_the_prometheus_operator_finds_the_metrics(cluster_install: list[Object]) -> None:
    monitor, service = read(MONITORING / "service-monitor.yaml"), only(cluster_install, "Service")
    assert monitor["metadata"]["namespace"] == service["metadata"]["namespace"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert (endpoint["port"], endpoint["path"]) == (service["spec"]["ports"][0]["name"], "/metrics")
    assert endpoint["honorLabels"], "or the namespace of each set becomes exported_namespace"


def test_the_codes_that_count_as_trouble_are_errors_of_ours() -> None:
    (codes,) = re.findall(r'code=~"([^"]+)"', expressions())
    ours = {kind.__name__ for kind in errors.CatalogError.__subclasses__()}
    transient = {kind.__name__ for kind in errors.CatalogError.__subclasses__() if kind.transient}
    assert transient <= set(codes.split("|")) <= ours


def test_the_operator_has_every_metric_that_a_rule_asks_for() -> None:
    metrics = leading()
    metrics.reconciled(SET, Finding(Reason.SUCCEEDED, "in place"), 0.1, INTERVAL)
    metrics.reconciled(Ref("search", "other"), Finding(Reason.LIMIT_EXCEEDED, "too many drops"), 0.1, INTERVAL)
    metrics.call("describe_alias", "ok", 0.01)
    told = set(re.findall(r"^(aliasctl_\w+)", metrics.text().decode(), re.MULTILINE))
    assert set(re.findall(r"aliasctl_\w+", expressions())) <= told


def leading() -> Metrics:
    """Of the process that holds the Lease."""
    metrics = Metrics()
    metrics.leader.set(1)
    return metrics


def alerts_of(reason: Reason) -> set[str]:
    """Ready and suspended sets are nobody's trouble; a set has one alert for not being in place, not two."""
    if MEANINGS[reason].ready is Ready.TRUE or reason is Reason.SUSPENDED:
        return set()
    return {"AliasctlSetStalled" if MEANINGS[reason].stalled else "AliasctlSetNotReady"}


@pytest.mark.parametrize("reason", sorted(set(Reason) - SYNC_ONLY))
def test_what_the_operator_tells_of_a_set_fires_its_alert(reason: Reason, tmp_path: Path) -> None:
    """A set that is not ready was, two hours ago."""
    metrics = leading()
    metrics.reconciled(SET, Finding(Reason.SUCCEEDED, "in place"), 0.1, INTERVAL)
    metrics.reconciled(SET, Finding(reason, "why"), 0.1, INTERVAL)
    passed = 0 if MEANINGS[reason].ready is Ready.TRUE else HOURS
    assert_firing(metrics.text().decode(), alerts_of(reason), tmp_path, at=time.time() + passed)


def test_no_metrics_at_all_is_an_operator_that_is_down(tmp_path: Path) -> None:
    assert_firing("", {"AliasctlOperatorDown"}, tmp_path, at=time.time())


def test_a_sync_agent_is_no_operator(tmp_path: Path) -> None:
    """They share metrics, such as the version."""
    assert_firing(CommonMetrics().text().decode(), {"AliasctlOperatorDown"}, tmp_path, at=time.time())


def test_a_process_that_only_stands_by_fires_nothing_but_that_nobody_leads(tmp_path: Path) -> None:
    assert_firing(Metrics().text().decode(), {"AliasctlNoLeader"}, tmp_path, at=time.time())


def test_a_set_that_was_ready_hours_ago_and_is_not_looked_at_fires(tmp_path: Path) -> None:
    metrics = leading()
    metrics.reconciled(SET, Finding(Reason.SUCCEEDED, "in place"), 0.1, INTERVAL)
    assert_firing(metrics.text().decode(), {"AliasctlNoSuccessfulReconcile"}, tmp_path, at=time.time() + HOURS)


@pytest.mark.parametrize("before", [Reason.SUCCEEDED, Reason.GATE_FAILED, Reason.REJECTED])
def test_a_soak_of_hours_fires_nothing(before: Reason, tmp_path: Path) -> None:
    metrics = leading()
    metrics.reconciled(SET, Finding(before, "so it was"), 0.1, INTERVAL)
    metrics.sets.run_started(SET)
    assert_firing(metrics.text().decode(), set(), tmp_path, at=time.time() + HOURS)


def test_a_set_that_is_gone_fires_nothing(tmp_path: Path) -> None:
    metrics = leading()
    metrics.reconciled(SET, Finding(Reason.LIMIT_EXCEEDED, "too many drops"), 0.1, INTERVAL)
    metrics.sets.remove(SET)
    assert_firing(metrics.text().decode(), set(), tmp_path, at=time.time())


def test_a_milvus_that_does_not_answer_fires_for_calls_and_reconciles(tmp_path: Path) -> None:
    metrics, before = leading(), ""
    for _ in range(2):
        before = metrics.text().decode()
        metrics.call("list_aliases", "ConnectionFailed", 10)
        metrics.reconciled(SET, Finding(Reason.CONNECTION_FAILED, "connection refused"), 10, INTERVAL)
    firing = {"AliasctlMilvusCallErrors", "AliasctlReconcileErrors", "AliasctlSetNotReady"}
    assert_firing(metrics.text().decode(), firing, tmp_path, at=time.time(), before=before)
