"""Metrics around a move with the real Milvus 2.3.5, real readers and a real Prometheus that scrapes it every second.

Every case ends as `docs/metrics.md` says.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from msgspec.structs import replace

from reconciler.catalog import Catalogs
from reconciler.core.errors import ExitCode
from reconciler.core.gates import Gates, OnUnknown
from reconciler.core.metrics import Metric, Preset
from reconciler.core.model import Alias, OnFailure, Prometheus, Verify
from reconciler.core.plan import Verdict
from reconciler.core.report import Outcome, Report, StepResult
from reconciler.core.run_events import RunEvent, SoakStarted
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import alias_set
from tests.install import tools
from tests.servers import Backend

SOAK = 12.0
ERRORS = Metric(name="errors", preset=Preset.ERRORS, max=0.2)
LATENCY = Metric(name="latency", preset=Preset.LATENCY, quantile=0.5, max=0.1)
READERS = {"good": 2, "slow": 5, "broken": 4, "killed": 2, "quiet": 0}
NAMES = tuple(READERS)
DIMENSIONS = 8


class Shop:
    """Collections and aliases, with readers on all aliases but `quiet`."""

    def __init__(
        self, backend: Backend, prometheus: Prometheus, process: subprocess.Popen[bytes], over: dict[str, Event]
    ) -> None:
        self.backend, self.process, self._over = backend, process, over
        self.connection = replace(backend.connection, prometheus=prometheus)

    def move(
        self,
        alias: str,
        collection: str,
        *metrics: Metric,
        on_unknown: OnUnknown = OnUnknown.FAIL,
        on_event: Callable[[RunEvent], None] = lambda _: None,
    ) -> tuple[Report, StepResult]:
        """Move an alias and watch it; its readers end then, which leaves the machine to those of other tests."""
        entry = Alias(f"m_{alias}", collection, gates=Gates(on_unknown=on_unknown), metrics=metrics)
        wanted = alias_set({}, entry, connection=self.connection, verify=Verify(soak=SOAK), on_failure=OnFailure.REVERT)
        with Catalogs(self.backend.connect) as catalogs:
            report = apply_plan(make_plan([wanted], catalogs=catalogs), catalogs=catalogs, on_event=on_event)
        self._over[alias].set()
        [result] = report.results
        print(report.exit_code, result)
        return report, result

    def at(self, alias: str) -> str:
        found = self.backend.connect(self.connection, "default").resolve(f"m_{alias}")
        return found.name if found else ""


@pytest.fixture(scope="module")
def shop(milvus: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    uri = milvus.connection.uri
    with (
        _collections(uri),
        _prometheus(tmp_path_factory.mktemp("prometheus"), uri) as (endpoint, process),
        _readers(uri) as over,
    ):
        _wait_for_traffic(endpoint)
        yield Shop(milvus, endpoint, process, over)


@contextmanager
def _collections(uri: str) -> Iterator[None]:
    """Create collections: `m_slow` waits in each search for what was just written, `m_broken` has other vectors."""
    from pymilvus import MilvusClient

    client = MilvusClient(uri, timeout=30)
    kinds = {"m_old": {}, "m_new": {}, "m_strong": {"consistency_level": "Strong"}, "m_wide": {}}
    try:
        for name, settings in kinds.items():
            dimension = DIMENSIONS * 2 if name == "m_wide" else DIMENSIONS
            client.create_collection(name, dimension, **({"consistency_level": "Eventually"} | settings))
            rows = [{"id": key, "vector": [float(key % 7)] * dimension} for key in range(100)]
            client.insert(name, rows)
        for alias in NAMES:
            client.create_alias("m_old", f"m_{alias}")
        yield
    finally:
        for alias in NAMES:
            client.drop_alias(f"m_{alias}")
        for name in kinds:
            client.drop_collection(name)
        client.close()


@contextmanager
def _prometheus(folder: Path, milvus: str) -> Iterator[tuple[Prometheus, subprocess.Popen[bytes]]]:
    """Start a Prometheus that scrapes the Milvus every second."""
    command = tools.prometheus()
    target = os.environ.get("MILVUS_METRICS", f"{urlsplit(milvus).hostname}:9091")
    scrape = f"{{job_name: milvus, static_configs: [{{targets: ['{target}']}}]}}"
    (folder / "prometheus.yml").write_text(f"global: {{scrape_interval: 1s}}\nscrape_configs: [{scrape}]\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    options = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([command, *options, f"--web.listen-address={address}"], stdout=log, stderr=log)
    try:
        _until(lambda: urlopen(f"http://{address}/-/ready", timeout=5).status == 200)
        yield Prometheus(uri=f"http://{address}", timeout=5), process
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait(60)


@contextmanager
def _readers(uri: str) -> Iterator[dict[str, Event]]:
    """Search through each alias but one, some ten times per second and reader; yield what ends that, by alias."""
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL + 1)  # a traceback for each failure takes time
    over = {alias: Event() for alias in NAMES}
    threads = [
        Thread(target=_read, args=(uri, f"m_{alias}", over[alias])) for alias in NAMES for _ in range(READERS[alias])
    ]
    for thread in threads:
        thread.start()
    try:
        yield over
    finally:
        for each in over.values():
            each.set()
        for thread in threads:
            thread.join()


def _read(uri: str, alias: str, over: Event) -> None:
    from pymilvus import MilvusClient

    client = MilvusClient(uri, timeout=10)
    while not over.wait(0.08):
        with suppress(Exception):  # what fails is what the metrics are to show
            client.search(alias, [[1.0] * DIMENSIONS], limit=3, timeout=5)
    client.close()


def _wait_for_traffic(endpoint: Prometheus) -> None:
    """Wait until Prometheus has seen enough of the readers to tell its scrape interval and their latency."""
    from reconciler.integrations.prometheus import PrometheusClient

    client = PrometheusClient(endpoint)
    aliases = "|".join(f"m_{alias}" for alias in NAMES if alias != "quiet")
    series = f'milvus_proxy_received_nq{{collection_name=~"{aliases}"}}'
    _until(lambda: len([1 for _, count in client.instant(f"count_over_time({series}[1m])")[1] if count >= 14]) == 4)


def _until(holds: Callable[[], bool], seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(OSError):
            if holds():
                return
        time.sleep(0.2)
    pytest.fail("what the test waits for did not happen")


def verdicts(result: StepResult) -> dict[str, Verdict]:
    return {each.metric.name: each.verdict for each in result.metrics}


@pytest.mark.milvus
def test_a_good_move_passes_and_shows_its_values(shop: Shop) -> None:
    report, result = shop.move("good", "m_new", ERRORS, LATENCY)
    assert (report.exit_code, shop.at("good")) == (ExitCode.DONE, "m_new")
    assert verdicts(result) == {"errors": Verdict.PASS, "latency": Verdict.PASS}
    assert all(each.before is not None and each.after is not None and each.windows for each in result.metrics)


@pytest.mark.milvus
def test_a_collection_with_failing_searches_is_reverted(shop: Shop) -> None:
    _, result = shop.move("broken", "m_wide", ERRORS)
    assert (result.outcome, shop.at("broken")) == (Outcome.REVERTED, "m_old")
    assert "during the soak: errors: " in (result.message or "")
    assert "need ≤ 20 %, in 2 windows of " in (result.message or "")


@pytest.mark.milvus
def test_a_slow_collection_is_reverted(shop: Shop) -> None:
    _, result = shop.move("slow", "m_strong", LATENCY)
    assert (result.outcome, shop.at("slow")) == (Outcome.REVERTED, "m_old")
    assert "latency p50: " in (result.message or "")
    assert "need ≤ 100 ms, in 2 windows of " in (result.message or "")


@pytest.mark.milvus
def test_without_traffic_a_move_is_blocked_or_reported_as_unknown(shop: Shop) -> None:
    report, result = shop.move("quiet", "m_new", ERRORS)
    assert (report.exit_code, shop.at("quiet")) == (ExitCode.REFUSED, "m_old")
    report, result = shop.move("quiet", "m_new", ERRORS, on_unknown=OnUnknown.PASS)
    assert (report.exit_code, shop.at("quiet")) == (ExitCode.DONE, "m_new")
    assert verdicts(result) == {"errors": Verdict.UNKNOWN}
    assert "errors is unknown: no requests through the alias" in (result.message or "")


@pytest.mark.milvus
def test_a_prometheus_that_is_killed_during_the_soak_fails_nothing(shop: Shop) -> None:
    def kill(event: RunEvent) -> None:
        if isinstance(event, SoakStarted):
            shop.process.kill()

    report, result = shop.move("killed", "m_strong", LATENCY, on_event=kill)
    assert (report.exit_code, shop.at("killed")) == (ExitCode.DONE, "m_strong")
    assert verdicts(result) == {"latency": Verdict.UNKNOWN}
    assert "cannot be reached" in (result.message or "")
