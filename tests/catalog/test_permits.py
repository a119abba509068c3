"""How it is found out whether a write is permitted: by calls that cannot do anything, or by grants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from pymilvus.grpc_gen import common_pb2, milvus_pb2

from reconciler.catalog import Catalog, connect
from reconciler.catalog.port import AliasWrite
from reconciler.core.errors import CallTimedOut, CatalogError, NotPrimary
from reconciler.core.model import Credential
from tests.servers import ToyMilvus, aborting, connection_to, slow, status, toy_milvus

CREATE, ALTER, DROP = AliasWrite
DENIED = aborting(grpc.StatusCode.PERMISSION_DENIED, "PrivilegeCreateAlias: permission deny to bob")
BOB = "bob:Passw0rd"
TRIED = ("v2.3.5", "v2.4.23", "v2.5.14", "v2.6.5", "v3.0.1")
"""Versions that refuse the drop of an impossible name, or look for it before they write anything."""
NOT_TRIED = ("v2.5.15", "v2.6.4", "v2.6", "cloud", "unknown")


@contextmanager
def opened(toy: ToyMilvus, monkeypatch: pytest.MonkeyPatch, token: str | None = BOB) -> Iterator[Catalog]:
    monkeypatch.setenv("TOKEN_OF_BOB", token or "")
    credential = Credential(env="TOKEN_OF_BOB") if token else None
    catalog = connect(connection_to(toy.uri, token=credential, timeout=2.0), "shop")
    try:
        yield catalog
    finally:
        catalog.close()


def noting(seen: list[Any], kind: Any, answer: Any) -> Callable[..., Any]:
    def note(request: bytes, _context: grpc.ServicerContext) -> Any:
        seen.append(kind.FromString(request))
        return answer

    return note


@pytest.mark.parametrize("version", [*TRIED, *NOT_TRIED])
def test_what_is_sent_cannot_be_the_name_of_anything(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the server makes of it: nothing begins with a digit, so nothing can be created, moved or dropped."""
    seen: list[Any] = []
    with toy_milvus(version) as toy:
        for method, kind in (
            ("CreateAlias", milvus_pb2.CreateAliasRequest),
            ("AlterAlias", milvus_pb2.AlterAliasRequest),
            ("DropAlias", milvus_pb2.DropAliasRequest),
        ):
            toy.answers[method] = noting(seen, kind, status(1100, "invalid collection alias"))
        with opened(toy, monkeypatch) as catalog:
            assert [catalog.permits(CREATE), catalog.permits(ALTER)] == [True, True]
            catalog.permits(DROP)
        assert toy.count("DropAlias") == (version in TRIED), "others record any drop"
    names = [item.alias for item in seen] + [item.collection_name for item in seen if hasattr(item, "collection_name")]
    assert len(names) >= 4
    assert all(name[0].isdigit() for name in names)


def test_a_secondary_cluster_says_so_where_a_drop_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with toy_milvus("2.6.8") as toy, opened(toy, monkeypatch) as catalog:
        toy.answers["DropAlias"] = lambda *_: status(65535, "cluster is not primary, cannot do any DDL/DCL")
        with pytest.raises(NotPrimary, match="this call wrote nothing; run this against the primary cluster"):
            catalog.permits(DROP)


@pytest.mark.parametrize("write", AliasWrite)
def test_one_who_may_not_is_refused(write: AliasWrite, monkeypatch: pytest.MonkeyPatch) -> None:
    with toy_milvus("v2.3.5") as toy, opened(toy, monkeypatch) as catalog:
        toy.answers[write] = DENIED
        assert catalog.permits(write) is False


