"""The Grafana dashboard has an answer to each of its queries about the operator."""

from __future__ import annotations

import time
from pathlib import Path

from tests.emulated_kubernetes.harness import Kube, Operator, wait_until
from tests.emulated_kubernetes.milvus import Milvus
from tests.install.dashboard import OPERATOR, assert_answered, queries


def test_the_operator_answers_its_part_of_the_dashboard(
    operator: Operator, kube: Kube, milvus: Milvus, tmp_path: Path
) -> None:
    operator.metrics.leader.set(1)  # the Lease is not part of the harness
    milvus.point("b", "v1")
    milvus.point("c", "v1")
    kube.create({"a": "v1"}, drift="Report", interval="100ms")
    kube.create({"b": None, "c": None}, "stalled", limits={"maxDrops": 1})
    kube.wait("Succeeded")
    kube.wait("LimitExceeded", "stalled")
    before = operator.metrics.text().decode()
    milvus.point("a", "v2")
    kube.wait("DriftDetected")
    milvus.down = True
    kube.create({"d": "v1"}, "unreachable")
    kube.wait("ConnectionFailed", "unreachable")
    wait_until("counted", lambda: (operator.metric("aliasctl_reconcile_errors_total") or 0) > 1)
    assert_answered(operator.metrics.text().decode(), before, queries(OPERATOR), tmp_path, at=time.time())
