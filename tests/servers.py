"""Milvus servers to test against: memory, Milvus Lite, a real one, and one that answers as it is told.

A `Backend` is a server as the contract suite sees it. Its `flavour` says which answers are expected of it, so that the
fakes are held to exactly what the servers they stand for were seen to do.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import pytest

from reconciler.catalog import Catalog, Connect, connect
from reconciler.catalog import milvus_client as _quiet  # noqa: F401 - before gRPC and pymilvus, which it silences
from reconciler.catalog.memory import DEFAULT_SCHEMA, Flavour, MemoryServer, flat_indexes
from reconciler.catalog.port import DataRead
from reconciler.core.model import DEFAULT_DATABASE, Connection, Index, PrimaryKey, Row, Schema
from tests.builders import vector_schema
from tests.emulated_milvus.behaviour import CLOUD_TAGS, VERSIONS, Behaviour
from tests.emulated_milvus.cluster import Cluster
from tests.emulated_milvus.proxy import Proxy

import grpc  # isort: skip
from pymilvus import DataType, MilvusClient, MilvusException  # isort: skip
from pymilvus.grpc_gen import common_pb2, milvus_pb2  # isort: skip

HOW_TO_GET_MILVUS = (
    "MILVUS_URI names no real Milvus server; start one with: python tests/milvus_server.py /tmp/milvus-data 19530"
)
ADMIN_TIMEOUT = 60.0
QUIET_PORTS = range(24_000, 32_768)
"""Linux gives none of them to who asks for any port, as outgoing connections do; Milvus 2.3.5 takes none unasked."""
QUIET_CHANNEL = {"grpc.keepalive_permit_without_calls": 0, "grpc.use_local_subchannel_pool": 1}
"""No pings while idle: Milvus Lite's server hangs up on them ("Too many pings"), on all clients of one channel."""


class Admin(Protocol):
    """What the tests do to a server behind the catalog's back."""

    def create_database(self, name: str) -> None: ...
    def create_collection(
        self,
        name: str,
        database: str = ...,
        *,
        replicas: int = ...,
        schema: Schema = ...,
        rows: Iterable[Row] = ...,
        indexes: Sequence[Index] | None = ...,
    ) -> object: ...
    def insert(self, collection: str, rows: Iterable[Row], database: str = ...) -> None: ...
    def delete(self, collection: str, keys: Iterable[PrimaryKey], database: str = ...) -> None: ...
    def drop_collection(self, name: str, database: str = ...) -> None: ...
    def rename_collection(self, name: str, new_name: str, database: str = ...) -> None: ...
    def create_partition(self, collection: str, name: str, database: str = ...) -> None: ...
    def release_partition(self, collection: str, name: str, database: str = ...) -> None: ...
    def load(self, collection: str, database: str = ...) -> None: ...
    def release(self, collection: str, database: str = ...) -> None: ...
    def grant(self, role: str, read: DataRead, name: str, database: str = ...) -> None: ...


