"""A run in progress as text: a line for what people want to know of, once, and how long what goes on will take."""

from __future__ import annotations

from msgspec.structs import replace

from reconciler.core.plan import Block, BlockReason, Step
from reconciler.core.report import SOAK_FAILED, Outcome, Propagated, Reach, StepResult
from reconciler.core.run_events import (
    GatesStarted,
    PropagationEnded,
    PropagationProbed,
    PropagationStarted,
    RevertStarted,
    RunEvent,
    SetEnded,
    SoakPassed,
    SoakProbed,
    SoakStarted,
    VerificationStarted,
    WaitingForGates,
    WaveStarted,
)
from reconciler.render.progress import RunProgress, duration

STEP = Step("shop", "a", current="v1", desired="v2")
DONE = StepResult(STEP, Outcome.DONE, wrote=True)


def lines(*events: RunEvent, progress: RunProgress | None = None) -> list[str]:
    progress = progress or RunProgress()
    return [line.plain for event in events for line in progress.take(event, 0.0)]


def test_a_step_is_shown_with_its_ends_and_its_outcome() -> None:
    created = StepResult(Step("shop", "new", current=None, desired="v2"), Outcome.DONE)
    dropped = StepResult(Step("shop", "old", current="v1", desired=None), Outcome.FAILED, message="no grant\x1b[31m")
    assert lines(WaveStarted("shop", 1, 3, 1), DONE, created, dropped) == [
        "shop: wave 1: 3 changes, 1 blocked",
        "shop: ~ a   v1 → v2   done",
        "shop: + new   → v2   done",
        "shop: - old   v1   failed: no grant\\x1b[31m",
    ]


def test_a_result_is_shown_again_only_if_it_says_something_else() -> None:
    proof = (Propagated("localhost", Reach.VERIFIED),)
    failed = replace(DONE, outcome=Outcome.FAILED, code=SOAK_FAILED, message="during the soak: v2 is not loaded")
    assert lines(DONE, replace(DONE, propagation=proof), failed)[1:] == [
        "shop: ~ a   v1 → v2   failed: during the soak: v2 is not loaded"
    ]


def test_steps_to_which_nothing_happens_are_left_to_the_report() -> None:
    blocked = replace(STEP, blocked=Block(BlockReason.PROTECTED, "the alias is protected"))
    taken_over = StepResult(STEP, Outcome.NOOP, message="run X moved it", moved_by="X")
    assert lines(StepResult(blocked, Outcome.BLOCKED), StepResult(STEP, Outcome.NOT_ATTEMPTED), taken_over) == []
    assert lines(VerificationStarted("shop", ("a", "b"))) == ["shop: verifying moves of earlier runs: a, b"]


def test_what_a_wave_waits_for_is_shown_once_and_then_only_changes() -> None:
    rows, loaded = "rows: v2 has 5 rows, need ≥ 20", "loaded: v3 is not loaded"
    first = WaitingForGates("shop", {"a": rows, "b": rows, "c": loaded}, 0.0, 120.0)
    shown = lines(
        GatesStarted("shop", 0, 3),
        first,
        WaitingForGates("shop", dict(first.reasons), 15.0, 105.0),
        WaitingForGates("shop", {"a": rows, "b": rows}, 30.0, 90.0),
        WaitingForGates("shop", {"a": rows, "b": rows}, 45.0, 75.0),
    )
    assert shown == [
        f"shop: waiting for gates, 2m left: a, b: {rows}",
        f"shop: waiting for gates, 2m left: c: {loaded}",
        f"shop: waiting for gates, 1m30s left: a, b: {rows}",
    ]


def test_propagation_is_shown_with_its_probes_and_its_end() -> None:
    progress = RunProgress()
    assert lines(PropagationStarted("shop", 2, 30.0), progress=progress) == [
        "shop: verifying readers of 2 aliases, up to 30s"
    ]
    stuck = PropagationProbed("shop", 2, 1, 6.0, 24.0, "b: reads are still answered by v1")
    assert lines(stuck, progress=progress) == []
    assert progress.still_running(6.0) == (
        "shop: verifying 2 aliases: 6s elapsed, 24s left; 1 of 2 verified, b: reads are still answered by v1"
    )
    assert lines(PropagationEnded("shop", 2, 1, 30.0), progress=progress) == [
        "shop: readers of 1 of 2 aliases verified after 30s"
    ]
    assert lines(PropagationEnded("shop", 2, 2, 1.34)) == ["shop: readers of 2 aliases verified after 1.3s"]
    assert progress.still_running(31.0) == ""


def test_a_soak_is_shown_with_the_last_probe_and_the_remaining_time() -> None:
    progress = RunProgress()
    assert lines(SoakStarted("shop", 5, 600.0), progress=progress) == ["shop: soak: monitoring 5 aliases for 10m"]
    assert lines(SoakProbed("shop", 0.0, 600.0), SoakProbed("shop", 30.0, 570.0), progress=progress) == []
    assert progress.still_running(30.0) == "shop: soak of 5 aliases: 30s elapsed, 9m30s left; last probe passed"
    bad = SoakProbed("shop", 60.0, 540.0, "v2 is not loaded")
    assert lines(bad, bad, SoakProbed("shop", 120.0, 480.0), SoakPassed("shop", 600.0), progress=progress) == [
        "shop: soak: probe failed after 1m: v2 is not loaded",
        "shop: soak: probe passed again after 2m",
        "shop: soak passed after 10m",
    ]


def test_a_revert_is_announced_and_its_reason_is_not_repeated() -> None:
    reason = '"a": during the soak: v2 is not loaded'
    failed = replace(DONE, outcome=Outcome.FAILED, message="during the soak: v2 is not loaded")
    other = replace(failed, step=replace(STEP, alias="b"))
    back = replace(DONE, outcome=Outcome.REVERTED, message=f'{reason}; it is at "v1" again')
    assert lines(failed, other, RevertStarted("shop", 2, reason), back) == [
        "shop: ~ a   v1 → v2   failed: during the soak: v2 is not loaded",
        "shop: ~ b   v1 → v2   failed: see above",
        "shop: reverting 2 changes",
        "shop: ~ a   v2 → v1   reverted",
    ]
    assert lines(RevertStarted("shop", 2, "run X decided it")) == ["shop: reverting 2 changes: run X decided it"]


def test_what_goes_on_is_counted_until_it_is_over() -> None:
    progress = RunProgress()
    lines(GatesStarted("shop", 0, 2), progress=progress)
    assert progress.still_running(45.0) == "shop: gates of 2 aliases: 45s elapsed"
    lines(WaveStarted("shop", 0, 2, 0), DONE, SoakStarted("other", 1, 60.0), progress=progress)
    assert progress.activities["shop"].doing == "1 of 2 changes"
    assert progress.still_running(5.0) == "other: soak of 1 alias: 5s elapsed, 55s left (and 1 other set)"
    lines(SetEnded("other"), replace(DONE, step=replace(STEP, alias="b")), progress=progress)
    assert progress.activities == {}


def test_durations_are_those_of_manifests() -> None:
    assert [duration(seconds) for seconds in (0, 0.04, 1.26, 9.96, 59.6, 570, 3600)] == [
        "0s",
        "0s",
        "1.3s",
        "10s",
        "1m",
        "9m30s",
        "1h",
    ]
