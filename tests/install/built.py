"""What kustomize makes of the manifests: the objects that `kubectl apply -k` sends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from tests.install.tools import kubectl, output

ROOT = Path(__file__).parents[2]
OVERLAYS = ROOT / "manifests" / "operator" / "overlays"
SERVICE_ACCOUNT = {"kind": "ServiceAccount", "name": "aliasctl-operator", "namespace": "aliasctl-system"}
EVERYWHERE = "*"

Object: TypeAlias = dict[str, Any]


def build(folder: Path) -> list[Object]:
    return list(yaml.safe_load_all(output(kubectl(), "kustomize", folder)))


def only(objects: Iterable[Object], kind: str) -> Object:
    """The one object of a kind."""
    (found,) = (object_ for object_ in objects if object_["kind"] == kind)
    return found


def container(objects: Iterable[Object]) -> Object:
    (found,) = only(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    return dict(found)


@dataclass(frozen=True, order=True)
class Grant:
    """One thing that somebody may do. `names` of objects; none for all of them."""

    where: str
    group: str
    resource: str
    verb: str
    names: tuple[str, ...] = ()


def grants(objects: Iterable[Object]) -> set[Grant]:
    """All that the operator's service account may do."""
    roles = {key(object_): object_ for object_ in objects if object_["kind"] in ("Role", "ClusterRole")}
    return {
        grant
        for binding in objects
        if SERVICE_ACCOUNT in binding.get("subjects", ())
        for rule in roles[_role_of(binding)]["rules"]
        for grant in _granted(rule, binding["metadata"].get("namespace", EVERYWHERE))
    }


def key(item: Mapping[str, Any]) -> tuple[str, str, str]:
    return item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _role_of(binding: Mapping[str, Any]) -> tuple[str, str, str]:
    role = binding["roleRef"]
    return role["kind"], binding["metadata"]["namespace"] if role["kind"] == "Role" else "", role["name"]


def _granted(rule: Mapping[str, Any], where: str) -> Iterator[Grant]:
    assert set(rule) <= {"apiGroups", "resources", "verbs", "resourceNames"}
    for group in rule["apiGroups"]:
        for resource in rule["resources"]:
            for verb in rule["verbs"]:
                yield Grant(where, group, resource, verb, tuple(rule.get("resourceNames", ())))


def operator_grants(where: str) -> set[Grant]:
    """What the operator calls, and so may do, where the sets are; and with its Lease."""
    calls = {
        ("aliasctl.dev", "aliassets"): "get list watch patch",
        ("aliasctl.dev", "aliassets/status"): "get patch",
        ("aliasctl.dev", "milvusconnections"): "get list watch",
        ("aliasctl.dev", "milvusconnections/status"): "patch",
        ("", "secrets"): "get",
        ("", "events"): "create",
    }
    there = {Grant(where, *what, verb) for what, verbs in calls.items() for verb in verbs.split()}
    lease = ("aliasctl-system", "coordination.k8s.io", "leases")
    held = {Grant(*lease, verb, ("aliasctl-operator",)) for verb in ("get", "update")}
    return there | held | {Grant(*lease, "create")}
