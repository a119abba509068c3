"""`aliasctl get` and `aliasctl approve`, against an operator and an emulated API server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path

import kmock
import pytest

from reconciler.core.errors import InvalidInput, StalePlan
from reconciler.operator.approval import NothingToApprove, approve, set_to_approve, sets_in
from reconciler.operator.cluster import Cluster, ClusterError, load_config
from reconciler.operator.objects import Ref
from tests.cli.command import Completed, run, run_at_terminal, run_python
from tests.emulated_kubernetes.emulator import NAMESPACE, ApiServer
from tests.emulated_kubernetes.harness import Kube, Operator
from tests.emulated_kubernetes.milvus import Milvus
from tests.emulated_kubernetes.test_approval import APPROVE
from tests.emulated_kubernetes.test_cluster import answering

SHOP = Ref(NAMESPACE, "shop")


@pytest.fixture
def kubeconfig(api: ApiServer, tmp_path: Path) -> Path:
    path = tmp_path / "person.kubeconfig"
    path.write_text(json.dumps(api.kubeconfig("of-a-person")))
    return path


@pytest.fixture
def cluster(kubeconfig: Path) -> Iterator[Cluster]:
    made = Cluster(load_config(kubeconfig))
    yield made
    made._client.close()


def waiting(kube: Kube, milvus: Milvus) -> str:
    """A set whose plan waits for approval; the plan's digest."""
    milvus.point("b", "v1")
    kube.create({"a": "v1", "b": "v2"}, approval="Manual")
    kube.wait("ApprovalRequired")
    return kube.digest()


