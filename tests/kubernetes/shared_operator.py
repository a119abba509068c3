"""Scenes with one operator for all tests of a module, which has the shipped rights of the whole cluster.

A module asks for these fixtures with `pytest_plugins`. Its tests must not start another operator: both would work.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.kubernetes.cluster import Cluster
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.namespace import Namespace
from tests.kubernetes.operator_process import Operator
from tests.kubernetes.scene import Scene, scene_on
from tests.kubernetes.shipped_rbac import Overlay, grant


@pytest.fixture(scope="module")
def cluster_operator(
    cluster: Cluster, control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    """One operator for all tests of a module, with a lease of its own."""
    folder, system = tmp_path_factory.mktemp("operator"), f"o{uuid4().hex[:10]}-system"
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": system}})
    token = grant(cluster, Overlay.CLUSTER, namespace=system, system=system)
    kubeconfig = control_plane.kubeconfig_with_token(token, folder / "kubeconfig")
    operator = Operator(kubeconfig, folder, "--all-namespaces", "--lease-namespace", system)
    operator.start()
    yield operator
    operator.stop()


@pytest.fixture(params=["lite_server", "milvus"])
def scene(
    request: pytest.FixtureRequest, namespace: Namespace, cluster_operator: Operator, tmp_path: Path
) -> Iterator[Scene]:
    """On Milvus Lite and on the real Milvus."""
    with scene_on(request.getfixturevalue(request.param), namespace, cluster_operator, tmp_path) as made:
        yield made
