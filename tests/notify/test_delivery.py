"""How notifications reach a receiver on loopback: at least once, in order, also after crashes and outages."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest
from msgspec.structs import replace

from reconciler.core.model import Credential, MessageFormat, Receiver
from reconciler.core.notifications import StatusState
from reconciler.journal.outbox import Outbox, record_status
from reconciler.notify import courier
from reconciler.notify.courier import Courier, in_journal
from tests.builders import LOCAL
from tests.integrations.receivers import Answer, Request, receiver
from tests.integrations.receivers import Receiver as Server
from tests.journals import rows
from tests.notify.scene import AUDIT, Scene
from tests.servers import free_port

SECONDS = 60.0
"""How long a test waits for what happens in the background."""
COMMIT = "c" * 40


def hook(server: Server | str, name: str = "audit", **settings: object) -> Receiver:
    uri = server if isinstance(server, str) else f"{server.uri}/hook"
    return replace(Receiver(name=name, uri=uri), **settings)


def events(server: Server) -> list[tuple[str, str]]:
    """Return alias and type of each event that was sent, accepted or not."""
    documents = [json.loads(request.body) for request in server.requests]
    return [(each["subject"], each["type"].rpartition(".")[2]) for each in documents]


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def delivering(scene: Scene, problems: list[str] | None = None) -> Iterator[Courier]:
    """Deliver in the background, and what waits at the end."""
    running = Courier(in_journal(scene.journal.path), (problems if problems is not None else []).append)
    running.serve([scene.connection])
    try:
        yield running
    finally:
        running.close(SECONDS)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "FIRST_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(courier, "LONGEST_RETRY_SECONDS", 0.05)
    monkeypatch.setattr(courier, "OTHERS_SECONDS", 0.01)


def test_what_a_run_did_is_delivered_in_order_and_then_gone(tmp_path: Path) -> None:
    with receiver() as server:
        scene = Scene(tmp_path, hook(server))
        scene.apply(scene.desired({"a": "v2"}))
        scene.apply(scene.desired({"a": "missing"}))
        scene.apply(scene.desired({"a": "v3"}))
        with delivering(scene):
            pass
        assert events(server) == [("a", "moved"), ("a", "blocked"), ("a", "moved"), ("a", "recovered")]
        with delivering(scene):
            pass
        assert len(server.requests) == 4


def test_what_is_recorded_while_a_courier_runs_is_delivered_before_its_end(tmp_path: Path) -> None:
    with receiver() as server:
        scene = Scene(tmp_path, hook(server))
        with delivering(scene) as running:
            scene.apply(scene.desired({"a": "v2"}))
            running.wake()
            until(lambda: server.requests)


def test_a_receiver_that_is_down_for_a_time_gets_everything_in_order(tmp_path: Path) -> None:
    port = free_port()
    scene = Scene(tmp_path, hook(f"http://127.0.0.1:{port}/"))
    problems: list[str] = []
    with delivering(scene, problems) as running:
        for collection in ("v2", "v3", "v1"):
            scene.apply(scene.desired({"a": collection}))
            running.wake()
        until(lambda: problems)
        with receiver(port=port) as server:
            until(lambda: len(server.requests) == 3)
            ends = [json.loads(request.body)["data"]["to"] for request in server.requests]
    assert ends == ["v2", "v3", "v1"]
    assert len(problems) == 1
    assert "cannot be reached" in problems[0]


def test_an_answer_that_is_no_2xx_is_retried_with_the_same_id(tmp_path: Path) -> None:
    def answer(_: Request) -> Answer:
        return Answer(503 if len(server.requests) < 3 else 204)

    with receiver() as server:
        server.answer = answer
        scene = Scene(tmp_path, hook(server))
        scene.apply(scene.desired({"a": "v2", "b": "v2"}))
        with delivering(scene):
            until(lambda: len(server.requests) == 4)
        ids = [json.loads(request.body)["id"] for request in server.requests]
        assert ids[0] == ids[1] == ids[2] != ids[3]


def test_of_two_receivers_the_one_that_is_down_does_not_delay_the_other(tmp_path: Path) -> None:
    with receiver() as server:
        down = hook(f"http://127.0.0.1:{free_port()}/", "down")
        scene = Scene(tmp_path, down, hook(server, "up"))
        scene.apply(scene.desired({"a": "v2"}))
        with delivering(scene):
            until(lambda: server.requests)
        assert [event.alias for event in scene.waiting(down)] == ["a"]
        assert scene.waiting(hook(server, "up")) == []


def test_a_receiver_that_does_not_answer_does_not_hold_up_the_end(tmp_path: Path) -> None:
    go_on = Event()

    def answer(_: Request) -> Answer:
        go_on.wait(SECONDS)
        return Answer()

    with receiver() as server:
        server.answer = answer
        scene = Scene(tmp_path, hook(server))
        scene.apply(scene.desired({"a": "v2"}))
        running = Courier(in_journal(scene.journal.path), lambda _: None)
        running.serve([scene.connection])
        until(lambda: server.requests)
        [left] = running.close(0.0)
        assert (left.receiver, left.count) == ("audit", 1)
        go_on.set()


def test_one_process_delivers_at_a_time(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.apply(scene.desired({"a": "v2"}))
    first, second = (Outbox(scene.journal.path, LOCAL.address, AUDIT) for _ in range(2))
    assert first.claim()
    assert not second.claim()
    first.delivered([])
    assert first.claim()
    first.close()
    assert second.claim()
    second.close()


def test_while_another_process_delivers_nothing_is_sent(tmp_path: Path) -> None:
    with receiver() as server:
        scene = Scene(tmp_path, hook(server))
        scene.apply(scene.desired({"a": "v2"}))
        other = Outbox(scene.journal.path, LOCAL.address, hook(server))
        assert other.claim()
        running = Courier(in_journal(scene.journal.path), lambda _: None)
        running.serve([scene.connection])
        assert [left.count for left in running.close(0.5)] == [1]
        assert server.requests == []
        other.close()


def test_a_process_that_has_delivered_leaves_the_rest_to_others(tmp_path: Path) -> None:
    with receiver() as server:
        scene = Scene(tmp_path, hook(server))
        scene.apply(scene.desired({"a": "v2"}))
        with delivering(scene):
            until(lambda: not scene.waiting(hook(server)))
            other = Outbox(scene.journal.path, LOCAL.address, hook(server))
            until(other.claim)
            other.close()


def test_the_claim_of_a_process_that_is_gone_is_taken_over(tmp_path: Path) -> None:
    with receiver() as server:
        scene = Scene(tmp_path, hook(server))
        scene.apply(scene.desired({"a": "v2"}))
        code = (
            "import sys; from pathlib import Path; from reconciler.core.model import Receiver;"
            "from reconciler.journal.outbox import Outbox;"
            "assert Outbox(Path(sys.argv[1]), sys.argv[2], Receiver(name='audit', uri='http://127.0.0.1:9/')).claim()"
        )
        subprocess.run([sys.executable, "-c", code, scene.journal.path, LOCAL.address], check=True)
        with delivering(scene):
            pass
        assert events(server) == [("a", "moved")]


KILLED = """
import sys
from pathlib import Path
from msgspec.structs import replace
from tests.notify.scene import Scene, Receiver

