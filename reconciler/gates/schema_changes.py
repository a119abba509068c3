"""How two schemas differ, seen by an application that reads and writes through an alias. Pure.

Compatible means that it goes on working: every field is still there with its type and dimension, texts and arrays may
be as long as before, the primary key is the same and made by the same side, what was never null is not null now, what
could be left out of an insert still can be, functions still fill what they filled. New fields that an insert may leave
out, and a dynamic field that is new, change nothing. Identical means that none of this differs in either direction.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from reconciler.core.model import Field, Function, Schema

DYNAMIC_FIELD = "$meta"
"""Milvus's own name of the dynamic field."""


class SchemaPolicy(StrEnum):
    """`Compatible`: what a reader of the current collection uses still works. `Identical`: nothing differs."""

    COMPATIBLE = "Compatible"
    IDENTICAL = "Identical"


def changes(current: Schema, desired: Schema, policy: SchemaPolicy) -> dict[str, str]:
    """Describe the change of each field and function, by its name; the dynamic field is `$meta`."""
    identical = policy is SchemaPolicy.IDENTICAL
    found: dict[str, list[str]] = {}
    for part in (_of_fields, _of_dynamic_field, _of_functions):
        for name, change in part(current, desired, identical):
            found.setdefault(name, []).append(change)
    return {name: ", ".join(parts) for name, parts in found.items()}


def _of_fields(current: Schema, desired: Schema, identical: bool) -> Iterator[tuple[str, str]]:
    before = {field.name: field for field in current.fields}
    after = {field.name: field for field in desired.fields}
    filled_before, filled_after = _filled(current), _filled(desired)
    for name, field in before.items():
        if name not in after:
            yield name, f"{_typed(field)} → gone"
            continue
        for difference in _differences(field, after[name], identical):
            yield name, difference
        if name in filled_after - filled_before:
            yield name, "now filled by a function"
    for name, field in after.items():
        if name in before:
            continue
        if identical:
            yield name, f"new, {_typed(field)}"
        elif not (_may_be_left_out(field) or name in filled_after):
            yield name, "new and required: inserts fail without it"


def _differences(before: Field, after: Field, identical: bool) -> Iterator[str]:
    """Describe the changes of a field that both have."""
    if before.type != after.type:
        yield f"{_typed(before)} → {_typed(after)}"
    else:
        if before.dimension != after.dimension:
            yield f"dimension {before.dimension} → {after.dimension}"
        for what, old, new in (
            ("length", before.length, after.length),
            ("capacity", before.capacity, after.capacity),
        ):
            if old != new and (identical or old is None or new is None or new < old):
                yield f"{what} {old} → {new}"
    if before.primary != after.primary:
        yield "primary key → no primary key" if before.primary else "no primary key → primary key"
    if before.auto_id != after.auto_id:
        yield f"auto_id {_switch(before.auto_id)} → {_switch(after.auto_id)}"
    if after.nullable and not before.nullable:
        yield "now nullable"
    if identical:
        if before.nullable and not after.nullable:
            yield "no longer nullable"
        if before.has_default != after.has_default:
            yield "a default → none" if before.has_default else "no default → one"
    elif _may_be_left_out(before) and not _may_be_left_out(after) and not before.auto_id:
        yield "now required: inserts fail without it"


def _of_dynamic_field(current: Schema, desired: Schema, identical: bool) -> Iterator[tuple[str, str]]:
    if current.dynamic != desired.dynamic and (identical or current.dynamic):
        yield DYNAMIC_FIELD, f"dynamic field {_switch(current.dynamic)} → {_switch(desired.dynamic)}"


def _of_functions(current: Schema, desired: Schema, identical: bool) -> Iterator[tuple[str, str]]:
    before = {function.name: function for function in current.functions}
    after = {function.name: function for function in desired.functions}
    for name, function in before.items():
        if name not in after:
            yield name, f"{_called(function)} → gone"
        elif function != after[name]:
            yield name, f"{_called(function)} → {_called(after[name])}"
    if identical:
        for name, function in after.items():
            if name not in before:
                yield name, f"new, {_called(function)}"


def _may_be_left_out(field: Field) -> bool:
    return field.nullable or field.has_default or field.auto_id


def _filled(schema: Schema) -> set[str]:
    return {output for function in schema.functions for output in function.outputs}


def _typed(field: Field) -> str:
    """Return the type with its sizes: `VARCHAR(200)`, `FLOAT_VECTOR(768)`, `ARRAY<INT64>[100]`."""
    size = field.dimension or field.length
    return field.type + (f"({size})" if size else "") + (f"[{field.capacity}]" if field.capacity else "")


def _called(function: Function) -> str:
    return f"{function.type}({', '.join(function.inputs)} → {', '.join(function.outputs)})"


def _switch(on: bool) -> str:
    return "on" if on else "off"
