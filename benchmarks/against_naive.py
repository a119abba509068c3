"""What planning and applying cost beside a naive script, on one Milvus server, in one run. See README.md."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

import click

from reconciler.catalog import Catalog, Catalogs, connect
from reconciler.model import Alias, AliasSet, Connection, Gates, LoadedGate
from reconciler.reconcile import apply_plan, make_plan

UNGATED = Gates(LoadedGate(enabled=False))


@dataclass
class Row:
    what: str
    calls: int
    seconds: list[float]


def timed(what: str, catalog: Catalog, runs: int, work: Callable[[], object]) -> Row:
    """The calls of the last run, and the seconds of each."""
    seconds, calls = [], 0
    for _ in range(runs):
        calls, start = catalog.calls, time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
        calls = catalog.calls - calls
    return Row(what, calls, seconds)


def spread(aliases: int, collections: int, shift: int = 0) -> dict[str, str]:
    return {f"a{number:06}": f"c{(number + shift) % collections}" for number in range(aliases)}


def fill(connection: Connection, database: str, aliases: int, collections: int) -> None:
    from pymilvus import DataType, MilvusClient

    admin = MilvusClient(connection.uri)
    admin.create_database(database)
    client = MilvusClient(connection.uri, db_name=database)
    schema = MilvusClient.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=4)
    for number in range(collections):
        client.create_collection(f"c{number}", schema=schema, num_shards=1)
    for alias, collection in spread(aliases, collections).items():
        client.create_alias(collection, alias)


def clear(connection: Connection, database: str) -> None:
    from pymilvus import MilvusClient

    client = MilvusClient(connection.uri, db_name=database)
    for alias in client.list_aliases(db_name=database)["aliases"]:
        client.drop_alias(alias)
    for collection in client.list_collections():
        client.drop_collection(collection)
    MilvusClient(connection.uri).drop_database(database)


@click.command()
@click.argument("uri")
@click.option("--aliases", default=3000, show_default=True)
@click.option("--collections", default=100, show_default=True)
@click.option("--alters", default=1000, show_default=True, help="Steps of the apply.")
@click.option("--runs", default=5, show_default=True)
def main(uri: str, aliases: int, collections: int, alters: int, runs: int) -> None:
    """Compare on the server at URI."""
    connection = Connection("benchmark", uri, uri.partition("://")[2])
    database = f"bench_{uuid4().hex[:8]}"
    fill(connection, database, aliases, collections)
    try:
        with Catalogs(connect) as catalogs:
            catalog = catalogs.open(connection, database)
            rows = compare(catalog, catalogs, connection, database, aliases, collections, alters, runs)
    finally:
        clear(connection, database)
    for row in rows:
        click.echo(f"{row.what:<44}{row.calls:>8} calls{statistics.median(row.seconds):>9.3f} s")


def compare(
    catalog: Catalog,
    catalogs: Catalogs,
    connection: Connection,
    database: str,
    aliases: int,
    collections: int,
    alters: int,
    runs: int,
) -> list[Row]:
    def wish(shift: int, count: int) -> AliasSet:
        entries = tuple(Alias(name, to, gates=UNGATED) for name, to in spread(count, collections, shift).items())
        return AliasSet("bench", "", "benchmark", connection, database, entries)

    def naive() -> None:
        for name in catalog.alias_names():
            catalog.resolve(name)

    shifts = iter(range(1, 10_000))

    def bare() -> None:
        for name, to in spread(alters, collections, next(shifts)).items():
            catalog.alter_alias(name, to)

    def guarded() -> None:
        apply_plan(make_plan([wish(next(shifts), alters)], catalogs=catalogs), catalogs=catalogs)

    return [
        timed("read: each alias by itself", catalog, runs, naive),
        timed("read: plan, all in sync", catalog, runs, lambda: make_plan([wish(0, aliases)], catalogs=catalogs)),
        timed(f"write: {alters} bare alters, one by one", catalog, runs, bare),
        timed(f"write: plan and apply {alters} alters", catalog, runs, guarded),
    ]


if __name__ == "__main__":
    main()
