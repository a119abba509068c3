"""What `shape` says, in the two languages that others read: JSON Schema, and CustomResourceDefinition.

`reconciler.publish` writes both into the repository.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from reconciler.manifest import shape
from reconciler.manifest.shape import API_VERSION, GROUP, VERSION, Rule, Schema

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
_COLUMNS = {
    "AliasSet": [("Connection", ".spec.connectionRef.name"), ("Database", ".spec.database")],
    "MilvusConnection": [("URI", ".spec.uri")],
}


def json_schema(kind: str) -> Schema:
    """The JSON Schema (draft 2020-12) of a kind: what the command line accepts.

    Args:
        kind: `AliasSet` or `MilvusConnection`.
    """
    fields: Schema = {
        "apiVersion": {"type": "string", "description": "The format's version.", "enum": [API_VERSION]},
        "kind": {"type": "string", "description": "What this document describes.", "enum": [kind]},
        "metadata": _metadata(),
        "spec": _as_json_schema(shape.spec(kind, operator=False)),
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
    """The CustomResourceDefinition of a kind: what the API server accepts."""
    plural, singular, short = _NAMES[kind]
    columns = [{"name": name, "type": "string", "jsonPath": path, "priority": 1} for name, path in _COLUMNS[kind]]
    columns.append({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"})
    names = {"kind": kind, "plural": plural, "singular": singular, "shortNames": [short], "categories": ["aliasctl"]}
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": columns,
        "schema": {"openAPIV3Schema": _resource(kind)},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }


def _metadata() -> Schema:
    strings: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
    fields: Schema = {
        "name": _as_json_schema(shape.object_name("The object's name.")),
        "namespace": _as_json_schema(shape.namespace_name("Its namespace.")),
        "labels": strings | {"description": "Kubernetes labels; ignored here."},
        "annotations": strings | {"description": "Kubernetes annotations; ignored here."},
    }
    fields |= {name: {"description": "Written by Kubernetes; ignored here."} for name in _EXPORTED_METADATA}
    return {
        "type": "object",
        "description": "The object's name, and what else Kubernetes keeps of it.",
        "required": ["name"],
        "properties": fields,
        "additionalProperties": False,
    }


def _resource(kind: str) -> Schema:
    return {
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": _as_open_api(shape.spec(kind, operator=True)),
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    }


def _as_json_schema(source: Schema) -> Schema:
    def conditions(rules: list[Rule]) -> Schema:
        said = [rule.json | {"errorMessage": rule.message} for rule in rules if rule.json]
        return {"allOf": said} if said else {}

    return _translated(source, conditions, lambda word: word.startswith("x-kubernetes-"))


def _as_open_api(source: Schema) -> Schema:
    def conditions(rules: list[Rule]) -> Schema:
        said = [{"rule": rule.cel, "message": rule.message} for rule in rules if rule.cel]
        return {"x-kubernetes-validations": said} if said else {}

    # Kubernetes prunes unknown fields by itself, and has no words for the others.
    return _translated(source, conditions, lambda word: word in ("additionalProperties", "errorMessage", "format"))


def _translated(source: Schema, conditions: Callable[[list[Rule]], Schema], left_out: Callable[[str], bool]) -> Schema:
    result: Schema = {}
    for word, value in source.items():
        if word == "rules":
            result |= conditions(cast("list[Rule]", value))
        elif word == "properties":
            fields = cast("dict[str, Schema]", value)
            result[word] = {name: _translated(field, conditions, left_out) for name, field in fields.items()}
        elif isinstance(value, dict) and word in ("items", "additionalProperties"):
            result[word] = _translated(value, conditions, left_out)
        elif not left_out(word):
            result[word] = value
    return result


KINDS: Mapping[str, Schema] = {kind: json_schema(kind) for kind in shape.KINDS}
"""The JSON Schema of each kind."""
