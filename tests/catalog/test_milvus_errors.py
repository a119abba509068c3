"""The error boundary: what a server can answer, over the wire and through pymilvus, becomes one of our errors."""

from __future__ import annotations

import base64
import traceback
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from pymilvus import MilvusException

from reconciler.catalog import Catalog, connect
from reconciler.catalog.milvus_errors import translate
from reconciler.catalog.port import AliasWrite, check_alias_name
from reconciler.core import errors
from reconciler.core.errors import CatalogError
from reconciler.core.model import Credential, Target
from tests.servers import ToyMilvus, aborting, connection_to, status

Status = grpc.StatusCode

# The messages are the servers' own, Milvus 2.3.5's and Milvus Lite 3.2.2's; of codes 1 to 10, 103, 14xx, 1000x merr's.
CODES: list[tuple[int, str, type[CatalogError]]] = [
    (1, "service not ready[standbyproxy]", errors.ConnectionFailed),
    (1, "alias 'a1' already exists", errors.AliasAlreadyExists),
    (1, "alias 'c2' conflicts with an existing collection", errors.NameTakenByCollection),
    (1, "database 'nodb' does not exist", errors.DatabaseNotFound),
    (1, "collection 'c' already exists", errors.UnexpectedAnswer),
    (2, "service unavailable", errors.ConnectionFailed),
    (4, "request limit exceeded", errors.RateLimited),
    (6, "database 'nodb' does not exist", errors.DatabaseNotFound),
    (6, "cross cluster routing", errors.UnexpectedAnswer),
    (8, "rate limit exceeded[rate=1]", errors.RateLimited),
    (9, "quota exceeded[reason=disk]", errors.UnexpectedAnswer),
    (10, "service unimplemented", errors.NotSupported),
    (100, "collection not found[database=default][collection=nope]", errors.CollectionNotFound),
    (100, "can't find collection collection not found[collection=1]", errors.CollectionNotFound),
    (100, "collection 'nope' does not exist", errors.CollectionNotFound),
    (100, "alias 'a9' does not exist", errors.AliasNotFound),
    (101, "failed to query: collection not loaded[collection=470673109936914869]", errors.NotLoaded),
    (101, "Collection 'c' is in state 'released'; call load() before search/get/query", errors.NotLoaded),
    (103, "collection not fully loaded", errors.NotLoaded),
    (800, "database not found[database=nodb]", errors.DatabaseNotFound),
    (1100, "Invalid collection alias: bad-name.: invalid parameter", errors.InvalidName),
    (1400, "not authenticated", errors.AuthenticationFailed),
    (1401, "privilege not permitted", errors.PermissionDenied),
    (1600, "alias not found[database=default][alias=a9]", errors.AliasNotFound),
    (1601, "alias and collection name conflict[database=default][alias=c2]", errors.NameTakenByCollection),
    (1602, "a1 is alias to another collection: c1: alias already exist", errors.AliasAlreadyExists),
    (1603, "collection id of alias not found", errors.AliasNotFound),
    (10000, "context canceled", errors.CallTimedOut),
    (10001, "context deadline exceeded", errors.CallTimedOut),
    (65535, "proxy TaskCondition context Done", errors.CallTimedOut),
    (65535, "database:nodb not found", errors.DatabaseNotFound),
    (65535, "cluster is not primary, cannot do any DDL/DCL", errors.NotPrimary),
    (65535, "code: STREAMING_CODE_REPLICATE_VIOLATION, cause: non-replicate message", errors.NotPrimary),
    (65535, "failed to get delegator", errors.UnexpectedAnswer),
    (4711, "something new", errors.UnexpectedAnswer),
]

