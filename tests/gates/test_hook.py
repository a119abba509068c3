"""The gate `hook`: what a hook is told, what counts as a decision, and when it is asked."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from threading import Event
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.catalog.memory import MemoryServer
from reconciler.core.gates import Gates, OnUnknown
from reconciler.core.model import Credential, Hook, Origin, Target
from reconciler.core.plan import GateResult, SetPlan, Step, Verdict
from reconciler.gates import cheap_gates, evaluate_gates, evaluate_sets, watched_gates
from reconciler.gates.hook import HookGate
from reconciler.gates.loaded import LoadedGate
from reconciler.gates.rows import RowsGate
from reconciler.integrations.hooks import Hooks, RunFacts
from tests.builders import LOCAL, server
from tests.gates.judging import OFF, move
from tests.integrations.receivers import Answer, Receiver, raw_server, receiver

EVAL = HookGate(name="offline-eval")
KEY = "s3cret-key"
TARGET = Target(LOCAL.address, "default")


@pytest.fixture(name="hook")
def fixture_hook() -> Iterator[Receiver]:
    """A hook that allows everything."""
    with receiver() as running:
        running.answer = lambda _: says(allow=True)
        yield running


@pytest.fixture(name="made")
def fixture_made() -> MemoryServer:
    return server("c1", "c2")


def says(status: int = 200, /, **fields: object) -> Answer:
    return Answer(status, json.dumps(fields).encode())


def hooks(uri: str = "", timeout: float = 5.0, facts: RunFacts = RunFacts(), **others: str) -> Hooks:
    """The hook offline-eval, unless its URI is empty, and others by their names."""
    named = ({"offline-eval": uri} if uri else {}) | others
    known = tuple(Hook(name=name, uri=uri, timeout=timeout) for name, uri in named.items())
    return Hooks(replace(LOCAL, hooks=known), TARGET, facts=facts)


def evaluated(made: MemoryServer, step: Step, known: Hooks | None, **options: Any) -> Step:
    [judged] = evaluate_gates([step], made.connect(LOCAL, "default"), hooks=known, **options)
    return judged


def result_of(made: MemoryServer, known: Hooks | None, settings: HookGate = EVAL) -> GateResult:
    (result,) = evaluated(made, move(Gates(OFF, settings)), known).gate_results
    return result


class TestDecision:
    @pytest.mark.parametrize(
        ("answer", "verdict", "detail"),
        [
            (says(allow=True), Verdict.PASS, "offline-eval: allowed"),
            (says(allow=True, reason="recall 0.93"), Verdict.PASS, "offline-eval: recall 0.93"),
            (says(201, allow=True, more={"a": 1}), Verdict.PASS, "offline-eval: allowed"),
            (says(allow=False), Verdict.FAIL, "offline-eval: denied"),
            (says(allow=False, reason="recall 0.87"), Verdict.FAIL, "offline-eval: recall 0.87"),
        ],
    )
    def test_is_a_2xx_with_allow(
        self, hook: Receiver, made: MemoryServer, answer: Answer, verdict: Verdict, detail: str
    ) -> None:
        hook.answer = lambda _: answer
        result = result_of(made, hooks(hook.uri))
        assert (result.verdict, result.detail) == (verdict, detail)
        assert result.figures == {"offline-eval": "allow" if verdict is Verdict.PASS else "deny"}

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (says(500, allow=True), 'answers 500: {"allow": true}'),
            (says(404), "answers 404: {}"),
            (Answer(403, b"<html><b>Forbidden</b></html>"), "answers 403: <html><b>Forbidden</b></html>"),
            (Answer(204), "answers no JSON; expected"),
            (Answer(200, b"<html>login</html>"), "answers no JSON; expected"),
            (Answer(200, b'{"allow": true, "allow": false}'), "answers no JSON; expected"),
            (Answer(200, b'{"allow": true, "x": NaN}'), "answers no JSON; expected"),
            (Answer(200, b'{"allow": true, "reason": "\xff"}'), "answers no JSON; expected"),
            (Answer(200, b"[" * 60_000), "answers no JSON; expected"),
            (Answer(200, b"[]"), "answers no decision; expected"),
            (Answer(200, b"true"), "answers no decision; expected"),
            (says(reason="yes"), "answers no decision; expected"),
            (says(allow="true"), "answers no decision; expected"),
            (says(allow=1), "answers no decision; expected"),
            (says(allow=None), "answers no decision; expected"),
            (says(allow=True, reason=["x"]), "answers no decision; expected"),
            (says(202, status="running"), "answers no decision; expected"),
            (Answer(307, headers={"Location": "http://127.0.0.1:1"}), "answers 307, a redirect, which is not followed"),
            (Answer(200, b'{"allow": true, "reason": "' + b"x" * 70_000 + b'"}'), "more than 64 KiB"),
        ],
    )
    def test_is_unknown_by_anything_else_and_blocks(
        self, hook: Receiver, made: MemoryServer, answer: Answer, words: str
    ) -> None:
        hook.answer = lambda _: answer
        step = evaluated(made, move(Gates(OFF, EVAL)), hooks(hook.uri))
        (result,) = step.gate_results
        assert result.verdict is Verdict.UNKNOWN
        assert result.detail.startswith('hook "offline-eval" at 127.0.0.1:')
        assert words in result.detail
        assert step.blocked
        assert step.blocked.message.endswith("set gates.onUnknown: Pass to go on without an answer")

    def test_that_is_unknown_passes_where_the_manifest_says_so(self, hook: Receiver, made: MemoryServer) -> None:
        hook.answer = lambda _: Answer(503)
        step = evaluated(made, move(Gates(OFF, EVAL, on_unknown=OnUnknown.PASS)), hooks(hook.uri))
        assert step.blocked is None

    def test_of_a_hook_that_does_not_answer_is_unknown(self, made: MemoryServer) -> None:
        with raw_server(close=False) as uri:
            result = result_of(made, hooks(uri, timeout=0.2))
        assert result.verdict is Verdict.UNKNOWN
        assert result.detail.endswith("did not answer in time (timeout: 0.2 s)")

    def test_of_a_hook_that_the_connection_lacks_is_unknown(self, made: MemoryServer) -> None:
        result = result_of(made, hooks())
        assert (result.verdict, result.detail) == (
            Verdict.UNKNOWN,
            'MilvusConnection "local" has no hook "offline-eval"; define it under spec.hooks',
        )

    def test_with_uri_is_unknown_because_the_hook_is_for_another_server(self, made: MemoryServer) -> None:
        elsewhere = replace(LOCAL, origin=Origin.FLAG)
        result = result_of(made, Hooks(elsewhere, TARGET))
        assert (result.verdict, result.detail) == (
            Verdict.UNKNOWN,
            'hook "offline-eval" is not asked: it is for the server of its MilvusConnection, and --uri names another '
            "one; skip the gate with --skip-gate",
        )

    def test_is_shown_as_one_line_of_text(self, hook: Receiver, made: MemoryServer) -> None:
        hook.answer = lambda _: says(allow=False, reason="\x1b[31mred\r\n::error::forged \u202e" + "long " * 100)
        detail = result_of(made, hooks(hook.uri)).detail
        assert detail.startswith(r"offline-eval: \x1b[31mred ::error::forged \u202elong long")
        assert detail.endswith("…")
        assert len(detail) == len("offline-eval: ") + 300


class TestQuestion:
    def test_is_a_cloud_event_about_the_step(self, hook: Receiver, made: MemoryServer) -> None:
        facts = RunFacts("20261130-220000-abcdef", "sha256:" + "0" * 64, "7d30033a04b6")
        step = replace(move(Gates(OFF, RowsGate(min=0), EVAL)), wave=2, desired_id=7)
        evaluated(made, step, hooks(f"{hook.uri}/eval?team=search", facts=facts))
        [request] = hook.requests
        assert (request.method, request.path) == ("POST", "/eval?team=search")
        assert request.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
        event = json.loads(request.body)
        assert len(event.pop("id")) == 32
        assert abs((datetime.now(UTC) - datetime.fromisoformat(event.pop("time"))).total_seconds()) < 600
        assert event == {
            "specversion": "1.0",
            "source": "https://aliasctl.dev/localhost%3A19530/default",
            "type": "dev.aliasctl.move.requested",
            "subject": "a",
            "datacontenttype": "application/json",
            "data": {
                "address": "localhost:19530",
                "database": "default",
                "set": "shop",
                "alias": "a",
                "action": "alter",
                "from": "c1",
                "to": "c2",
                "toId": 7,
                "wave": 2,
                "gates": [{"gate": "rows", "result": "pass", "detail": "0 rows", "figures": {"rows": 0}}],
                "run": "20261130-220000-abcdef",
                "planDigest": "sha256:" + "0" * 64,
                "commit": "7d30033a04b6",
            },
        }

    def test_of_a_create_has_no_from_and_that_of_a_plan_no_run(self, hook: Receiver, made: MemoryServer) -> None:
        evaluated(made, move(Gates(OFF, EVAL), current=None), hooks(hook.uri))
        data = json.loads(hook.requests[0].body)["data"]
        assert (data["action"], data["from"], data["gates"]) == ("create", None, [])
        assert not {"run", "planDigest", "commit", "fromId"} & data.keys()

    def test_about_a_file_whose_name_is_not_text_is_sent(self, hook: Receiver, made: MemoryServer) -> None:
        mine = replace(LOCAL, hooks=(Hook(name="offline-eval", uri=hook.uri),))
        result = result_of(made, Hooks(mine, Target("/data/\udcff.db", "default")))
        assert result.verdict is Verdict.PASS

    def test_has_an_id_of_its_own_each_time(self, hook: Receiver, made: MemoryServer) -> None:
        steps = [move(Gates(OFF, EVAL), alias=f"a{number}") for number in range(20)]
        evaluate_gates(steps, made.connect(LOCAL, "default"), hooks=hooks(hook.uri))
        events = [json.loads(request.body) for request in hook.requests]
        assert len({event["id"] for event in events}) == 20
        assert {event["subject"] for event in events} == {f"a{number}" for number in range(20)}

    def test_is_signed_with_the_time_of_sending(
        self, hook: Receiver, made: MemoryServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOOK_KEY", KEY)
        signing = Hook(name="offline-eval", uri=hook.uri, secret=Credential(env="HOOK_KEY"))
        result_of(made, Hooks(replace(LOCAL, hooks=(signing,)), TARGET))
        [request] = hook.requests
        seconds = request.headers["x-aliasctl-timestamp"]
        assert abs(int(seconds) - datetime.now(UTC).timestamp()) < 600
        signed = f"{seconds}.".encode() + request.body
        expected = hmac.new(KEY.encode(), signed, "sha256").hexdigest()
        assert request.headers["x-hub-signature-256"] == f"sha256={expected}"
        assert KEY not in str(request)

    def test_is_not_sent_without_the_key_that_should_sign_it(
        self, hook: Receiver, made: MemoryServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("HOOK_KEY", raising=False)
        signing = Hook(name="offline-eval", uri=hook.uri, secret=Credential(env="HOOK_KEY"))
        result = result_of(made, Hooks(replace(LOCAL, hooks=(signing,)), TARGET))
        assert result.verdict is Verdict.UNKNOWN
        assert result.detail == 'hook "offline-eval": the secret\'s environment variable HOOK_KEY is not set'
        assert hook.requests == []


class TestWhenItIsAsked:
    def test_only_if_no_other_gate_blocks(self, hook: Receiver, made: MemoryServer) -> None:
        step = evaluated(made, move(Gates(OFF, RowsGate(min=1), EVAL)), hooks(hook.uri))
        assert [(each.gate, each.verdict) for each in step.gate_results] == [
            ("rows", Verdict.FAIL),
            ("hook", Verdict.NOT_EVALUATED),
        ]
        assert hook.requests == []
        assert step.blocked
        assert "hook" not in step.blocked.message

    def test_even_if_another_gate_is_unknown_where_that_passes(self, hook: Receiver, made: MemoryServer) -> None:
        made.release("c2")
        gates = Gates(OFF, RowsGate(min=1), EVAL, on_unknown=OnUnknown.PASS)
        step = evaluated(made, move(gates), hooks(hook.uri))
        assert [each.verdict for each in step.gate_results] == [Verdict.UNKNOWN, Verdict.PASS]

    def test_not_by_a_plan_that_evaluates_cheap_gates(self, hook: Receiver, made: MemoryServer) -> None:
        plan = SetPlan("shop", (move(Gates(OFF, EVAL)),))
        catalog = made.connect(LOCAL, "default")
        [cheap] = evaluate_sets([plan], catalog, which=cheap_gates(), hooks=hooks(hook.uri))
        assert [each.verdict for each in cheap.steps[0].gate_results] == [Verdict.NOT_EVALUATED]
        assert hook.requests == []
        [every] = evaluate_sets([plan], catalog, hooks=hooks(hook.uri))
        assert [each.verdict for each in every.steps[0].gate_results] == [Verdict.PASS]

    def test_not_during_a_soak(self) -> None:
        assert "hook" not in watched_gates()

    def test_not_for_a_rollback(self, hook: Receiver, made: MemoryServer) -> None:
        step = evaluated(made, replace(move(Gates(LoadedGate(), EVAL)), reverting=True), hooks(hook.uri))
        assert ([each.gate for each in step.gate_results], step.blocked) == (["loaded"], None)
        assert hook.requests == []

    def test_not_if_it_is_skipped_or_off(self, hook: Receiver, made: MemoryServer) -> None:
        skipped = replace(move(Gates(OFF, EVAL)), skipped_gates=("hook",))
        assert evaluated(made, skipped, hooks(hook.uri)).gate_results == ()
        off = move(Gates(OFF, HookGate(enabled=False)))
        assert evaluated(made, off, hooks(hook.uri)).gate_results == ()
        assert hook.requests == []

    def test_it_is_not_waited_for_once_the_run_is_halted(self, made: MemoryServer) -> None:
        """Its timeout may be an hour."""
        step, halt = move(Gates(OFF, EVAL)), Event()
        with raw_server(close=False, on_request=halt.set) as uri:
            assert evaluated(made, step, hooks(uri, timeout=3600), halted=halt.is_set) == step


class TestSeveral:
    BOTH = HookGate(names=("freeze", "offline-eval"))

    def test_must_all_allow(self, hook: Receiver, made: MemoryServer) -> None:
        with receiver() as freeze:
            freeze.answer = lambda _: says(allow=True, reason="open")
            known = hooks(hook.uri, freeze=freeze.uri)
            result = result_of(made, known, self.BOTH)
            assert (result.verdict, result.detail) == (Verdict.PASS, "freeze: open; offline-eval: allowed")
            assert result.figures == {"freeze": "allow", "offline-eval": "allow"}
            hook.answer = lambda _: says(allow=False, reason="recall")
            result = result_of(made, known, self.BOTH)
            assert (result.verdict, result.detail) == (Verdict.FAIL, "offline-eval: recall")

    @pytest.mark.parametrize("answer", [says(allow=False), Answer(503)])
    def test_are_asked_until_one_does_not_allow(self, hook: Receiver, made: MemoryServer, answer: Answer) -> None:
        with receiver() as freeze:
            freeze.answer = lambda _: answer
            assert result_of(made, hooks(hook.uri, freeze=freeze.uri), self.BOTH).verdict is not Verdict.PASS
            assert len(freeze.requests) == 1
        assert hook.requests == []
