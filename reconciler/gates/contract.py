"""Gate `contract`: the new collection carries what its users count on, such as the name of its embedding model.

A key is looked for in the collection's properties, and where it is not there, in its description. That is read as a
JSON object, or as `key=value` or `key: value` pairs between commas, semicolons or line breaks; the first pair of a key
counts. Other text in it does not matter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta

from reconciler.core.fields import about
from reconciler.core.gates import GateSettings
from reconciler.core.json_strict import whole_characters
from reconciler.core.plan import Figure, GateResult, Step, Verdict
from reconciler.core.text import listed, shortened
from reconciler.gates.gate import Gate, required_if_on
from reconciler.gates.probe import Probe, of_desired

MAX_PROPERTIES = 64
MAX_KEY = 255
MAX_VALUE = 1024
Value = Annotated[
    str,
    Meta(max_length=MAX_VALUE),
    about("The value that it must have.", errorMessage=f"expected at most {MAX_VALUE} characters"),
]


class ContractGate(GateSettings, frozen=True):
    """Keys and values that the desired collection must have in its properties or its description."""

    gate = "contract"
    rules = (required_if_on("properties", "a contract gate needs properties, such as {embedding_model: bge-m3}"),)

    properties: Annotated[
        Mapping[Annotated[str, Meta(min_length=1, max_length=MAX_KEY)], Value],
        Meta(min_length=1, max_length=MAX_PROPERTIES),
        about("Names and values, all of which the collection has in its properties or its description."),
    ]


def _check(gate: ContractGate, step: Step, probe: Probe) -> GateResult:
    """Evaluate one create or alter."""
    collection = step.desired or ""
    with of_desired(f"the properties of {collection} cannot be read"):
        schema = probe.schema(collection)
    given = described(schema.description) | dict(schema.properties)
    desired = sorted(gate.properties.items())
    figures: dict[str, Figure] = {key: given[key] for key, _ in desired if key in given}
    troubles = [_trouble(key, value, given.get(key)) for key, value in desired if given.get(key) != value]
    if not troubles:
        return GateResult(gate.gate, Verdict.PASS, "", figures)
    remedy = "set it on the collection or choose another one"
    return GateResult(gate.gate, Verdict.FAIL, f"{collection}: {listed(troubles, separator='; ')}; {remedy}", figures)


def described(description: str) -> dict[str, str]:
    """Return the pairs in a description; values other than strings as JSON writes them."""
    import json  # see `core.json_strict`

    try:
        content = json.loads(description)
    except (ValueError, RecursionError):
        return _pairs(description)
    if not isinstance(content, dict):
        return {}
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in content.items()}
    return {whole_characters(key): whole_characters(value) for key, value in texts.items()}


def _pairs(description: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for part in re.split(r"[,;\n]", description):
        pair = re.fullmatch(r"([^=:]+)[=:](.*)", part.strip())
        if pair:
            pairs.setdefault(pair[1].strip(), pair[2].strip())
    return pairs


def _trouble(key: str, desired: str, found: str | None) -> str:
    state = "missing" if found is None else f'"{shortened(found)}"'
    return f'property {shortened(key)} is {state} (expected "{shortened(desired)}")'


GATE = Gate(settings=ContractGate, about="What the collection says about itself.", check=_check)
