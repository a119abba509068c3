"""A move whose verification failed is no success, however often it is looked at, until it passes when asked for."""

from __future__ import annotations

import time

import pytest

from tests.emulated_kubernetes.harness import Kube, Operator, wait_until
from tests.emulated_kubernetes.milvus import Milvus


@pytest.fixture
def pending_verification(operator: Operator, kube: Kube, milvus: Milvus) -> str:
    """An alias whose new collection was released while it was watched; what the set says of it."""
    kube.create({"a": "v1"}, interval="200ms")
    kube.wait("Succeeded")
    milvus.before = lambda action, alias: milvus.server.release("v2")
    kube.edit({"a": "v2"}, verify={"soak": "300ms"}, gates={"loaded": {"enabled": True}})
    return str(kube.wait("VerificationFailed")["conditions"][0]["message"])


def looked_again(milvus: Milvus) -> None:
    reads = milvus.reads
    wait_until("looked again", lambda: milvus.reads > reads + 2)


def test_it_stays_when_it_is_looked_at_again(kube: Kube, milvus: Milvus, pending_verification: str) -> None:
    looked_again(milvus)
    assert kube.condition()["reason"] == "VerificationFailed"
    assert kube.condition()["message"] == pending_verification
    assert milvus.aliases == {"a": "v2"}


def test_it_stays_when_the_server_was_away(kube: Kube, milvus: Milvus, pending_verification: str) -> None:
    milvus.down = True
    kube.wait("ConnectionFailed")
    milvus.down = False
    wait_until("looked again", lambda: kube.condition()["reason"] != "ConnectionFailed")
    looked_again(milvus)
    assert kube.condition()["reason"] == "VerificationFailed"
    assert kube.condition()["message"] == pending_verification


@pytest.mark.usefixtures("pending_verification")
def test_who_moves_it_back_by_hand_is_let_do_so_where_drift_is_only_reported(kube: Kube, milvus: Milvus) -> None:
    kube.edit(drift="Report")
    milvus.point("a", "v1")
    kube.wait("DriftDetected")
    looked_again(milvus)
    assert milvus.aliases == {"a": "v1"}


@pytest.mark.usefixtures("pending_verification")
def test_it_goes_when_somebody_mended_it_and_asks(kube: Kube, milvus: Milvus) -> None:
    milvus.server.load("v2")
    kube.annotate(requestedAt="now")
    kube.wait("Succeeded")
    milvus.down = True
    kube.wait("ConnectionFailed")
    milvus.down = False
    kube.wait("Succeeded")
    assert kube.status()["history"][0]["result"] == "VerificationFailed"


@pytest.mark.usefixtures("pending_verification")
def test_it_goes_when_somebody_asked_while_the_server_was_away(kube: Kube, milvus: Milvus) -> None:
    milvus.server.load("v2")
    milvus.down = True
    kube.annotate(requestedAt="now")
    wait_until("noted", lambda: kube.status().get("lastHandledReconcileAt") == "now")
    milvus.down = False
    kube.wait("Succeeded")


@pytest.mark.usefixtures("pending_verification")
def test_it_goes_when_the_spec_changes_be_it_while_the_server_is_away(kube: Kube, milvus: Milvus) -> None:
    milvus.server.load("v2")
    milvus.down = True
    kube.edit(interval="300ms")
    kube.wait("ConnectionFailed")
    milvus.down = False
    kube.wait("Succeeded")


@pytest.mark.usefixtures("pending_verification")
def test_a_look_that_was_asked_for_before_the_run_is_no_answer_to_it(kube: Kube, milvus: Milvus) -> None:
    milvus.server.load("v2")
    kube.annotate(requestedAt="first")
    kube.wait("Succeeded")
    milvus.before = lambda action, alias: milvus.server.release("v3")
    kube.edit({"a": "v3"})
    kube.wait("VerificationFailed")
    looked_again(milvus)
    time.sleep(0.1)
    assert kube.condition()["reason"] == "VerificationFailed"


def test_after_drift_was_corrected_too(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    kube.create({"a": "v1"}, interval="200ms", verify={"soak": "300ms"}, gates={"loaded": {"enabled": True}})
    kube.wait("Succeeded")
    milvus.before = lambda action, alias: milvus.server.release("v1")
    milvus.point("a", "v2")
    kube.wait("VerificationFailed")
    milvus.down = True
    kube.wait("ConnectionFailed")
    milvus.down = False
    kube.wait("VerificationFailed")
