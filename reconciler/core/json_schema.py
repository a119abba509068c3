"""JSON Schema of a record: derived from its types and `msgspec.Meta`, without references, ready for editors and CRDs.

Optional fields are described by their type alone; that they may be left out is the absence from `required`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeAlias

import msgspec
from msgspec import inspect

from reconciler.core.json_strict import without_none

Schema: TypeAlias = dict[str, Any]


class Rule(msgspec.Struct, frozen=True):
    """A condition across fields of one mapping, for each language that can express it.

    Args:
        message: what a user reads when it does not hold.
        cel: for the API server; None where the JSON Schema of the CRD is enough, or the API server needs no such rule.
        json: for JSON Schema; None where it cannot be expressed. The loader then checks `ascending` itself.
        ascending: two numeric fields, of which the first must not be greater.
    """

    message: str
    cel: str | None = None
    json: Schema | None = None
    ascending: tuple[str, str] | None = None


def schema_of(record: type[msgspec.Struct], *, without: Collection[str] = ()) -> Schema:
    """Return the JSON Schema of a record.

    Args:
        record: a Struct. `rules`, if it has any, are kept under that name for the caller to translate.
        without: names of fields to leave out.
    """
    return _of(inspect.type_info(record), frozenset(without))


def _of(info: inspect.Type, without: frozenset[str]) -> Schema:
    match info:
        case inspect.Metadata():
            schema = _of(info.type, without)
            return {"type": schema.pop("type"), **(info.extra_json_schema or {}), **schema}
        case inspect.StructType():
            return _of_struct(info, without)
        case inspect.UnionType():
            (given,) = (member for member in info.types if not isinstance(member, inspect.NoneType))
            return _of(given, without)
        case inspect.EnumType():
            return {"type": "string", "enum": [member.value for member in info.cls]}
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.IntType() | inspect.FloatType():
            kind = "integer" if isinstance(info, inspect.IntType) else "number"
            return without_none(type=kind, minimum=info.ge, exclusiveMinimum=info.gt, maximum=info.le)
        case inspect.StrType():
            return without_none(
                type="string", pattern=info.pattern, minLength=info.min_length, maxLength=info.max_length
            )
        case inspect.DictType():
            names = _of(info.key_type, without)
            del names["type"]
            return without_none(
                type="object",
                minProperties=info.min_length,
                maxProperties=info.max_length,
                propertyNames=names or None,
                additionalProperties=_of(info.value_type, without),
            )
        case inspect.VarTupleType() | inspect.FrozenSetType():
            return without_none(type="array", maxItems=info.max_length, items=_of(info.item_type, without))
    raise TypeError(f"no JSON Schema for {info}")


def _of_struct(info: inspect.StructType, without: frozenset[str]) -> Schema:
    fields = [field for field in info.fields if field.encode_name not in without]
    return without_none(
        type="object",
        required=[field.encode_name for field in fields if field.required] or None,
        properties={field.encode_name: _of_field(field, without) for field in fields},
        additionalProperties=False,
        rules=list(getattr(info.cls, "rules", ())) or None,
    )


def _of_field(field: inspect.Field, without: frozenset[str]) -> Schema:
    schema, default = _of(field.type, without), field.default
    if isinstance(default, str):
        default = str(default)  # also for an enumeration, which YAML could not write
    return schema | {"default": default} if isinstance(default, bool | int | float | str) else schema


def whole_numbers(value: object) -> object:
    """Return a JSON value in which floats without a fraction are integers: `8.0` is a whole number to JSON Schema."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {name: whole_numbers(below) for name, below in value.items()}
        case list():
            return [whole_numbers(below) for below in value]
    return value