@pytest.mark.parametrize("answer", [status(4711, "something new"), status(65535, "oh"), status(9, "quota exceeded")])
def test_an_answer_that_says_neither_is_raised(answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with toy_milvus("v2.3.5") as toy, opened(toy, monkeypatch) as catalog:
        toy.answers["CreateAlias"] = lambda *_: answer
        with pytest.raises(CatalogError):
            catalog.permits(CREATE)


def test_it_takes_no_longer_than_any_call(monkeypatch: pytest.MonkeyPatch) -> None:
    with toy_milvus("v2.3.5") as toy, opened(toy, monkeypatch) as catalog:
        toy.answers["DropAlias"] = slow(4, status())
        with pytest.raises(CallTimedOut):
            catalog.permits(DROP)
        assert toy.count("DropAlias") == 1


def user_with(*roles: str) -> Any:
    entities = [milvus_pb2.RoleEntity(name=role) for role in roles]
    result = milvus_pb2.UserResult(user=milvus_pb2.UserEntity(name="bob"), roles=entities)
    return milvus_pb2.SelectUserResponse(status=status(), results=[result])


def grant(privilege: str, database: str = "*") -> Any:
    return milvus_pb2.GrantEntity(
        role=milvus_pb2.RoleEntity(name="r"),
        object=milvus_pb2.ObjectEntity(name="Global"),
        object_name="*",
        db_name=database,
        grantor=milvus_pb2.GrantorEntity(
            user=milvus_pb2.UserEntity(name="root"), privilege=milvus_pb2.PrivilegeEntity(name=privilege)
        ),
    )


class TestGrants:
    @pytest.mark.parametrize(
        ("grants", "permitted"),
        [
            ([], False),
            ([grant("CreateAlias"), grant("ListAliases")], False),
            ([grant("DropAlias")], True),
            ([grant("DropAlias", "shop")], True),
            ([grant("DropAlias", "other")], False),
            ([grant("*")], True),
            ([grant("CollectionAdmin")], True),
            ([grant("a_group_of_ours")], None),
            ([grant("a_group_of_ours", "other")], False),
            ([grant("a_group_of_ours"), grant("DropAlias")], True),
        ],
    )
    def test_of_the_caller_s_roles(
        self, grants: list[Any], permitted: bool | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with toy_milvus() as toy, opened(toy, monkeypatch) as catalog:
            toy.answers["SelectUser"] = lambda *_: user_with("r")
            toy.answers["SelectGrant"] = lambda *_: milvus_pb2.SelectGrantResponse(status=status(), entities=grants)
            assert catalog.permits(DROP) is permitted
            assert toy.count("SelectGrant") == 2, "the role's, and everybody's"

    def test_of_an_administrator(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with toy_milvus() as toy, opened(toy, monkeypatch) as catalog:
            toy.answers["SelectUser"] = lambda *_: user_with("admin")
            toy.answers["SelectGrant"] = lambda *_: milvus_pb2.SelectGrantResponse(status=status())
            assert catalog.permits(DROP) is True

    @pytest.mark.parametrize("method", ["SelectUser", "SelectGrant"])
    @pytest.mark.parametrize("code", [grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNIMPLEMENTED])
    def test_that_may_not_be_read_leave_it_open(
        self, method: str, code: grpc.StatusCode, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with toy_milvus() as toy, opened(toy, monkeypatch) as catalog:
            toy.answers["SelectUser"] = lambda *_: user_with("r")
            toy.answers["SelectGrant"] = lambda *_: milvus_pb2.SelectGrantResponse(status=status())
            toy.answers[method] = aborting(code, "no")
            assert catalog.permits(DROP) is None

    def test_of_an_api_key_are_nobody_s(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with toy_milvus() as toy, opened(toy, monkeypatch, token="an-api-key") as catalog:  # noqa: S106 - a word
            assert catalog.permits(DROP) is None
            assert toy.seen[1:] == ["GetVersion"]

    def test_are_not_asked_for_by_a_server_that_asks_for_no_token(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with toy_milvus() as toy, opened(toy, monkeypatch, token=None) as catalog:
            assert catalog.permits(DROP) is True
            assert toy.seen[1:] == ["GetVersion"]


def test_names_of_privileges_are_milvus_s() -> None:
    from reconciler.catalog.milvus_client import PRIVILEGES

    assert {item.privilege for item in AliasWrite} < PRIVILEGES
    assert common_pb2.ObjectPrivilege.Value("PrivilegeDropAlias")
    assert not any(name.startswith("Group") for name in PRIVILEGES)
