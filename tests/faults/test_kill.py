"""`kill -9` around any call of a plan of any size: the record says what is true, and the next run finishes the work."""

from __future__ import annotations

import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import grpc
import pytest

from reconciler.catalog import Catalogs, connect
from reconciler.core.errors import ExitCode
from reconciler.core.plan import Step
from reconciler.core.report import Outcome
from reconciler.journal import Act, Journal, PastRun, RunState
from reconciler.manifest import load
from reconciler.reconcile import apply_plan, make_plan
from tests.cli.command import finish, start
from tests.cli.shop import Shop, alias_set, connection
from tests.faults.relay import Call
from tests.faults.saboteur import Saboteur
from tests.journals import rows
from tests.reliability.tally import Tally

LARGEST = 20
CHANGES = ("alter", "create", "alter", "drop", "prune")


def aliases_of(size: int) -> tuple[dict[str, str], dict[str, str]]:
    """Where the aliases of a plan of so many steps are before and after it."""
    names = [f"{CHANGES[number % len(CHANGES)]}{number:02}" for number in range(size)]
    before = {name: "v1" for name in names if not name.startswith("create")}
    after = {name: "v2" for name in names if name.startswith(("alter", "create"))}
    return {**before, "bystander": "v1"}, {**after, "bystander": "v1"}


def prepare(shop: Shop, size: int) -> list[Step]:
    """Put the aliases where they are at the start and write the manifest; the steps in the order they are made."""
    before, after = aliases_of(size)
    shop.put_back(before)
    listed = {
        name: {"wave": number % 3, **({"collection": after[name]} if name in after else {"state": "Absent"})}
        for number, name in enumerate(sorted(before | after))
        if not name.startswith(("prune", "bystander"))
    }
    limits = {"maxDrops": LARGEST, "allowEmpty": True}
    desired = alias_set(listed, database=shop.database, scope={"include": ["prune*"]}, limits=limits)
    shop.write("aliases.yaml", connection(shop.uri), desired)
    with Catalogs(connect) as catalogs:
        return sorted(
            make_plan(load(shop.folder / "aliases.yaml"), catalogs=catalogs).steps, key=lambda step: step.order
        )


def live_after(size: int, steps: Sequence[Step]) -> dict[str, str]:
    """Where the aliases are when these steps were made."""
    live: dict[str, str | None] = {**aliases_of(size)[0], **{step.alias: step.desired for step in steps}}
    return {alias: collection for alias, collection in sorted(live.items()) if collection}


class Assassin(Saboteur):
    """Kills its client around the n-th write, at one of three moments."""

    def before_it_is_sent(self, number: int, step: Step, journal: Path) -> None:
        """When the alias is read for the last time before the call, which is written down as begun by then."""
        intended = "SELECT 1 FROM entry WHERE event = 'intent' AND alias = ?"

        def kill(context: grpc.ServicerContext) -> None:
            if len(self.arrived) == number - 1 and journal.exists() and rows(journal, intended, step.alias):
                assert self.client
                self.client.kill()
                self.client.wait()

        self.before["DescribeCollection"] = kill

    def before_it_is_answered(self, number: int, step: Step, journal: Path) -> None:
        """When the server has acted."""
        self.faults[number] = self.kill_after

    def before_the_outcome_is_written(self, number: int, step: Step, journal: Path) -> None:
        """When the answer was sent, and the journal is locked, so that nothing can be written into it any more."""

        def kill(call: Call) -> Any:
            locked = sqlite3.connect(journal, isolation_level=None, check_same_thread=False)
            locked.execute("BEGIN IMMEDIATE")

            def strike() -> None:
                self.kill_before(call)
                locked.close()

            reply = call.pass_on()
            assert call.context.add_callback(strike), "the client is waiting for the answer"
            return reply

        self.faults[number] = kill


MOMENTS = (Assassin.before_it_is_sent, Assassin.before_it_is_answered, Assassin.before_the_outcome_is_written)
Kill = tuple[int, int, Callable[[Assassin, int, Step, Path], None]]
"""The size of the plan, the number of the write, and the moment."""
ALL: list[Kill] = [
    (size, number, moment) for size in range(1, LARGEST + 1) for number in range(1, size + 1) for moment in MOMENTS
]


def a_few(number: int) -> list[Kill]:
    """Some of all kills, every moment as often, the smallest plan and the largest with them."""
    random = Random(number)  # noqa: S311 - repeatable
    ends = [(1, 1, MOMENTS[0]), (LARGEST, LARGEST, MOMENTS[-1])]
    return [*ends, *(item for moment in MOMENTS for item in random.sample([k for k in ALL if k[2] is moment], number))]


def insist_on_truth(run: PastRun, steps: Sequence[Step], number: int) -> None:
    """The record of a killed run: what was done before, and what had been begun."""
    assert (run.state, run.end, run.planned) == (RunState.INTERRUPTED, None, len(steps))
    assert {past.step.alias: (past.outcome, past.begun) for past in run.steps} == {
        **{step.alias: (Outcome.DONE, None) for step in steps[: number - 1]},
        steps[number - 1].alias: (None, Act.MOVE),
    }


def insist_that_the_next_run_finishes(shop: Shop, journal: Journal, remaining: int, after: Mapping[str, str]) -> None:
    desired = load(shop.folder / "aliases.yaml")
    with Catalogs(connect) as catalogs:
        report = apply_plan(make_plan(desired, catalogs=catalogs, journal=journal), catalogs=catalogs, journal=journal)
        assert (report.exit_code, report.counts, shop.live) == (
            ExitCode.DONE,
            Counter({Outcome.DONE: remaining} if remaining else {}),
            dict(sorted(after.items())),
        )
        assert not make_plan(desired, catalogs=catalogs, journal=journal).steps
    assert [run.state for run in journal.runs()] == [RunState.INTERRUPTED, *[RunState.ENDED] * bool(remaining)]


@pytest.mark.parametrize(
    ("shop", "few", "many"),
    [("lite_server", a_few(1), a_few(20)), ("milvus", a_few(2), ALL)],
    indirect=["shop"],
    ids=["Milvus Lite", "Milvus 2.3.5"],
)
def test_killed_around_a_call(
    few: Sequence[Kill],
    many: Sequence[Kill],
    shop: Shop,
    soak: bool,
    tried: Callable[[str], Tally],
    tmp_path: Path,
) -> None:
    suite = tried("kill -9 around any call of plans with 1 to 20 steps")
    for size, number, moment in many if soak else few:
        print(f"{size} steps, killed at {number}, {moment.__name__}")
        steps = prepare(shop, size)
        journal = Journal(tmp_path / f"{size}-{number}-{moment.__name__}.jsonl")
        assassin = Assassin(shop.uri)
        try:
            moment(assassin, number, steps[number - 1], journal.path)
            options = ["--uri", assassin.uri, "--yes", "--journal", str(journal.path), "--concurrency", "1"]
            with suite.case(faults=1):
                assassin.client = start(["apply", "-f", "aliases.yaml", *options], shop.folder)
                killed = finish(assassin.client)
                assert killed.code == -signal.SIGKILL, killed
                made = number - (moment is Assassin.before_it_is_sent)
                assert shop.live == live_after(size, steps[:made])
                insist_on_truth(journal.runs()[-1], steps, number)
                insist_that_the_next_run_finishes(shop, journal, size - made, aliases_of(size)[1])
        finally:
            assassin.stop()
