"""Calls that write and read rows: every row is compared, and protobuf columns are made of rows and back."""

from __future__ import annotations

import json
import re
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from msgspec.structs import replace

from reconciler.catalog.memory.data import StoredCollection
from reconciler.catalog.memory.filters import Matches, parse_filter
from reconciler.core.errors import CatalogError
from reconciler.core.model import Row
from tests.emulated_milvus.calls import Call, rpc
from tests.emulated_milvus.cluster import Cached, Code, Collection, Refused

from pymilvus.grpc_gen import common_pb2, milvus_pb2, schema_pb2  # isort: skip

COUNT = "count(*)"
DYNAMIC = "$meta"
KINDS = schema_pb2.DataType
COLUMNS = {
    KINDS.Bool: "bool_data",
    KINDS.Int8: "int_data",
    KINDS.Int16: "int_data",
    KINDS.Int32: "int_data",
    KINDS.Int64: "long_data",
    KINDS.Float: "float_data",
    KINDS.Double: "double_data",
    KINDS.VarChar: "string_data",
}


@rpc
def insert(call: Call, request: Any) -> Any:
    with call.cluster.lock, _questions():
        _, found = call.database.find(request.collection_name)
        rows = list(_rows(request.fields_data, request.num_rows))
        found.stored.insert(rows)
        keys = [row[found.stored.primary] for row in rows]
        found.owner |= dict.fromkeys(keys, request.partition_name or "_default")
    return milvus_pb2.MutationResult(
        IDs=_ids(keys), succ_index=range(len(rows)), insert_cnt=len(rows), upsert_cnt=len(rows)
    )


@rpc
def upsert(call: Call, request: Any) -> Any:
    return insert(call, request)


@rpc
def delete(call: Call, request: Any) -> Any:
    with call.cluster.lock, _questions():
        _, found = call.database.find(request.collection_name)
        passes = parse_filter(request.expr)
        keys = [key for key, row in found.stored.data.items() if passes(row)]
        for key in keys:
            del found.stored.data[key]
    return milvus_pb2.MutationResult(IDs=_ids(keys), delete_cnt=len(keys))


@rpc
def query(call: Call, request: Any) -> Any:
    with _reading(call, request) as (found, visible):
        passes = _filter(found, request.expr)
        rows = [row for row in visible.data.values() if passes(row)]
        names = list(request.output_fields)
        if names == [COUNT]:
            columns = [_column(COUNT, KINDS.Int64, [len(rows)])]
        else:
            limit = next((int(pair.value) for pair in request.query_params if pair.key == "limit"), None)
            columns = list(_columns(found, rows[:limit], dict.fromkeys([*names, visible.primary])))
        return milvus_pb2.QueryResults(
            fields_data=columns, collection_name=request.collection_name, output_fields=names
        )


@rpc
def search(call: Call, request: Any) -> Any:
    params = {pair.key: pair.value for pair in request.search_params}
    group = common_pb2.PlaceholderGroup.FromString(request.placeholder_group)
    vectors = [struct.unpack(f"<{len(value) // 4}f", value) for value in group.placeholders[0].values]
    _warm_up(call, request.collection_name)
    with _reading(call, request) as (found, visible):
        _filter(found, request.dsl)
        hits = visible.search(params["anns_field"], vectors, int(params["topk"]), request.dsl)
        keys = [key for each in hits for key in each]
        results = schema_pb2.SearchResultData(
            num_queries=len(hits),
            top_k=max(map(len, hits)),
            topks=[len(each) for each in hits],
            ids=_ids(keys),
            scores=[float(rank) for each in hits for rank in range(len(each))],
            primary_field_name=visible.primary,
        )
        return milvus_pb2.SearchResults(results=results, collection_name=request.collection_name)


