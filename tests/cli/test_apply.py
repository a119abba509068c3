"""`apply`: its three forms, asking, stopping, and several databases."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event, Thread

import grpc
import pytest

from tests.cli.command import TIMEOUT, finish, start
from tests.cli.shop import Shop, alias_set, connection, open_shop
from tests.faults.relay import Relay
from tests.servers import MilvusAdmin

NO_TERMINAL = "error: there are changes to apply and no terminal to ask at; run with --yes to apply them\n"


def test_a_plan_file_is_applied_by_itself_and_resumed(shop: Shop) -> None:
    """It needs no manifest. A step that somebody did meanwhile is not done again."""
    shop.point(a="v1", b="v1")
    shop.want({"a": "v2", "b": "v2"})
    assert shop.plan("--out", "plan.json", "--format", "json").document == shop.read("plan.json")
    both = shop.run("apply", "plan.json", "--plan", "plan.json")
    assert (both.code, "give either a PLANFILE, or manifests with --plan PLANFILE" in both.stderr) == (1, True)
    (shop.folder / "aliases.yaml").unlink()
    shop.move(a="v2")
    applied = shop.run("apply", "plan.json", "--yes", "--output", "json=report.json")
    assert (applied.code, shop.live) == (0, {"a": "v2", "b": "v2"})
    assert "  ~ v1 → v2   2 aliases   1 unchanged, 1 done\n      unchanged   a\n      done        b\n" in applied.stdout
    assert "Apply: 1 done, 1 unchanged in " in applied.stdout
    report = shop.read("report.json")
    assert (report["kind"], report["summary"]["done"], report["summary"]["noop"]) == ("Report", 1, 1)

    elsewhere = shop.run("apply", "plan.json", "--yes", "--uri", "http://127.0.0.1:1")
    assert elsewhere.code == 1
    assert "--uri: error: a saved plan says by itself where it applies" in elsewhere.stderr


def test_a_plan_from_a_pipe_is_applied(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> None:
    shop.point(a="v1")
    shop.want({"a": "v2"})
    shop.plan("--out", "plan.json")
    pipe = tmp_path_factory.mktemp("elsewhere") / "pipe"
    os.mkfifo(pipe)
    writer = Thread(target=lambda: pipe.write_bytes((shop.folder / "plan.json").read_bytes()), daemon=True)
    writer.start()
    applied = shop.run("apply", str(pipe), "--yes")
    writer.join(TIMEOUT)
    assert (applied.code, shop.live) == (0, {"a": "v2"}), applied.stderr


def test_a_reviewed_plan_is_insisted_on(shop: Shop) -> None:
    shop.point(a="v1")
    shop.want({"a": "v2"})
    digest = shop.plan("--out", "plan.json", "--format", "json").document["digest"]
    shop.want({"a": "v2", "b": "v1"})
    refused = shop.apply("--plan", "plan.json", "--format", "json")
    assert (refused.code, shop.live) == (4, {"a": "v1"})
    assert refused.stderr.splitlines()[1:] == ['error: alias "b": not in the reviewed plan; now: create at v1']
    messages = [error["message"] for error in refused.document["errors"]]
    assert messages == [line.removeprefix("error: ") for line in refused.stderr.splitlines()]

    shop.want({"a": "v2"})
    accepted = shop.apply("--plan", "plan.json", "--format", "json")
    assert (accepted.code, accepted.document["planDigest"], shop.live) == (0, digest, {"a": "v2"})


def test_an_edited_plan_file_is_refused(shop: Shop) -> None:
    shop.want({"a": "v1"})
    shop.plan("--out", "plan.json")
    path = shop.folder / "plan.json"
    path.write_text(path.read_text().replace('"to": "v1"', '"to": "v2"'))
    edited = shop.run("apply", "plan.json", "--yes")
    assert (edited.code, edited.stdout, shop.live) == (1, "", {})
    assert edited.stderr.startswith("plan.json: error: the plan file was edited")


def test_where_nobody_can_be_asked_the_plan_is_shown_and_nothing_done(shop: Shop) -> None:
    shop.want({"a": "v1"})
    unasked = shop.run("apply", "-f", "aliases.yaml")
    assert (unasked.code, unasked.stderr, shop.live) == (1, NO_TERMINAL, {})
    assert "+ a   → v1" in unasked.stdout


@pytest.mark.parametrize(("answer", "code", "live"), [("y", 0, {"a": "v1", "b": "v1"}), ("n", 1, {})])
def test_at_a_terminal_the_plan_is_shown_and_asked_about(
    answer: str, code: int, live: dict[str, str], shop: Shop
) -> None:
    question = f"Apply 2 changes to main / {shop.database}? [y/N]: "
    shop.want({"a": "v1", "b": "v1"})
    shown = shop.at_terminal("apply", "-f", "aliases.yaml", prompt=question, answer=answer + "\n")
    assert (shown.code, shop.live) == (code, live)
    plan, _, after = shown.stdout.partition(question)
    assert "  \x1b[32m+\x1b[0m → v1   2 aliases\n      a, b\n" in plan
    assert "Plan: 2 to create" in plan
    assert {"y": "Apply: 2 done in ", "n": "not applied"}[answer] in after


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_while_applying_finishes_the_call_in_flight_and_reports(
    shop: Shop, relay: Relay, how: signal.Signals
) -> None:
    in_flight, go_on = Event(), Event()

    def slow(_: grpc.ServicerContext) -> None:
        in_flight.set()
        go_on.wait(TIMEOUT)

    relay.before["CreateAlias"] = slow
    shop.uri = relay.uri
    shop.want({f"a{number}": "v1" for number in range(5)})
    process = start(["apply", "-f", "aliases.yaml", "--yes", "--format", "json"], shop.folder)
    assert in_flight.wait(TIMEOUT)
    process.send_signal(how)
    assert process.stderr
    said = next(line for line in process.stderr if line.startswith("Stopping"))
    go_on.set()
    stopped = finish(process)
    report = stopped.document
    assert (stopped.code, report["exitCode"], report["interrupted"]) == (5, 5, True)
    assert (report["summary"]["done"], report["summary"]["notAttempted"]) == (1, 4)
    assert shop.live == {"a0": "v1"}
    assert (said, stopped.remarks) == ("Stopping: finishing the calls in flight; once more to quit at once\n", "")


def ignores(process: subprocess.Popen[str], number: signal.Signals) -> bool:
    """Whether a process ignores a signal; true where the system does not say so."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return True
    return any(int(mask, 16) >> number - 1 & 1 for mask in re.findall(r"^SigIgn:\s+(\w+)$", status, re.MULTILINE))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says which signals a process ignores")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(("command", "last"), [(["apply", "--yes"], "Apply: "), (["plan"], "Plan: ")])
