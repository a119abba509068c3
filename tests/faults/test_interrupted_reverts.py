"""`kill -9` in the middle of a revert: whatever comes next completes it, and no run makes the rejected moves again.

In memory around every entry of the journal, which is where calls begin and end; on servers around every call, with a
process that is really killed.
"""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import grpc
import pytest

from reconciler.catalog import Catalogs, connect
from reconciler.catalog.memory import MemoryServer
from reconciler.core.errors import ExitCode, PermissionDenied, UnexpectedAnswer
from reconciler.core.model import Alias, AliasSet, OnFailure, Verify
from reconciler.core.plan import BlockReason
from reconciler.core.report import Outcome, Report
from reconciler.journal import Journal, Ledger
from reconciler.manifest import load
from reconciler.reconcile import apply_plan, make_plan
from reconciler.rollback import newest_changes, plan_rollback
from tests import builders
from tests.cli.command import finish, start
from tests.cli.shop import Shop, alias_set, connection
from tests.faults.memory import Recorder
from tests.faults.promises import Promises
from tests.faults.relay import Call
from tests.faults.saboteur import Saboteur
from tests.faults.watched_journal import Death, Event, Killed, Log, WatchedJournal
from tests.journals import rows
from tests.reliability.tally import Tally

SUITE = "kill -9 around any call and journal entry of a revert"
SOAK = Verify(soak=0.02)


@dataclass(frozen=True)
class Case:
    """A set whose last alias cannot be moved well, and what happens to its revert.

    Args:
        size: how many aliases.
        waves: in how many waves.
        refused: whether the last move is refused; otherwise its soak fails.
        creates: whether the first alias is created, so that its revert drops it.
        next_runs: what follows the killed run: `apply`, `rollback`, or a run that is killed too.
    """

    size: int
    waves: int
    refused: bool
    creates: bool
    next_runs: tuple[str, ...]


CASES = [
    Case(*drawn)
    for drawn in product(
        (2, 3, 5), (1, 2), (True, False), (True, False), (("apply",), ("rollback",), ("killed", "apply"))
    )
]