STATUSES: dict[grpc.StatusCode, type[CatalogError]] = {
    Status.UNAVAILABLE: errors.ConnectionFailed,
    Status.DEADLINE_EXCEEDED: errors.CallTimedOut,
    Status.RESOURCE_EXHAUSTED: errors.RateLimited,
    Status.UNAUTHENTICATED: errors.AuthenticationFailed,
    Status.PERMISSION_DENIED: errors.PermissionDenied,
    Status.UNIMPLEMENTED: errors.NotSupported,
}
FAILURES = [code for code in Status if code is not Status.OK]


def test_every_class_of_error_is_reachable() -> None:
    ours = {kind for _, _, kind in CODES} | set(STATUSES.values())
    assert ours == set(CatalogError.__subclasses__())


@pytest.mark.parametrize(("code", "reason", "kind"), CODES)
def test_codes(toy: ToyMilvus, code: int, reason: str, kind: type[CatalogError]) -> None:
    toy.answers["AlterAlias"] = lambda *_: status(code, reason)
    catalog = connect(connection_to(toy.uri), "nodb")
    with pytest.raises(CatalogError) as caught:
        catalog.alter_alias("a", "c")
    catalog.close()
    assert type(caught.value) is kind
    assert caught.value.server_code == code
    assert_readable(caught.value)


@pytest.mark.parametrize("code", FAILURES, ids=lambda code: code.name)
def test_grpc_statuses(toy: ToyMilvus, code: grpc.StatusCode) -> None:
    toy.answers["AlterAlias"] = aborting(code, "because")
    catalog = connect(connection_to(toy.uri), "default")
    with pytest.raises(CatalogError) as caught:
        catalog.alter_alias("a", "c")
    catalog.close()
    assert type(caught.value) is STATUSES.get(code, errors.UnexpectedAnswer)
    assert caught.value.server_code is None
    assert_readable(caught.value)


@pytest.mark.parametrize("code", FAILURES, ids=lambda code: code.name)
def test_grpc_statuses_at_connect(toy: ToyMilvus, code: grpc.StatusCode) -> None:
    """pymilvus says "Fail connecting" to all of them; a wrong token must not look like a dead server."""
    toy.answers["Connect"] = aborting(code, "because")
    with pytest.raises(CatalogError) as caught:
        connect(connection_to(toy.uri, timeout=1.0), "default")
    assert type(caught.value) is STATUSES.get(code, errors.UnexpectedAnswer)
    assert "illegal connection params" not in str(caught.value)


METHODS: dict[str, Callable[[Catalog], Any]] = {
    "server_version": lambda catalog: catalog.server_version(),
    "alias_names": lambda catalog: catalog.alias_names(),
    "aliases_of": lambda catalog: catalog.aliases_of("c"),
    "resolve": lambda catalog: catalog.resolve("a"),
    "collections": lambda catalog: catalog.collections(),
    "describe": lambda catalog: catalog.describe("c"),
    "load_state": lambda catalog: catalog.load_state("c"),
    "partitions": lambda catalog: catalog.partitions("c"),
    "replicas": lambda catalog: catalog.replicas("c"),
    "schema": lambda catalog: catalog.schema("c"),
    "indexes": lambda catalog: catalog.indexes("c"),
    "count": lambda catalog: catalog.count("c"),
    "sample_keys": lambda catalog: catalog.sample_keys("c", "id", 1),
    "rows": lambda catalog: catalog.rows("c", "id", [1], ["v"]),
    "search": lambda catalog: catalog.search("c", "v", [(1.0,)], limit=1),
    "create_alias": lambda catalog: catalog.create_alias("a", "c"),
    "alter_alias": lambda catalog: catalog.alter_alias("a", "c"),
    "drop_alias": lambda catalog: catalog.drop_alias("a"),
    "permits": lambda catalog: catalog.permits(AliasWrite.CREATE),
}
RPCS = [
    "AlterAlias",
    "CreateAlias",
    "DescribeAlias",
    "DescribeCollection",
    "DescribeIndex",
    "DropAlias",
    "GetLoadState",
    "GetReplicas",
    "GetVersion",
    "ListAliases",
    "Query",
    "Search",
    "ShowCollections",
    "ShowPartitions",
]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("code", FAILURES, ids=lambda code: code.name)
def test_nothing_of_grpc_gets_out_of_any_method(toy: ToyMilvus, method: str, code: grpc.StatusCode) -> None:
    catalog = connect(connection_to(toy.uri, timeout=0.4), "default")
    if method != "server_version":
        catalog.server_version()
    toy.answers |= dict.fromkeys(RPCS, aborting(code, "because"))
    try:
        METHODS[method](catalog)
    except CatalogError as error:
        assert_readable(error)
    else:
        assert (method, code) in {
            ("server_version", Status.UNIMPLEMENTED),
            ("server_version", Status.PERMISSION_DENIED),
            ("permits", Status.PERMISSION_DENIED),
        }
    catalog.close()


