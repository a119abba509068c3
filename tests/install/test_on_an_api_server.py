"""Both overlays on a real API server: all objects are taken, the operator's account may do what is listed, and the
operator runs with that account and the installed arguments."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.install.built import EVERYWHERE, OVERLAYS, build, container, operator_grants
from tests.install.scraped import assert_firing
from tests.install.tools import kubectl, output
from tests.kubernetes.cluster import Cluster, admin_of, wait_until
from tests.kubernetes.control_plane import ADMIN, ControlPlane, control_plane_in
from tests.kubernetes.operator_process import Operator
from tests.servers import free_port

pytestmark = pytest.mark.kubernetes

ACCOUNT = "system:serviceaccount:aliasctl-system:aliasctl-operator"
NAMESPACES = ("default", "aliasctl-system", "kube-system")
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
RESOURCES = (
    ("", "configmaps"),
    ("", "events"),
    ("", "namespaces"),
    ("", "pods"),
    ("", "secrets"),
    ("", "serviceaccounts/token"),
    ("aliasctl.dev", "aliassets"),
    ("aliasctl.dev", "aliassets/finalizers"),
    ("aliasctl.dev", "aliassets/status"),
    ("aliasctl.dev", "milvusconnections"),
    ("aliasctl.dev", "milvusconnections/status"),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("apps", "deployments"),
    ("coordination.k8s.io", "leases"),
    ("rbac.authorization.k8s.io", "clusterroles"),
    ("rbac.authorization.k8s.io", "rolebindings"),
)


@dataclass(frozen=True)
class Server:
    """An API server with an overlay on it, and a kubeconfig of its admin."""

    plane: ControlPlane
    cluster: Cluster
    kubeconfig: Path
    overlay: str

    def apply(self) -> list[str]:
        """Install the overlay; what is told of each object. Not validated before it is sent: 1.20 does not know CEL."""
        folder = OVERLAYS / self.overlay
        command = (kubectl(), "--kubeconfig", self.kubeconfig, "apply", "--validate=false", "-k", folder)
        return output(*command).splitlines()


@pytest.fixture(scope="module", params=["cluster", "namespace"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("kubernetes")
    with control_plane_in(folder) as plane:
        server = Server(plane, admin_of(plane), plane.kubeconfig(ADMIN, folder / "kubeconfig"), request.param)
        told = server.apply()
        assert all(line.endswith(" created") for line in told), told
        yield server


def test_one_command_installs_it_with_exactly_its_rights(server: Server) -> None:
    where = EVERYWHERE if server.overlay == "cluster" else "default"
    assert allowed(server.cluster) == {
        (namespace, grant.group, grant.resource, grant.verb, name)
        for grant in operator_grants(where)
        for namespace in (NAMESPACES if grant.where == EVERYWHERE else (grant.where,))
        for name in grant.names or ("", "aliasctl-operator")
    }


def test_the_same_command_again_changes_nothing(server: Server) -> None:
    """1.20 has dropped the CEL rules, which come anew each time."""
    told = [line for line in server.apply() if not line.startswith("customresourcedefinition")]
    assert all(line.endswith(" unchanged") for line in told), told


def allowed(cluster: Cluster) -> set[tuple[str, str, str, str, str]]:
    """Of all namespaces, resources, verbs and names (one, or none) those that the operator's account may use."""
    cases = [
        (namespace, group, resource, verb, name)
        for namespace, (group, resource), verb, name in itertools.product(
            NAMESPACES, RESOURCES, VERBS, ("", "aliasctl-operator")
        )
    ]
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda case: _may(cluster, *case), cases)
        return {case for case, yes in zip(cases, answers, strict=True) if yes}


def _may(cluster: Cluster, namespace: str, group: str, resource: str, verb: str, name: str) -> bool:
    plain, _, subresource = resource.partition("/")
    asked = {
        "namespace": namespace,
        "group": group,
        "resource": plain,
        "subresource": subresource,
        "verb": verb,
        "name": name,
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": ACCOUNT, "groups": ["system:serviceaccounts"], "resourceAttributes": asked},
    }
    answer = cluster.call("POST", "apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return bool(answer["status"]["allowed"])


def test_what_is_installed_runs_and_its_metrics_raise_the_alarm(server: Server, tmp_path: Path) -> None:
    """There is no Milvus at the connection's address."""
    token = server.cluster.service_account_token("aliasctl-operator", "aliasctl-system")
    kubeconfig = server.plane.kubeconfig_with_token(token, tmp_path / "operator.kubeconfig")
    told = container(build(OVERLAYS / server.overlay))["args"]
    operator = Operator(kubeconfig, tmp_path, *(item.replace("$(POD_NAMESPACE)", "aliasctl-system") for item in told))
    operator.start()
    try:
        create_set(server.cluster, f"http://127.0.0.1:{free_port()}")
        wait_until("told unreachable", lambda: is_unreachable(server.cluster), explain=operator.tail)
        wait_until("counted", lambda: "aliasctl_set_ready{" in operator.get("metrics")[1], explain=operator.tail)
        code, scrape = operator.get("metrics")
        now = time.time()
        assert code == 200
        assert_firing(scrape, {"AliasctlSetNotReady"}, tmp_path, at=now)
        lease = server.cluster.get("Lease", "aliasctl-operator", "aliasctl-system")
        assert lease["spec"]["holderIdentity"]
        assert not [line for line in operator.log_lines() if "forbidden" in str(line)]
        assert operator.terminate() == 0
    finally:
        operator.stop()


def create_set(cluster: Cluster, uri: str) -> None:
    head = {"apiVersion": "aliasctl.dev/v1alpha1", "metadata": {"name": "shop", "namespace": "default"}}
    cluster.create({**head, "kind": "MilvusConnection", "spec": {"uri": uri, "timeout": "1s"}}, "default")
    desired = {"connectionRef": {"name": "shop"}, "aliases": [{"name": "a", "collection": "c"}]}
    cluster.create({**head, "kind": "AliasSet", "spec": desired}, "default")


def is_unreachable(cluster: Cluster) -> bool:
    conditions = cluster.get("AliasSet", "shop", "default")["status"].get("conditions", [])
    return any(condition["type"] == "Ready" and condition["reason"] == "ConnectionFailed" for condition in conditions)
