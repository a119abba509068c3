"""What waits for a person: plans to approve, reported drift, and moves that were taken back."""

from __future__ import annotations

from pathlib import Path

from tests.cli.command import run
from tests.kubernetes.control_plane import ADMIN, ControlPlane
from tests.kubernetes.namespace import StoredSet
from tests.kubernetes.scene import Scene

pytest_plugins = ["tests.kubernetes.shared_operator"]

APPROVE = "aliasctl.dev/approve"


def pending_digest(stored: StoredSet) -> str:
    return str(stored.status["pendingPlan"]["digest"])


def is_asked_for(stored: StoredSet) -> bool:
    return APPROVE in stored.metadata.get("annotations", {})


def wait_until_refused(scene: Scene, shown: str) -> StoredSet:
    """Until the approval of the plan that was shown was taken off, and another one waits."""

    def is_refused(stored_set: StoredSet) -> bool:
        return (
            not is_asked_for(stored_set)
            and stored_set.reason == "ApprovalRequired"
            and pending_digest(stored_set) != shown
        )

    return scene.namespace.wait_for_set("refused the approval", is_refused)


def test_a_plan_is_carried_out_once_it_is_approved(scene: Scene) -> None:
    scene.create_set({"a": "v1", "b": "v1"}, approval="Manual")
    stored = scene.namespace.wait_for_reason("ApprovalRequired")
    digest = pending_digest(stored)
    assert (stored.ready, stored.condition("Stalled"), stored.condition("Reconciling")) == ("False", {}, {})
    assert f"aliasctl.dev/approve={digest}" in stored.message
    scene.wait_for_looks()
    assert scene.live == {}
    scene.namespace.annotate_set(approve=digest)
    stored = scene.namespace.wait_until_ready()
    assert scene.live == {"a": "v1", "b": "v1"}
    assert not is_asked_for(stored)
    assert "pendingPlan" not in stored.status
    [run] = stored.status["history"]
    assert run["digest"] == stored.status["lastAppliedDigest"] == digest
    assert run["approvedBy"].endswith("(unverified)")


def test_the_command_approves_with_the_rights_of_its_user(
    scene: Scene, control_plane: ControlPlane, tmp_path: Path
) -> None:
    scene.create_set({"a": "v1"}, approval="Manual")
    digest = pending_digest(scene.namespace.wait_for_reason("ApprovalRequired"))
    nobody, admin = (control_plane.kubeconfig(user, tmp_path / user) for user in ("nobody", ADMIN))
    there = ("-n", scene.namespace.name, "--kubeconfig")
    for arguments in (["get"], ["approve", "shop", "--yes"]):
        refused = run(*arguments, *there, str(nobody), cwd=tmp_path)
        assert (refused.code, 'User "nobody" cannot' in refused.stderr) == (1, True), refused.stderr
    assert "ApprovalRequired" in run("get", *there, str(admin), cwd=tmp_path).stdout
    done = run("approve", "shop", "--yes", "-o", "json", *there, str(admin), cwd=tmp_path)
    assert (done.code, done.document["plan"]["digest"]) == (0, digest)
    stored = scene.namespace.wait_until_ready()
    assert scene.live == {"a": "v1"}
    assert stored.status["history"][0]["approvedBy"] == "aliasctl-approve (unverified)"


def test_an_approval_is_good_only_for_the_plan_that_was_shown(scene: Scene) -> None:
    scene.create_set({"a": "v1"}, approval="Manual")
    shown = pending_digest(scene.namespace.wait_for_reason("ApprovalRequired"))
    scene.shop.point(a="v3")
    scene.namespace.annotate_set(approve=shown)
    stored = wait_until_refused(scene, shown)
    note = scene.wait_for_event("ApprovalStale")
    assert shown in note
    assert pending_digest(stored) in note
    assert scene.live == {"a": "v3"}


def test_an_edit_takes_its_approval_from_nobody(scene: Scene) -> None:
    scene.create_set({"a": "v1"}, approval="Manual")
    shown = pending_digest(scene.namespace.wait_for_reason("ApprovalRequired"))
    change = {
        "metadata": {"annotations": {APPROVE: shown}},
        "spec": {"aliases": [{"name": "a", "collection": "v2"}]},
    }
    scene.namespace.patch("AliasSet", "shop", change)
    wait_until_refused(scene, shown)
    assert scene.live == {}


