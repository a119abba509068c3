"""What the operator tells while Milvus refuses it: no status, Event, metric or log has a secret, whatever is said."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable

import pytest
from prometheus_client import generate_latest

from reconciler.catalog import Catalog, Observe, Secrets, connect
from reconciler.core.model import Connection
from tests.cli.secrets import TOKEN, shown
from tests.emulated_kubernetes.harness import Kube, Operator
from tests.emulated_kubernetes.milvus import Milvus
from tests.reliability.tally import Tally
from tests.servers import talkative_milvus


class RealClient(Milvus):
    """Reached through pymilvus, as outside of tests."""

    def connect(  # type: ignore[override]
        self, connection: Connection, database: str, *, secrets: Secrets, observe: Observe | None = None
    ) -> Catalog:
        return connect(connection, database, secrets=secrets, observe=observe)


@pytest.fixture
def milvus() -> Milvus:
    return RealClient()


def test_none_in_status_events_metrics_or_log(
    start: Callable[[], Operator],
    kube: Kube,
    caplog: pytest.LogCaptureFixture,
    tally: Callable[[str, str], Tally],
) -> None:
    caplog.set_level(logging.DEBUG)
    encoded = base64.b64encode(TOKEN.encode()).decode()
    kube.api.create("Secret", "milvus", data={"token": encoded})
    tried = tally("Secrets in outputs, at log level debug", "the operator")
    with talkative_milvus(TOKEN) as toy, tried.case(faults=1):
        kube.connection(token={"secretKeyRef": {"name": "milvus", "key": "token"}}, uri=toy.uri)
        operator = start()
        kube.create({"a": "v1"})
        status = kube.wait("ConnectionFailed")
        assert "token missing or rejected" in status["conditions"][0]["message"]
        kube.wait_for_event("ConnectionFailed")
        kinds = ("AliasSet", "MilvusConnection", "Event")
        told = json.dumps([kube.api.list(kind) for kind in kinds]).encode()
        assert shown(told) == []
        assert shown(generate_latest(operator.metrics.registry)) == []
        assert caplog.records
        written = "\n".join(str(vars(record)) + caplog.handler.format(record) for record in caplog.records)
        assert shown(written.encode()) == []
