"""Everything that is wrong with one document, by its schema and by the rules that hold inside one document."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, cast

from reconciler.core.errors import MAX_PROBLEMS, Problem
from reconciler.core.json_schema import Schema
from reconciler.core.model import Alias, Source
from reconciler.gates import GATES
from reconciler.manifest.gates import gate_nodes
from reconciler.manifest.quick_check import certainly_valid
from reconciler.manifest.rules import wrong_among_aliases
from reconciler.manifest.specs.alias_set import OWN_CONNECTION
from reconciler.manifest.string_formats import CHECKS
from reconciler.manifest.yaml_marks import Document, Node, Value

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator

QUICK_ALIASES = 200
"""A set of more aliases is validated faster by its schema, even though that is loaded first."""


def problems_of(kind: str, document: Document, *, operator: bool = False) -> list[Problem]:
    """Return all that is wrong with a document of ours; nothing, if a record can be made of it.

    `operator`: whether it is for the operator, which takes no files, no environment and no Milvus Lite.
    """
    root = document.root
    reported = {problem.source for problem in document.problems}
    found = _schema_problems(kind, document, operator=operator)
    if kind == "AliasSet":
        found += wrong_among_aliases(list(_legible_aliases(root)))
        found += _wrong_endpoints(root)
        found += _wrong_limits(root)
        found += _wrong_metrics(root)
    else:
        found += _listed_twice("hook", _names(root, "hooks"))
        found += _listed_twice("receiver", _names(root, "notify"))
    # Where the reader complained, the value is only a guess, and any other complaint about it an echo.
    return document.problems + [problem for problem in found if problem.source not in reported]


def _legible_aliases(root: Node) -> Iterator[Alias]:
    """Yield the aliases that can be read, however wrong the rest, so that duplicates are reported too."""
    for item in root.at(("spec", "aliases")).items:
        name, collection = item.fields.get("name"), item.fields.get("collection")
        if name and isinstance(name.value, str):
            target = collection.value if collection and isinstance(collection.value, str) else None
            yield Alias(name.value, target, source=name.source)


def _wrong_endpoints(root: Node) -> Iterator[Problem]:
    """Yield a problem for each endpoint that is named twice, or is the set's own connection."""
    own = root.find("spec", "connectionRef", "name")
    for name in _names(root, "verify", "endpoints"):
        if own and name.value == own.value:
            yield Problem(OWN_CONNECTION, name.source)
    yield from _listed_twice("endpoint", _names(root, "verify", "endpoints"))


def _names(root: Node, *path: str) -> Iterator[Node]:
    """Yield the names of the items of a list in the spec."""
    found = root.find("spec", *path)
    for item in found.items if found else ():
        if (name := item.find("name")) and isinstance(name.value, str):
            yield name


def _listed_twice(noun: str, names: Iterator[Node]) -> Iterator[Problem]:
    first: dict[Value, Source] = {}
    for name in names:
        if name.value in first:
            yield Problem(f'{noun} "{name.value}" is listed twice; first at {first[name.value]}', name.source)
        first.setdefault(name.value, name.source)


def _wrong_metrics(root: Node) -> Iterator[Problem]:
    """Yield a problem for metrics without a soak, and for each whose name another one has."""
    soaks = root.find("spec", "verify", "soak")
    for owner in (root.find("spec"), *root.at(("spec", "aliases")).items):
        metrics = owner.find("verify", "metrics") if owner else None
        items = metrics.items if metrics else []
        if items and not soaks:
            yield Problem("metrics are watched during the soak; give spec.verify.soak, such as 10m", items[0].source)
        names = (item.find("name") or item.find("preset") for item in items)
        yield from _listed_twice("metric", (name for name in names if name and isinstance(name.value, str)))


def _wrong_limits(root: Node) -> Iterator[Problem]:
    """Yield a problem for each gate whose lower limit is above its upper one."""
    for gate in GATES.values():
        for rule in gate.settings.rules:
            for node in gate_nodes(root, gate.name) if rule.ascending else ():
                least, most = (node.find(name) for name in rule.ascending)
                if least and most and _is_more(least.value, most.value):
                    yield Problem(rule.message, least.source)


def _is_more(value: Value, other: Value) -> bool:
    numbers = int | float
    return isinstance(value, numbers) and isinstance(other, numbers) and value > other


def _schema_problems(kind: str, document: Document, *, operator: bool) -> list[Problem]:
    root = document.root
    small = len(root.at(("spec", "aliases")).items) <= QUICK_ALIASES
    if small and not operator and not document.problems and certainly_valid(kind, root.value):
        return []
    from reconciler.manifest.messages import explained

    schema, validator = _schema(kind, operator=operator)
    if kind == "AliasSet" and len(root.at(("spec", "aliases")).items) > MAX_PROBLEMS:
        root = _up_to_many_wrong_aliases(root, schema)
    return explained(validator.iter_errors(root.value), schema, root)


def _up_to_many_wrong_aliases(root: Node, schema: Schema) -> Node:
    """Return a set without what comes after more wrong aliases than are reported.

    The validator collects all errors before it returns the first, with 2 KB for each: half a megabyte of wrong aliases
    would take half a gigabyte.
    """
    spec, aliases = root.at(("spec",)), root.at(("spec", "aliases"))
    item = schema["properties"]["spec"]["properties"]["aliases"]["items"]
    is_valid = compiled({**item, "$defs": schema.get("$defs", {})}).is_valid
    wrong = (number for number, node in enumerate(aliases.items) if not is_valid(node.value))
    end = next(islice(wrong, MAX_PROBLEMS, None), None)
    if end is None:
        return root
    items = aliases.items[: end + 1]
    shorter = Node([node.value for node in items], aliases.file, aliases.place, items=items)
    return _with_field(root, "spec", _with_field(spec, "aliases", shorter))


def _with_field(node: Node, name: str, field: Node) -> Node:
    value = {**cast("dict[str, Value]", node.value), name: field.value}
    return Node(value, node.file, node.place, fields={**node.fields, name: field}, marks=node.marks)


@cache
def _schema(kind: str, *, operator: bool) -> tuple[Schema, Draft202012Validator]:
    """Return the schema of a kind, and its validator."""
    from reconciler.manifest.schema import json_schema

    schema = json_schema(kind, operator=operator)
    return schema, compiled(schema)


def compiled(schema: Schema) -> Draft202012Validator:
    """Return a validator of a schema, or of a part of one."""
    from jsonschema_rs import Draft202012Validator  # takes 8 ms

    return Draft202012Validator(schema, validate_formats=True, formats=dict(CHECKS))