class MilvusAdmin:
    """`Admin` over pymilvus, with a client of its own a database. Its errors are pymilvus's."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._clients: dict[str, Any] = {}
        self._grants: list[tuple[str, str, str, str, str]] = []

    def create_database(self, name: str) -> None:
        self.client().create_database(name, timeout=ADMIN_TIMEOUT)

    def create_collection(
        self,
        name: str,
        database: str = DEFAULT_DATABASE,
        *,
        replicas: int = 0,
        schema: Schema = DEFAULT_SCHEMA,
        rows: Iterable[Row] = (),
        indexes: Sequence[Index] | None = None,
    ) -> None:
        """Create a collection; on 2.3.5 that takes 0.1 s, and 3 s more if it is to be loaded.

        Args:
            replicas: 1 for loaded, 0 for not.
            indexes: None for one on each vector field if it is to be loaded, and none otherwise.
        """
        client = self.client(database)
        options = {"properties": dict(schema.properties)} if schema.properties else {}
        client.create_collection(name, schema=_milvus_schema(schema), timeout=ADMIN_TIMEOUT, **options)
        self.insert(name, rows, database)
        if indexes is None:
            indexes = flat_indexes(schema) if replicas else ()
        self._index(name, indexes, database)
        if replicas:
            client.load_collection(name, timeout=ADMIN_TIMEOUT)

    def insert(self, collection: str, rows: Iterable[Row], database: str = DEFAULT_DATABASE) -> None:
        listed = [{name: list(v) if isinstance(v, tuple) else v for name, v in row.items()} for row in rows]
        if listed:
            self.client(database).insert(collection, listed, timeout=ADMIN_TIMEOUT)

    def delete(self, collection: str, keys: Iterable[PrimaryKey], database: str = DEFAULT_DATABASE) -> None:
        self.client(database).delete(collection, ids=list(keys), timeout=ADMIN_TIMEOUT)

    def drop_collection(self, name: str, database: str = DEFAULT_DATABASE) -> None:
        self.client(database).drop_collection(name, timeout=ADMIN_TIMEOUT)

    def rename_collection(self, name: str, new_name: str, database: str = DEFAULT_DATABASE) -> None:
        self.client(database).rename_collection(name, new_name, timeout=ADMIN_TIMEOUT)

    def create_partition(self, collection: str, name: str, database: str = DEFAULT_DATABASE) -> None:
        self.client(database).create_partition(collection, name, timeout=ADMIN_TIMEOUT)

    def release_partition(self, collection: str, name: str, database: str = DEFAULT_DATABASE) -> None:
        self.client(database).release_partitions(collection, [name], timeout=ADMIN_TIMEOUT)

    def load(self, collection: str, database: str = DEFAULT_DATABASE) -> None:
        client = self.client(database)
        if not client.list_indexes(collection, timeout=ADMIN_TIMEOUT):  # Milvus Lite refuses a second one
            self._index(collection, flat_indexes(DEFAULT_SCHEMA), database)
        client.load_collection(collection, timeout=ADMIN_TIMEOUT)

    def release(self, collection: str, database: str = DEFAULT_DATABASE) -> None:
        self.client(database).release_collection(collection, timeout=ADMIN_TIMEOUT)

    def grant(self, role: str, read: DataRead, name: str, database: str = DEFAULT_DATABASE) -> None:
        grant = (role, "Collection", str(read), name, database)
        with self._root() as client:
            if role not in client.list_roles(timeout=ADMIN_TIMEOUT):
                client.create_role(role, timeout=ADMIN_TIMEOUT)
            client.grant_privilege(*grant, timeout=ADMIN_TIMEOUT)
        self._grants.append(grant)

    def drop_roles(self) -> None:
        """Drop the roles that were granted something here: 2.3.5 has room for ten."""
        grants, self._grants = self._grants, []
        if not grants:
            return
        with self._root() as client:
            for grant in grants:
                client.revoke_privilege(*grant, timeout=ADMIN_TIMEOUT)
            for role in {grant[0] for grant in grants}:
                client.drop_role(role, timeout=ADMIN_TIMEOUT)

    @contextmanager
    def _root(self) -> Iterator[Any]:
        """A client that names a user: without one 2.3.5 grants nothing, even without authorization."""
        client = MilvusClient(
            self._uri,
            token="root:Milvus",  # noqa: S106 - the password that Milvus comes with
            timeout=ADMIN_TIMEOUT,
            dedicated=True,
            grpc_options=QUIET_CHANNEL,
        )
        try:
            yield client
        finally:
            client.close()

    def _index(self, collection: str, indexes: Sequence[Index], database: str) -> None:
        for item in indexes:
            index = MilvusClient.prepare_index_params(item.field, index_type=item.type, metric_type=item.metric)
            # Not `sync`: that takes half a second, and there is nothing to build before a flush.
            self.client(database).create_index(collection, index, timeout=ADMIN_TIMEOUT, sync=False)

    def client(self, database: str = DEFAULT_DATABASE) -> Any:
        if database not in self._clients:
            self._clients[database] = MilvusClient(
                self._uri, db_name=database, timeout=ADMIN_TIMEOUT, dedicated=True, grpc_options=QUIET_CHANNEL
            )
        return self._clients[database]

    def forget(self, database: str) -> None:
        """Drop an empty database; Milvus refuses while its collections are still being removed."""
        self._clients.pop(database).close()
        end = time.monotonic() + ADMIN_TIMEOUT
        while True:
            try:
                self.client().drop_database(database, timeout=ADMIN_TIMEOUT)
            except MilvusException as error:
                if "not empty" not in str(error) or time.monotonic() > end:
                    raise
                time.sleep(0.2)
            else:
                return

    def close(self) -> None:
        for client in self._clients.values():
            client.close()


def _milvus_schema(schema: Schema) -> Any:
    """A schema for pymilvus; a field that has a default gets 0 or ""."""
    made = MilvusClient.create_schema(enable_dynamic_field=schema.dynamic, description=schema.description)
    for column in schema.fields:
        kind, _, element = column.type.rstrip(">").partition("<")
        options = {
            "is_primary": column.primary,
            "auto_id": column.auto_id,
            "nullable": column.nullable,
            "dim": column.dimension,
            "max_length": column.length,
            "max_capacity": column.capacity,
            "element_type": DataType[element] if element else None,
        }
        default = {"default_value": "" if kind == "VARCHAR" else 0} if column.has_default else {}
        made.add_field(column.name, DataType[kind], **{name: v for name, v in options.items() if v}, **default)
    return made


@dataclass
class Backend:
    """A server under test. `other_database` is a second database besides `default`.

    `emulated` is how an emulated server behaves, whose version `flavour` does not have.
    """

    flavour: Flavour
    connection: Connection
    admin: Admin
    connect: Connect
    other_database: str
    emulated: Behaviour | None = None

    @property
    def version_calls(self) -> int:
        """Calls that it takes to know the version: two where only the build tags have a number."""
        return 2 if self.emulated and self.emulated.build_tags == CLOUD_TAGS else 1

    @property
    def resolves_alias_targets(self) -> bool:
        """Whether an alias is accepted as the target of an alias."""
        return self.emulated.resolves_alias_targets if self.emulated else self.flavour is Flavour.LITE

    @property
    def keeps_aliased_collections(self) -> bool:
        """Whether a collection that has aliases cannot be dropped."""
        if self.emulated:
            return not self.emulated.leaves_dangling_aliases
        return self.flavour is Flavour.MILVUS_2_6

    @property
    def refreshes_by_realter(self) -> bool:
        """Whether readers that may be stuck are refreshed by altering again; also tried where that is not known."""
        if self.emulated:
            return not self.emulated.ignores_realter or self.emulated.build_tags == CLOUD_TAGS
        return self.flavour is Flavour.MILVUS_2_3


@dataclass
class Room:
    """A test's own corner of one database: names nobody else uses, and all of it gone at the end."""

    backend: Backend
    database: str
    catalog: Catalog
    prefix: str = field(default_factory=lambda: f"t{uuid4().hex[:10]}_")

    @property
    def flavour(self) -> Flavour:
        return self.backend.flavour

    def name(self, short: str) -> str:
        return self.prefix + short

    def collections(self, *shorts: str) -> tuple[str, ...]:
        """Create collections; their full names."""
        for short in shorts:
            self.backend.admin.create_collection(self.name(short), self.database)
        return tuple(map(self.name, shorts))

    def create(
        self,
        short: str,
        rows: Iterable[Row] = (),
        *,
        dimension: int = 4,
        metric: str = "L2",
        schema: Schema | None = None,
        indexes: Sequence[Index] | None = None,
        loaded: bool = True,
    ) -> str:
        """Create a collection with rows, indexed and loaded; its full name.

        Args:
            dimension: of the field `vector`, unless there is a schema.
            metric: of the indexes, unless they are given.
            indexes: None for one on each vector field.
            loaded: 2.3.5 needs an index, and 3 s, for that.
        """
        schema = vector_schema(dimension) if schema is None else schema
        self.backend.admin.create_collection(
            self.name(short),
            self.database,
            replicas=int(loaded),
            schema=schema,
            rows=rows,
            indexes=flat_indexes(schema, metric) if indexes is None else indexes,
        )
        if not loaded:  # Milvus Lite loads what it creates
            self.backend.admin.release(self.name(short), self.database)
        return self.name(short)

    def alias_names(self) -> set[str]:
        return {name.removeprefix(self.prefix) for name in self.catalog.alias_names() if name.startswith(self.prefix)}

    def tidy(self) -> None:
        for alias in self.catalog.alias_names():
            if alias.startswith(self.prefix):
                self.catalog.drop_alias(alias)
        for collection in self.catalog.collections():
            if collection.startswith(self.prefix):
                self.backend.admin.drop_collection(collection, self.database)
        if isinstance(self.backend.admin, MilvusAdmin):
            self.backend.admin.drop_roles()


