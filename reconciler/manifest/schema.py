"""What users and servers read of the specs: JSON Schema, and CustomResourceDefinition.

The operator takes http(s) addresses and Kubernetes Secrets; the command line also files, environment variables and
Milvus Lite. `reconciler.generate` writes the results into the repository.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from reconciler.core.durations import KINDS
from reconciler.core.json_schema import NOT_IN_MANIFESTS, Rule, Schema, schema_of
from reconciler.core.record import Record
from reconciler.manifest.kinds import API_VERSION, GROUP, VERSION
from reconciler.manifest.specs.alias_set import AliasSetSpec
from reconciler.manifest.specs.connection import MilvusConnectionSpec
from reconciler.manifest.specs.metadata import Metadata
from reconciler.manifest.specs.status import status

_SPECS: Mapping[str, tuple[type[Record], str]] = {
    "AliasSet": (AliasSetSpec, "Which alias of one Milvus database points to which collection."),
    "MilvusConnection": (MilvusConnectionSpec, "How to reach a Milvus server."),
}
_EXPORTED_METADATA = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
)
_NAMES = {
    "AliasSet": ("aliassets", "aliasset", "aset"),
    "MilvusConnection": ("milvusconnections", "milvusconnection", "milvusconn"),
}
_DESCRIPTIONS = {
    "AliasSet": "An AliasSet says which alias of one Milvus database points at which collection.",
    "MilvusConnection": "A MilvusConnection says how to reach a Milvus server: its address, token and TLS settings.",
}
_READY = ".status.conditions[?(@.type=='Ready')]"


def _column(name: str, path: str, kind: str = "string", *, wide: bool = False) -> Schema:
    """Return what `kubectl get` shows of an object; `wide` is only for `-o wide`."""
    return {"name": name, "type": kind, "jsonPath": path, "priority": int(wide)}


_COLUMNS = {
    "AliasSet": [
        _column("Ready", f"{_READY}.status"),
        _column("Status", f"{_READY}.message"),
        _column("Age", ".metadata.creationTimestamp", "date"),
        _column("Connection", ".spec.connectionRef.name", wide=True),
        _column("Database", ".spec.database", wide=True),
        _column("Aliases", ".status.counts.aliases", "integer", wide=True),
        _column("Drift", ".status.counts.drift", "integer", wide=True),
    ],
    "MilvusConnection": [
        _column("URI", ".spec.uri"),
        _column("Ready", f"{_READY}.status"),
        _column("Status", f"{_READY}.message"),
        _column("Age", ".metadata.creationTimestamp", "date"),
    ],
}


def spec_schema(kind: str, *, operator: bool) -> Schema:
    """Return the schema of a kind's `spec`, with its conditions across fields under `rules` at each place."""
    record, description = _SPECS[kind]
    schema = schema_of(record, without=NOT_IN_MANIFESTS, variant="operator" if operator else "")
    return _with_derived_rules(schema | {"description": description}, operator)


def json_schema(kind: str, *, operator: bool = False) -> Schema:
    """Return the JSON Schema (draft 2020-12) of a kind: what the command line accepts, or what the operator does.

    `operator`: whether it may point only at http(s) addresses and Secrets.
    """
    fields: Schema = {
        "apiVersion": {"type": "string", "description": "The format's version.", "enum": [API_VERSION]},
        "kind": {"type": "string", "description": "What this document describes.", "enum": [kind]},
        "metadata": _metadata(),
        "spec": _as_json_schema(spec_schema(kind, operator=operator)),
        "status": {"description": "Written by the operator; ignored here."},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"https://{GROUP}/{VERSION}/{kind.lower()}.schema.json",
        "title": kind,
        "description": f"Kind {kind} of milvus-alias-reconciler, in the shape of a Kubernetes resource.",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": fields,
        "additionalProperties": False,
    }


def custom_resource_definition(kind: str) -> Schema:
    """Return the CustomResourceDefinition of a kind: what the API server accepts."""
    plural, singular, short = _NAMES[kind]
    names = {"kind": kind, "plural": plural, "singular": singular, "shortNames": [short], "categories": ["aliasctl"]}
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": _COLUMNS[kind],
        "schema": {"openAPIV3Schema": _resource(kind)},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }


