"""How often an altered alias goes on answering from its old collection, bare and with verified propagation.

Readers in tight loops query through an alias that moves back and forth between two loaded collections. After each
switch a client that is idle otherwise asks who answers. See README.md.
"""

from __future__ import annotations

import multiprocessing
import re
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import uuid4

import click

from reconciler.catalog import Catalog, Catalogs, connect
from reconciler.core.errors import ExitCode
from reconciler.core.model import Alias, AliasSet, Connection, Propagation, Verify
from reconciler.core.report import Reach
from reconciler.reconcile import apply_plan, make_plan
from reconciler.version import __version__

COLLECTIONS = ("even", "odd")
"""Those two; key n is in the n-th only."""
ALIAS = "served"
ROWS = 50
DIMENSION = 8
PROPAGATION = Propagation(timeout=30.0)
TIMEOUT = 10.0
CHECKS = 3
"""Reads of the idle client, one after the other; one old answer is enough to call the alias stuck."""
LATER_EVERY, LATER_SECONDS = 10, 5.0
"""Each so many switches the idle client asks again after so many seconds."""


class Flag(Protocol):
    """A number that all processes share."""

    value: int


def open_client(uri: str, database: str) -> Any:
    import logging

    from pymilvus import MilvusClient

    for name in ("pymilvus", "pymilvus.milvus_client"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    return MilvusClient(uri, db_name=database, timeout=TIMEOUT, dedicated=True)


def ask(client: Any) -> str:
    """Who answers a read through the alias: a collection's name, `nobody`, or an error."""
    from grpc import RpcError
    from pymilvus import MilvusException

    try:
        rows = client.query(
            ALIAS,
            filter="id in [0, 1]",
            output_fields=["id"],
            consistency_level="Bounded",
            timeout=TIMEOUT,
            retry_times=0,
        )
    except MilvusException as error:
        return f"error {error.code}: {_cause(error.message)}"
    except RpcError as error:
        return f"error {error.code().name}"
    return COLLECTIONS[rows[0]["id"]] if len(rows) == 1 else "nobody"


def _cause(message: str) -> str:
    """An error's words without what differs each time."""
    return re.sub(r"\d{2,}", "#", message.partition("message=")[2] or message).partition("\n")[0][:120]


def read_on(uri: str, database: str, threads: int, phase: Flag, stop: Any, answers: Any) -> None:
    """One process of readers, until it is told to stop.

    `phase` is odd during a switch, and then even: 2n once the alias is to be at the collection n modulo 2. What began
    and ended in one even phase must have been answered by that collection; otherwise it counts as `late`.
    """
    counts = [Counter[str]() for _ in range(threads)]

    def loop(mine: Counter[str]) -> None:
        client = open_client(uri, database)
        while not stop.is_set():
            before = phase.value
            answer = ask(client)
            mine[answer] += 1
            if before % 2 == 0 and before == phase.value and answer == COLLECTIONS[before // 2 % 2 - 1]:
                mine["late"] += 1
        client.close()

    readers = [threading.Thread(target=loop, args=(mine,)) for mine in counts]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    answers.put(sum(counts, Counter[str]()))


@dataclass
class Tally:
    """What was seen."""

    seconds: list[float] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    stuck: list[int] = field(default_factory=list)
    checks_failed: int = 0
    later: int = 0
    stuck_later: list[int] = field(default_factory=list)
    reach: Counter[str] = field(default_factory=Counter)
    heals: list[int] = field(default_factory=list)
    proving_reads: list[int] = field(default_factory=list)
    proving_seconds: list[float] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)


class Switcher:
    """Moves the alias, either by a bare alter or by a plan with verified propagation."""

    def __init__(self, connection: Connection, database: str, catalogs: Catalogs, bare: bool, tally: Tally) -> None:
        self._connection = connection
        self._database = database
        self._catalogs = catalogs
        self._catalog: Catalog = catalogs.open(connection, database)
        self._bare = bare
        self._tally = tally

    def switch(self, collection: str) -> None:
        calls, start = self._catalog.calls, time.perf_counter()
        if self._bare:
            self._catalog.alter_alias(ALIAS, collection)
        else:
            self._apply(collection)
        self._tally.seconds.append(time.perf_counter() - start)
        self._tally.calls.append(self._catalog.calls - calls)

    def _apply(self, collection: str) -> None:
        spec_hash = AliasSet(
            "benchmark",
            "",
            "benchmark",
            self._connection,
            self._database,
            (Alias(ALIAS, collection),),
            verify=Verify(propagation=PROPAGATION),
        )
        report = apply_plan(make_plan([spec_hash], catalogs=self._catalogs), catalogs=self._catalogs)
        result = report.results[0]
        proof = result.propagation[0]
        self._tally.reach[str(proof.reach)] += 1
        self._tally.heals.append(proof.heals)
        self._tally.proving_reads.append(proof.reads)
        self._tally.proving_seconds.append(proof.seconds)
        if report.exit_code is not ExitCode.DONE or proof.reach is not Reach.VERIFIED:
            click.echo(f"switch {len(self._tally.seconds)}: {result.outcome}, {proof}")


def is_stuck(client: Any, collection: str, tally: Tally) -> bool:
    """Whether the idle client gets any answer from the other collection."""
    answers = [ask(client) for _ in range(CHECKS)]
    tally.checks_failed += sum(answer not in COLLECTIONS for answer in answers)
    return any(answer in COLLECTIONS and answer != collection for answer in answers)


@contextmanager
def reading(uri: str, database: str, processes: int, threads: int, phase: Flag, tally: Tally) -> Iterator[None]:
    """Readers in processes of their own, which gRPC wants spawned, not forked."""
    spawn = multiprocessing.get_context("spawn")
    stop, answers = spawn.Event(), spawn.Queue()
    readers = [
        spawn.Process(target=read_on, args=(uri, database, threads, phase, stop, answers)) for _ in range(processes)
    ]
    for reader in readers:
        reader.start()
    try:
        yield
    finally:
        stop.set()
        for _ in readers:
            tally.answers += answers.get(timeout=60)
        for reader in readers:
            reader.join()


def fill(connection: Connection, database: str) -> None:
    """A database with the two collections, loaded, their rows to be seen by every reader, and with the alias."""
    from pymilvus import DataType, MilvusClient

    MilvusClient(connection.uri).create_database(database)
    client = open_client(connection.uri, database)
    schema = MilvusClient.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIMENSION)
    index = MilvusClient.prepare_index_params("vector", index_type="FLAT", metric_type="L2")
    for number, collection in enumerate(COLLECTIONS):
        client.create_collection(collection, schema=schema, index_params=index, num_shards=1, timeout=60)
        rows = [{"id": 2 * row + number, "vector": [float(row)] * DIMENSION} for row in range(ROWS)]
        client.insert(collection, rows)
        client.load_collection(collection, timeout=60)
        client.query(collection, filter="id >= 0", output_fields=["id"], consistency_level="Strong", timeout=60)
    client.create_alias(COLLECTIONS[0], ALIAS)
    client.close()


