"""Calls about aliases, with the codes and no-ops that were measured on 2.3.5, and read for later versions."""

from __future__ import annotations

from typing import Any

from tests.emulated_milvus.calls import Call, rpc
from tests.emulated_milvus.cluster import Cached, Code, Database, Refused, check_name

from pymilvus.grpc_gen import milvus_pb2  # isort: skip


@rpc
def create_alias(call: Call, request: Any) -> None:
    check_name(request.alias)
    with call.cluster.alias_call(call.database_name) as database, call.cluster.lock:
        target = _target(call, database, request)
        current = database.aliases.get(request.alias, target)
        if current != target:
            raise Refused(Code.ALIAS_EXISTS, f"alias already exists[alias={request.alias}]")
        database.aliases[request.alias] = target


@rpc
def alter_alias(call: Call, request: Any) -> None:
    check_name(request.alias)
    cluster, alias = call.cluster, request.alias
    with cluster.alias_call(call.database_name) as database:
        with cluster.lock:
            target = _target(call, database, request)
            before = database.aliases.get(alias)
            if before is None:
                raise _missing(database, alias)
        if before == target and call.behaviour.ignores_realter:
            return

        def change() -> None:
            database.aliases[alias] = target
            database.unstored.discard(alias)

        def expire() -> None:
            cluster.expire(database, alias, before)

        first, second = (expire, change) if call.behaviour.expires_before_change else (change, expire)
        with cluster.lock:
            first()
        cluster.between()
        with cluster.lock:
            second()


@rpc
def drop_alias(call: Call, request: Any) -> None:
    if call.behaviour.checks_name_in_drop:
        check_name(request.alias)
    with call.cluster.alias_call(call.database_name) as database, call.cluster.lock:
        before = database.aliases.pop(request.alias, None)
        if before is None:
            if call.behaviour.records_missing_drops:
                call.cluster.events.append(("DropAlias", request.alias))
            return
        call.cluster.expire(database, request.alias, before)
        database.unstored.discard(request.alias)
        if call.behaviour.drops_by_prefix:
            database.unstored |= {name for name in database.aliases if name.startswith(request.alias)}


@rpc
def describe_alias(call: Call, request: Any) -> Any:
    with call.cluster.alias_call(call.database_name) as database, call.cluster.lock:
        found = database.by_id(database.aliases.get(request.alias))
        if found is None or request.alias in database.collections:
            raise _missing(database, request.alias)
        return milvus_pb2.DescribeAliasResponse(db_name=database.name, alias=request.alias, collection=found[0])


@rpc
def list_aliases(call: Call, request: Any) -> Any:
    """All of a database, or one collection's; an alias in its place is resolved as `resolves_alias_targets` says."""
    name = request.collection_name
    with call.cluster.alias_call(call.database_name) as database, call.cluster.lock:
        listed = sorted(alias for alias, target in database.aliases.items() if database.by_id(target))
        if name:
            if call.behaviour.resolves_alias_targets:
                name, _ = call.cache.lookup(Cached.DATA, database, name)
            listed = database.aliases_of(_own(database, name))
        return milvus_pb2.ListAliasesResponse(db_name=database.name, collection_name=name, aliases=listed)


def _target(call: Call, database: Database, request: Any) -> int:
    """The id that CreateAlias or AlterAlias points the alias at."""
    if request.alias in database.collections:
        reason = f"alias and collection name conflict[alias={request.alias}]"
        raise Refused(Code.NAME_TAKEN_BY_COLLECTION, reason)
    name = request.collection_name
    return database.find(name)[1].id if call.behaviour.resolves_alias_targets else _own(database, name)


def _own(database: Database, name: str) -> int:
    """The id of a collection by its own name."""
    if name not in database.collections:
        raise Refused(Code.COLLECTION_NOT_FOUND, f"collection not found[database={database.name}][collection={name}]")
    return database.collections[name].id


def _missing(database: Database, alias: str) -> Refused:
    return Refused(Code.ALIAS_NOT_FOUND, f"alias not found[database={database.name}][alias={alias}]")