def test_a_signal_after_the_result_changes_nothing(
    shop: Shop, command: list[str], last: str, how: signal.Signals
) -> None:
    """From the last line that is printed until the process has ended, which takes a moment."""
    shop.want({"a": "v1"})
    process = start([*command, "-f", "aliases.yaml"], shop.folder)
    assert process.stdout
    for line in process.stdout:
        if line.startswith(last):
            break
    while command == ["plan"] and process.poll() is None and not ignores(process, how):
        time.sleep(0.001)  # until it has returned from the write
    while process.poll() is None:
        process.send_signal(how)
        time.sleep(0.001)
    assert (process.returncode, finish(process).remarks) == (0, "")


def test_a_second_interrupt_quits_at_once_and_claims_nothing(shop: Shop, relay: Relay) -> None:
    in_flight, late = Event(), Event()

    def stuck(_: grpc.ServicerContext) -> None:
        in_flight.set()
        late.wait(2 * TIMEOUT)  # longer than its end is waited for

    relay.before["CreateAlias"] = stuck
    shop.uri = relay.uri
    shop.want({"a": "v1", "b": "v1"})
    process = start(["apply", "-f", "aliases.yaml", "--yes"], shop.folder)
    try:
        assert in_flight.wait(TIMEOUT)
        process.send_signal(signal.SIGINT)
        assert process.stderr
        assert any(line.startswith("Stopping") for line in iter(process.stderr.readline, ""))
        process.send_signal(signal.SIGINT)
        killed = finish(process)
    finally:
        late.set()
    assert killed.code == -signal.SIGINT
    assert "before any write" not in killed.stderr


