"""Metrics in the operator: the token is in a Secret of the namespace, and the values are in the status."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator

import pytest

from tests.emulated_kubernetes.harness import Kube, Operator
from tests.emulated_kubernetes.milvus import Milvus
from tests.integrations.fake_prometheus import FakePrometheus, fake_prometheus

TOKEN = "s3cret-token"  # noqa: S105 - of a test
VERIFY = {"soak": "1s", "metrics": [{"preset": "latency", "maxRatio": 2.0}]}


@pytest.fixture(name="prometheus")
def fixture_prometheus() -> Iterator[FakePrometheus]:
    with fake_prometheus() as fake:
        fake.value = lambda query, at: 0.012
        yield fake


def connect(kube: Kube, prometheus: FakePrometheus) -> None:
    kube.api.create("Secret", "prometheus", data={"token": base64.b64encode(TOKEN.encode()).decode()})
    token = {"secretKeyRef": {"name": "prometheus", "key": "token"}}
    kube.connection(prometheus={"uri": prometheus.uri, "token": token})


def test_the_status_has_the_values_and_no_secret(
    start: Callable[[], Operator], kube: Kube, milvus: Milvus, prometheus: FakePrometheus
) -> None:
    milvus.point("a", "v1")
    connect(kube, prometheus)
    start()
    kube.create({"a": "v2"}, verify=VERIFY)
    status = kube.wait("Succeeded")
    assert milvus.aliases == {"a": "v2"}
    assert status["history"][0]["metrics"] == "a: latency p99 12 ms → 12 ms (pass)"
    assert {headers["Authorization"] for headers in prometheus.headers} == {f"Bearer {TOKEN}"}
    assert TOKEN not in str(kube.stored("shop"))


def test_a_move_waits_while_prometheus_knows_nothing(
    start: Callable[[], Operator], kube: Kube, milvus: Milvus, prometheus: FakePrometheus
) -> None:
    prometheus.value = lambda query, at: None
    milvus.point("a", "v1")
    connect(kube, prometheus)
    start()
    kube.create({"a": "v2"}, verify=VERIFY)
    kube.wait("GateFailed")
    assert "metrics.latency: no requests through the alias" in kube.condition()["message"]
    assert milvus.journal == []


def test_a_secret_that_does_not_exist_is_unknown(
    start: Callable[[], Operator], kube: Kube, milvus: Milvus, prometheus: FakePrometheus
) -> None:
    milvus.point("a", "v1")
    connect(kube, prometheus)
    kube.api.delete("Secret", "prometheus")
    start()
    kube.create({"a": "v2"}, verify=VERIFY)
    kube.wait("GateFailed")
    assert 'there is no Secret "prometheus"' in kube.condition()["message"]
    assert prometheus.queries == []
