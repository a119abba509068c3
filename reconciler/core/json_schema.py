"""JSON Schema of a record: derived from its types and `msgspec.Meta`, without references, ready for editors and CRDs.

Optional fields are described by their type alone; that they may be left out is the absence from `required`. A type of
our own gives its schema by a class method `json_schema(variant)`.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Any, Protocol, TypeAlias, cast

import msgspec
from msgspec import inspect

from reconciler.core.json_strict import without_none

Schema: TypeAlias = dict[str, Any]

NOT_IN_MANIFESTS = ("yields",)
"""Fields of records in manifests that no manifest has."""


class Rule(msgspec.Struct, frozen=True):
    """A condition across fields of one mapping, for each language that can express it.

    A record has its rules in the class variable `rules`.

    Args:
        message: what a user reads when it does not hold.
        cel: for the API server; None where the JSON Schema of the CRD is enough, or the API server needs no such rule.
        json: for JSON Schema; None where it cannot be expressed. The loader then checks it itself.
        ascending: two numeric fields, of which the first must not be greater: for the loader.
    """

    message: str
    cel: str | None = None
    json: Schema | None = None
    ascending: tuple[str, str] | None = None


def schema_of(record: type[msgspec.Struct], *, without: Collection[str] = (), variant: str = "") -> Schema:
    """Return the JSON Schema of a record; its rules stand under `rules`, for the caller to translate.

    `variant`: where the `extra` of a field has an entry of this name, it holds words that replace those of the field's
    schema, and None for a word, or for the field, to leave out.
    """
    return _Writer(frozenset(without), variant).of(_type_info(record))


_type_info = cache(inspect.type_info)
"""Evaluating annotations takes most of the time, and gates are described for sets and for aliases."""


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


class _OwnType(Protocol):
    @classmethod
    def json_schema(cls, variant: str) -> Schema: ...


class _Writer:
    def __init__(self, without: frozenset[str], variant: str) -> None:
        self._without = without
        self._variant = variant

    def of(self, info: inspect.Type) -> Schema:
        match info:
            case inspect.Metadata():
                schema = self.of(info.type)
                words = (info.extra_json_schema or {}) | ((info.extra or {}).get(self._variant) or {})
                return without_none(**{"type": schema["type"], "description": None, **words, **schema, **words})
            case inspect.UnionType():
                return self.of(_given_type(info))
            case inspect.StructType():
                return self._struct(info)
            case inspect.CustomType():
                return cast("type[_OwnType]", info.cls).json_schema(self._variant)
            case inspect.EnumType():
                return {"type": "string", "enum": [member.value for member in info.cls]}
            case inspect.BoolType():
                return {"type": "boolean"}
            case inspect.IntType() | inspect.FloatType():
                kind = "integer" if isinstance(info, inspect.IntType) else "number"
                return without_none(type=kind, minimum=info.ge, exclusiveMinimum=info.gt, maximum=info.le)
            case inspect.StrType():
                limits = {"pattern": info.pattern, "minLength": info.min_length, "maxLength": info.max_length}
                return without_none(type="string", **limits)
            case inspect.DictType():
                names = {word: value for word, value in self.of(info.key_type).items() if word != "type"}
                return without_none(
                    type="object",
                    minProperties=info.min_length,
                    maxProperties=info.max_length,
                    propertyNames=names or None,
                    additionalProperties=self.of(info.value_type),
                )
            case inspect.VarTupleType() | inspect.FrozenSetType():
                limits = {"minItems": info.min_length or None, "maxItems": info.max_length}
                return without_none(type="array", **limits, items=self.of(info.item_type))
        raise TypeError(f"no JSON Schema for {info}")

    def _struct(self, info: inspect.StructType) -> Schema:
        fields = [field for field in info.fields if not self._left_out(field)]
        return without_none(
            type="object",
            required=[field.encode_name for field in fields if field.required] or None,
            properties={field.encode_name: self._field(field) for field in fields},
            additionalProperties=False,
            rules=list(getattr(info.cls, "rules", ())) or None,
        )

    def _left_out(self, field: inspect.Field) -> bool:
        extra = _extra(field.type)
        return field.encode_name in self._without or (self._variant in extra and extra[self._variant] is None)

    def _field(self, field: inspect.Field) -> Schema:
        schema, default = self.of(field.type), field.default
        if isinstance(default, bool) or type(default) in (int, float):
            return schema | {"default": default}
        # An enumeration, which YAML could not write, and types of our own are written as manifests have them.
        return schema | {"default": str(default)} if isinstance(default, str | float) else schema


def _given_type(info: inspect.UnionType) -> inspect.Type:
    """Return the type of a field that may be None."""
    (given,) = (member for member in info.types if not isinstance(member, inspect.NoneType))
    return given


def _extra(info: inspect.Type) -> Schema:
    """Return the `extra` of a field, also of one that may be None."""
    match info:
        case inspect.Metadata():
            return _extra(info.type) | (info.extra or {})
        case inspect.UnionType():
            return _extra(_given_type(info))
    return {}
