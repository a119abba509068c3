"""The code of docs/hooks.md, run as it stands: each example decides about a real move."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.core.gates import Gates
from reconciler.core.model import Alias, Connection, Credential, Hook
from reconciler.core.plan import GateResult, Verdict
from reconciler.gates.hook import HookGate
from reconciler.integrations.signature import signature
from reconciler.manifest import read
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import LOCAL, alias_set, catalogs, live, server
from tests.integrations.receivers import Answer, Receiver, receiver

PAGE = (Path(__file__).parents[2] / "docs" / "hooks.md").read_text()
FILES = dict(re.findall(r"<!-- file: (\w+)\.py -->\n```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
EXAMPLES = dict(re.findall(r"<!-- example: ([\w-]+) -->\n```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
KEY = "s3cret-key"
Run = Callable[[str], ModuleType]


@pytest.fixture(name="code")
def fixture_code(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Loads an example as the module `decide`, and the files of the page as modules of their names."""
    monkeypatch.setenv("HOOK_KEY", KEY)

    def loaded(example: str) -> ModuleType:
        modules = {"decide": EXAMPLES[example], **FILES}
        for name in ("decide", "verify", "hook"):
            module = ModuleType(name)
            monkeypatch.setitem(sys.modules, name, module)
            exec(modules[name], vars(module))  # noqa: S102 - the code of the page
        return sys.modules["decide"]

    return loaded


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Print nothing: an exception is one of the cases."""


@contextmanager
def running() -> Iterator[Connection]:
    """Serve the hook of the page; yield a connection that has it."""
    handler: Any = sys.modules["hook"].Hook
    handler.log_message = lambda *_: None
    with _Quiet(("127.0.0.1", 0), handler) as serving:
        thread = Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            secret = Credential(env="HOOK_KEY")
            hook = Hook(name="mine", uri=f"http://127.0.0.1:{serving.server_port}/decide", secret=secret)
            yield replace(LOCAL, hooks=(hook,))
        finally:
            serving.shutdown()
            thread.join()


def moved() -> tuple[bool, GateResult]:
    """Whether the hook lets an alias move from products_v1 to products_v2, and what it says."""
    made = server("products_v1", "products_v2", aliases={"a": "products_v1"})
    with running() as connection, catalogs(made) as opened:
        desired = alias_set({}, Alias("a", "products_v2", gates=Gates(HookGate(name="mine"))), connection=connection)
        report = apply_plan(make_plan([desired], catalogs=opened), catalogs=opened)
    [result] = report.results
    return live(made) == {"a": "products_v2"}, result.step.gate_results[-1]


def test_the_page_has_an_example_of_each() -> None:
    assert EXAMPLES.keys() == {"freeze", "encoder", "offline-eval"}
    assert FILES.keys() == {"verify", "hook"}


def test_a_freeze_ends(code: Run) -> None:
    calendar, now = code("freeze"), datetime.now(UTC)
    for from_now, allowed in ((-1, False), (1, True)):
        start, end = now + timedelta(hours=from_now), now + timedelta(hours=from_now + 2)
        calendar.FREEZES = [(start.isoformat(), end.isoformat(), "launch")]  # type: ignore[attr-defined]
        done, result = moved()
        assert done is allowed
        assert result.detail == ("mine: no freeze" if allowed else f"mine: freeze until {end.isoformat()}: launch")


@pytest.mark.parametrize(
    ("models", "allowed", "detail"),
    [
        (["bge-m3", "bge-m4"], True, "mine: the encoder serves bge-m4"),
        (["bge-m3"], False, "mine: products_v2 needs bge-m4, the encoder serves bge-m3"),
    ],
)
def test_the_encoder_serves_the_model(code: Run, models: list[str], allowed: bool, detail: str) -> None:
    with receiver() as encoder:
        encoder.answer = lambda _: Answer(200, json.dumps({"models": models}).encode())
        code("encoder").ENCODER = f"{encoder.uri}/models"  # type: ignore[attr-defined]
        done, result = moved()
    assert (done, result.detail) == (allowed, detail)


def test_an_encoder_that_does_not_answer_blocks(code: Run) -> None:
    code("encoder").ENCODER = "http://127.0.0.1:1/models"  # type: ignore[attr-defined]
    done, result = moved()
    assert (done, result.verdict) == (False, Verdict.UNKNOWN)


@pytest.mark.parametrize(
    ("evaluations", "allowed", "verdict", "words"),
    [
        ({"products_v2": {"recall@10": 0.93}}, True, Verdict.PASS, "mine: recall@10 0.93, need ≥ 0.90"),
        ({"products_v2": {"recall@10": 0.87}}, False, Verdict.FAIL, "mine: recall@10 0.87, need ≥ 0.90"),
        ({"products_v1": {"recall@10": 0.93}}, False, Verdict.UNKNOWN, "answers no decision"),
    ],
)
def test_an_offline_evaluation_passes(
    code: Run, tmp_path: Path, evaluations: object, allowed: bool, verdict: Verdict, words: str
) -> None:
    module = code("offline-eval")
    module.EVALUATIONS = tmp_path / "evaluations.json"  # type: ignore[attr-defined]
    module.EVALUATIONS.write_text(json.dumps(evaluations))
    done, result = moved()
    assert (done, result.verdict) == (allowed, verdict)
    assert words in result.detail


def test_only_fresh_requests_of_ours_are_verified(code: Run) -> None:
    code("freeze")
    verified, body, now = sys.modules["verify"].verified, b'{"a": 1}', int(datetime.now(UTC).timestamp())
    good = signature(KEY, body, now)
    assert verified(good, body)
    assert not verified(good, body + b" ")
    assert not verified(signature("other", body, now), body)
    assert not verified(signature(KEY, body, now - 301), body)
    assert not verified({**good, "X-Aliasctl-Timestamp": str(now + 1)}, body)
    assert not verified({**good, "X-Aliasctl-Timestamp": "soon"}, body)
    assert not verified({}, body)


def test_a_request_without_a_valid_signature_decides_nothing(code: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    code("freeze").FREEZES = []  # type: ignore[attr-defined]
    monkeypatch.setattr(sys.modules["hook"], "verified", lambda *_: False)
    done, result = moved()
    assert (done, result.verdict) == (False, Verdict.UNKNOWN)
    assert "answers 401" in result.detail


def test_what_the_page_says_is_sent_is_what_is_sent(hook: Receiver) -> None:
    """Its fields, with values of the same types; those that are not known while planning are left out."""
    sample = json.loads(re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[0])
    made = server("products_v1", "products_v2", aliases={"a": "products_v1"})
    connection = replace(LOCAL, hooks=(Hook(name="mine", uri=hook.uri),))
    desired = alias_set({}, Alias("a", "products_v2", gates=Gates(HookGate(name="mine"))), connection=connection)
    with catalogs(made) as opened:
        apply_plan(make_plan([desired], catalogs=opened), catalogs=opened)
    event = json.loads(hook.requests[0].body)
    assert event.keys() == sample.keys()
    data = event["data"]
    assert sample["data"].keys() - data.keys() <= {"run", "commit", "fromId", "toId"}
    assert data.keys() <= sample["data"].keys()
    assert all(type(value) is type(sample["data"][name]) for name, value in data.items())
    assert data["gates"][0].keys() == sample["data"]["gates"][0].keys()


@pytest.fixture(name="hook")
def fixture_hook() -> Iterator[Receiver]:
    with receiver() as made:
        made.answer = lambda _: Answer(200, b'{"allow": true}')
        yield made


@pytest.mark.parametrize("manifest", re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
def test_its_manifests_are_valid(manifest: str, tmp_path: Path) -> None:
    (tmp_path / "it.yaml").write_text(manifest)
    assert read([tmp_path / "it.yaml"]).connections