def aliasctl(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Completed:
    return run(*arguments, cwd=folder, env={"KUBECONFIG": str(folder / "person.kubeconfig"), **(env or {})})


def test_a_plan_is_listed_shown_and_approved(
    operator: Operator, kube: Kube, milvus: Milvus, kubeconfig: Path, tmp_path: Path
) -> None:
    digest = waiting(kube, milvus)
    listed = aliasctl(tmp_path, "get").stdout.splitlines()
    assert [line.split() for line in listed] == [
        ["NAME", "READY", "REASON", "ALIASES", "PENDING", "PLAN"],
        ["shop", "False", "ApprovalRequired", "0/2", "1", "to", "create,", "1", "to", "alter"],
    ]
    shown = aliasctl(tmp_path, "get", "shop", "--namespace", NAMESPACE, "--context", "it").stdout
    assert "  + a   → v1\n  ~ b   v1 → v2\nPlan: 1 to create, 1 to alter. Made " in shown
    done = aliasctl(tmp_path, "approve", "shop", "--yes", "--digest", digest)
    assert (done.code, done.stderr) == (0, "")
    assert shown in done.stdout
    assert done.stdout.endswith(f"Approved; to follow the operator: aliasctl get shop -n {NAMESPACE}\n")
    kube.wait("Succeeded")
    assert milvus.aliases == {"a": "v1", "b": "v2"}


def test_as_json(operator: Operator, kube: Kube, milvus: Milvus, kubeconfig: Path, tmp_path: Path) -> None:
    digest = waiting(kube, milvus)
    (found,) = aliasctl(tmp_path, "get", "-A", "-o", "json").document["sets"]
    assert (found["namespace"], found["name"], found["reason"]) == (NAMESPACE, "shop", "ApprovalRequired")
    assert found["pendingPlan"]["steps"][1] == {"action": "alter", "alias": "b", "from": "v1", "to": "v2"}
    done = aliasctl(tmp_path, "approve", "shop", "-y", "-o", "json")
    assert done.document["plan"]["digest"] == digest


def test_without_a_terminal_or_a_yes_nothing_is_approved(
    operator: Operator, kube: Kube, milvus: Milvus, kubeconfig: Path, tmp_path: Path
) -> None:
    waiting(kube, milvus)
    silent = aliasctl(tmp_path, "approve", "shop")
    assert (silent.code, "no terminal to ask at; run with --yes" in silent.stderr) == (1, True)
    arguments = ("approve", "shop", "--kubeconfig", str(kubeconfig))
    refused = run_at_terminal(*arguments, cwd=tmp_path, prompt="[y/N]", answer="n\n")
    assert refused.code == 1
    assert f"Approve this plan of AliasSet {NAMESPACE}/shop?" in refused.stdout
    other = aliasctl(tmp_path, "approve", "shop", "--yes", "--digest", "sha256:0")
    assert (other.code, "nothing was approved" in other.stderr) == (4, True)
    assert APPROVE not in kube.stored()["metadata"]["annotations"]


def test_a_plan_that_changed_after_it_was_shown_is_not_approved(
    operator: Operator, kube: Kube, milvus: Milvus, cluster: Cluster
) -> None:
    waiting(kube, milvus)
    stored, plan = set_to_approve(cluster, SHOP)
    kube.edit({"a": "v1", "b": "v3"})
    kube.wait("ApprovalRequired")
    with pytest.raises(StalePlan, match=f"{kube.digest()}, not {plan.digest}: nothing was approved"):
        approve(cluster, stored, plan)
    assert milvus.journal == []


def test_a_status_that_was_written_meanwhile_is_no_other_plan(
    operator: Operator, kube: Kube, milvus: Milvus, cluster: Cluster
) -> None:
    waiting(kube, milvus)
    stored, plan = set_to_approve(cluster, SHOP)
    kube.annotate(other="value")
    approve(cluster, stored, plan)
    kube.wait("Succeeded")


def test_nothing_to_approve(operator: Operator, kube: Kube, milvus: Milvus, cluster: Cluster) -> None:
    kube.create({"a": "v1"})
    kube.wait("Succeeded")
    with pytest.raises(NothingToApprove, match=r"AliasSet team/shop has no plan to approve \(Succeeded: "):
        set_to_approve(cluster, SHOP)
    with pytest.raises(InvalidInput, match='namespace "team" has no AliasSet "stop"; there is shop'):
        sets_in(cluster, NAMESPACE, ["stop"])
    with pytest.raises(InvalidInput, match='namespace "team" has no AliasSet "stop"; choose another with -n NAMESPACE'):
        set_to_approve(cluster, Ref(NAMESPACE, "stop"))


def test_a_spec_that_the_operator_has_not_planned_yet_is_not_approved(kube: Kube, cluster: Cluster) -> None:
    kube.connection()
    kube.create({"a": "v1"}, approval="Manual")
    with pytest.raises(NothingToApprove, match="has not planned the present spec of AliasSet team/shop yet"):
        set_to_approve(cluster, SHOP)


def test_an_operator_that_only_reads_carries_out_no_approval(
    start: Callable[..., Operator], kube: Kube, cluster: Cluster
) -> None:
    kube.connection()
    start(read_only=True)
    kube.create({"a": "v1"})
    kube.wait("ReadOnly")
    with pytest.raises(NothingToApprove, match="runs with --read-only"):
        set_to_approve(cluster, SHOP)


def test_a_missing_permission_is_named(
    operator: Operator, kube: Kube, milvus: Milvus, cluster: Cluster, api: ApiServer
) -> None:
    def may_only_read(request: kmock.Request) -> None:
        if request.method == kmock.method.PATCH and request.headers["Authorization"].endswith("person"):
            raise kmock.KubernetesError(403, "Forbidden", 'User "ann" cannot patch resource "aliassets"')

    waiting(kube, milvus)
    stored, plan = set_to_approve(cluster, SHOP)
    api.emulator.refuse = may_only_read
    with pytest.raises(ClusterError, match='User "ann" cannot patch resource "aliassets"'):
        approve(cluster, stored, plan)


def test_a_context_that_does_not_exist_is_named(kubeconfig: Path, tmp_path: Path) -> None:
    failed = aliasctl(tmp_path, "approve", "shop", "--context", "prod", "-o", "json")
    assert "Context 'prod' not found" in failed.document["errors"][0]["message"]
    (tmp_path / "broken").write_text("users: []\n")
    with pytest.raises(ClusterError, match="the kubeconfig has no 'clusters'"):
        load_config(tmp_path / "broken")
    several = aliasctl(tmp_path, "get", env={"KUBECONFIG": f"{kubeconfig}:{kubeconfig}"})
    assert several.stderr == "error: KUBECONFIG names several files; choose one with --kubeconfig\n"
    with pytest.raises(ClusterError, match="Configuration file nowhere not found"):
        load_config(Path("nowhere"))


def test_a_cluster_without_the_definitions_is_told_how_to_get_them(api: ApiServer, kubeconfig: Path) -> None:
    with answering(["Content-Type: text/plain"], "404 page not found\n", HTTPStatus.NOT_FOUND) as uri:
        kubeconfig.write_text(kubeconfig.read_text().replace(api.url, uri))
        cluster = Cluster(load_config(kubeconfig))
        for call in (lambda: sets_in(cluster, NAMESPACE), lambda: set_to_approve(cluster, SHOP)):
            with pytest.raises(ClusterError, match="this cluster knows no AliasSets: kubectl apply -k crds"):
                call()
        cluster._client.close()


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    hide = "find = util.find_spec; util.find_spec = lambda name: None if name == 'lightkube' else find(name)"
    call = "from reconciler.cli.main import main; main(['approve', 'shop'])"
    failed = run_python(f"from importlib import util; {hide}; {call}", cwd=tmp_path)
    assert failed.stderr == "error: approve needs lightkube: pip install '.[operator]' in a clone of aliasctl\n"
