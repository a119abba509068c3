"""The operator's service account with the rights that are shipped, in namespaces of a test.

Whoever runs as that account has the rules and bindings of `manifests/operator` and nothing else: a verb that is missing
there fails a test.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from tests.kubernetes.cluster import Cluster, Object, Refused

MANIFESTS = Path(__file__).parents[2] / "manifests" / "operator"
ACCOUNT = "aliasctl-operator"
SYSTEM_NAMESPACE = "aliasctl-system"
"""Where the manifests put the operator and its lease; every other namespace in them is one of AliasSets."""
KINDS = ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")


class Overlay(Enum):
    """What the operator may see."""

    NAMESPACE = "namespace"
    CLUSTER = "cluster"


def grant(cluster: Cluster, overlay: Overlay, *, namespace: str, system: str) -> str:
    """Create the account and its rights as the overlay has them, in these namespaces; a token of the account.

    Args:
        namespace: of AliasSets; for the overlay of the whole cluster, only what makes the binding's name unique.
        system: stands for `aliasctl-system`.
    """
    for document in _shipped(overlay):
        moved = _moved(document, {SYSTEM_NAMESPACE: system}, namespace)
        if moved["kind"] == "ClusterRoleBinding":
            moved["metadata"]["name"] += f"-{namespace}"
        try:
            cluster.create(moved, moved["metadata"].get("namespace", ""))
        except Refused as refused:
            if moved["kind"] != "ClusterRole" or refused.code != 409:  # an earlier test has made it
                raise
    return cluster.service_account_token(ACCOUNT, system)


def _shipped(overlay: Overlay) -> Iterator[Object]:
    for folder in (MANIFESTS / "base", MANIFESTS / "overlays" / overlay.value):
        for path in sorted(folder.glob("*.yaml")):
            yield from (item for item in yaml.safe_load_all(path.read_text()) if item["kind"] in KINDS)


def _moved(document: Mapping[str, Any], namespaces: Mapping[str, str], otherwise: str) -> Object:
    """The document with every namespace in it replaced."""
    moved: Object = deepcopy(dict(document))
    for place in (moved["metadata"], *moved.get("subjects", ())):
        if "namespace" in place:
            place["namespace"] = namespaces.get(place["namespace"], otherwise)
    return moved
