"""An emulated API server, a Milvus in memory, and the operator between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from reconciler.operator import clients, reconciler
from tests.emulated_kubernetes.emulator import ApiServer
from tests.emulated_kubernetes.harness import Kube, Operator
from tests.emulated_kubernetes.milvus import Milvus


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is retried is retried soon."""
    monkeypatch.setattr(reconciler, "FIRST_RETRY_SECONDS", 0.05)
    monkeypatch.setattr(reconciler, "LONGEST_RETRY_SECONDS", 0.2)
    monkeypatch.setattr(clients, "SECRET_SECONDS", 0.0)


@pytest.fixture(autouse=True)
def logged_through_logging() -> Iterator[None]:
    """Where `caplog` finds it."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.render_to_log_kwargs,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    yield
    structlog.reset_defaults()


@pytest.fixture
def api() -> Iterator[ApiServer]:
    made = ApiServer()
    yield made
    made.close()


@pytest.fixture
def kube(api: ApiServer) -> Kube:
    return Kube(api)


@pytest.fixture
def milvus() -> Milvus:
    return Milvus()


@pytest.fixture
def start(api: ApiServer, milvus: Milvus, tmp_path: Path) -> Iterator[Callable[..., Operator]]:
    """Starts an operator, which is stopped at the end of the test."""
    running: list[Operator] = []

    def started(*, read_only: bool = False) -> Operator:
        running.append(Operator(api, milvus, tmp_path, read_only=read_only))
        return running[-1]

    yield started
    for item in running:
        item.stop()


@pytest.fixture
def operator(start: Callable[..., Operator], kube: Kube) -> Operator:
    """One that runs, and a connection that sets can use."""
    kube.connection()
    return start()