@contextmanager
def opened_room(backend: Backend, database: str) -> Iterator[Room]:
    catalog = backend.connect(backend.connection, database)
    room = Room(backend, database, catalog)
    try:
        yield room
    finally:
        room.tidy()
        catalog.close()


def memory_backend(flavour: Flavour) -> Backend:
    server = MemoryServer(flavour)
    server.create_database("other")
    return Backend(flavour, connection_to("memory"), server, server.connect, "other")


@contextmanager
def lite_backend(folder: Path) -> Iterator[Backend]:
    """Milvus Lite, embedded, in a file of its own."""
    from milvus_lite.server_manager import server_manager_instance

    uri = str(folder / "test.db")
    connection = connection_to(uri)
    connect(connection, DEFAULT_DATABASE, create=True).close()
    admin = MilvusAdmin(uri)
    admin.create_database("other")
    try:
        yield Backend(Flavour.LITE, connection, admin, connect, "other")
    finally:
        admin.close()
        server_manager_instance.release_server(uri)


@contextmanager
def lite_server(folder: Path) -> Iterator[str]:
    """Milvus Lite as a server on loopback, which several processes can use; its address."""
    port = free_port()
    command = [str(Path(sys.executable).parent / "milvus-lite"), "server", "--data-dir", str(folder)]
    with (folder.parent / "milvus-lite.log").open("w") as log:
        process = subprocess.Popen([*command, "--host", "127.0.0.1", "--port", str(port)], stdout=log, stderr=log)
    uri = f"http://127.0.0.1:{port}"
    try:
        _wait_for(port)
        yield uri
    finally:
        process.terminate()
        process.wait(60)