scene = Scene(Path(sys.argv[1]), Receiver(name="audit", uri=sys.argv[2]))
scene.apply(scene.desired({"a": "v2", "b": "v2"}))
print("recorded", flush=True)
from reconciler.notify.courier import Courier, in_journal
courier = Courier(in_journal(scene.journal.path), print)
courier.serve([scene.connection])
courier.close(3600)
"""


def test_what_a_killed_process_recorded_is_delivered_by_the_next_one(tmp_path: Path) -> None:
    """It is killed while the receiver has the first event and has not answered."""
    go_on = Event()

    def answer(_: Request) -> Answer:
        go_on.wait(SECONDS)
        return Answer()

    with receiver() as server:
        server.answer = answer
        command = [sys.executable, "-c", KILLED, str(tmp_path), f"{server.uri}/hook"]
        with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}) as process:
            until(lambda: server.requests)
            process.send_signal(signal.SIGKILL)
        go_on.set()
        scene = Scene(tmp_path, hook(server))
        with delivering(scene):
            pass
        first, again, last = (json.loads(request.body) for request in server.requests)
        assert first == again
        assert {first["subject"], last["subject"]} == {"a", "b"}
        assert scene.waiting(hook(server)) == []


def test_what_a_receiver_keeps_rejecting_is_dropped_after_an_hour(tmp_path: Path) -> None:
    with receiver() as server:
        server.answer = lambda request: Answer(422 if b'"b"' in request.body else 200, b"no such thing")
        scene = Scene(tmp_path, hook(server))
        scene.apply(scene.desired({"b": "v2"}))
        problems: list[str] = []
        with delivering(scene, problems):
            pass
        assert [event.alias for event in scene.waiting(hook(server))] == ["b"]
        rows(scene.journal.path, "UPDATE outbox SET time = time - 3700")
        scene.apply(scene.desired({"a": "v2", "b": "v2"}))
        with delivering(scene, problems):
            pass
        assert scene.waiting(hook(server)) == []
        assert 'receiver "audit": dropped 1 notification: it answers 422: no such thing' in problems
        assert events(server)[-1] == ("a", "moved")


def test_the_status_of_a_commit_is_set_with_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORGE_TOKEN", "t0ken")
    with receiver() as server:
        project = hook(f"{server.uri}/repos/o/r", format=MessageFormat.GITHUB_STATUS, secret=Credential("FORGE_TOKEN"))
        scene = Scene(tmp_path, project)
        status = StatusState("1", "2026-11-30T22:00:00.000Z", COMMIT, "success", "Succeeded")
        for _ in range(2):
            record_status(scene.journal.path, LOCAL.address, project, status, "Succeeded")
        assert Outbox(scene.journal.path, LOCAL.address, project).count() == 1
        with delivering(scene):
            pass
        [request] = server.requests
        assert (request.path, request.headers["authorization"]) == (f"/repos/o/r/statuses/{COMMIT}", "Bearer t0ken")


def test_gitlab_may_say_that_a_status_is_set_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORGE_TOKEN", "t0ken")
    with receiver() as server:
        server.answer = lambda _: Answer(400, b'{"message":"Cannot transition status via :run from :running"}')
        project = hook(server, format=MessageFormat.GITLAB_STATUS, secret=Credential("FORGE_TOKEN"))
        scene = Scene(tmp_path, project)
        status = StatusState("1", "2026-11-30T22:00:00.000Z", COMMIT, "pending", "Progressing")
        record_status(scene.journal.path, LOCAL.address, project, status, "Progressing")
        with delivering(scene):
            pass
        assert server.requests[0].headers["private-token"] == "t0ken"
        assert Outbox(scene.journal.path, LOCAL.address, project).count() == 0