def test_an_approval_is_used_up_though_the_same_plan_comes_back(scene: Scene) -> None:
    scene.create_set({"a": "v1"}, approval="Manual")
    digest = pending_digest(scene.namespace.wait_for_reason("ApprovalRequired"))
    scene.namespace.annotate_set(approve=digest)
    scene.namespace.wait_until_ready()
    scene.drop("a")
    stored = scene.namespace.wait_for_reason("ApprovalRequired")
    assert pending_digest(stored) == digest
    scene.wait_for_looks(3)
    assert scene.live == {}
    scene.namespace.annotate_set(approve=digest)
    stored = scene.namespace.wait_until_ready()
    assert scene.live == {"a": "v1"}
    assert [run["digest"] for run in stored.status["history"]] == [digest, digest]


def test_what_is_in_place_needs_no_approval(scene: Scene) -> None:
    scene.shop.point(a="v1")
    scene.create_set({"a": "v1"}, approval="Manual")
    stored = scene.namespace.wait_until_ready()
    assert "history" not in stored.status


def test_drift_is_reported_and_corrected_when_that_is_approved(scene: Scene) -> None:
    scene.create_set({"a": "v1", "b": "v1"}, drift="Report")
    scene.namespace.wait_until_ready()  # the first time it is no drift
    scene.shop.move(a="v2")
    stored = scene.namespace.wait_for_reason("DriftDetected")
    assert stored.ready == "False"
    assert stored.status["counts"] == {"aliases": 2, "inSync": 1, "blocked": 0, "drift": 1}
    assert stored.status["aliases"] == [{"name": "a", "collection": "v1", "current": "v2", "state": "Drifted"}]
    scene.wait_for_looks()
    assert scene.live == {"a": "v2", "b": "v1"}
    assert len(scene.events("DriftDetected")) == 1
    scene.namespace.annotate_set(approve=pending_digest(stored))
    stored = scene.namespace.wait_until_ready()
    assert scene.live == {"a": "v1", "b": "v1"}
    assert stored.status["counts"] == {"aliases": 2, "inSync": 2, "blocked": 0, "drift": 0}


def test_reported_drift_that_is_put_right_elsewhere_is_over(scene: Scene) -> None:
    scene.create_set({"a": "v1"}, drift="Report")
    scene.namespace.wait_until_ready()
    scene.shop.move(a="v2")
    scene.namespace.wait_for_reason("DriftDetected")
    scene.shop.move(a="v1")
    stored = scene.namespace.wait_until_ready()
    assert "pendingPlan" not in stored.status
    assert "aliases" not in stored.status


def test_an_edit_is_no_drift(scene: Scene) -> None:
    scene.create_set({"a": "v1"}, drift="Report")
    scene.namespace.wait_until_ready()
    scene.namespace.edit_set({"a": "v2"})
    scene.namespace.wait_until_ready()
    assert scene.live == {"a": "v2"}


def reject_new(scene: Scene) -> StoredSet:
    """Move `a` from v1 to `new`, which fails its soak."""
    scene.create_collection("new", loaded=True)
    scene.shop.point(a="v1")
    scene.create_set(
        {"a": "new", "b": {"collection": "v1", "wave": 1}},
        gates={"loaded": {}},
        verify={"soak": "3s"},
        onFailure="Revert",
    )
    scene.load("v1")
    scene.wait_for_live(a="new")
    scene.release("new")
    return scene.namespace.wait_for_reason("Rejected")


def test_a_move_that_was_taken_back_is_not_tried_again(scene: Scene) -> None:
    stored = reject_new(scene)
    assert scene.live == {"a": "v1"}
    assert stored.condition("Stalled")["status"] == "True"
    [rejected] = stored.status["rejected"]
    assert (rejected["alias"], rejected["collection"]) == ("a", "new")
    assert "during the soak" in rejected["reason"]
    assert "during the soak" in scene.wait_for_event("AliasReverted")
    scene.load("new")
    scene.wait_for_looks(3)
    stored = scene.namespace.wait_for_reason("Rejected")
    assert scene.live == {"a": "v1"}
    assert len(stored.status["history"]) == 1


def test_an_approval_tries_again_what_was_taken_back(scene: Scene) -> None:
    reject_new(scene)
    scene.load("new")
    stored = scene.namespace.wait_for_set("with a plan to approve", lambda item: "pendingPlan" in item.status)
    scene.namespace.annotate_set(approve=pending_digest(stored))
    stored = scene.namespace.wait_until_ready()
    assert scene.live == {"a": "new", "b": "v1"}
    assert "rejected" not in stored.status
    assert [run["result"] for run in stored.status["history"]] == ["Succeeded", "Rejected"]


def test_another_wish_is_no_repetition_of_what_was_taken_back(scene: Scene) -> None:
    reject_new(scene)
    scene.load("v2")
    scene.namespace.edit_set({"a": "v2"}, verify=None)
    stored = scene.namespace.wait_until_ready()
    assert scene.live == {"a": "v2"}
    assert "rejected" not in stored.status
