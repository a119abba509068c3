"""A run was killed in the middle of its revert: whatever command comes next says so first, and how to finish it."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator

import pytest

from tests.cli.command import Completed, finish, start
from tests.cli.shop import Shop
from tests.cli.test_history import ID
from tests.faults.saboteur import Saboteur, saboteur

FAILS, DIES = 3, 5
"""Writes: two aliases move, the third is refused, one of the two is moved back, and then the process dies."""
BEFORE = {"a": "v1", "b": "v1", "c": "v1"}
HALF = {"a": "v2", "b": "v1", "c": "v1"}

Run = Callable[..., Completed]


@pytest.fixture
def relay(shop: Shop) -> Iterator[Saboteur]:
    with saboteur(shop.uri) as relay:
        yield relay


@pytest.fixture
def aliasctl(shop: Shop, relay: Saboteur) -> Run:
    """Runs a command on the half-reverted set, through the relay that the killed run went through."""
    shop.point(**BEFORE)
    shop.want({"a": "v2", "b": "v2", "c": {"collection": "v2", "wave": 1}}, onFailure="Revert")
    relay.faults = {FAILS: relay.refuse, DIES: relay.kill_before}
    reach = ("-f", "aliases.yaml", "--uri", relay.uri, "--concurrency", "1")
    relay.client = start(["apply", "--yes", *reach], shop.folder)
    assert finish(relay.client).code == -signal.SIGKILL
    assert shop.live == HALF
    return lambda command, *arguments: shop.run(command, *reach, *arguments)


def test_plan_status_and_apply_say_so_first_and_apply_finishes_it(shop: Shop, aliasctl: Run) -> None:
    said = rf'Revert of run {ID} not finished: set "shop", 1 alias still to be moved back \(a\); to finish: '
    planned = aliasctl("plan", "--detailed-exitcode", "--output", "markdown=plan.md", "--output", "html=plan.html")
    assert planned.code == 2
    first, _, back, *blocked, summary = planned.stdout.splitlines()
    assert first_line(said, planned) == first
    assert re.match(rf"  ~ a   v2 → v1   to be moved back: run {ID} did not finish its revert", back)
    together = 'it moves together with "a" (onFailure: Revert), which is being moved back'
    head, *of_b, of_c, why = blocked
    assert head == "  ! v1 → v2   2 aliases   BLOCKED"
    assert (of_b[0], of_c, why) == ("      wave 0   b", "      wave 1   c", f"        {together}")
    assert re.match(rf"        v2 was rejected by run {ID}: ", of_b[1])
    assert summary.endswith("1 to move back.")
    for name in ("plan.md", "plan.html"):
        assert "not finished: set" in (shop.folder / name).read_text()

    shown = aliasctl("status")
    assert first_line(said, shown)
    assert "decided to revert it" in shown.stdout

    applied = aliasctl("apply", "--yes")
    assert (applied.code, shop.live) == (5, BEFORE)
    assert first_line(said, applied)
    again = aliasctl("apply", "--yes")
    assert (again.code, "not finished" in again.stdout, shop.live) == (3, False, BEFORE)
    assert not aliasctl("plan", "--format", "json").document["targets"][0]["sets"][0].get("pendingReverts")


def test_the_rollback_that_is_named_finishes_it_too(shop: Shop, aliasctl: Run) -> None:
    command = aliasctl("plan").stdout.splitlines()[0].rpartition("aliasctl ")[2]
    assert shop.run(*command.split(), "--yes").code == 0
    assert shop.live == BEFORE
    assert "not finished" not in aliasctl("plan").stdout


def test_what_a_report_leaves_half_is_its_first_line(shop: Shop, relay: Saboteur, aliasctl: Run) -> None:
    relay.faults[DIES + 1] = relay.refuse
    applied = aliasctl("apply", "--yes")
    assert (applied.code, shop.live) == (1, HALF)
    first, of_report = (line for line in applied.stdout.splitlines() if line.startswith("Revert of run "))
    assert of_report == first, "the plan is above the report"
    assert shop.run(*of_report.rpartition("aliasctl ")[2].split(), "--yes").code == 0
    assert shop.live == BEFORE


def first_line(said: str, completed: Completed) -> str:
    line = completed.stdout.splitlines()[0]
    assert re.match(said + rf"aliasctl apply, or aliasctl rollback {ID}$", line), line
    return line