class Scene:
    """The database and the journal of one case."""

    def __init__(self, case: Case, path: Path) -> None:
        names = [f"a{number}" for number in range(case.size)]
        self.last = names[-1]
        self.before = dict.fromkeys(names[1:] if case.creates else names, "v1")
        listed = [Alias(name, "v2", wave=number * case.waves // case.size) for number, name in enumerate(names)]
        self.desired: AliasSet = builders.alias_set({}, *listed, verify=SOAK, on_failure=OnFailure.REVERT)
        self.server: MemoryServer = builders.server("v1", "v2", aliases=self.before)
        self.refused = case.refused
        self.journal = Journal(path)
        self.log = Log()
        self.promises = Promises(self.log, {"shop": self.desired})
        self.runs = 0
        self.entries = 0
        """How many entries the last run wrote, or tried to."""

    @property
    def live(self) -> dict[str, str]:
        return builders.live(self.server)

    def run(self, kind: str = "apply", death: Death | None = None) -> Report | None:
        """Make a run; None if it died, or had nothing to do."""
        watched = WatchedJournal(self.journal, self.runs, self.log, death)
        self.runs += 1
        recorder = Recorder(self.server)

        def before(method: str, name: str) -> None:
            watched.alive()
            if (method, name) == ("alter", self.last) and self.refused and self.live[name] == "v1":
                raise PermissionDenied("no")
            if (method, name) == ("sample_keys", self.last) and self.live.get(name) == "v2":
                raise UnexpectedAnswer("segment is broken")

        recorder.before = before
        with recorder.catalogs() as catalogs:
            try:
                if kind == "rollback":
                    changes = newest_changes(self.journal.newest())
                    if changes is None:
                        return None
                    plan = plan_rollback(changes, catalogs)
                else:
                    plan = make_plan([self.desired], catalogs=catalogs, journal=self.journal)
                return apply_plan(plan, catalogs=catalogs, journal=watched)
            except Killed:
                return None
            finally:
                self.entries = watched.entries

    def insist(self) -> None:
        self.promises.insist()
        with builders.catalogs(self.server) as catalogs:
            plan = make_plan([self.desired], catalogs=catalogs, journal=self.journal)
        self.promises.insist_that_nothing_is_forgotten(plan, self.live)


def entries_of_revert(case: Case, path: Path) -> range:
    """Return the numbers of the entries of a run from its decision to revert on."""
    scene = Scene(case, path)
    report = scene.run()
    assert report
    assert scene.live == scene.before, report.results
    entries = (Event.INTENT, Event.RESULT, Event.DECISION)
    events = [entry.event for entry in scene.log.entries if entry.event in entries]
    return range(events.index(Event.DECISION) + 1, scene.entries + 1)


def insist_that_it_ends_well(scene: Scene) -> None:
    """One run completes the revert, and further ones write nothing: all that is left is rejected."""
    decided = any(entry.event is Event.DECISION for entry in scene.log.entries)
    report = scene.run()
    scene.insist()
    if not decided and scene.live != scene.before:
        # A run reverts its own moves only. What the killed run moved stays, and each run reports the failure.
        assert report
        assert report.exit_code is ExitCode.ERROR, report.results
        return
    assert scene.live == scene.before
    for _ in range(2):
        report = scene.run()
        assert report
        assert (report.exit_code, report.wrote, scene.live) == (ExitCode.REFUSED, False, scene.before), report.results
        assert BlockReason.REJECTED in {step.blocked.reason for step in report.plan.steps if step.blocked}
    scene.insist()


def test_killed_around_any_entry(soak: bool, tally: Callable[[str, str], Tally], tmp_path: Path) -> None:
    suite, random = tally(SUITE, "in-memory Milvus"), Random(1)  # noqa: S311 - repeatable
    for number, case in enumerate(CASES if soak else random.sample(CASES, 6)):
        entries = entries_of_revert(case, tmp_path / f"{number}.db")
        deaths = [Death(entry, written) for entry in entries for written in (False, True)]
        for death in deaths if soak else random.sample(deaths, 4):
            print(f"{case}, {death}")
            with suite.case(faults=1 + case.next_runs.count("killed")):
                scene = Scene(case, tmp_path / f"{number}-{death.entry}-{death.written}.db")
                assert scene.run(death=death) is None
                scene.insist()
                for kind in case.next_runs:
                    scene.run(kind, Death(random.randint(1, 8), random.random() < 0.5) if kind == "killed" else None)
                    scene.insist()
                insist_that_it_ends_well(scene)


class Assassin(Saboteur):
    """Refuses the n-th write, so that all before it are reverted, and kills its client at some moment of that."""

    def __init__(self, uri: str, refused: int, journal: Path) -> None:
        super().__init__(uri)
        self.refused = refused
        self.journal = journal
        self.faults[refused] = self.refuse

    def before_the_decision(self, _: str, number: int) -> None:
        """When the last move was refused, and the journal is locked."""

        def kill(call: Call) -> Any:
            self._kill_when_it_is_answered(call)
            self.refuse(call)

        self.faults[self.refused] = kill

    def before_any_call(self, alias: str, number: int) -> None:
        """When the decision is written, and the alias is read for the last time before it is moved back."""
        self._kill_at_a_read(number, "SELECT 1 FROM entry WHERE event = 'revertDecided'")

    def before_it_is_sent(self, alias: str, number: int) -> None:
        self._kill_at_a_read(
            number,
            "SELECT 1 FROM entry WHERE event = 'intent' AND text LIKE '%\"act\":\"revert\"%' AND alias = ?",
            alias,
        )

    def before_it_is_answered(self, _: str, number: int) -> None:
        self.faults[number] = self.kill_after

    def before_the_outcome_is_written(self, _: str, number: int) -> None:
        def kill(call: Call) -> Any:
            self._kill_when_it_is_answered(call)
            return call.pass_on()

        self.faults[number] = kill

    def _kill_at_a_read(self, number: int, query: str, *values: str) -> None:
        def kill(context: grpc.ServicerContext) -> None:
            if len(self.arrived) == number - 1 and rows(self.journal, query, *values):
                assert self.client
                self.client.kill()
                self.client.wait()

        self.before["DescribeCollection"] = kill

    def _kill_when_it_is_answered(self, call: Call) -> None:
        """Lock the journal, so that nothing can be written into it any more."""
        locked = sqlite3.connect(self.journal, isolation_level=None, check_same_thread=False)
        locked.execute("BEGIN IMMEDIATE")

        def strike() -> None:
            self.kill_before(call)
            locked.close()

        assert call.context.add_callback(strike), "the client is waiting for the answer"


Moment = Callable[[Assassin, str, int], None]
AT_A_CALL: tuple[Moment, ...] = (
    Assassin.before_it_is_sent,
    Assassin.before_it_is_answered,
    Assassin.before_the_outcome_is_written,
)
Kill = tuple[int, int, Moment]
"""The number of aliases, how many reverts are made before, and the moment."""
ALL: list[Kill] = [
    (size, made, moment)
    for size in range(2, 7)
    for made in range(size - 1)
    for moment in (*((Assassin.before_the_decision, Assassin.before_any_call) if made == 0 else ()), *AT_A_CALL)
]
A_FEW: list[Kill] = [
    (2, 0, Assassin.before_the_decision),
    (3, 0, Assassin.before_any_call),
    (3, 1, Assassin.before_it_is_sent),
    (4, 1, Assassin.before_it_is_answered),
    (3, 0, Assassin.before_the_outcome_is_written),
]


def apply(shop: Shop, journal: Ledger) -> Report:
    with Catalogs(connect) as catalogs:
        plan = make_plan(load(shop.folder / "aliases.yaml"), catalogs=catalogs, journal=journal)
        return apply_plan(plan, catalogs=catalogs, journal=journal)


def live_after(names: Sequence[str], reverted: int) -> Mapping[str, str]:
    """Where the aliases are when so many were moved back; the last one was never moved."""
    moved = names[: len(names) - 1 - reverted]
    return dict.fromkeys(names, "v1") | dict.fromkeys(moved, "v2")


@pytest.mark.parametrize("shop", ["lite_server", "milvus"], indirect=True)
def test_killed_around_any_call(shop: Shop, soak: bool, tried: Callable[[str], Tally], tmp_path: Path) -> None:
    suite = tried(SUITE)
    for number, (size, made, moment) in enumerate(ALL if soak else A_FEW):
        print(f"{size} aliases, killed after {made} reverts, {moment.__name__}")
        names = [f"a{number}" for number in range(size)]
        before = dict.fromkeys(names, "v1")
        shop.put_back(before)
        journal = Journal(tmp_path / f"{number}.db")
        assassin = Assassin(shop.uri, size, journal.path)
        try:
            with suite.case(faults=1):
                together = alias_set(dict.fromkeys(names, "v2"), database=shop.database, onFailure="Revert")
                shop.write("aliases.yaml", connection(assassin.uri, concurrency=1), together)
                moment(assassin, names[size - 2 - made], size + made + 1)
                assassin.client = start(
                    ["apply", "-f", "aliases.yaml", "--yes", "--journal", str(journal.path)], shop.folder
                )
                killed = finish(assassin.client)
                assert killed.code == -signal.SIGKILL, killed
                undone = made + (moment in {Assassin.before_it_is_answered, Assassin.before_the_outcome_is_written})
                assert shop.live == live_after(names, undone)
                assassin.before.clear()
                insist_that_the_next_runs_complete_it(
                    shop, journal, before, decided=moment is not Assassin.before_the_decision
                )
        finally:
            assassin.stop()


def insist_that_the_next_runs_complete_it(
    shop: Shop, journal: Journal, before: Mapping[str, str], *, decided: bool
) -> None:
    report = apply(shop, journal)
    if not decided:  # then the next run tries again, and nothing is refused any more
        assert (report.exit_code, shop.live) == (ExitCode.DONE, dict.fromkeys(before, "v2"))
        return
    assert shop.live == before, report.results
    assert Outcome.DONE not in report.counts
    again = apply(shop, journal)
    assert (again.exit_code, again.wrote, shop.live) == (ExitCode.REFUSED, False, before), again.results
