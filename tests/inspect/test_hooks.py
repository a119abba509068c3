"""What `check` finds of hooks, and that it asks them for no decision."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from reconciler.core.gates import Gates
from reconciler.core.model import Alias, Connection, Hook
from reconciler.gates.hook import HookGate
from reconciler.inspect.access import Condition, Result, Subject, check_access, exit_code
from tests.builders import LOCAL, alias_set, catalogs, server
from tests.integrations.receivers import Answer, Receiver, receiver

ASKED = Gates(HookGate(names=("freeze", "offline-eval")))


@pytest.fixture(name="freeze")
def fixture_freeze() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@pytest.fixture(name="evaluation")
def fixture_evaluation() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


def found(gates: Gates, **uris: str) -> tuple[list[Condition], int]:
    """What is found about the hooks of a connection, and the exit code."""
    hooks = tuple(Hook(name=name.replace("_", "-"), uri=uri, timeout=5) for name, uri in uris.items())
    connection: Connection = replace(LOCAL, hooks=hooks)
    with catalogs(server("v1")) as opened:
        access = check_access([alias_set({}, Alias("a", "v1", gates=gates), connection=connection)], opened)
    return [each for each in access[0].conditions if each.subject is Subject.HOOKS], exit_code(access)


def test_hooks_that_gates_name_get_a_test_event(freeze: Receiver, evaluation: Receiver) -> None:
    [condition], code = found(ASKED, freeze=freeze.uri, offline_eval=evaluation.uri, other="http://127.0.0.1:1")
    assert (condition.result, code) == (Result.OK, 0)
    assert condition.detail == (
        'hook "freeze" answers 200 to a test event; hook "offline-eval" answers 200 to a test event'
    )
    [request] = freeze.requests
    event = json.loads(request.body)
    assert (event["type"], event["data"], "subject" in event) == ("dev.aliasctl.test", {}, False)


@pytest.mark.parametrize(
    ("status", "result", "code"), [(401, Result.MISSING, 1), (403, Result.MISSING, 1), (404, Result.UNKNOWN, 0)]
)
def test_the_worst_is_reported(freeze: Receiver, evaluation: Receiver, status: int, result: Result, code: int) -> None:
    freeze.answer = lambda _: Answer(status)
    [condition], exits = found(ASKED, freeze=freeze.uri, offline_eval=evaluation.uri)
    assert (condition.result, exits) == (result, code)
    assert condition.detail.startswith(f'hook "freeze" answers {status} to a test event')
    assert "offline-eval" not in condition.detail


def test_one_that_does_not_answer_or_does_not_exist_is_missing(freeze: Receiver) -> None:
    [condition], code = found(ASKED, freeze=freeze.uri)
    assert (condition.result, code) == (Result.MISSING, 1)
    assert condition.detail == 'MilvusConnection "local" has no hook "offline-eval"; define it under spec.hooks'
    [condition], code = found(ASKED, freeze=freeze.uri, offline_eval="http://127.0.0.1:1")
    assert (condition.result, code) == (Result.MISSING, 1)
    assert "cannot be reached: Connection refused" in condition.detail


def test_those_that_no_gate_names_get_nothing(freeze: Receiver) -> None:
    [condition], code = found(Gates(), freeze=freeze.uri)
    assert (condition.result, code) == (Result.NOT_NEEDED, 0)
    assert freeze.requests == []
    assert found(Gates())[0] == []