def free_port() -> int:
    """A port of this machine on which nothing listens, and nothing will that does not ask for this very one."""
    while True:
        port = secrets.choice(QUIET_PORTS)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def _wait_for(port: int, seconds: float = 180) -> None:
    """Until something listens on a port of this machine."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    pytest.fail(f"nothing listens on port {port} after {seconds:g} s")


def real_milvus() -> str:
    """The address of the real server, or the test is skipped; with REQUIRE_MILVUS=1 it fails."""
    uri = os.environ.get("MILVUS_URI", "")
    if not uri:
        give_up = pytest.fail if os.environ.get("REQUIRE_MILVUS") == "1" else pytest.skip
        give_up(HOW_TO_GET_MILVUS)
    return uri


@contextmanager
def milvus_backend(uri: str) -> Iterator[Backend]:
    """The real server at an address."""
    admin = MilvusAdmin(uri)
    other = f"t{uuid4().hex[:10]}"
    admin.create_database(other)
    try:
        yield Backend(Flavour.MILVUS_2_3, connection_to(uri), admin, connect, other)
    finally:
        admin.client(other)
        admin.forget(other)
        admin.close()


EMULATED = tuple(f"emulated-{version}" for version in VERSIONS if version != "2.6.11")
"""Fixtures of emulated servers for suites that run on each; 2.6.11 differs from its neighbours in grants only."""


@contextmanager
def emulated_backend(name: str) -> Iterator[Backend]:
    """A Milvus of a version of `tests.emulated_milvus`, on loopback; `name` is one of `EMULATED`."""
    behaviour = VERSIONS[name.removeprefix("emulated-")]
    with Proxy(Cluster(behaviour)) as proxy:
        admin = MilvusAdmin(proxy.uri)
        admin.create_database("other")
        flavour = Flavour.MILVUS_2_3 if behaviour.reads_default_database else Flavour.MILVUS_2_6
        yield Backend(flavour, connection_to(proxy.uri), admin, connect, "other", behaviour)
        admin.close()


def connection_to(uri: str, **options: Any) -> Connection:
    return Connection("test", uri, uri.rpartition("://")[2], **options)


Answer = Callable[[bytes, grpc.ServicerContext], Any]


class ToyMilvus(grpc.GenericRpcHandler):  # type: ignore[misc]
    """A gRPC server with Milvus's method names that answers as it is told and notes every call.

    `answers` maps a method (`AlterAlias`) to what it does; any other method is UNIMPLEMENTED.
    """

    def __init__(self, version: str = "v2.6.4", credentials: grpc.ServerCredentials | None = None) -> None:
        self.seen: list[str] = []
        self.answers: dict[str, Answer] = {
            "Connect": lambda *_: milvus_pb2.ConnectResponse(status=status(), identifier=1),
            "GetVersion": lambda *_: milvus_pb2.GetVersionResponse(status=status(), version=version),
        }
        self._server = grpc.server(ThreadPoolExecutor(32), handlers=(self,))
        if credentials:
            self.port = self._server.add_secure_port("127.0.0.1:0", credentials)
        else:
            self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def count(self, method: str) -> int:
        return self.seen.count(method)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        method = details.method.rpartition("/")[2]
        self.seen.append(method)
        answer = self.answers.get(method)
        if answer is None:
            return None
        return grpc.unary_unary_rpc_method_handler(answer, response_serializer=lambda reply: reply.SerializeToString())

    def stop(self) -> None:
        self._server.stop(grace=None).wait()


@contextmanager
def toy_milvus(version: str = "v2.6.4", credentials: grpc.ServerCredentials | None = None) -> Iterator[ToyMilvus]:
    toy = ToyMilvus(version, credentials)
    try:
        yield toy
    finally:
        toy.stop()


@contextmanager
def talkative_milvus(token: str) -> Iterator[ToyMilvus]:
    """A server that refuses everybody, and whose reason has the token: as it was sent, and as it is."""

    def refuse(_: bytes, context: grpc.ServicerContext) -> None:
        given = dict(context.invocation_metadata()).get("authorization", "")
        context.abort(grpc.StatusCode.UNAUTHENTICATED, f"auth check failure for {given}, {token}")

    with toy_milvus() as toy:
        toy.answers["Connect"] = refuse
        yield toy


def status(code: int = 0, reason: str = "") -> Any:
    return common_pb2.Status(code=code, error_code=min(code, 1), reason=reason)


def aborting(code: grpc.StatusCode, details: str) -> Answer:
    """An answer with a gRPC status instead of one of Milvus's."""
    return lambda _, context: context.abort(code, details)


def slow(seconds: float, reply: Any) -> Answer:
    def answer(_request: bytes, _context: grpc.ServicerContext) -> Any:
        time.sleep(seconds)
        return reply

    return answer
