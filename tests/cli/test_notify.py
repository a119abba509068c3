"""`aliasctl apply` notifies receivers, and `aliasctl notify` sends what is left, or samples."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Completed
from tests.cli.shop import Shop, alias_set, connection
from tests.integrations.receivers import Answer, Receiver, receiver
from tests.servers import free_port

SECRET_PATH = "/services/T00000000/XXXXsecretXXXX"  # noqa: S105 - what must never be seen


def want(shop: Shop, aliases: dict[str, str | None], *receivers: dict[str, Any]) -> None:
    """Write aliases.yaml, whose connection has receivers."""
    desired = alias_set(aliases, database=shop.database)
    shop.write("aliases.yaml", connection(shop.uri, token={"env": "TOKEN"}, notify=list(receivers)), desired)


def events(server: Receiver) -> list[tuple[str, str]]:
    documents = [json.loads(request.body) for request in server.requests]
    return [(each.get("subject", ""), each["type"].rpartition(".")[2]) for each in documents]


def notify(shop: Shop, *arguments: str, env: dict[str, str] | None = None) -> Completed:
    return shop.run("notify", "-f", "aliases.yaml", *arguments, env=env)


def test_apply_and_rollback_notify_of_what_they_do(shop: Shop) -> None:
    shop.point(a="v1", b="v1")
    with receiver() as server:
        audit = {"name": "audit", "uri": f"{server.uri}/hook"}
        want(shop, {"a": "v2", "b": "v3", "c": "missing"}, audit)
        assert shop.apply().code == 5
        assert sorted(events(server)) == [("a", "moved"), ("b", "moved"), ("c", "blocked")]
        assert shop.apply().code == 3
        assert len(server.requests) == 3
        assert shop.run("rollback", "--yes").code == 0
        data = [json.loads(request.body)["data"] for request in server.requests[3:]]
    assert sorted((each["alias"], each["from"], each["to"], each["command"]) for each in data) == [
        ("a", "v2", "v1", "rollback"),
        ("b", "v3", "v1", "rollback"),
    ]


def test_a_saved_plan_notifies_too(shop: Shop) -> None:
    with receiver() as server:
        want(shop, {"a": "v2"}, {"name": "audit", "uri": server.uri})
        assert shop.plan("--out", "plan.json").code == 0
        assert server.requests == []
        assert shop.run("apply", "plan.json", "--yes").code == 0
        assert events(server) == [("a", "moved")]
    shown = " ".join(shop.run("show", "plan.json").stdout.split())
    assert f'notifications go to receiver "audit" at {server.uri.removeprefix("http://")}' in shown


def test_a_receiver_that_is_down_changes_neither_the_result_nor_the_exit_code(shop: Shop) -> None:
    port = free_port()
    want(shop, {"a": "v2"}, {"name": "audit", "uri": f"http://127.0.0.1:{port}/"})
    done = shop.apply()
    assert done.code == 0
    assert 'receiver "audit" at 127.0.0.1' in done.stderr
    assert 'receiver "audit": 1 notification not delivered yet; run "aliasctl notify"' in done.stderr
    left = notify(shop, "--wait", "1s", "--format", "json")
    [found] = left.document["receivers"]
    assert (left.code, found["ok"], found["waiting"], found["delivered"]) == (1, False, 1, 0)
    assert "cannot be reached" in found["detail"]
    with receiver(port=port) as server:
        done = notify(shop)
        assert (done.code, events(server)) == (0, [("a", "moved")])
    assert done.stdout == "main\n  ✓ audit   cloudevents   1 delivered\n"


def test_a_sample_shows_what_each_receiver_answered_and_no_secret(shop: Shop) -> None:
    with receiver() as server:
        server.answer = lambda request: (
            Answer(404, f"no_service {request.path}".encode()) if "T0" in request.path else Answer(202, b"ok")
        )
        want(
            shop,
            {"a": "v2"},
            {"name": "audit", "uri": f"{server.uri}/hook"},
            {"name": "chat", "format": "slack", "uriFrom": {"env": "CHAT_URL"}},
            {"name": "forge", "format": "github-status", "uri": f"{server.uri}/repos/o/r", "secret": {"env": "TOKEN"}},
        )
        done = notify(shop, "--test", "main", env={"CHAT_URL": f"{server.uri}{SECRET_PATH}"})
        assert (done.code, done.stderr) == (1, "")
        assert done.stdout.splitlines() == [
            "main",
            "  ✓ audit   cloudevents     202 ok",
            "  ✗ chat    slack           404 no_service /(secret)/(secret)/(secret)",
            "  ✓ forge   github-status   202 ok",
        ]
        assert [request.method for request in server.requests] == ["POST", "POST", "GET"]
        assert json.loads(server.requests[0].body)["type"] == "dev.aliasctl.test"
    assert "XXXXsecretXXXX" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--test", "other"), 'no MilvusConnection is called "other"; the files have: main'),
        (("main",), 'MilvusConnection "main" has no receivers; add spec.notify to it'),
        ((), "no MilvusConnection in the files of -f has receivers; add spec.notify to it"),
    ],
)
def test_without_receivers_it_says_what_to_do(shop: Shop, arguments: tuple[str, ...], message: str) -> None:
    shop.want({"a": "v2"})
    done = notify(shop, *arguments)
    assert (done.code, message in done.stderr) == (1, True)


LOADED = """
import sys
from reconciler.__main__ import main as run
try:
    run()
except SystemExit as end:
    code = end.code
needed = ("reconciler.notify.", "reconciler.integrations.http", "reconciler.journal.outbox", "reconciler.journal.noti")
print([name for name in sys.modules if name.startswith(needed)], file=sys.stderr)
sys.exit(code)
"""


def test_a_run_that_notifies_nobody_loads_none_of_it(shop: Shop) -> None:
    shop.want({"a": "v2"})
    done = subprocess.run(
        [sys.executable, "-c", LOADED, "apply", "-f", "aliases.yaml", "--yes", "--journal", "journal.db"],
        cwd=shop.folder,
        capture_output=True,
        text=True,
        check=False,
        env={"TOKEN": "x", "PATH": "", "PYTHONPATH": str(Path(__file__).parents[2]), "HOME": str(shop.folder)},
    )
    assert done.stderr.splitlines()[-1] == "[]", done.stderr