def test_a_closed_catalog_is_our_error(toy: ToyMilvus) -> None:
    catalog = connect(connection_to(toy.uri), "default")
    catalog.close()
    with pytest.raises(CatalogError):
        catalog.alias_names()


def test_a_missing_privilege_is_named(toy: ToyMilvus) -> None:
    toy.answers["CreateAlias"] = aborting(
        Status.PERMISSION_DENIED, "PrivilegeCreateAlias: permission deny to bob in the `default` database"
    )
    catalog = connect(connection_to(toy.uri), "default")
    with pytest.raises(errors.PermissionDenied, match="the privilege CreateAlias is missing"):
        catalog.create_alias("a", "c")
    catalog.close()


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        (
            "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: Failed to connect to remote "
            "host: Connection refused",
            "connection refused",
        ),
        (
            "errors resolving nosuch.invalid:19530: [field:hostname lookup error:address lookup failed for "
            "nosuch.invalid:19530: Domain name not found]",
            "host name not found",
        ),
        (
            "failed to connect to all addresses; last error: UNAVAILABLE: ipv4:127.0.0.1:46079: Failed parsing HTTP/2 "
            "(Expected SETTINGS frame as the first frame, got frame type 79)",
            "it answers, but not as a Milvus (gRPC) port",
        ),
        ("Socket closed", "the connection was closed"),
        ("something new", "something new"),
        ("", "no reason given"),
    ],
)
def test_the_reason_for_a_lost_server_is_short(toy: ToyMilvus, details: str, reason: str) -> None:
    toy.answers["AlterAlias"] = aborting(Status.UNAVAILABLE, details)
    catalog = connect(connection_to(toy.uri), "default")
    with pytest.raises(errors.ConnectionFailed) as caught:
        catalog.alter_alias("a", "c")
    catalog.close()
    assert str(caught.value) == f"cannot reach 127.0.0.1:{toy.port}: {reason}"


@pytest.mark.parametrize(
    ("details", "reason", "by_server"),
    [
        (
            "last error: UNKNOWN: Tls handshake failed (TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL: error:1000007d:SSL "
            "routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED: certificate has expired",
            "the server's certificate is not trusted: certificate has expired",
            False,
        ),
        (
            "last error: UNAVAILABLE: ipv4:127.0.0.1:19777: Unwrap failed (TSI_DATA_CORRUPTED)",
            "the server wants a client certificate, or refuses ours",
            True,
        ),
    ],
)
def test_trouble_with_tls_says_whose(toy: ToyMilvus, details: str, reason: str, by_server: bool) -> None:
    toy.answers["AlterAlias"] = aborting(Status.UNAVAILABLE, details)
    catalog = connect(connection_to(toy.uri), "default")
    with pytest.raises(errors.TlsFailed) as caught:
        catalog.alter_alias("a", "c")
    catalog.close()
    assert str(caught.value) == f"cannot reach 127.0.0.1:{toy.port}: TLS handshake failed: {reason}"
    assert (caught.value.by_server, caught.value.transient) == (by_server, True)


