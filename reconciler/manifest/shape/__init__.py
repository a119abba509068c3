"""The shape of an AliasSet and of a MilvusConnection, told once.

`schema` turns it into the JSON Schema that the loader validates with and users' editors read, and into the
CustomResourceDefinitions. The two differ only in what a manifest may point at outside itself: the operator takes
http(s) and Kubernetes Secrets, the command line also files, environment variables and Milvus Lite.
"""

from __future__ import annotations

from reconciler.core.json_schema import Rule, Schema
from reconciler.manifest.shape.alias_set import FIXED_CONNECTION, FIXED_DATABASE, SELF_ALIAS, alias_set
from reconciler.manifest.shape.connection import connection
from reconciler.manifest.shape.notation import namespace_name, object_name
from reconciler.manifest.shape.status import status
from reconciler.manifest.shape.verify import OWN_CONNECTION

__all__ = [
    "API_VERSION",
    "FIXED_CONNECTION",
    "FIXED_DATABASE",
    "GROUP",
    "KINDS",
    "OWN_CONNECTION",
    "SELF_ALIAS",
    "VERSION",
    "Rule",
    "Schema",
    "namespace_name",
    "object_name",
    "spec",
    "status",
]

GROUP = "aliasctl.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KINDS = ("AliasSet", "MilvusConnection")


def spec(kind: str, *, operator: bool) -> Schema:
    """The shape of a kind's `spec`; `operator` chooses what it may point at: addresses, secrets and files."""
    return alias_set(operator) if kind == "AliasSet" else connection(operator)
