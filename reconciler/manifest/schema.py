"""What `shape` says, in the two languages that others read: JSON Schema, and CustomResourceDefinition.

`reconciler.generate` writes both into the repository.
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
_DESCRIPTIONS = {
    "AliasSet": "An AliasSet says which alias of one Milvus database points at which collection.",
    "MilvusConnection": "A MilvusConnection says how to reach a Milvus server: its address, token and TLS settings.",
}
_READY = ".status.conditions[?(@.type=='Ready')]"


def _column(name: str, path: str, kind: str = "string", *, wide: bool = False) -> Schema:
    """What `kubectl get` shows of an object; `wide` is only for `-o wide`."""
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


def json_schema(kind: str, *, operator: bool = False) -> Schema:
    """The JSON Schema (draft 2020-12) of a kind: what the command line accepts, or what the operator does.

    Args:
        kind: `AliasSet` or `MilvusConnection`.
        operator: whether it may point only at http(s) addresses and Secrets.
    """
    fields: Schema = {
        "apiVersion": {"type": "string", "description": "The format's version.", "enum": [API_VERSION]},
        "kind": {"type": "string", "description": "What this document describes.", "enum": [kind]},
        "metadata": _metadata(),
        "spec": _as_json_schema(shape.spec(kind, operator=operator)),
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
        "description": _DESCRIPTIONS[kind],
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"{API_VERSION}."},
            "kind": {"type": "string", "description": f"{kind}."},
            "metadata": {"type": "object"},
            "spec": _as_open_api(shape.spec(kind, operator=True)),
            "status": shape.status(kind),
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
