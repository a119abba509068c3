"""Calls about databases, collections, partitions and indexes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from reconciler.catalog.memory.data import StoredCollection
from reconciler.core.model import Field, Index, Schema
from tests.emulated_milvus.calls import Call, rpc
from tests.emulated_milvus.cluster import Cached, Code, Collection, Database, Refused, check_name

from pymilvus import DataType  # isort: skip
from pymilvus.grpc_gen import common_pb2, milvus_pb2, schema_pb2  # isort: skip

FIRST_FIELD_ID = 100
LOADED = 100


@rpc
def create_database(call: Call, request: Any) -> None:
    with call.cluster.lock:
        call.cluster.databases.setdefault(request.db_name, Database(request.db_name))


@rpc
def drop_database(call: Call, request: Any) -> None:
    with call.cluster.lock:
        call.cluster.databases.pop(request.db_name, None)


@rpc
def list_databases(call: Call, _request: Any) -> Any:
    return milvus_pb2.ListDatabasesResponse(db_names=list(call.cluster.databases))


@rpc
def create_collection(call: Call, request: Any) -> None:
    """Create a collection; a dangling alias does not keep its name from it (#40142)."""
    check_name(request.collection_name)
    schema = schema_pb2.CollectionSchema.FromString(request.schema)
    for number, field in enumerate(schema.fields, FIRST_FIELD_ID):
        field.fieldID = number
    with call.cluster.lock:
        _refuse_taken(call.database, request.collection_name, "create")
        made = next(call.cluster.ids)
        properties = {pair.key: pair.value for pair in request.properties}
        stored = StoredCollection(made, 0, _readable(schema))
        call.database.collections[request.collection_name] = Collection(made, schema, stored, properties)


@rpc
def drop_collection(call: Call, request: Any) -> None:
    """Drop a collection, never by its alias: then its aliases dangle, or keep it from being dropped (#36963)."""
    name = request.collection_name
    with call.cluster.lock:
        database = call.database
        if name in database.aliases:  # also a dangling one (#40142)
            raise Refused(Code.UNSPECIFIED, f"cannot drop the collection via alias = {name}")
        if name not in database.collections:
            return
        aliases = database.aliases_of(database.collections[name].id)
        if aliases and not call.behaviour.leaves_dangling_aliases:
            raise Refused(Code.UNSPECIFIED, f"unable to drop the collection [{name}] with its aliases {aliases}")
        del database.collections[name]


@rpc
def rename_collection(call: Call, request: Any) -> None:
    check_name(request.newName)
    with call.cluster.lock:
        _refuse_taken(call.database, request.newName, "rename")
        if request.oldName not in call.database.collections:
            raise Refused(Code.COLLECTION_NOT_FOUND, f"collection not found[collection={request.oldName}]")
        call.database.collections[request.newName] = call.database.collections.pop(request.oldName)


@rpc
def describe_collection(call: Call, request: Any) -> Any:
    """Describe a collection by its name or an alias, which a proxy may remember wrongly (#51253)."""
    check_name(request.collection_name)
    with call.cluster.lock:
        name, found = call.cache.lookup(Cached.DESCRIPTION, call.database, request.collection_name)
        schema = schema_pb2.CollectionSchema()
        schema.CopyFrom(found.schema)
        schema.name = name
        return milvus_pb2.DescribeCollectionResponse(
            schema=schema,
            collectionID=found.id,
            collection_name=name,
            shards_num=1,
            num_partitions=len(found.partitions),
            aliases=call.database.aliases_of(found.id),
            properties=_pairs(found.properties),
        )


@rpc
def show_collections(call: Call, _request: Any) -> Any:
    """List collections, those only on which the caller has a grant (read in 2.6, rootcoord)."""
    with call.cluster.lock:
        found = {
            name: item for name, item in call.database.collections.items() if call.cluster.listed_for(call.user, name)
        }
        return milvus_pb2.ShowCollectionsResponse(
            collection_names=list(found), collection_ids=[item.id for item in found.values()]
        )


@rpc
def alter_collection(call: Call, request: Any) -> None:
    with call.cluster.lock:
        _, found = call.database.find(request.collection_name)
        found.properties |= {pair.key: pair.value for pair in request.properties}
        for key in request.delete_keys:
            found.properties.pop(key, None)


@rpc
def truncate_collection(call: Call, request: Any) -> Any:
    with call.cluster.lock:
        _, found = call.database.find(request.collection_name)
        found.stored.data.clear()
        found.owner.clear()


@rpc
def get_collection_statistics(call: Call, request: Any) -> Any:
    with call.cluster.lock:
        _, found = call.database.find(request.collection_name)
        stats = _pairs({"row_count": str(len(found.stored.data))})
        return milvus_pb2.GetCollectionStatisticsResponse(stats=stats)


@rpc
def create_partition(call: Call, request: Any) -> None:
    with call.cluster.lock:
        call.database.find(request.collection_name)[1].partitions.setdefault(request.partition_name, 0)


@rpc
def show_partitions(call: Call, request: Any) -> Any:
    with call.cluster.lock:
        _, found = call.database.find(request.collection_name)
        if request.type == milvus_pb2.ShowType.All:
            return milvus_pb2.ShowPartitionsResponse(partition_names=list(found.partitions))
        if not found.replicas:
            raise _not_loaded(request.collection_name)
        loaded = [name for name, replicas in found.partitions.items() if replicas]
        return milvus_pb2.ShowPartitionsResponse(partition_names=loaded, inMemory_percentages=[LOADED for _ in loaded])


@rpc
def load_collection(call: Call, request: Any) -> None:
    _load(call, request, ())


@rpc
def load_partitions(call: Call, request: Any) -> None:
    _load(call, request, request.partition_names)


@rpc
def release_collection(call: Call, request: Any) -> None:
    _release(call, request, ())


@rpc
def release_partitions(call: Call, request: Any) -> None:
    _release(call, request, request.partition_names)


@rpc
def get_load_state(call: Call, request: Any) -> Any:
    """Report whether a collection is loaded: it is as soon as any of the partitions is."""
    with call.cluster.lock:
        try:
            _, found = call.database.find(request.collection_name)
        except Refused:
            return milvus_pb2.GetLoadStateResponse(state=common_pb2.LoadStateNotExist)
        loaded = any(found.partitions.get(name) for name in request.partition_names or found.partitions)
        state = common_pb2.LoadStateLoaded if loaded else common_pb2.LoadStateNotLoad
        return milvus_pb2.GetLoadStateResponse(state=state)


@rpc
def get_loading_progress(_call: Call, _request: Any) -> Any:
    return milvus_pb2.GetLoadingProgressResponse(progress=LOADED)


@rpc
def get_replicas(call: Call, request: Any) -> Any:
    with call.cluster.lock:
        found = call.database.by_id(request.collectionID)
        if found is None or not found[1].replicas:
            raise Refused(Code.REPLICA_NOT_FOUND, f"replica not found[collection={request.collectionID}]")
        shard = milvus_pb2.ShardReplica(leaderID=1, dm_channel_name=f"channel_{request.collectionID}", node_ids=[1])
        replicas = [
            milvus_pb2.ReplicaInfo(replicaID=number, shard_replicas=[shard]) for number in range(found[1].replicas)
        ]
        return milvus_pb2.GetReplicasResponse(replicas=replicas)


@rpc
def create_index(call: Call, request: Any) -> None:
    params = {pair.key: pair.value for pair in request.extra_params}
    index = Index(request.field_name, params.get("index_type", ""), params.get("metric_type"))
    with call.cluster.lock:
        _, found = call.database.find(request.collection_name)
        others = tuple(other for other in found.stored.indexes if other.field != index.field)
        found.stored.indexes = (*others, index)


@rpc
def describe_index(call: Call, request: Any) -> Any:
    """Describe one index, or all of a collection. An index is called as its field."""
    with call.cluster.lock:
        _, found = call.database.find(request.collection_name)
        named = request.index_name or request.field_name
        descriptions = [
            milvus_pb2.IndexDescription(
                index_name=index.field,
                field_name=index.field,
                params=_pairs({"index_type": index.type, "metric_type": index.metric or ""}),
                state=common_pb2.IndexState.Finished,
            )
            for index in found.stored.indexes
            if named in ("", index.field)
        ]
    if not descriptions:
        raise Refused(Code.INDEX_NOT_FOUND, f"index not found[collection={request.collection_name}]")
    return milvus_pb2.DescribeIndexResponse(index_descriptions=descriptions)


def _load(call: Call, request: Any, partitions: Iterable[str]) -> None:
    with call.cluster.lock:
        _, found = call.database.find(request.collection_name)
        indexed = {index.field for index in found.stored.indexes}
        if any(vector.name not in indexed for vector in found.stored.schema.vectors):
            raise Refused(Code.INDEX_NOT_FOUND, f"index not found[collection={request.collection_name}]")
        replicas: int = max(1, request.replica_number)
        found.partitions |= dict.fromkeys(partitions or found.partitions, replicas)
        found.warm = False


def _release(call: Call, request: Any, partitions: Iterable[str]) -> None:
    with call.cluster.lock:
        _, found = call.database.find(request.collection_name)
        found.partitions |= dict.fromkeys(partitions or found.partitions, 0)


def _refuse_taken(database: Database, name: str, doing: str) -> None:
    """Refuse a new collection's name that a collection has, or an alias that does not dangle."""
    if name in database.collections or database.by_id(database.aliases.get(name)):
        raise Refused(Code.UNSPECIFIED, f"cannot {doing}: {name} is taken by a collection or an alias")


def _not_loaded(name: str) -> Refused:
    return Refused(Code.NOT_LOADED, f"collection not loaded[collection={name}]")


def _pairs(of: dict[str, str]) -> list[Any]:
    return [common_pb2.KeyValuePair(key=key, value=value) for key, value in of.items()]


def _readable(schema: schema_pb2.CollectionSchema) -> Schema:
    """What searching needs of a schema."""
    fields = (
        Field(
            field.name,
            DataType(field.data_type).name,
            primary=field.is_primary_key,
            dimension=next((int(pair.value) for pair in field.type_params if pair.key == "dim"), None),
        )
        for field in schema.fields
    )
    return Schema(tuple(fields), dynamic=schema.enable_dynamic_field)
