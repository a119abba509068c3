"""The shape of gates, from the registry."""

from __future__ import annotations

from typing import Any

from reconciler.core.gates import OnUnknown
from reconciler.core.json_schema import Rule, Schema, schema_of
from reconciler.gates import GATES
from reconciler.gates.gate import Gate
from reconciler.manifest.shape.notation import choice, mapping


def gates(description: str, *, operator: bool, on_unknown: bool) -> Schema:
    """Return the shape of the gates of a set, which also says whether unknown answers pass, or of one alias."""
    fields = {name: _gate(gate, operator) for name, gate in GATES.items()}
    if on_unknown:
        fields["onUnknown"] = choice("Whether a gate passes when the server cannot answer it.", *map(str, OnUnknown))
    return mapping(description, fields)


def _gate(gate: Gate[Any], operator: bool) -> Schema:
    """Return the shape of one gate; nothing is required, because a gate that is off needs nothing but `enabled`."""
    file = gate.settings.file
    without = ([file.sha256, file.field] if operator else [file.sha256]) if file else []
    schema = schema_of(gate.settings, without=without)
    fields: dict[str, Schema] = schema["properties"]
    for field in fields.values():
        _name_lengths(field)
    rules = [rule for rule in schema.get("rules", ()) if rule.cel or not operator]  # the others are about files
    rules += _above(fields)
    return mapping(gate.about, {"enabled": fields.pop("enabled"), **fields}, rules=rules)


def _above(fields: dict[str, Schema]) -> list[Rule]:
    """Turn exclusive minimums into rules.

    A minimum such as 0.01 would not do: for a value without a fraction, Kubernetes cuts the minimum's off (measured on
    1.36).
    """
    found = []
    for name, field in fields.items():
        if (limit := field.pop("exclusiveMinimum", None)) is not None:
            field["minimum"] = limit
            found.append(
                Rule(
                    f"{name} must be above {limit}",
                    f"!has(self.{name}) || self.{name} > {float(limit)}",
                    {"properties": {name: {"exclusiveMinimum": limit}}},
                )
            )
    return found


def _name_lengths(field: Schema) -> None:
    """Turn limits of the names in a mapping into a rule."""
    if limits := field.pop("propertyNames", None):
        low, high = limits["minLength"], limits["maxLength"]
        field["rules"] = [
            Rule(
                f"the name of a property has {low} to {high} characters",
                f"self.all(name, size(name) >= {low} && size(name) <= {high})",
                {"propertyNames": limits},
            )
        ]
