"""What an exercise leaves behind: nothing, or else names that it reports and the next run removes."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from threading import Event
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.catalog import open_sandbox
from reconciler.core.errors import InvalidInput
from reconciler.core.model import Credential
from reconciler.exercise import cleanup, moves, run
from reconciler.exercise.names import OLD
from reconciler.exercise.records import ExerciseReport, Verdict
from reconciler.exercise.run import run_exercises
from reconciler.render.exercise import exercise_lines
from tests.emulated_milvus.behaviour import VERSIONS
from tests.emulated_milvus.calls import HANDLERS, Denied
from tests.emulated_milvus.cluster import Cluster, Code, Grant, Refused
from tests.emulated_milvus.proxy import Proxy
from tests.faults.wire import Wire
from tests.servers import connection_to

import grpc  # isort: skip

FIRST_LOST = 20
"""The number of the alias call with which the connection is lost."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moves, "SETTLING_SECONDS", 0.05)
    monkeypatch.setattr(moves, "ALIASES", moves.ALIASES[:20])
    monkeypatch.setattr(moves, "ROUNDS", 2)
    monkeypatch.setattr(cleanup, "CLEANUP_SECONDS", 3.0)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy(Cluster(VERSIONS["2.3.5"])) as proxy:
        yield proxy


@pytest.fixture
def wire(proxy: Proxy) -> Iterator[Wire]:
    wire = Wire(int(proxy.uri.rpartition(":")[2]))
    yield wire
    wire.cut(refuse=True)


def exercised(uri: str, timeout: float = 10.0) -> ExerciseReport:
    connection = connection_to(uri, timeout=timeout)
    with closing(open_sandbox(connection, "default")) as sandbox:
        return run_exercises(sandbox, connection, Event())


def at_call(monkeypatch: pytest.MonkeyPatch, method: str, number: int, then: Callable[[], object]) -> None:
    """Do something when a call arrives for the nth time, and each time after that."""
    original, seen = HANDLERS[method], []

    def handler(call: Any, request: Any) -> Any:
        seen.append(request)
        if len(seen) >= number:
            then()
        return original(call, request)

    monkeypatch.setitem(HANDLERS, method, handler)


def live(proxy: Proxy) -> set[str]:
    """The names that the emulated server has, those of dangling aliases too."""
    database = proxy.cluster.database("default")
    return {*database.collections, *database.aliases}


