"""The status page of the operator: what it says of each set, and that a reader costs no call."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.operator import main
from reconciler.operator.objects import Ref
from reconciler.render.status_page import SetState, status_page
from tests.cli.command import run
from tests.emulated_kubernetes.emulator import ApiServer
from tests.emulated_kubernetes.harness import Kube, Operator, wait_until
from tests.emulated_kubernetes.milvus import Milvus


def shown(operator: Operator, name: str = "team/shop") -> SetState:
    return next(each for each in operator.status_page().sets if each.name == name)


def states(item: SetState) -> dict[str, tuple[str, str, str]]:
    return {state.name: (state.current, state.desired, state.label) for state in item.aliases}


def test_it_shows_each_alias_and_why_one_is_blocked(operator: Operator, kube: Kube, milvus: Milvus) -> None:
    milvus.point("b", "v1")
    kube.create({"a": "v1", "b": "nowhere"})
    kube.wait("DependencyNotReady")
    wait_until("shown", lambda: shown(operator).label == "DependencyNotReady")
    item = shown(operator)
    assert (item.place, item.mood) == ("main / default", "bad")
    assert states(item) == {"a": ("v1", "v1", "up to date"), "b": ("v1", "nowhere", "blocked")}
    [group] = [group for group in item.groups if group.labels[0][0] == "blocked"]
    assert (group.current, group.desired) == ("v1", "nowhere")
    assert "nowhere" in group.reason


@pytest.mark.parametrize("with_kubectl", [False, True], ids=["aliasctl", "kubectl"])
def test_each_command_of_the_page_approves_the_plan(
    operator: Operator, kube: Kube, milvus: Milvus, api: ApiServer, tmp_path: Path, with_kubectl: bool
) -> None:
    kube.create({"a": "v1"}, approval="Manual")
    kube.wait("ApprovalRequired")
    wait_until("shown", lambda: shown(operator).pending)
    item = shown(operator)
    assert (item.label, item.mood, states(item)) == ("ApprovalRequired", "changes", {"a": ("", "v1", "pending")})
    assert item.pending
    if with_kubectl:
        *command, annotation = shlex.split(item.pending.kubectl)
        assert command == ["kubectl", "-n", "team", "annotate", "--overwrite", "aliasset", "shop"]
        name, _, value = annotation.partition("=")
        kube.annotate(**{name.removeprefix("aliasctl.dev/"): value})
    else:
        (tmp_path / "kubeconfig").write_text(json.dumps(api.kubeconfig()))
        program, *arguments = shlex.split(item.pending.command)
        done = run(*arguments, "--yes", cwd=tmp_path, env={"KUBECONFIG": str(tmp_path / "kubeconfig")})
        assert (program, done.code) == ("aliasctl", 0), done.stderr
    kube.wait("Succeeded")
    wait_until("shown", lambda: shown(operator).label == "Succeeded")
    assert (shown(operator).pending, milvus.aliases) == (None, {"a": "v1"})


def test_runs_are_shown_newest_first_with_author_and_commit(operator: Operator, kube: Kube) -> None:
    kube.create({"a": "v1"})
    kube.wait("Succeeded")
    kube.annotate(commit="4f2a9c1" * 5, author="Mary <m@x>")
    kube.edit({"a": "v2"})
    wait_until("shown", lambda: len(operator.status_page().runs) == 2)
    newest, oldest = operator.status_page().runs
    assert (newest.what, newest.who, newest.mood) == ("team/shop @4f2a9c1", "Mary <m@x>", "good")
    assert (newest.result, oldest.result) == ("Succeeded: 1 altered", "Succeeded: 1 created")


def test_while_milvus_is_away_it_shows_what_was_last_seen_and_after_an_edit_nothing_is_guessed(
    operator: Operator, kube: Kube, milvus: Milvus
) -> None:
    kube.create({"a": "v1"}, interval="100ms")
    kube.wait("Succeeded")
    milvus.down = True
    wait_until("shown", lambda: shown(operator).label == "ConnectionFailed")
    item = shown(operator)
    assert (states(item), bool(item.since), item.mood) == ({"a": ("v1", "v1", "up to date")}, True, "bad")
    kube.edit({"a": "v2"})
    kube.wait("ConnectionFailed")
    wait_until("shown", lambda: shown(operator).label == "ConnectionFailed")
    assert states(shown(operator)) == {"a": ("unknown", "v2", "not read yet")}


def test_an_alias_that_an_older_set_has_is_contested(operator: Operator, kube: Kube) -> None:
    kube.create({"a": "v1"})
    kube.wait("Succeeded")
    kube.create({"a": "v2", "b": "v2"}, "younger")
    kube.wait("OwnershipConflict", "younger")
    wait_until("shown", lambda: shown(operator, "team/younger").label == "OwnershipConflict")
    found = states(shown(operator, "team/younger"))
    assert found == {"a": ("unknown", "v2", "contested"), "b": ("v2", "v2", "up to date")}


@pytest.mark.parametrize(
    ("change", "label"), [({"suspend": True}, "Suspended"), ({"limits": {"maxDrops": -1}}, "InvalidSpec")]
)
def test_a_set_without_a_plan_is_shown_too(operator: Operator, kube: Kube, change: dict[str, Any], label: str) -> None:
    kube.create({"a": "v1"}, **change)
    kube.wait(label)
    wait_until("shown", lambda: shown(operator).label == label)
    assert states(shown(operator)) == ({"a": ("unknown", "v1", "not read yet")} if label == "Suspended" else {})


def test_a_deleted_set_leaves_the_page(operator: Operator, kube: Kube) -> None:
    kube.create({"a": "v1"})
    kube.wait("Succeeded")
    kube.delete()
    wait_until("forgotten", lambda: operator.status_page().sets == ())


def test_a_reader_costs_no_call(operator: Operator, kube: Kube, milvus: Milvus, api: ApiServer) -> None:
    kube.create({"a": "v1"})
    kube.wait("Succeeded")
    wait_until("shown", lambda: shown(operator).label == "Succeeded")

    def requests() -> int:
        return sum(api.requests(method, "") for method in ("GET", "PATCH", "POST", "PUT"))

    milvus.down = True
    reads, before = milvus.reads, requests()
    for _ in range(200):
        status_page(operator.status_page())
    assert (milvus.reads, milvus.refused) == (reads, 0)
    assert requests() - before < 20  # those that the operator makes meanwhile, for itself


def test_a_process_on_standby_says_so_and_can_serve_no_page(api: ApiServer, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(api.kubeconfig()))
    settings = main.Settings(["team"], False, Ref("team", "lease"), "127.0.0.1:0", kubeconfig)
    process, without = (main.Process(each, Event()) for each in (settings, replace(settings, status_page=False)))
    answer = process.pages()["/"]()
    assert (answer.status, b"<h1>Standing by</h1>" in answer.body) == (200, True)
    assert b"<h1>Standing by</h1>" in process.pages()["/problems"]().body
    assert without.pages().keys() == {"/healthz", "/readyz"}
    for each in (process, without):
        assert each.operator.close(1)
        each._cluster._client.close()
