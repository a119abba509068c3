"""Accept documents that are valid beyond doubt, without the JSON Schema, which costs each start 20 ms.

The records of a document have most limits of its schema. `certainly_valid` adds the others, and returns False where it
is not sure: the schema then decides, and explains.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from math import isfinite
from operator import eq
from typing import Any

import msgspec

from reconciler.core.durations import own_type
from reconciler.core.gates import OnUnknown
from reconciler.core.json_schema import NOT_IN_MANIFESTS, Schema, whole_numbers
from reconciler.gates import GATES
from reconciler.manifest.specs.alias_set import AliasGates, AliasSetSpec, SetGates
from reconciler.manifest.specs.connection import MilvusConnectionSpec
from reconciler.manifest.specs.metadata import Metadata
from reconciler.manifest.string_formats import complaint

_IDENTITY = {"apiVersion", "kind"}


def certainly_valid(kind: str, document: Any) -> bool:
    """Return whether the schema of the command line accepts a document; False also where only the schema can say.

    `document`: with the right `apiVersion` and `kind`.
    """
    parts = {"metadata": Metadata, "spec": AliasSetSpec if kind == "AliasSet" else MilvusConnectionSpec}
    try:
        return (
            document.keys() == _IDENTITY | parts.keys()
            and all(_is_plain(document[name]) and _is_valid(document[name], record) for name, record in parts.items())
            and complaint("milvus-uri", document["spec"].get("uri")) is None
        )
    except (msgspec.ValidationError, KeyError):  # of a rule in words that `_WORDS` does not have
        return False


def _is_plain(value: object) -> bool:
    """Return whether records and schemas agree on a value: None and a line end after a text pass in records only."""
    if isinstance(value, dict):
        return all(_is_plain(name) and _is_plain(below) for name, below in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, str):
        return not value.endswith("\n")
    return isfinite(value) if isinstance(value, float) else value is not None


def _is_valid(written: Any, record: type[msgspec.Struct]) -> bool:
    return _follows_rules(msgspec.convert(whole_numbers(written), record, dec_hook=own_type), written)


def _follows_rules(value: object, written: Any) -> bool:
    """Return whether a decoded value has known fields only, and follows the rules across them; so with all in it."""
    if isinstance(value, msgspec.Struct):
        fields = _fields(type(value))
        return (
            written.keys() <= fields.keys()
            and all(_holds(rule.json, written) for rule in getattr(value, "rules", ()) if rule.json)
            and all(_follows_rules(getattr(value, fields[name]), below) for name, below in written.items())
        )
    if isinstance(value, tuple):
        return all(map(_follows_rules, value, written))
    if isinstance(value, AliasGates):
        return isinstance(written, dict) and all(_is_gate(value, name, below) for name, below in written.items())
    return True


@cache
def _fields(record: type[msgspec.Struct]) -> Mapping[str, str]:
    """Return the fields that a manifest may have, by their names in it."""
    names = zip(record.__struct_encode_fields__, record.__struct_fields__, strict=True)
    return {written: name for written, name in names if written not in NOT_IN_MANIFESTS}


def _is_gate(gates: AliasGates, name: str, written: Any) -> bool:
    if name == "onUnknown":
        return isinstance(gates, SetGates) and written in list(OnUnknown)
    settings = GATES[name].settings
    return _is_valid(written, settings) and not (settings.file and settings.file.sha256 in written)


def _holds(condition: Schema, value: Any) -> bool:
    """Return whether a value fulfils the JSON Schema of a rule."""
    if "if" in condition:
        return _holds(condition.get("then" if _holds(condition["if"], value) else "else", {}), value)
    return all(_WORDS[word](desired, value) for word, desired in condition.items())


_WORDS: Mapping[str, Callable[[Any, Any], bool]] = {
    "anyOf": lambda conditions, value: any(_holds(condition, value) for condition in conditions),
    "const": eq,
    "maxProperties": lambda most, value: len(value) <= most,
    "minProperties": lambda least, value: len(value) >= least,
    "not": lambda condition, value: not _holds(condition, value),
    "pattern": lambda pattern, value: re.search(pattern, value) is not None,
    "properties": lambda fields, value: all(_holds(fields[name], value[name]) for name in fields.keys() & value.keys()),
    "required": lambda names, value: all(name in value for name in names),
}
