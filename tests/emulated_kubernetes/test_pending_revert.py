"""A decision to revert outlives the process that made it: it is in the status before the first alias is moved back."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Any

import kmock
import pytest

from reconciler.core.errors import ConnectionFailed, PermissionDenied
from tests.emulated_kubernetes.emulator import ApiServer, Object
from tests.emulated_kubernetes.harness import TIMEOUT, Kube, Operator, wait_until
from tests.emulated_kubernetes.milvus import Milvus

BEFORE = {"a": "v1", "b": "v1", "c": "v1", "later": "v1"}


def spec(collection: str) -> Object:
    return {**dict.fromkeys("abc", collection), "later": {"collection": collection, "wave": 1}}


AFTER = spec("v2")


@pytest.fixture
def cut_over(kube: Kube, milvus: Milvus, api: ApiServer) -> Callable[..., None]:
    """Move a set to v2, whose last wave fails, so that the first one is moved back."""

    def begin(*, lost_after: int, refuse: Callable[[Object], bool], to: Object = AFTER, **more: Any) -> None:
        """Begin it, and wait until the API server refused a status.

        Args:
            lost_after: how many aliases are moved back before Milvus is gone.
            refuse: the statuses that the API server does not store.
            to: the aliases that are desired.
            more: of the spec.
        """
        kube.create(spec("v1"), onFailure="Revert", **more)
        kube.wait("Succeeded")
        back: list[str] = []
        made: set[str] = set()
        refused = Event()

        def before(action: str, alias: str) -> None:
            if alias == "later":
                raise PermissionDenied("no")
            if alias in made:
                back.append(alias)
                milvus.down = len(back) > lost_after
                if milvus.down:
                    raise ConnectionFailed("connection refused")
            made.add(alias)

        def refuse_some(request: kmock.Request) -> None:
            if request.subresource == "status" and refuse(request.data["status"]):
                refused.set()
                raise kmock.KubernetesError(500, "InternalError", "etcd leader changed")

        milvus.before, api.emulator.refuse = before, refuse_some
        kube.edit(to)
        assert refused.wait(TIMEOUT)

    return begin


@pytest.fixture
def crash(start: Callable[[], Operator], kube: Kube, cut_over: Callable[..., None]) -> Callable[..., None]:
    """Begin a cut-over whose end is not stored, and end the operator in its revert; for arguments see `cut_over`."""

    def in_the_revert(**cut: Any) -> None:
        kube.connection()
        first = start()
        cut_over(refuse=tells_the_end, **cut)
        first.stop()

    return in_the_revert


@pytest.fixture
def recover(milvus: Milvus, api: ApiServer) -> Callable[[], None]:
    """Milvus and the API server are well again."""

    def everything() -> None:
        milvus.down, milvus.before = False, lambda action, alias: None
        api.emulator.refuse = lambda request: None
        milvus.journal.clear()

    return everything


def tells_the_end(status: Object) -> bool:
    return "history" in status


def test_a_rejection_survives_a_crash_between_the_move_back_and_the_status(
    start: Callable[[], Operator],
    kube: Kube,
    milvus: Milvus,
    crash: Callable[..., None],
    recover: Callable[[], None],
) -> None:
    crash(lost_after=9)
    assert milvus.aliases == BEFORE
    recover()
    start()
    status = kube.wait("Rejected")
    assert milvus.journal == [], "the move that had to be reverted was made again"
    assert {row["alias"] for row in status["rejected"]} == set("abc")
    wait_until("done with it", lambda: "pendingRevert" not in kube.status())


@pytest.mark.parametrize("verify", [{}, {"soak": "100ms"}], ids=["not verified", "verified"])
@pytest.mark.parametrize("approval", ["Auto", "Manual"])
def test_a_revert_that_was_cut_short_is_completed_after_a_restart(
    start: Callable[[], Operator],
    kube: Kube,
    milvus: Milvus,
    crash: Callable[..., None],
    recover: Callable[[], None],
    verify: Object,
    approval: str,
) -> None:
    crash(lost_after=1, verify=verify)
    assert sorted(milvus.aliases.values()) == ["v1", "v1", "v2", "v2"]
    assert kube.status()["pendingRevert"]["run"]
    recover()
    kube.api.patch("AliasSet", "shop", {"spec": {"approval": approval}})
    start()
    wait_until("moved back", lambda: milvus.aliases == BEFORE, kube.status)
    kube.wait("Rejected")
    assert {action for action, _ in milvus.journal} == {"alter"}
    assert len(milvus.journal) == 2
    wait_until("done with it", lambda: "pendingRevert" not in kube.status())


def test_what_was_created_and_dropped_is_moved_back_too(
    start: Callable[[], Operator],
    kube: Kube,
    milvus: Milvus,
    crash: Callable[..., None],
    recover: Callable[[], None],
) -> None:
    to = {"a": "v2", "b": "v1", "c": None, "new": "v2", "later": {"collection": "v2", "wave": 1}}
    crash(lost_after=0, to=to)
    assert milvus.aliases == {"a": "v2", "b": "v1", "new": "v2", "later": "v1"}
    recover()
    start()
    wait_until("moved back", lambda: milvus.aliases == BEFORE, kube.status)
    kube.wait("Rejected")


def test_without_a_status_nothing_is_moved_back_until_there_is_one(
    operator: Operator, kube: Kube, milvus: Milvus, cut_over: Callable[..., None], recover: Callable[[], None]
) -> None:
    """The process is well, so it knows the decision, and carries it out once the API server is back."""
    cut_over(lost_after=9, refuse=lambda status: "pendingRevert" in status or tells_the_end(status))
    assert milvus.aliases == {"a": "v2", "b": "v2", "c": "v2", "later": "v1"}
    recover()
    wait_until("moved back", lambda: milvus.aliases == BEFORE, kube.status)
    kube.wait("Rejected")


def test_the_status_says_what_is_not_moved_back(
    operator: Operator, kube: Kube, milvus: Milvus, cut_over: Callable[..., None], recover: Callable[[], None]
) -> None:
    cut_over(lost_after=9, refuse=lambda status: "pendingRevert" in status)
    milvus.server.release("v1")
    recover()
    wait_until("looked again", lambda: kube.status().get("pendingRevert"), kube.status)
    rows = {row["name"]: row for row in kube.status()["aliases"]}
    assert {name: (rows[name]["state"], rows[name]["current"]) for name in "abc"} == dict.fromkeys(
        "abc", ("Failed", "v2")
    )
    milvus.server.load("v1")
    wait_until("moved back", lambda: milvus.aliases == BEFORE, kube.status)


def test_another_spec_is_made_instead(
    start: Callable[[], Operator],
    kube: Kube,
    milvus: Milvus,
    crash: Callable[..., None],
    recover: Callable[[], None],
) -> None:
    crash(lost_after=1)
    recover()
    kube.edit(spec("v3"))
    start()
    status = kube.wait("Succeeded")
    assert set(milvus.aliases.values()) == {"v3"}
    assert "pendingRevert" not in status