@pytest.mark.parametrize("secret", ["bob:s3cr3t-PASSWORD", "s3cr3t-PASSWORD", "Ym9iOnMzY3IzdC1QQVNTV09SRA=="])
def test_a_secret_that_a_server_sends_back_is_not_passed_on(
    toy: ToyMilvus, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN_OF_BOB", "bob:s3cr3t-PASSWORD")
    toy.answers["AlterAlias"] = aborting(Status.UNAUTHENTICATED, f"{secret} is wrong")
    catalog = connect(connection_to(toy.uri, token=Credential(env="TOKEN_OF_BOB")), "default")
    with pytest.raises(errors.AuthenticationFailed, match=r"… is wrong") as caught:
        catalog.alter_alias("a", "c")
    catalog.close()
    assert secret not in "".join(traceback.format_exception(caught.value))


def test_a_server_s_words_cannot_drive_the_terminal(toy: ToyMilvus) -> None:
    toy.answers["AlterAlias"] = lambda *_: status(4711, "a\n\x1b[2Jb\r\u202ec\x07 {address} " + "x" * 10_000)
    catalog = connect(connection_to(toy.uri), "default")
    with pytest.raises(errors.UnexpectedAnswer) as caught:
        catalog.alter_alias("a", "c")
    catalog.close()
    assert_readable(caught.value)
    assert "a [2Jb c {address} xxx" in str(caught.value)


def test_the_error_before_ours_is_not_taken_for_the_cause(toy: ToyMilvus) -> None:
    """`__context__` leads from a failure to the one being handled when the call was made: that is another story."""
    toy.answers["CreateAlias"] = lambda *_: status(1602, "alias already exist")
    toy.answers["AlterAlias"] = lambda *_: status(100, "collection not found")
    catalog = connect(connection_to(toy.uri), "default")
    try:
        catalog.create_alias("a", "c")
    except errors.AliasAlreadyExists:
        with pytest.raises(errors.CollectionNotFound):
            catalog.alter_alias("a", "c")
    catalog.close()
    assert toy.count("AlterAlias") == 1


def test_a_name_in_an_error_is_printable() -> None:
    with pytest.raises(errors.InvalidName) as caught:
        check_alias_name("\x1b[2J\n" + "x" * 10_000)
    assert_readable(caught.value)


def test_the_cause_is_kept() -> None:
    inner = MilvusException(1600, "alias not found")
    assert type(translate(inner, Target("host:1", "default"), 1.0)) is errors.AliasNotFound


def assert_readable(error: CatalogError) -> None:
    message = str(error)
    assert message.isprintable(), "one line, nothing a terminal would obey"
    assert "Retry" not in message, "pymilvus's wrapping"
    assert len(message) < 450


@pytest.mark.parametrize(
    "echo",
    [
        "bob%3As3cr3t%2Bp%20%20ss",
        "bob%3as3cr3t%2bp%20%20ss",
        "s3cr3t%2Bp++ss",
        b"s3cr3t+p  ss".hex(),
        b"bob:s3cr3t+p  ss".hex().upper(),
        base64.b64encode(b"s3cr3t+p  ss").decode(),
        base64.urlsafe_b64encode(b"bob:s3cr3t+p  ss").decode().rstrip("="),
        "s3cr3t+p ss",
        "bob:s3cr3t+p\n ss",
    ],
)
def test_nor_one_that_it_sends_back_in_another_form(toy: ToyMilvus, echo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "bob:s3cr3t+p  ss")
    toy.answers["AlterAlias"] = aborting(Status.UNAUTHENTICATED, f"<{echo}> is wrong")
    catalog = connect(connection_to(toy.uri, token=Credential(env="TOKEN")), "default")
    with pytest.raises(CatalogError) as caught:
        catalog.alter_alias("a", "c")
    catalog.close()
    text = "".join(traceback.format_exception(caught.value))
    assert "token missing or rejected: <…> is wrong" in text
    assert echo not in text
