"""A wave that was moved and not watched to its end is watched again before the next one, whatever ended the run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import kmock
import pytest

from reconciler.core.errors import UnexpectedAnswer
from reconciler.core.model import Alias, AliasSet, Target
from reconciler.core.plan import PendingVerification, Step
from reconciler.manifest.specs.status import MAX_PENDING_VERIFICATION
from reconciler.operator.pending_verification import read, written
from tests.builders import alias_set
from tests.emulated_kubernetes.emulator import ApiServer, Object
from tests.emulated_kubernetes.harness import Kube, Operator, wait_until
from tests.emulated_kubernetes.milvus import Milvus

BEFORE = {"canary": "v1", "prod": "v1"}
HALF = {"canary": "v2", "prod": "v1"}
DONE = {"canary": "v2", "prod": "v2"}
LOADED = {"loaded": {"enabled": True}}


def spec_hash(collection: str) -> Object:
    return {"canary": collection, "prod": {"collection": collection, "wave": 1}}


def pending_verification(kube: Kube) -> list[str]:
    return [alias for group in kube.status().get("pendingVerification") or [] for alias in group["aliases"]]


def cut_over(kube: Kube, milvus: Milvus, soak: str = "10m", **spec: Any) -> None:
    """Until the canary is at v2 and watched there."""
    kube.create(spec_hash("v1"), gates=LOADED, **spec)
    kube.wait("Succeeded")
    kube.edit(spec_hash("v2"), verify={"soak": soak})
    wait_until("moved", lambda: milvus.aliases == HALF)


def test_a_restart_in_a_soak_watches_again_before_the_next_wave(
    start: Callable[[], Operator], kube: Kube, milvus: Milvus
) -> None:
    kube.connection()
    first = start()
    cut_over(kube, milvus)
    first.stop()
    assert pending_verification(kube) == ["canary"]
    assert kube.condition()["reason"] == "ProgressingWithRetry"
    kube.edit(verify={"soak": "1s"})
    began = time.monotonic()
    start()
    status = kube.wait("Succeeded")
    assert time.monotonic() - began > 2  # a second for each wave
    assert milvus.aliases == DONE
    assert "pendingVerification" not in status


def test_what_a_soak_would_have_seen_is_seen_after_a_restart(
    start: Callable[[], Operator], kube: Kube, milvus: Milvus
) -> None:
    kube.connection()
    first = start()
    cut_over(kube, milvus)
    first.stop()
    milvus.server.release("v2")
    kube.edit(verify={"soak": "10ms"})
    start()
    status = kube.wait("VerificationFailed")
    assert milvus.aliases == HALF
    assert pending_verification(kube) == ["canary"]
    [canary, prod] = status["aliases"]
    assert (canary["name"], canary["state"], canary["current"]) == ("canary", "Failed", "v2")
    assert (prod["name"], prod["state"], prod["current"]) == ("prod", "Blocked", "v1")


def test_the_only_wave_is_watched_again_too(start: Callable[[], Operator], kube: Kube, milvus: Milvus) -> None:
    kube.connection()
    first = start()
    kube.create({"a": "v1"}, verify={"soak": "10m"}, gates=LOADED)
    wait_until("moved", lambda: milvus.aliases == {"a": "v1"})
    first.stop()
    milvus.server.release("v1")
    kube.edit(verify={"soak": "10ms"})
    start()
    kube.wait("VerificationFailed")


def no_status(request: kmock.Request) -> None:
    if request.subresource == "status":
        raise kmock.KubernetesError(500, "InternalError", "etcd leader changed")


def test_a_process_that_could_tell_nothing_leaves_it_written(
    start: Callable[[], Operator], kube: Kube, milvus: Milvus, api: ApiServer
) -> None:
    """As after a kill -9: nothing is written after the beginning of the run."""
    kube.connection()
    first = start()
    cut_over(kube, milvus)
    api.emulator.refuse = no_status
    first.stop()
    api.emulator.refuse = lambda request: None
    assert kube.condition()["reason"] == "Progressing"
    assert "canary" in pending_verification(kube)
    milvus.server.release("v2")
    kube.edit(verify={"soak": "10ms"})
    start()
    kube.wait("VerificationFailed")
    assert milvus.aliases == HALF


def test_it_is_written_before_a_further_try_too(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    """The condition stays as it is between tries, so that it does not flap."""
    failed: list[str] = []

    def fail(action: str, alias: str) -> None:
        if not failed:
            failed.append(alias)
            raise UnexpectedAnswer("not now")

    milvus.before = fail
    kube.create({"a": "v1"}, verify={"soak": "10m"})
    wait_until("moved", lambda: milvus.aliases == {"a": "v1"})
    assert kube.condition()["reason"] == "ProgressingWithRetry"
    assert pending_verification(kube) == ["a"]


def test_nothing_is_moved_before_it_is_written(operator: Operator, kube: Kube, milvus: Milvus, api: ApiServer) -> None:
    refused: list[Object] = []

    def refuse(request: kmock.Request) -> None:
        if request.subresource == "status" and request.data["status"].get("pendingVerification"):
            refused.append(request.data)
            raise kmock.KubernetesError(500, "InternalError", "etcd leader changed")

    api.emulator.refuse = refuse
    kube.create({"a": "v1"}, verify={"soak": "10ms"})
    wait_until("refused", lambda: len(refused) > 2)
    assert milvus.journal == []
    api.emulator.refuse = lambda request: None
    kube.wait("Succeeded")


def test_without_verification_nothing_is_written(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    seen: list[object] = []
    milvus.before = lambda action, alias: seen.append(kube.status().get("pendingVerification"))
    kube.create({"a": "v1"})
    kube.wait("Succeeded")
    assert seen == [None]


@pytest.fixture
def failed(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    """The canary's soak has failed; production is where it was."""
    milvus.before = lambda action, alias: milvus.server.release("v2") if action == "alter" else None
    cut_over(kube, milvus, soak="300ms", interval="200ms")
    kube.wait("VerificationFailed")
    milvus.before = lambda action, alias: None


