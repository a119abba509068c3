"""What the other tests here rest on: an API server that stores, refuses and forgets nothing, and the shipped rights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.kubernetes.cluster import Cluster, Refused
from tests.kubernetes.control_plane import ControlPlane, find_assets
from tests.kubernetes.namespace import Namespace
from tests.kubernetes.shipped_rbac import Overlay, grant

CONDITION = {
    "type": "Ready",
    "status": "True",
    "reason": "Succeeded",
    "message": "1 alias",
    "observedGeneration": 1,
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}


def account(plane: ControlPlane, namespace: Namespace, overlay: Overlay) -> Cluster:
    """The API server as the shipped service account sees it."""
    token = grant(namespace.cluster, overlay, namespace=namespace.name, system=namespace.system)
    return Cluster(plane.url, token, plane.ca_file)


def test_a_set_and_its_status_are_stored_and_outlive_a_restart(
    control_plane: ControlPlane, namespace: Namespace
) -> None:
    namespace.create_set({"a": "c1"}, annotations={"aliasctl.dev/requestedAt": "1"})
    namespace.edit_set({"a": "c2", "b": None}, suspend=True)
    status = {"observedGeneration": 2, "conditions": [CONDITION]}
    namespace.patch("AliasSet", "shop", {"status": status}, "status")
    control_plane.restart_api_server()
    stored = namespace.wait_until_ready()
    assert [entry["name"] for entry in stored.spec["aliases"]] == ["a", "b"]
    assert (stored.spec["suspend"], stored.spec["connectionRef"]) == (True, {"name": "main"})
    assert stored.condition("Ready") == CONDITION


def test_a_user_without_a_role_may_nothing(control_plane: ControlPlane, namespace: Namespace, tmp_path: Path) -> None:
    written = control_plane.kubeconfig("nobody", tmp_path / "kubeconfig")
    token = json.loads(written.read_text())["users"][0]["user"]["token"]
    with pytest.raises(Refused, match=r'403.*"nobody" cannot list'):
        Cluster(control_plane.url, token, control_plane.ca_file).objects("AliasSet", namespace.name)


@pytest.mark.parametrize("overlay", Overlay)
def test_the_shipped_account_reaches_its_namespaces_and_no_others(
    control_plane: ControlPlane, namespace: Namespace, overlay: Overlay
) -> None:
    ours = account(control_plane, namespace, overlay)
    namespace.create_secret("token", value="s3cr3t")
    assert ours.get("Secret", "token", namespace.name)
    assert ours.objects("AliasSet", namespace.name) == []
    with pytest.raises(Refused, match="403"):
        ours.objects("Secret", namespace.name)
    if overlay is Overlay.CLUSTER:
        assert ours.objects("AliasSet", "default") == []
    else:
        with pytest.raises(Refused, match="403"):
            ours.objects("AliasSet", "default")


def test_a_wait_that_fails_tells_what_is_stored_and_what_the_witnesses_say(namespace: Namespace) -> None:
    namespace.create_set({"a": "c1"})
    namespace.witnesses.append(lambda: "what the operator logged")
    with pytest.raises(pytest.fail.Exception) as failure:
        namespace.wait_until_ready(timeout=0.2)
    assert f"not {namespace.name}/shop ready after 0.2 s" in str(failure.value)
    assert '"collection": "c1"' in str(failure.value)
    assert "what the operator logged" in str(failure.value)


def test_clearing_a_namespace_ends_what_a_finalizer_holds(namespace: Namespace) -> None:
    namespace.create_set({"a": "c1"})
    namespace.patch("AliasSet", "shop", {"metadata": {"finalizers": ["aliasctl.dev/drop-aliases"]}})
    namespace.delete("AliasSet", "shop")
    assert namespace.exists("AliasSet", "shop")
    namespace.clear()
    namespace.wait_until_gone("AliasSet", "shop")


@pytest.mark.parametrize("assets", ["", "/nonexistent"])
@pytest.mark.parametrize(("required", "ending"), [("0", pytest.skip.Exception), ("1", pytest.fail.Exception)])
def test_without_the_programs_it_skips_unless_they_are_required(
    assets: str, required: str, ending: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", assets)
    monkeypatch.setenv("REQUIRE_KUBERNETES", required)
    told = "KUBEBUILDER_ASSETS.* has no etcd" if assets else "KUBEBUILDER_ASSETS names no"
    with pytest.raises((pytest.skip.Exception, pytest.fail.Exception), match=told) as ended:
        find_assets()
    assert ended.type is ending
