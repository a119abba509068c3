"""Convert answers of pymilvus into records, and primary keys into filters of Milvus.

Measured with pymilvus 2.6.16 and 3.0.2 on Milvus 2.3.5 and Milvus Lite 3.2.2 unless a comment says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from reconciler.core.errors import UnexpectedAnswer
from reconciler.core.model import Field, Function, Index, PrimaryKey, Row, Schema

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"})


def key_filter(primary: str, keys: Iterable[PrimaryKey]) -> str:
    r"""Return the filter for the rows that have any of `keys`.

    Only `\`, `"` and line ends are escaped: Milvus Lite refuses the escapes `\u0000` and `\'`, and, like Milvus,
    accepts all other characters unescaped. The lowest INT64 cannot be written, because 2.3.5 parses its digits before
    its sign.
    """
    return f"{primary} in [{', '.join(map(_literal, keys))}]"


def _literal(key: PrimaryKey) -> str:
    return f'"{key.translate(_ESCAPES)}"' if isinstance(key, str) else str(key)


def key_of(answer: Mapping[str, Any], primary: str) -> PrimaryKey:
    """Return the primary key of a row. Raises `UnexpectedAnswer` without one: Milvus Lite leaves out unknown fields."""
    key = answer.get(primary)
    if isinstance(key, int | str):
        return key
    raise UnexpectedAnswer(f"the answer has no primary key {primary}")


def row_of(answer: Mapping[str, Any], fields: Iterable[str]) -> Row:
    """Return those of `fields` that the row has: a dynamic field need not be in every row."""
    return {name: _value(answer[name]) for name in fields if name in answer}


def _value(value: Any) -> object:
    """Return vectors and arrays as tuples; pymilvus returns lists and protobuf containers."""
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str | bytes) else value


def index_of(answer: Mapping[str, Any] | None) -> Index | None:
    """Return the index of a `describe_index` answer, or None if it was dropped in the meantime."""
    if not answer:
        return None
    return Index(
        field=answer["field_name"],
        type=answer.get("index_type", ""),
        metric=answer.get("metric_type"),
        finished=answer["state"] == "Finished",
        pending_rows=int(answer["pending_index_rows"]),
    )


def serving_replicas(answer: Iterable[Any]) -> int:
    """Return how many replicas have a leader for every shard, from the answer of `describe_replica`.

    Milvus 2.3.5 returns an error while a shard has no leader; newer servers omit the shard or its leader (read, not
    measured).
    """
    led = [{shard.channel_name for shard in replica.shards if shard.shard_leader > 0} for replica in answer]
    channels = {shard.channel_name for replica in answer for shard in replica.shards}
    return sum(1 for shards in led if shards and shards == channels)


def schema_of(answer: Mapping[str, Any]) -> Schema:
    shown = (item for item in answer["fields"] if not item.get("is_dynamic"))
    return Schema(
        fields=tuple(field for item in shown for field in _fields(item)),
        dynamic=bool(answer["enable_dynamic_field"]),
        functions=tuple(
            Function(
                item["name"], item["type"].name, tuple(item["input_field_names"]), tuple(item["output_field_names"])
            )
            for item in answer.get("functions", ())
        ),
        properties=dict(answer.get("properties", {})),
        description=answer["description"],
    )


def _fields(answer: Mapping[str, Any]) -> Iterator[Field]:
    """Yield a field and, if it is an array of structs, the fields in them, as Milvus names them: `chunks[text]`.

    Milvus has structs from 2.6 on (read, not measured).
    """
    struct, element = answer["name"], answer.get("element_type")
    yield _field(answer, struct, f"ARRAY<{_type(element)}>" if element else _type(answer["type"]))
    for item in answer.get("struct_fields", ()):
        name = item["name"]  # up to pymilvus 2.6 with the struct's, later without
        yield _field(item, name if name.endswith("]") else f"{struct}[{name}]", f"ARRAY<{_type(item['type'])}>")


def _field(answer: Mapping[str, Any], name: str, kind: str) -> Field:
    params = answer.get("params") or {}
    return Field(
        name=name,
        type=kind,
        primary=bool(answer.get("is_primary")),
        auto_id=bool(answer.get("auto_id")),
        nullable=bool(answer.get("nullable")),
        has_default=answer.get("default_value") is not None,
        dimension=_number(params, "dim"),
        length=_number(params, "max_length"),
        capacity=_number(params, "max_capacity"),
    )


def _type(kind: Any) -> str:
    return str(kind.name)


def _number(params: Mapping[str, Any], name: str) -> int | None:
    return int(params[name]) if name in params else None
