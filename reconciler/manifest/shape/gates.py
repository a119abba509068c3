"""The shape of gates: one function a gate.

Each has `enabled`, so that one alias can turn off what its set asks for; a gate that is off needs nothing else.
"""

from __future__ import annotations

from reconciler.core.model import DEFAULT_CANARY_K, DEFAULT_CANARY_SAMPLE, NAME_PATTERN
from reconciler.manifest.shape.notation import (
    MILVUS_NAME_EXPECTED,
    Rule,
    Schema,
    boolean,
    choice,
    file,
    items,
    mapping,
    milvus_name,
    number,
    text,
    whole_number,
)

ROWS_ORDER = "min is more than max"
PERCENT_ORDER = "minPercentOfCurrent is more than maxPercentOfCurrent"

_MAX_PROPERTIES = 64
_MAX_KEY = 255
_MAX_VALUE = 1024
_OFF = "(has(self.enabled) && !self.enabled)"


def gates(description: str, *, operator: bool, on_unknown: bool) -> Schema:
    """The gates of a set, which also says what becomes of unknown answers, or of one alias."""
    fields = {
        "loaded": _loaded(),
        "indexed": _gate("Every vector field of the collection is indexed, and no row waits for its index.", {}),
        "rows": _rows(),
        "schema": _schema(),
        "contract": _contract(),
        "canary": _canary(operator),
    }
    if on_unknown:
        fields["onUnknown"] = choice("Whether a gate passes that the server cannot answer.", "Fail", "Pass")
    return mapping(description, fields)


def _gate(description: str, fields: dict[str, Schema], *rules: Rule) -> Schema:
    return mapping(description, {"enabled": boolean("False: this gate is off.", True), **fields}, rules=rules)


def _loaded() -> Schema:
    enabled = boolean("False: the alias may move to a collection that is not loaded.", True)
    replicas = whole_number("At least so many replicas are loaded.", 1)
    return mapping("The collection is loaded.", {"enabled": enabled, "replicas": replicas})


def _rows() -> Schema:
    fields = {
        "min": whole_number("The least rows.", 0),
        "max": whole_number("The most rows.", 0),
        "minPercentOfCurrent": number("The least rows, in percent of those of the current collection.", 0),
        "maxPercentOfCurrent": number("The most rows, in percent of those of the current collection.", 0),
    }
    names, given = list(fields), " || ".join(f"has(self.{name})" for name in fields)
    return _gate(
        "How many rows the collection has.",
        fields,
        Rule(
            f"a rows gate needs a limit: {', '.join(names[:-1])} or {names[-1]}",
            f"{_OFF} || {given}",
            _unless_off({"anyOf": [{"required": [name]} for name in names]}),
        ),
        _in_order(ROWS_ORDER, "min", "max"),
        _in_order(PERCENT_ORDER, "minPercentOfCurrent", "maxPercentOfCurrent"),
    )


def _schema() -> Schema:
    policy = choice(
        "Compatible: what a reader of the current collection uses still works. Identical: nothing differs.",
        "Compatible",
        "Identical",
    )
    desired = f"{MILVUS_NAME_EXPECTED}, or $meta"
    changed = text("A field, a function, or $meta for the dynamic field.", rf"(\$meta|{NAME_PATTERN})", desired, 255)
    fields = {"policy": policy, "allowChanges": items("What may differ all the same.", changed)}
    return _gate("The collection's schema fits that of the current collection.", fields)


def _contract() -> Schema:
    value: Schema = {
        "type": "string",
        "description": "The value that it must have.",
        "maxLength": _MAX_VALUE,
        "errorMessage": f"expected at most {_MAX_VALUE} characters",
    }
    names = Rule(
        f"the name of a property has 1 to {_MAX_KEY} characters",
        f"self.all(name, size(name) >= 1 && size(name) <= {_MAX_KEY})",
        {"propertyNames": {"minLength": 1, "maxLength": _MAX_KEY}},
    )
    properties: Schema = {
        "type": "object",
        "description": "Names and values, all of which the collection has in its properties or its description.",
        "minProperties": 1,
        "maxProperties": _MAX_PROPERTIES,
        "additionalProperties": value,
        "rules": [names],
    }
    return _gate(
        "What the collection says about itself.",
        {"properties": properties},
        _needed("a contract gate needs properties, such as {embedding_model: bge-m3}", "properties"),
    )


def _canary(operator: bool) -> Schema:
    fields = {
        "minOverlap": number("The least share of hits that both collections find, on average.", 0, 1),
        "k": whole_number("How many hits of each search are compared.", 1, 1000, DEFAULT_CANARY_K),
        "maxLatencyRatio": number(
            "How many times as long as on the current collection a search may take; above 0.", 0, 1000
        ),
        "sample": whole_number(
            "So many rows of the current collection are the queries.", 1, 200, DEFAULT_CANARY_SAMPLE
        ),
        "field": milvus_name("The vector field; needed where a collection has several."),
    }
    ratio = "maxLatencyRatio"
    # Not a minimum such as 0.01: for a value without a fraction, Kubernetes cuts the minimum's off (measured on 1.36).
    above_zero: Schema = {"properties": {ratio: {"exclusiveMinimum": 0}}}
    rules = [
        Rule(f"{ratio} must be above 0", f"!has(self.{ratio}) || self.{ratio} > 0.0", above_zero),
        _needed("a canary gate needs minOverlap: the least share of hits in common, 0 to 1", "minOverlap"),
    ]
    if not operator:
        fields["queriesFile"] = file("Queries to use instead of rows, JSON Lines")
        both: Schema = {"not": {"required": ["queriesFile", "sample"]}}
        rules.append(Rule("queriesFile and sample exclude each other", None, both))
    return _gate("Searches on the collection find nearly the same as on the current one.", fields, *rules)


def _unless_off(desired: Schema) -> Schema:
    return {"if": {"properties": {"enabled": {"const": False}}, "required": ["enabled"]}, "else": desired}


def _needed(message: str, field: str) -> Rule:
    return Rule(message, f"{_OFF} || has(self.{field})", _unless_off({"required": [field]}))


def _in_order(message: str, low: str, high: str) -> Rule:
    return Rule(message, f"!has(self.{low}) || !has(self.{high}) || self.{low} <= self.{high}", None)
