"""Two to four runs and rollbacks at the same time, with one journal and overlapping sets.

Each has faults of its own, and some die. No run does what another had forbidden when it read the journal, the journal
has all that happened, and runs without faults reach the desired state afterwards. On a server threads and processes.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from time import sleep

import pytest

from reconciler.catalog import Catalogs, connect
from reconciler.core.errors import ExitCode
from reconciler.core.options import Options
from reconciler.core.report import Outcome, Report
from reconciler.execute import attempt
from reconciler.journal import Journal, RunState
from reconciler.manifest import load
from reconciler.reconcile import apply_plan, make_plan
from tests.cli.command import finish, start
from tests.cli.shop import Shop, alias_set, connection
from tests.faults.test_chains import Chain, MemoryWorld, ServerWorld, load_collections, try_chain
from tests.journals import rows
from tests.reliability.tally import Tally

SUITE = "Concurrent runs and rollbacks, one journal"
NAMES = [f"a{number}" for number in range(8)]
BEFORE = dict.fromkeys(NAMES[:6], "v1")
"""The last two are created."""
AFTER = {**dict.fromkeys([*NAMES[:4], *NAMES[6:]], "v2")}
"""Two are dropped."""


class Crowd(Chain):
    """The runs of one seed, up to four at a time."""

    def run_on(self) -> None:
        for _ in range(self.random.randint(1, 3)):
            works = []
            for _ in range(self.random.randint(2, 4)):
                kind = self.random.choice(("apply", "apply", "rollback", "old plan"))
                works.append(self.begun(kind, death=self.drawn_death(), seed=f"{self.seed} {self.runs}"))
            with ThreadPoolExecutor(len(works)) as pool:
                reports = [made.result() for made in [pool.submit(work) for work in works]]
            for report in reports:
                if isinstance(report, Report) and report.wrote:
                    insist_that_it_is_recorded(report, self.journal)
            self.insist()
            assert rows(self.journal.path, "PRAGMA integrity_check") == [("ok",)]


def insist_that_it_is_recorded(report: Report, journal: Journal) -> None:
    """Each outcome of a run is in the journal, although others wrote there at the same time."""
    run = journal.find(report.run)
    assert run.end
    assert (run.id, run.end.exit_code, run.end.counts) == (report.run, report.exit_code, report.counts)
    assert {past.step.alias: past.outcome for past in run.steps} == {
        result.step.alias: result.outcome for result in report.results if result.outcome is not Outcome.NOT_ATTEMPTED
    }


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "RATE_LIMIT_ATTEMPTS", 2)


def test_threads_in_memory(soak: bool, tally: Callable[[str, str], Tally], tmp_path: Path) -> None:
    suite, ends = tally(SUITE, "in-memory Milvus"), Counter[str]()
    for seed in range(400 if soak else 15):
        ends += try_chain(Crowd(seed, MemoryWorld(), Journal(tmp_path / f"{seed}.db")), suite)
    print(f"{suite.cases} rounds, {suite.faults} faults: {dict(ends)}")
    assert ends.keys() >= {"Killed", "DONE", "INCOMPLETE"}, "it was not all tried"


@pytest.mark.parametrize("shop", ["milvus"], indirect=True)  # Milvus Lite loses aliases when two clients write at once
def test_threads_on_a_server(shop: Shop, soak: bool, tried: Callable[[str], Tally], tmp_path: Path) -> None:
    suite, ends = tried(SUITE), Counter[str]()
    load_collections(shop)
    for seed in range(100 if soak else 3):
        ends += try_chain(Crowd(seed, ServerWorld(shop), Journal(tmp_path / f"{seed}.db")), suite)
    print(f"{suite.cases} rounds, {suite.faults} faults: {dict(ends)}")


@pytest.mark.parametrize("shop", ["milvus"], indirect=True)
def test_processes(shop: Shop, soak: bool, tried: Callable[[str], Tally], tmp_path: Path) -> None:
    suite = tried(SUITE)
    for seed in range(60 if soak else 2):
        print(f"seed {seed}")
        random = Random(f"processes {seed}")  # noqa: S311 - repeatable
        journal = Journal(tmp_path / f"{seed}.db")
        shop.put_back(BEFORE)
        listed = {
            name: {
                "wave": random.randrange(2),
                **({"collection": AFTER[name]} if name in AFTER else {"state": "Absent"}),
            }
            for name in NAMES
        }
        verify = {"soak": "300ms"}
        on_failure = random.choice(("Stop", "Revert"))
        desired = alias_set(listed, database=shop.database, verify=verify, onFailure=on_failure)
        shop.write("aliases.yaml", connection(shop.uri), desired)
        with suite.case():
            suite.faults += start_together(shop, journal, random)
            assert rows(journal.path, "PRAGMA integrity_check") == [("ok",)]
            assert journal.damaged == 0
            assert RunState.RUNNING not in {run.state for run in journal.runs()}
            insist_on_convergence(shop, journal)


def start_together(shop: Shop, journal: Journal, random: Random) -> int:
    """Run several commands at the same time; return how many were killed."""
    apply = ["apply", "-f", "aliases.yaml"]
    commands = [apply, *(random.choice((apply, apply, ["rollback"])) for _ in range(random.randint(1, 3)))]
    processes = []
    for command in commands:
        processes.append(start([*command, "--yes", "--journal", str(journal.path)], shop.folder))
        sleep(random.uniform(0, 0.5))
    doomed = processes[1:] if random.random() < 0.5 else []
    sleep(random.uniform(0, 1.0))
    for process in doomed:
        process.kill()
    for process in processes:
        ended = finish(process)
        assert ended.code in {*range(6), -signal.SIGKILL}, ended
    return len(doomed)


def insist_on_convergence(shop: Shop, journal: Journal) -> None:
    """A run without others finishes, if it may try again what a run had to revert."""
    desired = load(shop.folder / "aliases.yaml")
    with Catalogs(connect) as catalogs:
        plan = make_plan(desired, Options(retry_rejected=True), catalogs=catalogs, journal=journal)
        report = apply_plan(plan, catalogs=catalogs, journal=journal)
        assert (report.exit_code, shop.live) == (ExitCode.DONE, dict(sorted(AFTER.items()))), report.results
        assert not make_plan(desired, catalogs=catalogs, journal=journal).steps
