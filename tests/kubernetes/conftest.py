"""A Kubernetes API server, a namespace of the test's own, and operators in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import pytest

from tests.kubernetes.cluster import Cluster, admin_of
from tests.kubernetes.control_plane import ControlPlane, control_plane_in
from tests.kubernetes.namespace import Namespace
from tests.kubernetes.operator_process import Operator
from tests.kubernetes.shipped_rbac import Overlay, grant

DEFINITIONS = Path(__file__).parents[2] / "crds"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and "control_plane" in item.fixturenames:
            item.add_marker("kubernetes")


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with control_plane_in(tmp_path_factory.mktemp("kubernetes"), users=["nobody"]) as plane:
        yield plane


@pytest.fixture(scope="session")
def cluster(control_plane: ControlPlane) -> Cluster:
    """The API server as its admin, with our definitions."""
    admin = admin_of(control_plane)
    admin.install_definitions(DEFINITIONS)
    return admin


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[Namespace]:
    """A new namespace, and beside it `<its name>-system` for an operator and its lease."""
    made = Namespace(cluster, f"t{uuid4().hex[:10]}")
    for name in (made.name, made.system):
        cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield made
    made.clear()


class NewOperator(Protocol):
    def __call__(self, *arguments: str, overlay: Overlay = ..., name: str = ...) -> Operator: ...


@pytest.fixture
def new_operator(namespace: Namespace, control_plane: ControlPlane, tmp_path: Path) -> Iterator[NewOperator]:
    """Makes operators, not started yet, with the rights that are shipped; those of one test share one lease."""
    made: list[Operator] = []
    tokens: dict[Overlay, str] = {}

    def new(*arguments: str, overlay: Overlay = Overlay.NAMESPACE, name: str = "operator") -> Operator:
        if overlay not in tokens:
            tokens[overlay] = grant(namespace.cluster, overlay, namespace=namespace.name, system=namespace.system)
        kubeconfig = control_plane.kubeconfig_with_token(tokens[overlay], tmp_path / f"{name}.kubeconfig")
        what = ["--all-namespaces"] if overlay is Overlay.CLUSTER else ["--namespace", namespace.name]
        operator = Operator(kubeconfig, tmp_path, *what, "--lease-namespace", namespace.system, *arguments, name=name)
        namespace.witnesses.append(operator.tail)
        made.append(operator)
        return operator

    yield new
    for operator in made:
        operator.stop()


@pytest.fixture
def operator(new_operator: NewOperator) -> Operator:
    """The operator of the test's namespace, ready."""
    operator = new_operator()
    operator.start()
    return operator
