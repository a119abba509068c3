"""The agent as a process: it ends when it is told to, goes on where it was, and is alone in its folder."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Event

import grpc
import pytest

from tests.cli.command import run_python
from tests.faults.relay import Relay
from tests.sync.agents import SECONDS, Agent
from tests.sync.stage import Stage
from tests.sync.test_web import signature

EXPECTED = dict.fromkeys("abc", "v2")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_in_a_wave_ends_after_the_call_in_flight_and_the_next_start_goes_on(
    stage: Stage, relay: Relay, how: signal.Signals
) -> None:
    stage.shop.point(b="v1", c="v1")
    arrived, go_on = Event(), Event()
    alters: list[str] = []

    def hold(context: grpc.ServicerContext) -> None:
        alters.append("alter")
        arrived.set()
        go_on.wait(SECONDS)

    relay.before["AlterAlias"] = hold
    with stage.following() as agent:
        stage.merge(EXPECTED)
        assert arrived.wait(SECONDS)
        agent.process.send_signal(how)
        with pytest.raises(TimeoutError):
            agent.wait_for_end(0.5)
        go_on.set()
        assert agent.wait_for_end() == 0
    assert (len(alters), sorted(stage.shop.live.values())) == (1, ["v1", "v1", "v2"])
    (run,) = stage.shop.run("history", "--format", "json").document["runs"]
    assert run["interrupted"] is True
    assert stage.once().code == 0
    assert (len(alters), stage.shop.live) == (3, EXPECTED)


def test_a_killed_agent_goes_on_where_it_was(stage: Stage, relay: Relay) -> None:
    stage.shop.point(b="v1", c="v1")
    arrived = Event()

    def kill(context: grpc.ServicerContext) -> None:
        agent.process.kill()
        agent.process.wait()
        arrived.set()

    stage.merge(EXPECTED)
    relay.before["AlterAlias"] = kill
    agent = stage.begin()
    assert arrived.wait(SECONDS)
    agent.close()
    del relay.before["AlterAlias"]
    assert stage.once().code == 0
    assert stage.shop.live == EXPECTED
    states = [run["state"] for run in stage.shop.run("history", "--format", "json").document["runs"]]
    assert states == ["ended", "interrupted"]


def test_a_second_agent_in_one_folder_is_refused(stage: Stage) -> None:
    with stage.following() as agent:
        agent.found("Succeeded", stage.origin.head)
        done = stage.once()
        assert done.code == 1
        assert done.stderr.count("\n") == 1
        assert f"another agent works in {stage.state()}; give this one its own --state" in done.stderr
        assert stage.once(state="other").code == 0


def test_its_folder_holds_temporary_files_where_no_other_can_be_written(stage: Stage) -> None:
    """As in a container with a read-only root file system and one volume, for --state and --journal."""
    code = (
        "import sys, tempfile; tempfile._candidate_tempdir_list = lambda: ['/proc/none']\n"
        "from reconciler.cli.main import main; main(sys.argv[1:])"
    )
    stage.merge({"a": "v2"})
    options = ("--once", "--journal", "journal.db")
    done = run_python(code, "sync", *stage.options(None, "volume", options), cwd=stage.shop.folder)
    assert (done.code, stage.shop.live) == (0, {"a": "v2"}), done.stderr
    assert list((stage.state("volume") / "tmp").iterdir()) == []


def half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


@pytest.mark.parametrize("damage", [half, empty])
@pytest.mark.parametrize(
    "files",
    ["objects/pack/*.pack", "objects/pack/*.idx", "refs/**/*", "HEAD", "config", "packed-refs"],
)
def test_a_damaged_mirror_is_fetched_again(stage: Stage, files: str, damage: Callable[[Path], None]) -> None:
    assert stage.once().code == 0
    mirror = stage.state("state") / "mirror.git"
    if files == "packed-refs":
        (mirror / files).write_text("neither a comment nor a ref\n")
    for path in [path for path in mirror.glob(files) if path.is_file()]:
        path.chmod(0o600)
        damage(path)
    stage.shop.move(a="v2")
    done = stage.once()
    assert (done.code, stage.shop.live) == (0, {"a": "v1"}), done.stderr
    assert stage.once().code == 0


def test_internal_errors_end_a_single_run_with_1_and_are_reported_by_the_probes(stage: Stage, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nfor word; do [ "$word" != ls-tree ] || {{ echo nonsense; exit; }}; done\n'
        f'exec {shutil.which("git")} "$@"\n'
    )
    program.chmod(0o755)
    env = {"PATH": f"{program.parent}:{os.environ['PATH']}", "HOOK": "h00k"}
    done = stage.once(env=env)
    assert (done.code, "internal error, please report it" in done.stderr) == (1, True)
    agent = stage.begin("--webhook-secret-env", "HOOK", env=env).ready()
    for number in (1, 2, 3):
        agent.eventually(partial(counts, agent, number))
        assert agent.request("/healthz").status == (200 if number < 3 else 503)
        agent.request("/hook", b"{}", X_Hub_Signature_256=signature(b"{}", "h00k"))
    assert agent.request("/healthz").text.startswith("3 internal errors in a row; see the log")
    agent.close()


def counts(agent: Agent, internal_errors: int) -> bool:
    return bool(agent.status["internalErrors"] == internal_errors)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux ends them")
def test_git_ends_with_a_killed_agent(stage: Stage, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    marker = tmp_path / "pid"
    program.write_text(
        f'#!/bin/sh\nfor word; do [ "$word" != ls-remote ] || {{ echo $$ >{marker}; exec sleep 600; }}; done\n'
        f'exec {shutil.which("git")} "$@"\n'
    )
    program.chmod(0o755)
    agent = stage.begin(env={"PATH": f"{program.parent}:{os.environ['PATH']}"})
    agent.eventually(lambda: marker.exists() and marker.read_text().strip() != "")
    agent.close()
    agent.eventually(lambda: not Path(f"/proc/{marker.read_text().strip()}/cmdline").exists())