def test_an_interrupt_while_planning_is_before_any_write(shop: Shop, relay: Relay) -> None:
    in_flight, told = Event(), Event()

    def slow(_: grpc.ServicerContext) -> None:
        in_flight.set()
        told.wait(TIMEOUT)
        time.sleep(2)

    relay.before["ListAliases"] = slow
    shop.uri = relay.uri
    shop.want({"a": "v1"})
    process = start(["apply", "-f", "aliases.yaml", "--yes", "--format", "json"], shop.folder)
    assert in_flight.wait(TIMEOUT)
    process.send_signal(signal.SIGINT)
    told.set()
    stopped = finish(process)
    assert (stopped.code, stopped.document["errors"][0]["code"], shop.live) == (1, "Interrupted", {})


def test_a_failed_database_stops_the_later_ones_unless_kept_going(
    shop: Shop, relay: Relay, admin: MilvusAdmin, tmp_path: Path
) -> None:
    later = shop.database + "_later"
    admin.create_database(later)
    second = open_shop(shop.uri, later, admin, tmp_path)

    def failing(context: grpc.ServicerContext) -> None:
        if dict(context.invocation_metadata()).get("dbname") == shop.database:
            context.abort(grpc.StatusCode.INTERNAL, "disk on fire")

    relay.before["CreateAlias"] = failing
    shop.uri = relay.uri
    shop.want({"a": "v1"}, alias_set({"a": "v1"}, "later", database=later))
    stopped = shop.apply("--format", "json")
    assert (stopped.code, shop.live, second.live) == (5, {}, {}), "code 5: the call may take effect yet"
    first_target, second_target = stopped.document["targets"]
    assert [step["outcome"] for step in (*first_target["steps"], *second_target["steps"])] == ["failed", "notAttempted"]
    assert "disk on fire" in first_target["steps"][0]["message"]

    kept_going = shop.apply("--keep-going")
    assert (kept_going.code, shop.live, second.live) == (5, {}, {"a": "v1"})
    assert "Apply: 1 done, 1 failed in " in kept_going.stdout


def test_a_report_file_that_cannot_be_written_is_said_before_anything_is(shop: Shop) -> None:
    shop.want({"a": "v1"})
    refused = shop.apply("--output", "json=nowhere/report.json")
    assert (refused.code, refused.stdout, shop.live) == (1, "", {})
    assert refused.stderr.startswith(
        f"error: cannot write nowhere/report.json: there is no folder {shop.folder}/nowhere\n"
    )


def test_only_apply_creates_a_lite_file_and_says_so(tmp_path: Path) -> None:
    folder = Shop("./new.db", "default", None, tmp_path)
    folder.want({"a": "v1"})
    folder.write("paused.yaml", connection("./other.db", "other"))
    planned = folder.plan()
    path = tmp_path / "new.db"
    assert (planned.code, planned.stderr, path.exists()) == (
        1,
        f"error: no Milvus Lite file at {path}; only apply creates one\n",
        False,
    )

    paused = alias_set({"a": "v1"}, "paused", connectionRef={"name": "other"}, suspend=True)
    folder.want({"a": "v1"}, connection("./other.db", "other"), paused)
    applied = folder.run("apply", "-f", "aliases.yaml", "--yes")
    assert applied.stderr == f"Creating Milvus Lite file {path}\n"
    assert (applied.code, path.exists(), (tmp_path / "other.db").exists()) == (3, True, False)
    assert 'v1 does not exist in database "default"' in applied.stdout


def test_a_plan_file_with_nothing_left_to_do_asks_nobody(shop: Shop) -> None:
    shop.point(gone="v1")
    shop.want({"a": "v1", "gone": None})
    assert shop.plan("--out", "plan.json").code == 0
    assert shop.apply().code == 0
    again = shop.run("apply", "plan.json")
    assert again.code == 0, "no --yes and no terminal"
    assert "a      → v1   unchanged" in again.stdout
    assert "gone   v1     already gone" in again.stdout


def test_what_was_blocked_at_review_is_not_done_at_apply(shop: Shop) -> None:
    shop.point(safe="v1")
    shop.want({"safe": {"collection": "v2", "protect": True}})
    assert shop.plan("--out", "plan.json").code == 3
    refused = shop.apply("--plan", "plan.json", "--allow-protected", "safe")
    assert (refused.code, shop.live) == (4, {"safe": "v1"})
    assert "blocked when the plan was reviewed, and not now: safe; plan and review again" in refused.stderr
