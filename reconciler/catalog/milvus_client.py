"""Import pymilvus without its side effects, and disable its retries.

Measured with pymilvus 3.0.2; `tests/catalog/test_trouble.py` detects changes.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

from reconciler.catalog.milvus_options import client_options
from reconciler.catalog.without_pandas import without_pandas
from reconciler.core.model import Connection
from reconciler.credentials import Secrets
from reconciler.proxy import proxy_of


@contextmanager
def _without_foreign_settings() -> Iterator[None]:
    """Keep an application's settings from pymilvus and Milvus Lite, and a `.env` file from our environment.

    Their modules read `MILVUS_…` variables when they are imported, and raise errors that repeat a value they cannot
    use, password included. `pymilvus.settings` calls `load_dotenv`, which not every version of python-dotenv can turn
    off.
    """
    hidden = {name: value for name, value in os.environ.items() if name.startswith("MILVUS_")}
    stand_in, actual = ModuleType("dotenv"), sys.modules.get("dotenv")
    vars(stand_in)["load_dotenv"] = lambda *_, **__: False
    sys.modules["dotenv"] = stand_in
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)
        if actual:
            sys.modules["dotenv"] = actual
        else:
            del sys.modules["dotenv"]


# gRPC's C core writes TLS failures to stderr; we report them ourselves. Read when grpc is first imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
with _without_foreign_settings():
    from grpc import RpcError, StatusCode

    without_pandas(lambda: import_module("pymilvus"))
    from pymilvus import DataType, MilvusClient, MilvusException
    from pymilvus.client.global_topology import GLOBAL_CLUSTER_IDENTIFIER, fetch_topology
    from pymilvus.client.utils import check_status
    from pymilvus.grpc_gen import common_pb2, milvus_pb2

# Importing pymilvus adds a stderr handler to these loggers, which would print a traceback for each expected failure.
for _name in ("pymilvus", "pymilvus.milvus_client", "pymilvus.bulk_writer", "milvus_lite"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)

__all__ = [
    "ONE_TRY",
    "PRIVILEGES",
    "Caller",
    "DataType",
    "MilvusException",
    "RpcError",
    "SingleAttempt",
    "StatusCode",
    "follows_topology",
    "ids_of_listed_collections",
    "open_client",
]

PRIVILEGES = frozenset(
    name.removeprefix("Privilege")
    for name, _ in common_pb2.ObjectPrivilege.items()
    if not name.startswith("PrivilegeGroup")
)
"""All single privileges, by the name to grant them by; any other granted name is a group of privileges."""


class SingleAttempt(float):
    """A timeout in seconds with which pymilvus makes a single attempt.

    pymilvus repeats every failed call, writes included, until `time.time() - start >= timeout`
    (`retry_on_rpc_failure`), and a repeated write could undo a change that someone else made. Python tries the method
    of the subclass on the right first, so here the time is always up after the first attempt, while gRPC sees an
    ordinary number.
    """

    def __le__(self, _other: object) -> bool:
        return True


# For nested calls that do not receive the timeout (`describe_replica` → `describe_collection`).
ONE_TRY: dict[str, Any] = {"retry_times": 0, "retry_on_rate_limit": False}

_CHANNEL = {
    "grpc.enable_retries": 0,  # gRPC must not repeat a call either
    "grpc.service_config_disable_resolution": 1,  # nor enable that from a DNS record
    "grpc.initial_reconnect_backoff_ms": 100,  # so that a repeated read soon reaches a server that has restarted
    "grpc.max_reconnect_backoff_ms": 1000,
}


@dataclass(slots=True)
class Caller:
    """User name of the token, and the secrets to redact. The token is known once a connection was attempted."""

    token: str = field(default="", repr=False)

    @property
    def user(self) -> str | None:
        """Return the user name; "" without a token, None for an API key, which does not contain one."""
        user, colon, _ = self.token.partition(":")
        return user if colon or not self.token else None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the token and its password or key, in every form in which a server may repeat them, longest first."""
        secret = self.token.partition(":")[2] or self.token
        texts = {text for whole in (self.token, secret) for text in (whole, " ".join(whole.split()))}
        return tuple(sorted({form for text in texts if text for form in _forms(text)}, key=len, reverse=True))


def _forms(text: str) -> Iterator[str]:
    """Yield a text as it is, in JSON, in hexadecimal digits, URL-encoded, and in base64 with and without padding."""
    data = text.encode()
    yield from (text, json.dumps(text)[1:-1], data.hex(), quote(text, safe=""), quote(text), quote_plus(text))
    for encoded in (base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()):
        yield from (encoded, encoded.rstrip("="))


