"""Short ways to say what a test wants."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.catalog import Catalogs
from reconciler.catalog.memory import Flavour, MemoryServer
from reconciler.core.model import Alias, AliasSet, Connection, Field, Limits, OnFailure, Schema, Scope, Verify

LOCAL = Connection(name="local", uri="http://localhost:19530", address="localhost:19530")


def alias_set(
    aliases: Mapping[str, str | None] | None = None,
    *more: Alias,
    name: str = "shop",
    connection: Connection = LOCAL,
    database: str = "default",
    include: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    protect: tuple[str, ...] = (),
    limits: Limits = Limits(),
    verify: Verify = Verify(),
    on_failure: OnFailure = OnFailure.STOP,
    suspend: bool = False,
    depends_on: tuple[str, ...] = (),
) -> AliasSet:
    """A set of alias → collection (None: Absent), and of further entries with settings of their own."""
    return AliasSet(
        name=name,
        namespace="",
        connection_name=connection.name,
        connection=connection,
        database=database,
        aliases=(*(Alias(alias, collection) for alias, collection in (aliases or {}).items()), *more),
        scope=Scope(include, exclude, protect),
        limits=limits,
        verify=verify,
        on_failure=on_failure,
        suspend=suspend,
        depends_on=depends_on,
    )


def vector_schema(dimension: int = 4, *more: Field, key: str = "INT64", dynamic: bool = True) -> Schema:
    """Keys `id` (of type `INT64` or `VARCHAR`), float vectors `vector`, and more fields."""
    primary = Field("id", key, primary=True, length=100 if key == "VARCHAR" else None)
    return Schema((primary, Field("vector", "FLOAT_VECTOR", dimension=dimension), *more), dynamic)


def server(
    *collections: str,
    aliases: Mapping[str, str] | None = None,
    flavour: Flavour = Flavour.MILVUS_2_6,
    database: str = "default",
    version: str | None = None,
) -> MemoryServer:
    """A Milvus in memory with loaded collections, and with aliases; it reports another `version` than its own."""
    made = MemoryServer(flavour, version)
    made.create_database(database)
    for collection in collections:
        made.create_collection(collection, database)
    catalog = made.connect(LOCAL, database)
    for alias, collection in (aliases or {}).items():
        catalog.create_alias(alias, collection)
    return made


def live(made: MemoryServer, database: str = "default") -> dict[str, str]:
    """All aliases of a database and where they point."""
    catalog = made.connect(LOCAL, database)
    found = {alias: catalog.resolve(alias) for alias in catalog.alias_names()}
    return {alias: collection.name for alias, collection in sorted(found.items()) if collection}


def catalogs(made: MemoryServer) -> Catalogs:
    """Connections to a Milvus in memory, whatever address they name."""
    return Catalogs(made.connect)
