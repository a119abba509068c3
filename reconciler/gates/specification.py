"""The gates of a step as plans and the journal hold them: read back, and the JSON Schema.

`Gates.specification()` writes them.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from reconciler.core.durations import own_type
from reconciler.core.gates import DEFAULT_GUARD, Gates, OnUnknown, Settings
from reconciler.core.json_schema import Schema, schema_of, whole_numbers
from reconciler.gates.gate import Gate
from reconciler.gates.registry import GATES, unknown_gate

ON_UNKNOWN = "onUnknown"


def decode_gates(specification: Mapping[str, object], *, lenient: bool = False) -> Gates:
    """Return the gates that `Gates.specification()` wrote.

    Args:
        specification: a JSON object. Whole numbers may be written with a fraction, such as 8.0.
        lenient: pass over gates and settings that this version does not know, such as those of a newer one.

    Raises:
        msgspec.ValidationError: with the path of the field, where it is not as its gate declares it.
    """
    given = {name: fields for name, fields in specification.items() if name != ON_UNKNOWN}
    on_unknown = msgspec.convert(specification.get(ON_UNKNOWN, OnUnknown.FAIL), OnUnknown)
    if not lenient and (unknown := given.keys() - GATES):
        raise msgspec.ValidationError(unknown_gate(f'"{min(unknown)}"'))
    settings = [_settings(gate, given[name], lenient=lenient) for name, gate in GATES.items() if name in given]
    return Gates(*settings, on_unknown=on_unknown)


def specification_schema() -> Schema:
    """Return the JSON Schema of what `Gates.specification()` writes."""
    gates: dict[str, Schema] = {}
    for name, gate in GATES.items():
        file = gate.settings.file
        schema = schema_of(gate.settings, without=() if name == DEFAULT_GUARD else ("enabled",))
        schema.pop("rules", None)
        gates[name] = schema | ({"dependentRequired": {file.field: [file.sha256]}} if file else {})
    on_unknown = {"type": "string", "enum": list(OnUnknown), "description": "Whether an unknown answer passes a gate."}
    return {
        "type": "object",
        "description": "The gates as the manifest has them; absent for the default.",
        "properties": {**gates, ON_UNKNOWN: on_unknown},
        "additionalProperties": False,
    }


def _settings(gate: Gate[Settings], fields: object, *, lenient: bool) -> Settings:
    file = gate.settings.file
    if isinstance(fields, Mapping):
        if lenient:
            fields = {name: value for name, value in fields.items() if name in gate.settings.__struct_encode_fields__}
        if file and file.field in fields and file.sha256 not in fields:
            raise msgspec.ValidationError(f"Object missing required field `{file.sha256}` - at `$.{gate.name}`")
    try:
        return msgspec.convert(whole_numbers(fields), gate.settings, dec_hook=own_type)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        raise msgspec.ValidationError(f"{message} - at `$.{gate.name}{path or '`'}") from None
