"""The notation that shapes are written in, and the pieces that several of them use.

It is JSON Schema with two words of its own: `errorMessage` says what is wanted where a pattern or a type alone would
not (editors show it too), and `rules` are conditions across fields.
"""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.core.fields import MAX_ITEMS, MILVUS_NAME_EXPECTED
from reconciler.core.json_schema import Rule, Schema
from reconciler.core.model import NAME_PATTERN
from reconciler.manifest import durations


def mapping(
    description: str, fields: dict[str, Schema], required: Sequence[str] = (), rules: Sequence[Rule] = ()
) -> Schema:
    """A mapping with these fields and no others."""
    schema: Schema = {"type": "object", "description": description}
    if required:
        schema["required"] = list(required)
    return schema | {"properties": fields, "additionalProperties": False, "rules": list(rules)}


def items(description: str, item: Schema, *, key: str | None = None, at_most: int = MAX_ITEMS) -> Schema:
    """A list; with `key`, of mappings that each have another value there."""
    schema: Schema = {"type": "array", "description": description, "maxItems": at_most}
    if key:
        schema |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}
    return schema | {"items": item}


def text(description: str, pattern: str, desired: str, max_length: int, **extra: object) -> Schema:
    """A string that the pattern matches as a whole; `wanted` says so in words."""
    schema: Schema = {"type": "string", "description": description, "pattern": f"^{pattern}$", "maxLength": max_length}
    return schema | {"errorMessage": desired} | extra


def choice(description: str, *words: str) -> Schema:
    """One of these words; the first one if nothing is said."""
    return {"type": "string", "description": description, "enum": list(words), "default": words[0]}


def boolean(description: str, default: bool) -> Schema:
    """True or false."""
    return {"type": "boolean", "description": description, "default": default}


def whole_number(description: str, low: int, high: int | None = None, default: int | None = None) -> Schema:
    """A whole number from `low` to `high`."""
    return _number("integer", description, low, high, default)


def number(description: str, low: float, high: float | None = None) -> Schema:
    """A number from `low` to `high`."""
    return _number("number", description, low, high, None)


def _number(kind: str, description: str, low: float, high: float | None, default: float | None) -> Schema:
    schema: Schema = {"type": kind, "description": description, "minimum": low}
    if high is not None:
        schema["maximum"] = high
    return schema if default is None else schema | {"default": default}


def duration(description: str, *, hours: int, **extra: object) -> Schema:
    """A time above 0s and at most so many hours, one of `durations.FORMATS`; beside it goes a `duration_rule`."""
    limits = f"{description}: above 0s, at most {hours}h."
    return text(limits, durations.PATTERN, durations.EXPECTED, 32, format=durations.FORMATS[hours], **extra)


def duration_rule(field: str, *, hours: int) -> Rule:
    """The limits of a `duration`, for the API server, which knows no such format."""
    return Rule(
        f"the {field} must be above 0s and at most {hours}h",
        f"!has(self.{field}) || "
        f"(duration(self.{field}) > duration('0s') && duration(self.{field}) <= duration('{hours}h'))",
        None,
    )


def file(description: str) -> Schema:
    """The path of a file; the operator is given none."""
    desired = "expected the path of a file"
    return text(f"{description}, relative to this file.", r"[^\u0000-\u001f\u007f]+", desired, 4096)


def milvus_name(description: str, **extra: object) -> Schema:
    """The name of an alias, a collection, a database or a field."""
    return text(description, NAME_PATTERN, MILVUS_NAME_EXPECTED, 255, **extra)


def object_name(description: str) -> Schema:
    """The name of a Kubernetes object (DNS-1123 subdomain)."""
    label = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
    desired = 'expected lower-case letters, digits, "-" and ".", a letter or digit at both ends, at most 253'
    return text(description, rf"{label}(\.{label})*", desired, 253)


def namespace_name(description: str) -> Schema:
    """The name of a Kubernetes namespace (DNS-1123 label)."""
    desired = 'expected lower-case letters, digits and "-", a letter or digit at both ends, at most 63'
    return text(description, "[a-z0-9]([-a-z0-9]*[a-z0-9])?", desired, 63)