def _metadata() -> Schema:
    schema = _as_json_schema(schema_of(Metadata))
    schema["properties"] |= {
        name: {"description": "Written by Kubernetes; ignored here."} for name in _EXPORTED_METADATA
    }
    return schema | {"description": "The object's name, and what else Kubernetes keeps of it."}


def _resource(kind: str) -> Schema:
    return {
        "type": "object",
        "description": _DESCRIPTIONS[kind],
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"{API_VERSION}."},
            "kind": {"type": "string", "description": f"{kind}."},
            "metadata": {"type": "object"},
            "spec": _as_open_api(spec_schema(kind, operator=True)),
            "status": status(kind),
        },
    }


def _with_derived_rules(schema: Schema, operator: bool) -> Schema:
    """Add the rules that follow from limits which Kubernetes does not know, or gets wrong.

    An exclusive minimum becomes a rule, because a minimum such as 0.01 would not do: for a value without a fraction,
    Kubernetes cuts the minimum's off (measured on 1.36). Without `cel`, a rule is about what the operator refuses.
    """
    fields: dict[str, Schema] = schema.get("properties", {})
    rules = [rule for rule in schema.pop("rules", ()) if rule.cel or not operator]
    for name, field in fields.items():
        rules += _above(name, field) + _duration_limits(name, field)
        _with_derived_rules(field, operator)
    if limits := schema.pop("propertyNames", None):
        rules.append(_name_lengths(limits))
    if isinstance(items := schema.get("items"), dict):
        _with_derived_rules(items, operator)
    if rules:
        schema["rules"] = rules
    return schema


def _above(name: str, field: Schema) -> list[Rule]:
    limit = field.pop("exclusiveMinimum", None)
    if limit is None:
        return []
    field["minimum"] = limit
    cel = f"!has(self.{name}) || self.{name} > {float(limit)}"
    return [Rule(f"{name} must be above {limit}", cel, {"properties": {name: {"exclusiveMinimum": limit}}})]


def _duration_limits(name: str, field: Schema) -> list[Rule]:
    """Return the limits of a duration, for the API server, which knows no such format."""
    hours = next((kind.hours for kind in KINDS if kind.schema_format == field.get("format")), None)
    if hours is None:
        return []
    value = f"duration(self.{name})"
    limits = f"({value} > duration('0s') && {value} <= duration('{hours}h'))"
    return [Rule(f"the {name} must be above 0s and at most {hours}h", f"!has(self.{name}) || {limits}")]


def _name_lengths(limits: Schema) -> Rule:
    low, high = limits["minLength"], limits["maxLength"]
    cel = f"self.all(name, size(name) >= {low} && size(name) <= {high})"
    return Rule(f"the name of a property has {low} to {high} characters", cel, {"propertyNames": limits})


def _as_json_schema(source: Schema) -> Schema:
    def conditions(rules: list[Rule]) -> Schema:
        found = [rule.json | {"errorMessage": rule.message} for rule in rules if rule.json]
        return {"allOf": found} if found else {}

    return _translated(source, conditions, lambda word: word.startswith("x-kubernetes-"))


def _as_open_api(source: Schema) -> Schema:
    def conditions(rules: list[Rule]) -> Schema:
        found = [{"rule": rule.cel, "message": rule.message} for rule in rules if rule.cel]
        return {"x-kubernetes-validations": found} if found else {}

    # Kubernetes prunes unknown fields by itself, and does not know the others.
    return _translated(source, conditions, lambda word: word in ("additionalProperties", "errorMessage", "format"))


def _translated(source: Schema, conditions: Callable[[list[Rule]], Schema], left_out: Callable[[str], bool]) -> Schema:
    result: Schema = {}
    for word, value in source.items():
        if word == "rules":
            result |= conditions(value)
        elif word == "properties":
            result[word] = {name: _translated(field, conditions, left_out) for name, field in value.items()}
        elif isinstance(value, dict) and word in ("items", "additionalProperties"):
            result[word] = _translated(value, conditions, left_out)
        elif not left_out(word):
            result[word] = value
    return result