def clear(connection: Connection, database: str) -> None:
    from pymilvus import MilvusClient

    client = open_client(connection.uri, database)
    for alias in client.list_aliases(db_name=database)["aliases"]:
        client.drop_alias(alias)
    for collection in client.list_collections():
        client.drop_collection(collection)
    MilvusClient(connection.uri).drop_database(database)


@click.command()
@click.option("--uri", required=True, help="The server, such as http://127.0.0.1:19530.")
@click.option("--switches", default=500, show_default=True)
@click.option("--bare", is_flag=True, help="Move the alias by alter_alias alone.")
@click.option("--pause", default=1.3, show_default=True, help="Seconds from the end of a switch to its check.")
@click.option("--processes", default=3, show_default=True)
@click.option("--threads", default=4, show_default=True, help="Readers in each process.")
def main(uri: str, switches: int, bare: bool, pause: float, processes: int, threads: int) -> None:
    """Count the switches after which reads are still answered by the old collection."""
    connection = Connection("benchmark", uri, uri.partition("://")[2])
    database = f"bench_{uuid4().hex[:8]}"
    tally, phase = Tally(), multiprocessing.get_context("spawn").Value("Q", 0, lock=False)
    fill(connection, database)
    try:
        with Catalogs(connect) as catalogs:
            version = catalogs.open(connection, database).server_version()
            switcher = Switcher(connection, database, catalogs, bare, tally)
            idle = open_client(uri, database)
            with reading(uri, database, processes, threads, phase, tally):
                time.sleep(3)  # until the readers read
                start = time.perf_counter()
                for number in range(1, switches + 1):
                    one_switch(number, switcher, idle, phase, pause, tally)
                took = time.perf_counter() - start
            idle.close()
    finally:
        clear(connection, database)
    how = "bare alter_alias" if bare else f"apply_plan, propagation timeout {PROPAGATION.timeout:g} s"
    click.echo(f"{how}; {processes} x {threads} readers, check after {pause:g} s")
    tell(tally, took, version)


def one_switch(number: int, switcher: Switcher, idle: Any, phase: Flag, pause: float, tally: Tally) -> None:
    """Move the alias, wait, ask who answers."""
    collection = COLLECTIONS[number % 2]
    phase.value = 2 * number - 1
    switcher.switch(collection)
    phase.value = 2 * number
    time.sleep(pause)
    if is_stuck(idle, collection, tally):
        tally.stuck.append(number)
    if number % LATER_EVERY == 0:
        time.sleep(LATER_SECONDS)
        tally.later += 1
        if is_stuck(idle, collection, tally):
            tally.stuck_later.append(number)


def tell(tally: Tally, took: float, version: str) -> None:
    from importlib.metadata import version as installed

    switches, late = len(tally.seconds), tally.answers.pop("late", 0)
    total = sum(tally.answers.values())
    click.echo(f"server {version}, pymilvus {installed('pymilvus')}, milvus-alias-reconciler {__version__}")
    click.echo(
        f"switches {switches} in {took:.0f} s; stuck left {len(tally.stuck)} ({len(tally.stuck) / switches:.1%})"
    )
    click.echo(f"checked again {LATER_SECONDS:g} s later {tally.later}; stuck then {len(tally.stuck_later)}")
    click.echo(f"checks that failed {tally.checks_failed}; stuck after the switches {tally.stuck}")
    if tally.heals:
        healed = Counter(heals for heals in tally.heals if heals)
        click.echo(f"proofs {dict(tally.reach)}; heals made {sum(tally.heals)}, in {healed.total()} switches")
        click.echo(f"reads for a proof: {_spread(tally.proving_reads)}; its seconds: {_spread(tally.proving_seconds)}")
    click.echo(f"calls a switch: {_spread(tally.calls)}; seconds a switch: {_spread(tally.seconds)}")
    click.echo(f"reads {total} ({total / took:.0f}/s); old ones begun after the end of a switch {late}")
    for answer, count in tally.answers.most_common():
        click.echo(f"{count:>10}  {answer}")


def _spread(values: list[float] | list[int]) -> str:
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return f"median {statistics.median(ordered):.4g}, p95 {p95:.4g}, max {ordered[-1]:.4g}"


if __name__ == "__main__":
    main()
