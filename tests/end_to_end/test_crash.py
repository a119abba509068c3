"""A run that is killed at any of its steps: its record says what is true, and the next run finishes the work."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pymilvus import MilvusClient, MilvusException

from reconciler.catalog import Catalogs, connect
from reconciler.core.errors import ExitCode
from reconciler.core.report import Outcome, Report
from reconciler.journal import Act, Journal, PastRun, RunState
from reconciler.manifest import load
from reconciler.reconcile import apply_plan, make_plan
from reconciler.rollback import changes_of, plan_rollback
from tests.cli.command import finish, start
from tests.cli.shop import Shop, alias_set, connection
from tests.faults.saboteur import Saboteur, saboteur

STEPS = (
    *((f"alter{number}", "old", "new", 0) for number in range(6)),
    *((f"create{number}", None, "new", 0) for number in range(3)),
    *((f"alter{number}", "old", "new", 1) for number in range(6, 10)),
    *((f"create{number}", None, "new", 1) for number in range(3, 5)),
    ("gone", "old", None, 1),
    *((f"alter{number}", "old", "new", 2) for number in range(10, 12)),
    ("pruned0", "old", None, 3),
    ("pruned1", "old", None, 3),
)
"""Alias, from, to, and wave, in the order in which they are made if it is one at a time."""
ORDER = [alias for alias, *_ in STEPS]
WAVES = {alias: wave for alias, *_, wave in STEPS}
ALTERED = [alias for alias, old, new, _ in STEPS if old and new]
UNTOUCHED = {"bystander": "old", "listed": "new"}
BEFORE = UNTOUCHED | {alias: old for alias, old, _, _ in STEPS if old}
AFTER = UNTOUCHED | {alias: new for alias, _, new, _ in STEPS if new}
BOUNDARIES = range(1, len(STEPS) + 1)

NOT_FOUND = {100, 1600}
"""What servers answer when an alias or a collection does not exist."""


def after_steps(number: int) -> dict[str, str]:
    """Where the aliases are when so many steps were made, one at a time."""
    live: dict[str, str | None] = dict(BEFORE)
    live |= {alias: new for alias, _, new, _ in STEPS[:number]}
    return {alias: collection for alias, collection in sorted(live.items()) if collection}


def run_until_killed(relay: Saboteur, shop: Shop, journal: Path, at: int, *, acted: bool, concurrency: int = 1) -> None:
    """Run the command and kill it when its n-th alias write arrives: before the server acts on it, or after."""
    relay.faults[at] = relay.kill_after if acted else relay.kill_before
    options = ["--uri", relay.uri, "--yes", "--journal", str(journal), "--concurrency", str(concurrency)]
    relay.client = start(["apply", "-f", "aliases.yaml", *options], shop.folder)
    killed = finish(relay.client)
    assert killed.code == -signal.SIGKILL, killed.stderr


def apply(shop: Shop, journal: Journal) -> Report:
    """What the command does, without the second that a process takes to start."""
    with Catalogs(connect) as catalogs:
        plan = make_plan(load(shop.folder / "aliases.yaml"), catalogs=catalogs, journal=journal)
        return apply_plan(plan, catalogs=catalogs, journal=journal)


@pytest.fixture
def journal(shop: Shop, tmp_path: Path) -> Journal:
    """A new journal; and the shop with its aliases as they were, and the manifest of 20 changes."""
    shop.put_back(BEFORE)
    desired: dict[str, Any] = {
        alias: {"collection": new, "wave": wave} if new else {"state": "Absent", "wave": wave}
        for alias, _, new, wave in STEPS
        if not alias.startswith("pruned")
    }
    shop_set = alias_set({**desired, "listed": "new"}, database=shop.database, scope={"include": ["pruned*"]})
    shop.write("aliases.yaml", connection(shop.uri), shop_set)
    return Journal(tmp_path / "journal.db")


def keys(client: MilvusClient, name: str) -> frozenset[int]:
    """The primary keys that a reader finds."""
    found = client.query(name, filter="id > 0", output_fields=["id"], timeout=60, retry_times=0)
    return frozenset(row["id"] for row in found)


@contextmanager
def reading(shop: Shop) -> Iterator[Counter[str]]:
    """Read through every altered alias in turn, meanwhile; what was found, counted."""
    stop, found = threading.Event(), Counter[str]()

    def read() -> None:
        client = MilvusClient(shop.uri, db_name=shop.database, dedicated=True)
        known = {keys(client, collection): collection for collection in ("old", "new")}
        while not stop.wait(0.005):
            try:
                rows = keys(client, ALTERED[found.total() % len(ALTERED)])
            except MilvusException as error:
                found[f"error {error.code}"] += 1
            else:
                found[known.get(rows, f"other rows: {sorted(rows)}")] += 1
        client.close()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield found
    finally:
        stop.set()
        reader.join()


def insist_on_old_or_new(found: Counter[str]) -> None:
    print(f"reads: {dict(found)}")
    assert found["old"], "the reader did read"
    assert found["new"], "the reader did read"
    assert not [answer for answer in found if answer.startswith("other")]
    assert not [code for code in NOT_FOUND if found[f"error {code}"]]


def insist_on_truth(run: PastRun, live: Mapping[str, str]) -> None:
    """What a killed run left behind, and what its record says of it."""
    assert (run.state, run.end, run.planned) == (RunState.INTERRUPTED, None, len(STEPS))
    begun = {past.step.alias: past for past in run.steps}
    for alias in BEFORE.keys() | AFTER.keys():
        assert live.get(alias) in {BEFORE.get(alias), AFTER.get(alias)}, alias
    for alias in ORDER:
        if alias not in begun:
            assert live.get(alias) == BEFORE.get(alias), f"{alias} was moved, and nothing was written down before"
        elif begun[alias].outcome is Outcome.DONE:
            assert live.get(alias) == AFTER.get(alias), f"{alias} is said to be done"
        else:
            assert (begun[alias].outcome, begun[alias].begun) == (None, Act.MOVE), alias
    last = max(WAVES[alias] for alias in begun)
    assert all(begun[alias].outcome is Outcome.DONE for alias in ORDER if WAVES[alias] < last)


def insist_that_it_can_be_undone(run: PastRun, shop: Shop) -> None:
    with Catalogs(connect) as catalogs:
        report = apply_plan(plan_rollback(changes_of(run), catalogs), catalogs=catalogs)
    assert (report.exit_code, shop.live) == (ExitCode.DONE, after_steps(0))


def insist_that_the_next_run_finishes(shop: Shop, journal: Journal) -> None:
    remaining = sum(shop.live.get(alias) != AFTER.get(alias) for alias in ORDER)
    known = len(journal.runs())
    report = apply(shop, journal)
    assert (report.exit_code, report.counts, shop.live) == (
        ExitCode.DONE,
        Counter({Outcome.DONE: remaining} if remaining else {}),
        after_steps(len(STEPS)),
    )
    runs = journal.runs()
    assert len(runs) == known + bool(remaining), "a run without a change is not recorded"
    if remaining:
        assert (runs[-1].id, runs[-1].state) == (report.run, RunState.ENDED)
        assert runs[-1].end
        assert (runs[-1].end.exit_code, runs[-1].end.counts) == (0, report.counts)
    again = apply(shop, journal)
    assert (again.exit_code, again.plan.steps, len(journal.runs())) == (ExitCode.DONE, (), len(runs))


MOMENTS = pytest.mark.parametrize("acted", [False, True], ids=["before the server acted", "after the server acted"])


@MOMENTS
@pytest.mark.parametrize(
    ("shop", "boundaries"), [("lite_server", BOUNDARIES), ("milvus", BOUNDARIES[1::3])], indirect=["shop"]
)
def test_killed_at_any_step(acted: bool, boundaries: Sequence[int], shop: Shop, soak: bool, journal: Journal) -> None:
    boundaries = boundaries if soak else boundaries[::2]
    with reading(shop) as found:
        for boundary in boundaries:
            with saboteur(shop.uri) as relay:
                run_until_killed(relay, shop, journal.path, boundary, acted=acted)
                live, run = shop.live, journal.runs()[-1]
                assert live == after_steps(boundary if acted else boundary - 1)
                insist_on_truth(run, live)
                assert [past.step.alias for past in run.steps] == ORDER[:boundary]
                assert [past.outcome for past in run.steps] == [*[Outcome.DONE] * (boundary - 1), None]
                insist_that_it_can_be_undone(run, shop)
            shop.put_back(live)
            insist_that_the_next_run_finishes(shop, journal)
            shop.put_back(BEFORE)
    insist_on_old_or_new(found)
    assert Counter(run.state for run in journal.runs())[RunState.INTERRUPTED] == len(boundaries)
    assert journal.damaged == 0


@pytest.mark.parametrize("shop", ["milvus"], indirect=True)  # on Milvus Lite there is never more than one
def test_killed_with_eight_calls_in_flight(shop: Shop, soak: bool, journal: Journal) -> None:
    with reading(shop) as found:
        for boundary in BOUNDARIES if soak else BOUNDARIES[::3]:
            with saboteur(shop.uri) as relay:
                run_until_killed(relay, shop, journal.path, boundary, acted=boundary % 2 == 0, concurrency=8)
            insist_on_truth(journal.runs()[-1], shop.live)
            insist_that_the_next_run_finishes(shop, journal)
            shop.put_back(BEFORE)
    insist_on_old_or_new(found)
