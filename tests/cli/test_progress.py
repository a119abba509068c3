"""Progress on standard error: live at a terminal, lines elsewhere, and no trouble for the run from either."""

from __future__ import annotations

import io
import logging
import os
import pty
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest
from msgspec.structs import replace

from reconciler.cli import output, progress
from reconciler.cli.output import Output
from reconciler.cli.progress import Lines, ProgressDisplay
from reconciler.core.plan import Step
from reconciler.core.report import Outcome, StepResult
from reconciler.core.run_events import Planning, RunEvent, SoakProbed, SoakStarted, WaitingForGates
from reconciler.reconcile import apply_plan, make_plan
from reconciler.render.progress import PlanningProgress, RunProgress
from reconciler.service.logging import configure_logging
from tests.builders import LOCAL, alias_set, catalogs, live, server

MOVED = StepResult(Step("shop", "a", current="v1", desired="v2"), Outcome.DONE)
ERASE_LINE, HIDE_CURSOR = "\x1b[2K", "\x1b[?25l"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "REFRESH", 0.01)
    monkeypatch.setattr(progress, "PATIENCE", 20.0)
    for variable in ("NO_COLOR", "FORCE_COLOR", "TTY_INTERACTIVE", "TTY_COMPATIBLE"):
        monkeypatch.delenv(variable, raising=False)


class Terminal:
    """A terminal as standard error. `shown`: all that was written to it."""

    def __init__(self) -> None:
        self.shown = ""

    def wait_for(self, text: str) -> None:
        end = time.monotonic() + 60
        while text not in self.shown:
            assert time.monotonic() < end, self.shown
            time.sleep(0.005)

    def read(self, ours: int) -> None:
        try:
            while chunk := os.read(ours, 65536):
                self.shown += chunk.decode()
        except OSError:
            return  # nobody has the other end open


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch, kind: str = "xterm-256color") -> Iterator[Terminal]:
    monkeypatch.setenv("TERM", kind)
    monkeypatch.setenv("COLUMNS", "80")
    ours, theirs = pty.openpty()
    made = Terminal()
    reader = Thread(target=made.read, args=(ours,))
    reader.start()
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        yield made
    reader.join()
    os.close(ours)


def plain(shown: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)


def test_a_line_every_thirty_seconds_says_what_takes_so_long(capsys: pytest.CaptureFixture[str]) -> None:
    screen, followed = Lines(Output(), 0.0), RunProgress()
    for moment in range(121):
        events: dict[int, list[RunEvent]] = {
            0: [SoakStarted("shop", 2, 600.0)],
            40: [SoakProbed("shop", 40.0, 560.0)],
        }
        happened = events.get(moment, [])
        shown = [line for event in happened for line in followed.take(event, float(moment))]
        screen.show(shown, followed, float(moment))
    assert capsys.readouterr().err.splitlines() == [
        "shop: soak: monitoring 2 aliases for 10m",
        "shop: soak of 2 aliases: 30s elapsed, 9m30s left",
        "shop: soak of 2 aliases: 1m elapsed, 9m left; last probe passed",
        "shop: soak of 2 aliases: 1m30s elapsed, 8m30s left; last probe passed",
        "shop: soak of 2 aliases: 2m elapsed, 8m left; last probe passed",
    ]


def test_planning_says_at_a_terminal_what_it_does_and_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    made = server("v1", "v2", aliases={"a": "v1", "b": "v1"})
    planning = PlanningProgress()
    with terminal(monkeypatch) as shown, Output().busy(planning):
        shown.wait_for("Connecting")

        def take(event: Planning) -> None:
            planning.take(event)
            if event.evaluated == 1:
                shown.wait_for("Evaluating gates of local / default: 1 of 2 changes, ")
            elif event.changes is None:
                shown.wait_for("Reading local / default: 0 calls")

        one_by_one = replace(LOCAL, concurrency=1)
        make_plan([alias_set({"a": "v2", "b": "v2"}, connection=one_by_one)], catalogs=catalogs(made), on_event=take)
    assert "2 of 2 changes" in plain(shown.shown)


def test_without_a_terminal_planning_says_now_and_then_what_it_does(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "HEARTBEAT", 0.01)
    planning = PlanningProgress()
    planning.take(Planning("prod", "default", 2, 3, calls=lambda: 1234, changes=40, evaluated=12))
    said = ""
    with Output().busy(planning):
        end = time.monotonic() + 60
        while "\n" not in said and time.monotonic() < end:
            time.sleep(0.005)
            said += capsys.readouterr().err
    assert said.splitlines()[0] == "Evaluating gates of prod / default (2 of 3): 12 of 40 changes, 1,234 calls"


