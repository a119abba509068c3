"""The operator with many sets: what it asks of Milvus while nothing changes, and how long one edit takes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from pymilvus import MilvusClient

from benchmarks import shapes
from benchmarks.results import Calls, Key, Row, Scenario, Who
from benchmarks.stage import Stage
from tests.kubernetes.cluster import admin_of, wait_until
from tests.kubernetes.control_plane import ADMIN, ASSETS, control_plane_in
from tests.kubernetes.counting_proxy import CountingProxy, counting_proxy
from tests.kubernetes.namespace import Namespace
from tests.kubernetes.operator_process import Operator

DEFINITIONS = Path(__file__).parents[1] / "crds"
NAME = "benchmark"
ALIASES = 10
"""In each set."""
INTERVALS = 2
"""So many are watched; the figures are of one."""
EDITS = 50
ONE_READ = 3
"""Calls of a read, beside one for each collection."""
START_TIMEOUT = 600.0
TICKS = os.sysconf("SC_CLK_TCK")


def measure(stage: Stage) -> None:
    """Run it on an API server of its own, if there is one here."""
    bench = stage.bench
    if not os.environ.get(ASSETS):
        bench.missing[Key.OPERATOR] = f"{ASSETS} named no folder with a Kubernetes API server"
        return
    interval = bench.sizes.interval
    collections = len({at for number in range(bench.sizes.sets) for at in _aliases(stage, number).values()})
    with counting_proxy(stage.uri) as proxy, _operator(stage, proxy) as (operator, namespace):
        wait_until(
            "all sets are ready", lambda: operator.metric("aliasctl_set_ready") == bench.sizes.sets, START_TIMEOUT
        )
        time.sleep(interval)  # what was just written makes each set read for itself, for a moment
        since, cpu = time.time(), _cpu_seconds(operator.pid)
        time.sleep(INTERVALS * interval)
        calls, cpu = proxy.counts(since).total(), _cpu_seconds(operator.pid) - cpu
        edits = _edits(stage, namespace, lambda: None)
        busy = _edits(stage, namespace, _Resync(operator, namespace, bench.sizes.sets).go_on)
        idle = Row(
            Who.OPERATOR,
            cpu_seconds=(round(cpu / INTERVALS, 3),),
            peak_bytes=(operator.peak_memory(),),
            calls=Calls(round(calls / INTERVALS), bound=ONE_READ + collections),
        )
    title = f"Operator, {bench.sizes.sets:,} sets of {ALIASES} aliases in sync: an idle interval of {interval} s"
    rows = (idle, Row(Who.EDIT, edits), Row(Who.EDIT_BUSY, busy))
    bench.scenarios[Key.OPERATOR] = Scenario(Key.OPERATOR, title, rows)


@contextmanager
def _operator(stage: Stage, proxy: CountingProxy) -> Iterator[tuple[Operator, Namespace]]:
    """An operator with all its sets, which find their aliases where they want them."""
    folder = stage.bench.folder / "kubernetes"
    folder.mkdir()
    with control_plane_in(folder) as plane:
        cluster = admin_of(plane)
        cluster.install_definitions(DEFINITIONS)
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}})
        namespace = Namespace(cluster, NAME)
        namespace.create_connection(proxy.uri)
        for number in range(stage.bench.sizes.sets):
            namespace.create_set(_aliases(stage, number), _set(number), interval=f"{stage.bench.sizes.interval}s")
        kubeconfig = plane.kubeconfig(ADMIN, folder / "kubeconfig")
        operator = Operator(kubeconfig, folder, "--namespace", NAME, "--lease-namespace", NAME)
        operator.start()
        try:
            yield operator, namespace
        finally:
            operator.stop()


def _set(number: int) -> str:
    return f"products-{number}"


def _aliases(stage: Stage, number: int) -> dict[str, str]:
    return dict(list(stage.shared.items())[number * ALIASES : (number + 1) * ALIASES])


class _Resync:
    """Has all sets look again, and once more whenever they are through with that."""

    def __init__(self, operator: Operator, namespace: Namespace, sets: int) -> None:
        self._operator = operator
        self._namespace = namespace
        self._sets = sets
        self._through = 0.0
        self._seconds = count(11)

    def go_on(self) -> None:
        looks = self._operator.metric("aliasctl_reconcile_total")
        if looks >= self._through:
            self._through = looks + self._sets
            self._namespace.patch("MilvusConnection", "main", {"spec": {"timeout": f"{next(self._seconds)}s"}})


def _edits(stage: Stage, namespace: Namespace, before: Callable[[], None]) -> tuple[float, ...]:
    """Seconds from the API server's answer to an edit until Milvus has it; and back again. `before` precedes each."""
    client = MilvusClient(stage.uri, dedicated=True)
    seconds = []
    for number in range(EDITS // 2):
        which = number * 7 % stage.bench.sizes.sets
        aliases = _aliases(stage, which)
        first = next(iter(aliases))
        for desired in (shapes.moved(aliases, ALIASES), aliases):
            before()
            namespace.edit_set({**aliases, first: desired[first]}, _set(which))
            seconds.append(_seconds_until(client, first, desired[first]))
    client.close()
    return tuple(seconds)


def _seconds_until(client: MilvusClient, alias: str, collection: str) -> float:
    """Until an alias is there."""
    started = time.perf_counter()
    while client.describe_alias(alias)["collection_name"] != collection:
        time.sleep(0.005)
    return round(time.perf_counter() - started, 3)


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
