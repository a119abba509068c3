"""What `kubectl apply -k` installs: rights, pod, ports, and what a platform team changes in it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from reconciler.cli.main import aliasctl
from reconciler.operator.main import STOP_SECONDS
from reconciler.version import __version__
from tests.install.built import (
    EVERYWHERE,
    OVERLAYS,
    ROOT,
    Grant,
    Object,
    build,
    container,
    grants,
    key,
    only,
    operator_grants,
)

MOST_THAT_KUBECTL_REMEMBERS = 256 * 1024
"""Bytes of all annotations of an object; `kubectl apply` keeps the whole object in one."""


def test_it_may_do_what_it_does_and_no_more(cluster_install: list[Object], namespace_install: list[Object]) -> None:
    assert grants(cluster_install) == operator_grants(EVERYWHERE)
    assert grants(namespace_install) == operator_grants("default")


def test_it_is_told_which_namespaces_are_its_own(
    cluster_install: list[Object], namespace_install: list[Object]
) -> None:
    for objects, scope in ((cluster_install, "--all-namespaces"), (namespace_install, "--namespace=default")):
        given = [item for item in container(objects)["args"] if "namespace" in item and "lease" not in item]
        assert given == [scope]


def test_its_arguments_are_those_of_the_command(installed: list[Object]) -> None:
    arguments = [item.replace("$(POD_NAMESPACE)", "aliasctl-system") for item in container(installed)["args"]]
    command = aliasctl.get_command(click.Context(aliasctl), "operator")
    assert command
    command.make_context("operator", arguments)  # refuses what it does not know


def test_both_kinds_come_with_it(installed: list[Object]) -> None:
    kinds = {item["spec"]["names"]["kind"] for item in installed if item["kind"] == "CustomResourceDefinition"}
    assert kinds == {"AliasSet", "MilvusConnection"}


def test_the_image_is_of_this_version(installed: list[Object]) -> None:
    assert container(installed)["image"].rpartition(":")[2] == __version__


def test_no_image_of_somebody_else_can_be_pulled(installed: list[Object]) -> None:
    """https://www.rfc-editor.org/rfc/rfc2606#section-2: there is never a host under `invalid`."""
    assert container(installed)["image"].partition("/")[0].endswith(".invalid")