def test_a_connection_that_comes_back_is_used_to_clean_up(
    proxy: Proxy, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, lost = wire.to, Event()

    def lose() -> None:
        if not lost.is_set():
            lost.set()
            wire.to = 1
            wire.cut()
            threading.Timer(1.5, lambda: setattr(wire, "to", port)).start()

    at_call(monkeypatch, "AlterAlias", FIRST_LOST, lose)
    report = exercised(wire.uri)
    assert (report.exit_code, report.left, live(proxy)) == (1, (), set())
    assert report.ended_early.startswith("cannot reach 127.0.0.1")


def test_a_connection_that_stays_away_leaves_names_that_the_next_run_removes(
    proxy: Proxy, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose() -> None:
        wire.to = 1
        wire.cut()

    with monkeypatch.context() as patch:
        at_call(patch, "AlterAlias", FIRST_LOST, lose)
        report = exercised(wire.uri)
    assert report.exit_code == 5
    assert {name.split()[1] for name in report.left} == live(proxy)
    assert {"collection aliasctl_check_old", "collection aliasctl_check_new"} < set(report.left)
    lines = [line.plain for line in exercise_lines(report)]
    left = f"Not removed: {', '.join(report.left)}; the next run of this command removes it."
    assert left in lines

    monkeypatch.setattr(cleanup, "RUNNING_SECONDS", 0.0)
    again = exercised(proxy.uri)
    assert (again.exit_code, set(again.removed), live(proxy)) == (0, set(report.left), set())


@pytest.mark.parametrize("method", ["CreateCollection", "CreateAlias", "AlterAlias", "DropAlias", "DropCollection"])
def test_a_call_that_is_never_answered_ends_it_early(
    proxy: Proxy, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have taken effect: what it made is removed, too."""
    hung, answer = Event(), Event()

    def hang() -> None:
        if not hung.is_set():
            hung.set()
            answer.wait(60)

    at_call(monkeypatch, method, 3, hang)
    report = exercised(proxy.uri, timeout=2.0)
    answer.set()
    assert (report.exit_code, report.left, live(proxy)) == (1, (), set())
    assert report.ended_early == f"no answer from {proxy.uri.removeprefix('http://')} within 2 s"


def test_a_dangling_alias_that_was_left_is_removed(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """No list shows it, and no exercise comes across it."""
    monkeypatch.setattr(run, "EXERCISES", ())
    proxy.cluster.database("default").aliases["aliasctl_check_dangling"] = 1
    assert exercised(proxy.uri).exit_code == 0
    assert live(proxy) == set()


def test_a_missing_privilege_is_named(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    denied = Denied(grpc.StatusCode.PERMISSION_DENIED, "PrivilegeCreateCollection: permission deny to bob")
    at_call(monkeypatch, "CreateCollection", 1, lambda: _raise(denied))
    report = exercised(proxy.uri)
    assert (report.exit_code, report.findings, live(proxy)) == (1, (), set())
    assert "the privilege CreateCollection is missing" in report.ended_early
    _, reason, last = [line.plain for line in exercise_lines(report)]
    assert reason == f"Ended early: {report.ended_early}"
    assert last.startswith("Exercise: not run. ")


def test_one_exercise_without_its_privilege_is_not_observed(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    denied = Denied(grpc.StatusCode.PERMISSION_DENIED, "PrivilegeRenameCollection: permission deny to bob")
    at_call(monkeypatch, "RenameCollection", 1, lambda: _raise(denied))
    report = exercised(proxy.uri)
    assert (report.exit_code, report.ended_early, live(proxy)) == (0, "", set())
    unseen = {finding.exercise: finding.detail for finding in report.findings if finding.observed is None}
    assert "the privilege RenameCollection is missing" in unseen["rename a collection"]


def test_a_rate_limit_is_waited_out(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = iter(range(3))

    def limit() -> None:
        if next(refusals, None) is not None:
            raise Refused(8, "rate limit exceeded")

    at_call(monkeypatch, "CreateAlias", 5, limit)
    assert exercised(proxy.uri).exit_code == 0


def test_a_fault_of_ours_is_raised_after_cleaning_up(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_find", lambda *_: _raise(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        exercised(proxy.uri)
    assert live(proxy) == set()


def test_what_the_server_refuses_to_drop_is_reported(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise Refused(Code.UNSPECIFIED, "no")

    with monkeypatch.context() as patch:
        at_call(patch, "DropCollection", 1, refuse)
        report = exercised(proxy.uri)
    assert report.exit_code == 5
    assert {name.split()[1] for name in report.left} == live(proxy)
    monkeypatch.setattr(cleanup, "RUNNING_SECONDS", 0.0)
    assert exercised(proxy.uri).left == ()
    assert live(proxy) == set()


def test_what_the_list_does_not_show_is_removed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """ShowCollections leaves out collections without a grant of the caller's, and is no error."""
    with Proxy(Cluster(VERSIONS["2.6.23"])) as proxy:
        cluster, privileges = (
            proxy.cluster,
            ("CreateCollection", "DropCollection", "CreatePartition", "ShowCollections"),
        )
        cluster.authorization = True
        cluster.passwords["ci"], cluster.roles["ci"] = "ci-password", {"exercise"}
        cluster.grants["exercise"] = {Grant("Global", "*", privilege, "*") for privilege in (*privileges, "DropAlias")}
        monkeypatch.setenv("CI_TOKEN", "ci:ci-password")
        connection = replace(connection_to(proxy.uri), token=Credential(env="CI_TOKEN"))
        with closing(open_sandbox(connection, "default")) as sandbox:
            assert sandbox.collections() == {}
            report = run_exercises(sandbox, connection, Event())
            assert "Insert" in report.ended_early
            assert (report.exit_code, report.left, live(proxy)) == (1, (), set())

            sandbox.mark = ""
            sandbox.create_collection(OLD)
            assert cleanup.remove_leftovers(sandbox) == (f"collection {OLD}",)
            assert live(proxy) == set()


def test_a_drop_that_is_accepted_and_not_done_is_reported(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(HANDLERS, "DropCollection", lambda _call, _request: None)
    monkeypatch.setattr(run, "EXERCISES", ())
    report = exercised(proxy.uri)
    assert (report.exit_code, report.left) == (5, ("collection aliasctl_check_new", "collection aliasctl_check_old"))


def test_a_second_run_does_not_touch_one_that_is_under_way(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[InvalidInput] = []

    def start_another() -> None:
        if not refused:
            with pytest.raises(InvalidInput) as second:
                exercised(proxy.uri)
            refused.append(second.value)

    at_call(monkeypatch, "RenameCollection", 1, start_another)
    first = exercised(proxy.uri, timeout=60)
    assert (first.exit_code, first.ended_early, live(proxy)) == (0, "", set())
    message = str(refused[0])
    assert re.match(r"another exercise, started \d+ s ago, has collections in default: use another --database", message)


def test_a_run_that_is_displaced_ends_early_without_contradictions(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one takes it for dead; its collections are left to it."""
    displaced = Event()

    def displace() -> None:
        if displaced.is_set():
            return
        displaced.set()
        with closing(open_sandbox(connection_to(proxy.uri), "default")) as other, monkeypatch.context() as patch:
            patch.setattr(cleanup, "RUNNING_SECONDS", 0.0)
            cleanup.remove_leftovers(other)
            other.mark = "another run"
            other.create_collection(OLD)

    at_call(monkeypatch, "RenameCollection", 1, displace)
    report = exercised(proxy.uri, timeout=60)
    assert (report.exit_code, report.left, live(proxy)) == (1, (), {OLD})
    assert report.counts[Verdict.CONTRADICTION] == 0
    assert "perhaps by another exercise in this database" in report.ended_early
    assert not any("report this" in line.plain for line in exercise_lines(report))


def _raise(error: BaseException) -> None:
    raise error