def open_client(
    connection: Connection, database: str, timeout: SingleAttempt, caller: Caller, secrets: Secrets | None = None
) -> Any:
    """Open a `MilvusClient` with a channel of its own: shared ones ignore a second client's TLS settings.

    It has three additional methods: `grants_of_role(role, database)`, `describe_alias_in(alias, database)` and
    `show_partitions(collection, database, in_memory=False)`.

    On UNAVAILABLE pymilvus would open a new channel before it reports the error, with all threads waiting in turn, each
    for the whole timeout. gRPC reconnects by itself, so that hook is removed. The hook also follows a Zilliz global
    cluster to its new primary and repeats the call there, which must not happen to a write. So a client stays with the
    cluster that is the primary when it is opened; see `Catalog.outdated`.
    """
    lite = "://" not in connection.uri
    with client_options(connection, secrets) as options, _without_foreign_settings() if lite else nullcontext():
        caller.token = options.get("token", "")
        client = MilvusClient(
            uri=_primary(connection.uri, caller.token) if follows_topology(connection.uri) else connection.uri,
            db_name=database,
            timeout=timeout,
            dedicated=True,
            grpc_options=_CHANNEL | {"grpc.enable_http_proxy": int(bool(proxy_of(connection.address)))},
            **options,
        )
    vars(client._handler).pop("_on_rpc_error", None)
    client.grants_of_role = partial(_grants_of_role, client)
    client.describe_alias_in = partial(_describe_alias_in, client)
    client.show_partitions = partial(_show_partitions, client)
    return client


def follows_topology(uri: str) -> bool:
    """Return whether pymilvus takes an address for a Zilliz global cluster, which names the address of its primary."""
    return GLOBAL_CLUSTER_IDENTIFIER in uri.lower()


def _primary(uri: str, token: str) -> str:
    """Return the address of the primary of a Zilliz global cluster.

    A client that is opened with the global address starts a thread that holds the token and polls for another primary,
    and does not stop it if the client cannot be opened (read in pymilvus 2.6.16 and 3.0.2).
    """
    endpoint = str(fetch_topology(uri, token).primary.endpoint)
    scheme = urlsplit(uri).scheme
    if (
        urlsplit(endpoint).scheme != scheme
    ):  # without TLS it would get the token in plain text; without scheme, be a file
        raise ValueError(f"the primary is at {endpoint}, need {scheme}://")
    return endpoint


def ids_of_listed_collections(client: Any) -> Callable[[], dict[str, int]]:
    """Return a function that returns the ids in the calling thread's last answer to `list_collections`.

    Milvus returns names and ids in one answer (`ShowCollections`), and pymilvus discards the ids. Milvus Lite, or a
    later pymilvus that stores its stub elsewhere, gives none: callers that need an id describe the collection.
    """
    answers = threading.local()
    stub: Any = getattr(client._handler, "_stub", None)
    ask: Any = getattr(stub, "ShowCollections", None)

    def ask_and_keep(*args: Any, **options: Any) -> Any:
        answers.last = ask(*args, **options)
        return answers.last

    if ask is not None:
        stub.ShowCollections = ask_and_keep

    def ids() -> dict[str, int]:
        last = getattr(answers, "last", None)
        return dict(zip(last.collection_names, last.collection_ids, strict=False)) if last else {}

    return ids


def _grants_of_role(client: Any, role: str, database: str, **options: Any) -> list[dict[str, str]]:
    """Return the grants of a role.

    `describe_role` also reads the users of the role, which requires a privilege; every user may read the grants of
    their own roles (measured on 2.3.5).
    """
    context = client._generate_call_context()
    found = client._get_connection().select_grant_for_one_role(role, database, context=context, **options)
    return [dict(group) for group in found.groups]


def _describe_alias_in(client: Any, alias: str, database: str, *, timeout: float, **_: Any) -> str:
    """Return the collection of an alias from DescribeAlias, with the database in the request.

    pymilvus relies on the database of the connection, which some servers ignore (see
    `ServerBehaviour.reads_default_database`); they respect the name in the request (measured on 2.3.5).
    """
    request = milvus_pb2.DescribeAliasRequest(alias=alias, db_name=database)
    answer = client._get_connection()._stub.DescribeAlias(request, timeout=timeout)
    check_status(answer.status)
    return str(answer.collection)


def _show_partitions(
    client: Any, collection: str, database: str, *, timeout: float, in_memory: bool = False, **_: Any
) -> dict[str, int]:
    """Return a collection's partitions, each with the percentage of it that is loaded; 0 unless `in_memory`.

    With `in_memory` Milvus returns only those that are loaded or being loaded, Milvus Lite all of them (measured).
    pymilvus itself can only request all, without percentages.
    """
    kind = milvus_pb2.ShowType.InMemory if in_memory else milvus_pb2.ShowType.All
    request = milvus_pb2.ShowPartitionsRequest(collection_name=collection, db_name=database, type=kind)
    answer = client._get_connection()._stub.ShowPartitions(request, timeout=timeout)
    check_status(answer.status)
    return dict.fromkeys(answer.partition_names, 0) | dict(
        zip(answer.partition_names, answer.inMemory_percentages, strict=False)
    )
