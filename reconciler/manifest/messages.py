"""Findings of the JSON Schema validator → one line each, at the right place, in a manifest author's words.

Nothing under `token`, `secret`, `tls`, `uri` or `uriFrom` is ever repeated in a message: a literal credential may have
been written there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from typing import TypeAlias, cast

from jsonschema_rs import ValidationError
from msgspec import Struct

from reconciler.core.errors import MAX_PROBLEMS, Problem
from reconciler.core.json_schema import Schema
from reconciler.core.text import alternatives, closest, did_you_mean, quoted, unusual_character
from reconciler.gates import unknown_gate
from reconciler.manifest.string_formats import complaint
from reconciler.manifest.yaml_marks import Node, described

Path: TypeAlias = tuple[str | int, ...]

_SECRETIVE = {"token", "secret", "tls", "uri", "uriFrom"}
"""Fields whose content is never repeated, wherever they are."""
_TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}
_EMPTY = {"object": "{}", "array": "[]"}
_WITHOUT_QUOTES = {"integer": "-?[0-9]+", "number": "-?[0-9]+(.[0-9]+)?", "boolean": "true|false"}
_UNKNOWN = "additionalProperties"
# Of several keywords that one value violates, the first is reported: the others would repeat it.
_VALUE_WORDS = (
    "type",
    "enum",
    "format",
    "pattern",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
)


class _Finding(Struct, frozen=True):
    """One thing the validator found: the keyword `word` of `schema` requires `desired`, and the node differs.

    `rule` is the message of the condition across fields that it belongs to, if it does.
    """

    path: Path
    node: Node
    word: str
    desired: object
    schema: Schema
    rule: str | None

    @classmethod
    def of(cls, error: ValidationError, schema: Schema, root: Node) -> _Finding:
        path, (*steps, word) = tuple(error.instance_path), error.schema_path
        broken = _part(schema, steps)
        return cls(path, root.at(path), str(word), broken[str(word)], broken, _rule(steps, schema))

    @property
    def rank(self) -> int:
        return _VALUE_WORDS.index(self.word)

    @property
    def words(self) -> list[str]:
        """The value of the keyword, where that is a list of words."""
        return cast("list[str]", self.desired)

    @property
    def known(self) -> list[str]:
        return sorted(cast("dict[str, Schema]", self.schema["properties"]))

    @property
    def unknown(self) -> list[str]:
        """Return the names of unknown fields, if that is the problem; not many more than are reported."""
        if self.word != _UNKNOWN:
            return []
        known = set(self.known)
        return list(islice((name for name in self.node.fields if name not in known), MAX_PROBLEMS + 1))

    @property
    def secretive(self) -> bool:
        return not _SECRETIVE.isdisjoint(self.path)

    @property
    def found(self) -> str:
        return "" if self.secretive else f", found {described(self.node)}"


def explained(errors: Iterable[ValidationError], schema: Schema, root: Node) -> list[Problem]:
    """Return what the validator found, for people."""
    findings = [_Finding.of(error, schema, root) for error in errors]
    # A misspelt field explains why another is missing, and why a condition does not hold.
    misspelt = {
        (finding.path, meant)
        for finding in findings
        for name in finding.unknown
        if (meant := closest(name, finding.known))
    }
    unclear = {path for path, _ in misspelt}
    values: dict[Path, _Finding] = {}
    problems: list[Problem] = []
    for finding in findings:
        if finding.word == _UNKNOWN:
            problems += [
                Problem(_unknown_field(finding, name), finding.node.key_source(name)) for name in finding.unknown
            ]
        elif finding.word == "required":
            absent = [
                name
                for name in finding.words
                if name not in finding.node.fields and (finding.path, name) not in misspelt
            ]
            problems += [Problem(finding.rule or f'"{name}" is missing', finding.node.source) for name in absent]
        elif finding.rule and finding.path in unclear:
            continue
        elif finding.rule:
            problems.append(Problem(finding.rule, finding.node.source))
        elif finding.path not in values or finding.rank < values[finding.path].rank:
            values[finding.path] = finding
    wrong = [Problem(_wrong_value(value), value.node.source) for value in values.values()]
    reported = {problem.source for problem in wrong}
    return wrong + list(dict.fromkeys(problem for problem in problems if problem.source not in reported))


def _rule(steps: list[str | int], schema: Schema) -> str | None:
    """Return the message of the condition across fields that a place in the schema belongs to."""
    if "allOf" not in steps:
        return None
    return str(_part(schema, steps[: steps.index("allOf") + 2])["errorMessage"])


def _part(schema: Schema, steps: list[str | int]) -> Schema:
    place: object = schema
    for step in steps:
        place = cast("dict[str | int, object]", place)[step]
    return cast("Schema", place)


def _unknown_field(finding: _Finding, name: str) -> str:
    if finding.path[-1:] == ("gates",):
        if name == "onUnknown":
            return '"onUnknown" is for all gates of a set: give it in spec.gates'
        return unknown_gate(quoted(name))
    if hint := did_you_mean(name, finding.known):
        return f"unknown field {quoted(name)}{unusual_character(name)}{hint}"
    shown = "" if finding.secretive else f" {quoted(name)}"
    return f"unknown field{shown}{unusual_character(name)}; known here: {', '.join(finding.known)}"


def _wrong_value(finding: _Finding) -> str:
    """Say what is wrong with one value by itself."""
    match finding.word:
        case "type":
            return _wrong_type(finding)
        case "enum":
            hint = did_you_mean(finding.node.text, finding.words)
            return f"expected {alternatives(finding.words)}{finding.found}{hint}"
        case "format":
            return f"{complaint(str(finding.desired), finding.node.value)}{finding.found}"
        case "minimum" | "maximum":
            low, high = finding.schema["minimum"], finding.schema.get("maximum")
            desired = f"at least {low}" if high is None else f"{low} to {high}"
            return f"expected {desired}{finding.found}"
        case "minItems":
            return f"expected at least {finding.desired} in the list; remove the field for its default"
        case "maxItems":
            return f"expected at most {finding.desired} items, found {len(finding.node.items)}"
        case "minProperties" | "maxProperties":
            low, high = finding.schema["minProperties"], finding.schema["maxProperties"]
            return f"expected {low} to {high} names with values, found {len(finding.node.fields)}"
        case _:
            return f"{finding.schema['errorMessage']}{finding.found}"


def _wrong_type(finding: _Finding) -> str:
    node, desired = finding.node, str(finding.desired)
    pattern = str(finding.schema.get("pattern", ".*"))
    if desired == "string" and node.value is not None and node.text and re.fullmatch(pattern, node.text):
        return f"expected a string{finding.found}; quote it"
    message = f"{finding.schema.get('errorMessage', f'expected {_TYPES[desired]}')}{finding.found}"
    if node.value is None and desired in _EMPTY:
        return f"{message}; write {_EMPTY[desired]} or remove the field"
    if isinstance(node.value, str) and re.fullmatch(_WITHOUT_QUOTES.get(desired, ""), node.value):
        return f"{message}; remove the quotes"
    return message
