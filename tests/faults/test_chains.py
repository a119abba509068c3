"""Several runs and rollbacks in a row on one journal, each with faults of its own, or killed, stopped or out of date.

A seed draws the sets and what happens to each run. After every run: it has done nothing that earlier runs had
forbidden, its report is true, and the next plan knows every move that is not verified and every revert that is not
finished. After the last one the server is well again, and runs without faults reach the desired state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import Event, Timer
from typing import Any, Protocol

import pytest
from msgspec.structs import replace

from reconciler.catalog import Catalog, Catalogs, connect
from reconciler.core.errors import (
    CallTimedOut,
    CatalogError,
    ConnectionFailed,
    ExitCode,
    InvalidInput,
    PermissionDenied,
    RateLimited,
    UnexpectedAnswer,
)
from reconciler.core.model import Alias, AliasSet, Connection, Limits, OnFailure, Verify
from reconciler.core.options import Options
from reconciler.core.plan import BlockReason, Plan
from reconciler.core.report import Report
from reconciler.execute import attempt
from reconciler.journal import Journal
from reconciler.reconcile import apply_plan, make_plan
from reconciler.rollback import newest_changes, plan_rollback
from tests import builders
from tests.builders import LOCAL, alias_set
from tests.cli.shop import Shop
from tests.faults.fault_proxy import FaultProxy
from tests.faults.memory import Recorder
from tests.faults.promises import Promises, insist_on_truth
from tests.faults.relay import Call
from tests.faults.schedule import Schedule
from tests.faults.watched_journal import Death, Killed, Log, WatchedJournal
from tests.reliability.tally import Tally
from tests.servers import connection_to

SUITE = "Faulted, killed and stopped runs and rollbacks in a row, one journal"
COLLECTIONS = ("v1", "v2", "v3")
TIMEOUT = 0.5
SETTLING = 4
"""Runs without faults after which nothing may be left but rejected moves."""


class World(Protocol):
    """A database whose calls can fail. `bad` are collections through whose aliases reads fail."""

    bad: frozenset[str]
    soak: float

    @property
    def connection(self) -> Connection:
        """The server."""

    @property
    def database(self) -> str:
        """The database."""

    @property
    def live(self) -> dict[str, str]:
        """Every alias and its collection."""

    def put_back(self, aliases: Mapping[str, str]) -> None:
        """Make the aliases exactly these."""

    @contextmanager
    def opened(self, watched: WatchedJournal, seed: str | None) -> Iterator[Catalogs]:
        """Open connections for one run; the faults of a seed befall their calls."""

    @property
    def faults(self) -> int:
        """How many faults befell calls so far."""


@dataclass
class MemoryWorld:
    """A Milvus in memory. A run that is dead makes no further call."""

    bad: frozenset[str] = frozenset()
    faults: int = 0
    soak: float = 0.05
    connection: Connection = LOCAL
    database: str = "default"
    server: Any = field(default_factory=lambda: builders.server(*COLLECTIONS))

    @property
    def live(self) -> dict[str, str]:
        return builders.live(self.server)

    def put_back(self, aliases: Mapping[str, str]) -> None:
        catalog = self.server.connect(LOCAL, "default")
        for alias, collection in aliases.items():
            catalog.create_alias(alias, collection)

    @contextmanager
    def opened(self, watched: WatchedJournal, seed: str | None) -> Iterator[Catalogs]:
        recorder = Recorder(self.server)
        random = Random(seed)  # noqa: S311 - repeatable
        share = random.choice((0.02, 0.1, 0.3)) if seed else 0.0

        arrived: Counter[tuple[str, ...]] = Counter()

        def strike(errors: tuple[CatalogError, ...], *call: str) -> None:
            """Raise an error that depends on the call and how often it was made, not on the order of threads."""
            with recorder.lock:
                arrived[call] += 1
            drawn = Random(f"{seed} {call} {arrived[call]}")  # noqa: S311
            if drawn.random() < share:
                self.faults += 1
                raise drawn.choice(errors)

        def before(method: str, name: str) -> None:
            watched.alive()
            writes = method in {"create", "alter", "drop"}
            refusals = (PermissionDenied("no"), RateLimited("quota")) if writes else ()
            strike((ConnectionFailed("cut"), *refusals), "before", method, name)
            if method == "sample_keys" and self.live.get(name) in self.bad:
                raise UnexpectedAnswer("segment is broken")

        def after(method: str, name: str) -> None:
            strike((ConnectionFailed("cut"), CallTimedOut("late"), RateLimited("quota")), "after", method, name)

        recorder.before, recorder.after = before, after
        with recorder.catalogs() as catalogs:
            yield catalogs


class SpoilingProxy(FaultProxy):
    """A proxy on which reads through aliases of bad collections fail, too."""

    bad: frozenset[str] = frozenset()
    at: Callable[[str], str | None]

    def befall(self, call: Call) -> Any:
        if self.bad and call.method == "Query" and self.at(call.about) in self.bad:
            return call.reply(code=65535, error_code=1, reason="fail to query: segment is broken")
        return super().befall(call)


@dataclass
class ServerWorld:
    """A database of a real server, behind a proxy."""

    shop: Shop
    bad: frozenset[str] = frozenset()
    faults: int = 0
    soak: float = 0.3

    @property
    def connection(self) -> Connection:
        return connection_to(self.shop.uri)

    @property
    def database(self) -> str:
        return self.shop.database

    @property
    def live(self) -> dict[str, str]:
        return self.shop.live

    def put_back(self, aliases: Mapping[str, str]) -> None:
        self.shop.put_back(aliases)

    @contextmanager
    def opened(self, watched: WatchedJournal, seed: str | None) -> Iterator[Catalogs]:
        proxy = SpoilingProxy(self.shop.uri)
        proxy.bad, proxy.at = self.bad, lambda alias: self.shop.live.get(alias)

        def through(connection: Connection, database: str, *, create: bool = False) -> Catalog:
            return connect(replace(connection, uri=proxy.uri, timeout=TIMEOUT), database, create=create)

        try:
            with Catalogs(through) as catalogs:
                proxy.schedule = Schedule(seed, overtaken=False) if seed else None
                yield catalogs
        finally:
            proxy.resolve()
            proxy.stop()
            self.faults += proxy.faults.total()


def load_collections(shop: Shop) -> None:
    """Replace the collections by loaded ones: what is not loaded cannot be read, nor found bad in a soak."""
    shop.put_back({})
    for name in COLLECTIONS:
        shop.admin.drop_collection(name, shop.database)
        shop.admin.create_collection(name, shop.database, replicas=1, rows=[{"id": 1, "vector": (0.0, 0.0, 0.0, 1.0)}])


def draw_sets(random: Random, world: World) -> tuple[dict[str, str], dict[str, AliasSet]]:
    """Draw where the aliases are, and one or two sets of up to three waves that move them."""
    before: dict[str, str] = {}
    sets: dict[str, AliasSet] = {}
    for number in range(random.randint(1, 2)):
        listed = []
        for wave in range(random.randint(1, 3)):
            for place in range(random.randint(1, 2)):
                name = f"s{number}w{wave}x{place}"
                change = random.choice(("alter", "alter", "alter", "create", "drop"))
                if change != "create":
                    before[name] = "v1"
                listed.append(Alias(name, None if change == "drop" else "v2", wave=wave))
        sets[f"set{number}"] = alias_set(
            {},
            *listed,
            name=f"set{number}",
            connection=world.connection,
            database=world.database,
            limits=Limits(max_drops=10, allow_empty=True),
            verify=Verify(soak=world.soak) if random.random() < 0.8 else Verify(),
            on_failure=random.choice((OnFailure.REVERT, OnFailure.STOP)),
        )
    return before, sets


class Chain:
    """The runs of one seed, one after another."""

    def __init__(self, seed: int, world: World, journal: Journal) -> None:
        self.seed = seed
        self.world = world
        self.journal = journal
        self.random = Random(f"chain {seed}")  # noqa: S311 - repeatable
        before, self.sets = draw_sets(self.random, world)
        world.bad = frozenset({"v2"}) if self.random.random() < 0.4 else frozenset()
        world.put_back(before)
        self.log = Log()
        self.promises = Promises(self.log, self.sets, world.bad)
        self.ends: Counter[str] = Counter()
        self.runs = 0
        self.old: Plan | None = None

    def run_on(self) -> None:
        """Make the runs with faults."""
        for number in range(self.random.randint(3, 7)):
            kind = self.random.choice(("apply", "apply", "apply", "rollback", "old plan")) if number else "apply"
            report = self.run(kind, death=self.drawn_death(), seed=f"{self.seed} {self.runs}")
            if isinstance(report, Report):
                insist_on_truth(report, self.world.live)
            self.insist()

    def drawn_death(self) -> Death | None:
        death = Death(self.random.randint(1, 12), self.random.random() < 0.5)
        return death if self.random.random() < 0.4 else None

    def settle(self) -> None:
        """Runs without faults reach the desired state; what was rejected is made when it is asked for again."""
        self.world.bad = self.promises.bad = frozenset()
        for _ in range(SETTLING):
            report = self.run("apply")
            self.insist()
            if isinstance(report, Report):
                insist_on_truth(report, self.world.live)
            if isinstance(report, Report) and (report.exit_code is ExitCode.DONE or not report.wrote):
                break
        assert isinstance(report, Report)
        if report.exit_code is not ExitCode.DONE:
            reasons = {step.blocked.reason for step in report.plan.steps if step.blocked}
            assert report.exit_code is ExitCode.REFUSED, report.results
            assert BlockReason.REJECTED in reasons, report.results
        report = self.run("apply", options=Options(retry_rejected=True))
        assert isinstance(report, Report)
        assert report.exit_code is ExitCode.DONE, report.results
        desired = {alias.name: alias.collection for each in self.sets.values() for alias in each.aliases}
        assert self.world.live == {alias: at for alias, at in sorted(desired.items()) if at}
        assert not self.plan().steps
        assert self.journal.damaged == 0

    def run(
        self, kind: str, *, death: Death | None = None, seed: str | None = None, options: Options = Options()
    ) -> Report | BaseException | None:
        """Make one run and return its report, or what ended it; None if there was nothing to do."""
        return self.begun(kind, death=death, seed=seed, options=options)()

    def begun(
        self, kind: str, *, death: Death | None = None, seed: str | None = None, options: Options = Options()
    ) -> Callable[[], Report | BaseException | None]:
        """Draw how a run goes; return what makes it."""
        watched = WatchedJournal(self.journal, self.runs, self.log, death)
        if options.retry_rejected:
            self.promises.retrying.add(self.runs)
        print(f"  run {self.runs}: {kind} {death or ''}")
        self.runs += 1
        stopped = self.random.uniform(0, 2 * self.world.soak) if seed and self.random.random() < 0.2 else None
        old, self.old = self.old, None
        if self.random.random() < 0.3:
            self.old = self._planned("apply", options)

        def work() -> Report | BaseException | None:
            stop = Event()
            if stopped is not None:
                Timer(stopped, stop.set).start()
            try:
                plan = old if kind == "old plan" and old else self._planned(kind, options)
                if plan is None:
                    return None
                with self.world.opened(watched, seed) as catalogs:
                    report = apply_plan(plan, catalogs=catalogs, journal=watched, stop=stop)
            except (Killed, CatalogError, InvalidInput) as error:
                self.ends[type(error).__name__] += 1
                return error
            self.ends[report.exit_code.name] += 1
            return report

        return work

    def plan(self) -> Plan:
        plan = self._planned("apply", Options())
        assert plan
        return plan

    def _planned(self, kind: str, options: Options) -> Plan | None:
        with self.world.opened(WatchedJournal(self.journal, -1, Log()), None) as catalogs:
            if kind == "rollback":
                changes = newest_changes(self.journal.newest())
                return plan_rollback(changes, catalogs) if changes else None
            return make_plan(list(self.sets.values()), options, catalogs=catalogs, journal=self.journal)

    def insist(self) -> None:
        self.promises.insist()
        self.promises.insist_that_nothing_is_forgotten(self.plan(), self.world.live)


def try_chain(chain: Chain, tried: Tally) -> Counter[str]:
    """Make all runs of a seed; return how they ended, counted."""
    print(f"seed {chain.seed}")
    with tried.case():
        try:
            chain.run_on()
            chain.settle()
        except BaseException:
            print("\n".join(map(str, chain.log.entries)))
            raise
        finally:
            tried.faults += chain.world.faults + chain.ends["Killed"]
    return chain.ends


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "RATE_LIMIT_ATTEMPTS", 2)


def test_in_memory(soak: bool, tally: Callable[[str, str], Tally], tmp_path: Path) -> None:
    suite, ends = tally(SUITE, "in-memory Milvus"), Counter[str]()
    for seed in range(400 if soak else 20):
        ends += try_chain(Chain(seed, MemoryWorld(), Journal(tmp_path / f"{seed}.db")), suite)
    print(f"{suite.cases} chains, {suite.faults} faults: {dict(ends)}")
    assert ends.keys() >= {"Killed", "DONE", "INCOMPLETE", "REFUSED"}, "it was not all tried"


@pytest.mark.parametrize(("shop", "few", "many"), [("lite_server", 2, 20), ("milvus", 3, 150)], indirect=["shop"])
def test_on_a_server(
    few: int, many: int, shop: Shop, soak: bool, tried: Callable[[str], Tally], tmp_path: Path
) -> None:
    suite, ends = tried(SUITE), Counter[str]()
    load_collections(shop)
    for seed in range(many if soak else few):
        ends += try_chain(Chain(seed, ServerWorld(shop), Journal(tmp_path / f"{seed}.db")), suite)
    print(f"{suite.cases} chains, {suite.faults} faults: {dict(ends)}")