def looked_again(milvus: Milvus) -> None:
    reads = milvus.reads
    wait_until("looked again", lambda: milvus.reads > reads + 2)


@pytest.mark.usefixtures("failed")
def test_a_wave_that_failed_holds_the_next_one_and_is_not_watched_over_and_over(kube: Kube, milvus: Milvus) -> None:
    looked_again(milvus)
    before = kube.stored()
    looked_again(milvus)
    assert kube.stored() == before
    assert pending_verification(kube) == ["canary"]
    assert kube.condition()["reason"] == "VerificationFailed"
    assert milvus.aliases == HALF


@pytest.mark.usefixtures("failed")
def test_who_asks_has_it_watched_again(kube: Kube, milvus: Milvus) -> None:
    kube.annotate(requestedAt="first")
    kube.wait_for_event("VerificationFailed")
    wait_until("noted", lambda: kube.status().get("lastHandledReconcileAt") == "first")
    kube.wait("VerificationFailed")
    looked_again(milvus)
    assert milvus.aliases == HALF
    milvus.server.load("v2")
    looked_again(milvus)
    assert kube.condition()["reason"] == "VerificationFailed"
    kube.annotate(requestedAt="second")
    assert "pendingVerification" not in kube.wait("Succeeded")
    assert milvus.aliases == DONE


@pytest.mark.usefixtures("failed")
def test_what_goes_before_it_is_done_meanwhile(kube: Kube, milvus: Milvus) -> None:
    """Another alias of its wave was moved by somebody: that is corrected, and what failed is watched again."""
    milvus.server.load("v2")
    kube.edit({"other": "v1", **spec_hash("v2")})
    kube.wait("Succeeded")
    assert milvus.aliases == {"other": "v1", **DONE}


@pytest.mark.usefixtures("failed")
def test_without_verification_it_goes_on(kube: Kube, milvus: Milvus) -> None:
    kube.edit(verify=None, gates=None)
    milvus.server.load("v2")
    assert "pendingVerification" not in kube.wait("Succeeded")
    assert milvus.aliases == DONE


