"""Many sets of a Milvus that does not answer: one asks, the others take its word, and all go on when it is back."""

from __future__ import annotations

import pytest

from reconciler.operator import outages, reconciler
from tests.emulated_kubernetes.harness import Kube, Operator, wait_until
from tests.emulated_kubernetes.milvus import Milvus

SETS = 6


@pytest.fixture
def sets(operator: Operator, kube: Kube) -> list[str]:
    """The names of sets that are all ready."""
    names = [f"set-{number}" for number in range(SETS)]
    for name in names:
        kube.create({name.replace("-", "_"): "v1"}, name=name, interval="500ms")
    for name in names:
        kube.wait("Succeeded", name)
    return names


def looks(operator: Operator) -> float:
    return sum(operator.metric("aliasctl_reconcile_total", result=result) or 0 for result in ("success", "error"))


def test_a_server_that_is_down_is_asked_by_one_set_and_not_by_all(
    operator: Operator, kube: Kube, milvus: Milvus, sets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler, "LONGEST_RETRY_SECONDS", 0.5)
    monkeypatch.setattr(outages, "LASTS_SECONDS", 60.0)
    milvus.down = True
    for name in sets:
        kube.wait("ConnectionFailed", name)
    before, asked = looks(operator), milvus.refused
    wait_until("tried again and again", lambda: looks(operator) > before + 5 * SETS)
    refused = milvus.refused - asked
    assert 0 < refused < (looks(operator) - before) / 2  # one of six asks; otherwise each would in each look
    assert {kube.condition(name=name)["message"] for name in sets} == {"connection refused"}


def test_a_set_that_was_edited_asks_for_itself(
    operator: Operator, kube: Kube, milvus: Milvus, sets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler, "FIRST_RETRY_SECONDS", 1000.0)
    monkeypatch.setattr(reconciler, "LONGEST_RETRY_SECONDS", 1000.0)
    for name in sets:
        kube.edit(name=name, interval="1h")
    milvus.down = True
    kube.annotate(sets[0], requestedAt="now")
    kube.wait("ConnectionFailed", sets[0])
    milvus.down = False
    kube.edit({"a": "v2"}, sets[1])
    wait_until("made", lambda: milvus.aliases.get("a") == "v2")


def test_when_it_answers_again_all_sets_look_at_once(
    operator: Operator, kube: Kube, milvus: Milvus, sets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler, "FIRST_RETRY_SECONDS", 1000.0)
    monkeypatch.setattr(reconciler, "LONGEST_RETRY_SECONDS", 1000.0)
    milvus.down = True
    for name in sets:
        kube.edit(name=name, interval="1h")
        kube.wait("ConnectionFailed", name)
    milvus.down = False
    kube.annotate(sets[0], requestedAt="now")
    for name in sets:
        kube.wait("Succeeded", name)
