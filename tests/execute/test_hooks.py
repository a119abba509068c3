"""Hooks in a run: what they are told of it, and that each wave asks again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.catalog import Catalogs
from reconciler.core.gates import Gates
from reconciler.core.model import Alias, AliasSet, Credential, Hook, SecretKeyRef
from reconciler.core.options import GatesToEvaluate
from reconciler.core.plan import Verdict
from reconciler.core.provenance import Provenance
from reconciler.core.report import Outcome
from reconciler.execute import wait
from reconciler.gates.hook import HookGate
from reconciler.journal import Journal, Origins
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import LOCAL, alias_set, catalogs, live, server
from tests.cli.command import run_python
from tests.integrations.receivers import Answer, Receiver, Request, receiver

ASKED = Gates(HookGate(name="freeze"))


@pytest.fixture(name="hook")
def fixture_hook() -> Iterator[Receiver]:
    with receiver() as running:
        running.answer = lambda _: Answer(200, b'{"allow": true}')
        yield running


def shop(hook: Receiver, *aliases: Alias, **settings: Any) -> AliasSet:
    known = Hook(name="freeze", uri=hook.uri, **settings)
    return alias_set({}, *aliases, connection=replace(LOCAL, hooks=(known,)))


def data_of(request: Request) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(request.body)["data"]
    return data


def test_are_told_of_the_run_its_plan_and_its_commit(hook: Receiver, tmp_path: Path) -> None:
    made = server("v1", "v2", aliases={"a": "v1"})
    with catalogs(made) as opened:
        plan = make_plan([shop(hook, Alias("a", "v2", gates=ASKED))], catalogs=opened)
        assert hook.requests == []
        report = apply_plan(
            plan,
            catalogs=opened,
            journal=Journal(tmp_path / "journal.db"),
            origins=Origins.of_this_process(provenance=Provenance(commit="7d30033a04b6")),
        )
    assert live(made) == {"a": "v2"}
    [asked] = map(data_of, hook.requests)
    assert (asked["run"], asked["planDigest"], asked["commit"]) == (report.run, plan.digest, "7d30033a04b6")
    assert [gate["gate"] for gate in asked["gates"]] == ["loaded"]


def test_are_asked_again_before_each_wave(hook: Receiver) -> None:
    """Whoever closes the window between two waves stops the second one."""
    made = server("v1", "v2", aliases={"a": "v1", "b": "v1"})
    hook.answer = lambda request: Answer(200, json.dumps({"allow": data_of(request)["alias"] == "a"}).encode())
    with catalogs(made) as opened:
        desired = shop(hook, Alias("a", "v2", gates=ASKED), Alias("b", "v2", wave=1, gates=ASKED))
        report = apply_plan(make_plan([desired], catalogs=opened), catalogs=opened)
    assert live(made) == {"a": "v2", "b": "v1"}
    outcomes = {result.step.alias: (result.outcome, result.message) for result in report.results}
    assert outcomes["a"][0] is Outcome.DONE
    assert outcomes["b"] == (Outcome.BLOCKED, "hook: freeze: denied")


def test_are_waited_for(hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wait, "FIRST_PAUSE", 0.01)
    made = server("v1", "v2", aliases={"a": "v1"})
    answers = iter([Answer(503), Answer(200, b'{"allow": false, "reason": "recall is being measured"}')])
    hook.answer = lambda _: next(answers, Answer(200, b'{"allow": true}'))
    with catalogs(made) as opened:
        plan = make_plan([shop(hook, Alias("a", "v2", gates=ASKED))], catalogs=opened)
        apply_plan(plan, catalogs=opened, wait=600)
    assert live(made) == {"a": "v2"}
    assert len(hook.requests) == 3


def test_are_asked_by_a_plan_that_evaluates_all_gates(hook: Receiver) -> None:
    made = server("v1", "v2", aliases={"a": "v1"})
    hook.answer = lambda _: Answer(200, b'{"allow": false, "reason": "freeze until Monday"}')
    with catalogs(made) as opened:
        plan = make_plan([shop(hook, Alias("a", "v2", gates=ASKED))], catalogs=opened, evaluate=GatesToEvaluate.ALL)
    [step] = plan.steps
    assert step.blocked
    assert step.blocked.message == "hook: freeze: freeze until Monday"


def test_read_kubernetes_secrets_as_the_session_does(hook: Receiver) -> None:
    made = server("v1", "v2", aliases={"a": "v1"})
    desired = shop(hook, Alias("a", "v2", gates=ASKED), secret=Credential(secret=SecretKeyRef("hook", "key")))
    with catalogs(made) as opened:
        report = apply_plan(make_plan([desired], catalogs=opened), catalogs=opened)
        [result] = report.results
        [_, asked] = result.step.gate_results
        assert asked.verdict is Verdict.UNKNOWN
        assert "only the operator can read; name env or file in the MilvusConnection" in asked.detail
    with Catalogs(made.connect, secrets=lambda *_: b"key") as opened:
        apply_plan(make_plan([desired], catalogs=opened), catalogs=opened)
    assert live(made) == {"a": "v2"}
    assert all("x-hub-signature-256" in request.headers for request in hook.requests)


def test_are_not_loaded_by_a_run_without_any(tmp_path: Path) -> None:
    script = """
import sys
from reconciler.core.options import GatesToEvaluate
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import alias_set, catalogs, live, server
made = server("v1", "v2", aliases={"a": "v1"})
with catalogs(made) as opened:
    plan = make_plan([alias_set({"a": "v2"})], catalogs=opened, evaluate=GatesToEvaluate.ALL)
    apply_plan(plan, catalogs=opened)
assert live(made) == {"a": "v2"}
print(*sys.modules)
"""
    repository = str(Path(__file__).parents[2])
    done = run_python(script, cwd=tmp_path, env={"PYTHONPATH": repository})
    assert done.code == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "reconciler.gates.hook" in loaded
    assert not {"reconciler.integrations.http", "reconciler.integrations.signature", "http.client", "ssl"} & loaded