@contextmanager
def _reading(call: Call, request: Any) -> Iterator[tuple[Collection, StoredCollection]]:
    """The collection that this proxy reads for a name, and what the caller sees of it: rows of loaded partitions."""
    with call.cluster.lock, _questions():
        _, found = call.cache.lookup(Cached.DATA, call.database, request.collection_name)
        never_loaded = call.cluster.searches_unloaded and call.behaviour.may_search_unloaded
        if not found.replicas and not (never_loaded and call.method == "Search"):
            raise Refused(Code.NOT_LOADED, f"collection not loaded[collection={request.collection_name}]")
        policy = parse_filter(found.policy if call.behaviour.has_row_level_security else "")
        visible = {
            key: row
            for key, row in found.stored.data.items()
            if (found.partitions[found.owner[key]] or not found.replicas) and policy(row)
        }
        yield found, replace(found.stored, data=visible)


@contextmanager
def _questions() -> Iterator[None]:
    """Answer a question that makes no sense as 2.3.5 does: without a code of its own."""
    try:
        yield
    except CatalogError as error:
        raise Refused(Code.UNSPECIFIED, str(error)) from error


def _filter(found: Collection, text: str) -> Matches:
    if any(re.search(rf"\b{vector.name}\b", text) for vector in found.stored.schema.vectors):
        raise Refused(Code.UNSPECIFIED, f"cannot parse expression: {text}, error: a vector cannot be compared")
    return parse_filter(text)


def _warm_up(call: Call, name: str) -> None:
    """Let the first search after a load take long: loaded is not warm."""
    with call.cluster.lock:
        _, found = call.cache.lookup(Cached.DATA, call.database, name)
        cold, found.warm = not found.warm and call.behaviour.loaded_is_not_warm, True
    if cold:
        time.sleep(call.cluster.cold_seconds)


def _rows(columns: Sequence[Any], count: int) -> Iterator[Row]:
    values = {column.field_name: _values(column) for column in columns}
    for number in range(count):
        row = {name: each[number] for name, each in values.items() if name != DYNAMIC}
        yield row | (json.loads(values[DYNAMIC][number]) if DYNAMIC in values else {})


def _values(column: Any) -> Sequence[Any]:
    if column.type == KINDS.FloatVector:
        flat, dimension = column.vectors.float_vector.data, column.vectors.dim
        return [list(flat[start : start + dimension]) for start in range(0, len(flat), dimension)]
    name = "json_data" if column.type == KINDS.JSON else COLUMNS[column.type]
    return list(getattr(column.scalars, name).data)


def _columns(found: Collection, rows: Sequence[Row], names: Iterable[str]) -> Iterator[Any]:
    """The columns of an answer; fields that the schema does not have are in the dynamic one."""
    kinds = {field.name: field.data_type for field in found.schema.fields}
    dynamic = [name for name in names if name not in kinds]
    for name in kinds.keys() & set(names):
        yield _column(name, kinds[name], [row[name] for row in rows])
    if dynamic and not found.schema.enable_dynamic_field:
        raise Refused(Code.UNSPECIFIED, f"field {dynamic[0]} not exist")
    if dynamic:
        documents = [json.dumps({key: row[key] for key in row.keys() - kinds.keys()}).encode() for row in rows]
        column = schema_pb2.FieldData(field_name=DYNAMIC, type=KINDS.JSON, is_dynamic=True)
        column.scalars.json_data.data.extend(documents)
        yield column


def _column(name: str, kind: int, values: Sequence[Any]) -> Any:
    column = schema_pb2.FieldData(field_name=name, type=kind)
    if kind == KINDS.FloatVector:
        column.vectors.dim = len(values[0]) if values else 1
        column.vectors.float_vector.data.extend(number for vector in values for number in vector)
    else:
        getattr(column.scalars, COLUMNS[kind]).data.extend(values)
    return column


def _ids(keys: Sequence[Any]) -> Any:
    if keys and isinstance(keys[0], str):
        return schema_pb2.IDs(str_id=schema_pb2.StringArray(data=keys))
    return schema_pb2.IDs(int_id=schema_pb2.LongArray(data=keys))