def test_one_writer(installed: list[Object]) -> None:
    spec = only(installed, "Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_calls_in_flight_may_end_before_it_is_killed(installed: list[Object]) -> None:
    grace = only(installed, "Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace > STOP_SECONDS


def test_the_pod_meets_the_restricted_standard_of_its_namespace(installed: list[Object]) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, and a root file system that is
    read-only."""
    labels = only(installed, "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    pod = only(installed, "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(installed)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"hostNetwork", "hostPID", "hostIPC"}.isdisjoint(pod)


def test_it_can_write_to_memory_only(installed: list[Object]) -> None:
    (volume,) = only(installed, "Deployment")["spec"]["template"]["spec"]["volumes"]
    assert volume["emptyDir"]["medium"] == "Memory"
    assert container(installed)["volumeMounts"] == [{"name": volume["name"], "mountPath": "/tmp"}]  # noqa: S108


def test_it_asks_for_what_it_needs_and_has_an_end(installed: list[Object]) -> None:
    resources = container(installed)["resources"]
    assert set(resources["requests"]) == {"cpu", "memory"}
    assert resources["limits"]["memory"] == "256Mi"


def test_probes_and_service_meet_it_where_it_listens(installed: list[Object]) -> None:
    operator = container(installed)
    (listen,) = (item.partition("=")[2] for item in operator["args"] if item.startswith("--listen="))
    (port,) = operator["ports"]
    assert listen == f"0.0.0.0:{port['containerPort']}"
    paths = {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    for probe, path in paths.items():
        assert operator[probe]["httpGet"] == {"path": path, "port": port["name"]}
    service = only(installed, "Service")["spec"]
    assert service["ports"] == [{"name": "http", "port": port["containerPort"], "targetPort": port["name"]}]
    template = only(installed, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert service["selector"].items() <= template.items()


def test_its_token_is_mounted_into_its_pod_alone(installed: list[Object]) -> None:
    assert only(installed, "ServiceAccount")["automountServiceAccountToken"] is False
    assert only(installed, "Deployment")["spec"]["template"]["spec"]["automountServiceAccountToken"] is True


def test_kubectl_apply_can_remember_every_object(installed: list[Object]) -> None:
    for item in installed:
        assert len(json.dumps(item).encode()) < MOST_THAT_KUBECTL_REMEMBERS, key(item)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The manifests in a folder where they can be changed; the folder of the overlays."""
    for folder in ("crds", "manifests"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path / OVERLAYS.relative_to(ROOT)


def test_another_namespace_is_named_in_one_place(checkout: Path) -> None:
    role = checkout / "namespace" / "role.yaml"
    role.write_text(role.read_text().replace("namespace: default", "namespace: search", 1))
    objects = build(checkout / "namespace")
    assert grants(objects) == operator_grants("search")
    assert "--namespace=search" in container(objects)["args"]


OWN_IMAGE = {"newName": "registry.example.com/aliasctl", "newTag": "1.2.3"}


@pytest.mark.parametrize("overlay", ["cluster", "namespace"])
def test_the_image_is_named_in_the_overlay(checkout: Path, overlay: str) -> None:
    path = checkout / overlay / "kustomization.yaml"
    content = yaml.safe_load(path.read_text())
    content["images"][0] |= OWN_IMAGE
    path.write_text(yaml.safe_dump(content))
    assert container(build(checkout / overlay))["image"] == "registry.example.com/aliasctl:1.2.3"


@pytest.mark.parametrize("overlay", ["cluster", "namespace"])
def test_the_image_is_named_in_an_overlay_of_ones_own(checkout: Path, overlay: str) -> None:
    mine = checkout / "mine"
    mine.mkdir()
    image = {"name": "registry.invalid/aliasctl", **OWN_IMAGE}
    written = {"resources": [f"../{overlay}"], "images": [image]}
    (mine / "kustomization.yaml").write_text(yaml.safe_dump(written))
    assert container(build(mine))["image"] == "registry.example.com/aliasctl:1.2.3"


@pytest.mark.parametrize(("overlay", "where"), [("cluster", EVERYWHERE), ("namespace", "default")])
def test_it_can_be_held_to_named_secrets(checkout: Path, overlay: str, where: str) -> None:
    mine = checkout / "mine"
    mine.mkdir()
    component = os.path.relpath(checkout.parent / "components" / "named-secrets", mine)
    written: dict[str, Any] = {"resources": [f"../{overlay}"], "components": [component]}
    (mine / "kustomization.yaml").write_text(yaml.safe_dump(written))
    secrets = Grant(where, "", "secrets", "get")
    named = Grant(where, "", "secrets", "get", ("milvus-credentials", "milvus-ca"))
    assert grants(build(mine)) == operator_grants(where) - {secrets} | {named}


@pytest.mark.parametrize(("overlay", "where"), [("cluster", EVERYWHERE), ("namespace", "default")])
def test_publishing_takes_one_more_right_and_only_on_request(checkout: Path, overlay: str, where: str) -> None:
    mine = checkout / "mine"
    mine.mkdir()
    component = os.path.relpath(checkout.parent / "components" / "publish", mine)
    written: dict[str, Any] = {"resources": [f"../{overlay}"], "components": [component]}
    (mine / "kustomization.yaml").write_text(yaml.safe_dump(written))
    config_maps = {Grant(where, "", "configmaps", verb) for verb in ("get", "create", "patch")}
    assert grants(build(mine)) == operator_grants(where) | config_maps


def test_the_named_secrets_are_those_of_the_example() -> None:
    component = yaml.safe_load((ROOT / "manifests/operator/components/named-secrets/kustomization.yaml").read_text())
    (_, added) = yaml.safe_load(component["patches"][0]["patch"])
    connection = yaml.safe_load((ROOT / "manifests/examples/connection.yaml").read_text())["spec"]
    used = {connection["token"]["secretKeyRef"]["name"], connection["tls"]["caSecretKeyRef"]["name"]}
    assert set(added["value"]) == used