def test_the_bar_of_a_soak_that_goes_well_is_not_red(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as shown, ProgressDisplay(Output()) as display:
        display.on_event(SoakStarted("shop", 1, 0.1))
        shown.wait_for("0s left")
    bars = re.findall("\x1b\\[([0-9;]+)m━", shown.shown)
    assert set(bars) <= {"36", "38;5;237"}, "cyan for what is done, and gray for the rest"


def test_without_a_terminal_there_are_only_lines_and_only_on_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with ProgressDisplay(Output()) as display:
        display.on_event(SoakStarted("shop", 1, 600.0))
        display.on_event(MOVED)
        display.say("Stopping")
    out, err = capsys.readouterr()
    assert (out, re.sub(r"\x1b\[[0-9;]*m", "", err)) == (
        "",
        "shop: soak: monitoring 1 alias for 10m\nshop: ~ a   v1 → v2   done\nStopping\n",
    )


def test_at_a_terminal_lines_stay_and_the_block_below_is_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as shown, ProgressDisplay(Output()) as display:
        display.on_event(MOVED)
        display.on_event(SoakStarted("shop", 1, 600.0))
        display.on_event(SoakProbed("shop", 0.0, 600.0, "v2 is not loaded"))
        shown.wait_for("last probe: v2 is not loaded")
        assert "soak of 1 alias" in plain(shown.shown)
        assert "10m left" in plain(shown.shown)
    assert "shop: ~ a   v1 → v2   done" in plain(shown.shown)
    assert HIDE_CURSOR not in shown.shown, "a process that is killed cannot bring the cursor back"
    end = shown.shown[shown.shown.rindex("last probe") :]
    assert ERASE_LINE in end
    assert plain(end).strip() == "last probe: v2 is not loaded"


def fail_in_a_run(shown: Terminal) -> None:
    with ProgressDisplay(Output()) as display:
        display.on_event(SoakStarted("shop", 1, 600.0))
        shown.wait_for("10m left")
        raise ZeroDivisionError


def test_an_error_in_the_run_removes_the_block_and_gives_stderr_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as shown:
        stream = sys.stderr
        with pytest.raises(ZeroDivisionError):
            fail_in_a_run(shown)
        assert sys.stderr is stream
        stream.write("after\n")
    assert plain(shown.shown.rpartition(ERASE_LINE)[2]).strip() == "after"


def test_the_log_is_printed_above_the_block_also_if_it_was_in_use_before(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as shown:
        configure_logging("console", "info", color=False)
        logging.getLogger("reconciler").info("before the run")
        with ProgressDisplay(Output()) as display:
            display.on_event(SoakStarted("shop", 1, 600.0))
            shown.wait_for("10m left")
            before = len(shown.shown)
            logging.getLogger("reconciler").info("in the run")
            shown.wait_for("in the run")
            block, _, _ = shown.shown[before:].partition("in the run")
    assert ERASE_LINE in block
    assert "before the run" in shown.shown


@pytest.mark.parametrize(("kind", "variable"), [("dumb", "UNUSED"), ("xterm", "TTY_INTERACTIVE")])
def test_a_terminal_that_cannot_redraw_gets_lines(kind: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "0")
    with terminal(monkeypatch, kind) as shown, ProgressDisplay(Output(color=False)) as display:
        display.on_event(WaitingForGates("shop", {"a": "loaded: v2 is not loaded"}, 0.0, 60.0))
    assert shown.shown == "shop: waiting for gates, 1m left: a: loaded: v2 is not loaded\r\n"


class Broken(io.StringIO):
    """A standard error that takes nothing."""

    def write(self, _text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


class Stuck(io.StringIO):
    """A standard error whose reader has stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = Event()
        self.gave_up = False

    def write(self, text: str) -> int:
        self.gave_up |= not self.goes_on.wait(60)
        return super().write(text)


def moves_forty_aliases(display: ProgressDisplay) -> bool:
    made = server("v1", "v2", aliases={f"a{number}": "v1" for number in range(40)})
    desired = alias_set({f"a{number}": "v2" for number in range(40)})
    plan = make_plan([desired], catalogs=catalogs(made))
    apply_plan(plan, catalogs=catalogs(made), on_event=display.on_event)
    return set(live(made).values()) == {"v2"}


@pytest.mark.parametrize("forced", ["", "1"])
@pytest.mark.parametrize("stream", [Broken, Stuck])
def test_a_broken_or_stuck_stderr_neither_ends_nor_delays_a_run(
    stream: Callable[[], io.StringIO],
    forced: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FORCE_COLOR", forced)
    monkeypatch.setattr(progress, "PATIENCE", 0.5)
    stderr = stream()
    monkeypatch.setattr(sys, "stderr", stderr)
    with ProgressDisplay(Output()) as display:
        assert moves_forty_aliases(display)
    if isinstance(stderr, Stuck):
        assert not stderr.gave_up, "it was waited for"
        stderr.goes_on.set()
    print("the report")
    sys.stdout.flush()
    assert capfd.readouterr().out == "the report\n", "Rich would have redirected it"