def test_drift_that_is_only_reported_hides_no_verification(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1", "b": "v1"}, gates=LOADED, interval="200ms")
    kube.wait("Succeeded")
    milvus.before = lambda action, alias: milvus.server.release("v2")
    kube.edit({"a": "v2", "b": "v2"}, verify={"soak": "300ms"})
    kube.wait("VerificationFailed")
    assert pending_verification(kube) == ["a", "b"]
    milvus.before = lambda action, alias: None
    milvus.server.load("v2")
    milvus.point("b", "v3")
    kube.edit(drift="Report")
    status = kube.wait("DriftDetected")
    assert pending_verification(kube) == ["b"]
    assert [(row["name"], row["state"]) for row in status["aliases"]] == [("b", "Drifted")]
    assert (status["counts"]["inSync"], status["counts"]["drift"]) == (1, 1)
    assert kube.digest() in status["conditions"][0]["message"]
    assert milvus.aliases == {"a": "v2", "b": "v3"}
    kube.annotate(approve=kube.digest())
    assert "pendingVerification" not in kube.wait("Succeeded")
    assert milvus.aliases == {"a": "v2", "b": "v2"}


def test_an_approval_is_not_asked_for_to_watch_again(start: Callable[[], Operator], kube: Kube, milvus: Milvus) -> None:
    kube.connection()
    first = start()
    kube.create({"a": "v1"}, approval="Manual", verify={"soak": "1s"})
    kube.wait("ApprovalRequired")
    kube.annotate(approve=kube.digest())
    wait_until("moved", lambda: milvus.aliases == {"a": "v1"})
    first.stop()
    start()
    assert "pendingVerification" not in kube.wait("Succeeded")


def test_read_only_only_tells(start: Callable[..., Operator], kube: Kube, milvus: Milvus) -> None:
    kube.connection()
    first = start()
    kube.create({"a": "v1"}, verify={"soak": "10m"})
    wait_until("moved", lambda: milvus.aliases == {"a": "v1"})
    first.stop()
    start(read_only=True)
    status = kube.wait("ReadOnly")
    assert status["conditions"][0]["message"] == "read-only: 1 alias would be verified again"
    assert pending_verification(kube) == ["a"]


def a_move(
    alias: str, current: str | None = "v6", desired: str = "v7", reason: str = "cut short"
) -> PendingVerification:
    step = Step("team/shop", alias, current, desired, current_id=6 if current else None, desired_id=7)
    return PendingVerification(step, "20260101-000000-abcdef", reason)


TARGET = Target("milvus:19530", "default")


def through_the_status(desired: AliasSet, moves: list[PendingVerification]) -> dict[str, PendingVerification]:
    groups = written({move.step.alias: move for move in moves})
    assert len(json.dumps(groups)) <= MAX_PENDING_VERIFICATION
    return {name: item for (_, name, _), item in read({"pendingVerification": groups}, desired, TARGET).items()}


def test_what_is_written_is_read_back() -> None:
    moves = [a_move("a"), a_move("b"), a_move("c", current=None), a_move("d", reason="segment is broken")]
    desired = alias_set(dict.fromkeys("abcd", "v7"))
    found = through_the_status(desired, moves)
    assert set(found) == set("abcd")
    for move in moves:
        back = found[move.step.alias]
        assert (back.run, back.reason) == (move.run, move.reason)
        assert (back.step.current, back.step.desired) == (move.step.current, move.step.desired)
        assert (back.step.current_id, back.step.desired_id) == (move.step.current_id, move.step.desired_id)


def test_nothing_is_written_of_nothing() -> None:
    assert written({}) is None


def test_of_more_than_fits_everything_that_may_be_meant_counts() -> None:
    """An alias that is named for nothing is watched for nothing; one that is left out would be forgotten."""
    names = [f"{number:0255d}" for number in range(1000)]
    desired = alias_set({**dict.fromkeys(names, "v7"), "elsewhere": "v8"})
    found = through_the_status(desired, [a_move(name) for name in names])
    assert set(found) == set(names)
    assert {item.step.current for item in found.values()} == {"v6"}


def test_of_much_more_than_fits_every_alias_counts() -> None:
    names = [f"{number:0200d}" for number in range(1000)]
    desired = alias_set({}, *(Alias(name, f"to_{name}") for name in names))
    moves = [a_move(name, f"from_{name}", f"to_{name}") for name in names]
    found = through_the_status(desired, moves)
    assert set(found) == set(names)
    assert {name: item.step.desired for name, item in found.items()} == {name: f"to_{name}" for name in names}
