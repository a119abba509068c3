"""Others change the same aliases meanwhile: what was moved is left alone, and what is said is so.

Witnesses stand before the server, one for each client, and tell afterwards who did what when. Milvus 2.3.5 only:
Milvus Lite loses aliases when two clients write at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from random import Random
from statistics import median

import pytest
from msgspec.structs import replace
from pymilvus import MilvusException

from reconciler.catalog import Catalog, Catalogs, connect
from reconciler.core.errors import ExitCode
from reconciler.core.model import Alias, AliasSet, Connection
from reconciler.core.plan import Plan
from reconciler.core.report import ACHIEVED, Outcome, Report, StepResult
from reconciler.execute.attempt import ALIAS_MOVED
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import alias_set
from tests.cli.shop import Shop
from tests.faults.witness import Seen, Witness, about, last_before, witnesses
from tests.reliability.tally import Tally
from tests.servers import MilvusAdmin, connection_to

COLLECTIONS = ("v1", "v2", "v3")
NAMES = [f"alias{number}" for number in range(10)]
BYSTANDERS = ["bystander0", "bystander1"]
BEFORE = {**dict.fromkeys(NAMES[:8], "v1"), **dict.fromkeys(BYSTANDERS, "v1")}
"""The last two names are not there yet."""


@pytest.fixture
def rounds(soak: bool) -> range:
    return range(300 if soak else 20)


Wish = Sequence[AliasSet]


def spec_hash(shop: Shop, random: Random, collection: str) -> Wish:
    """All names at a collection, but for one or two that are to go; in three sets, each of two waves."""
    absent = random.sample(NAMES[:8], random.randint(1, 2))
    listed = [Alias(name, None if name in absent else collection, wave=random.randrange(2)) for name in NAMES]
    server = connection_to(shop.uri)
    return [
        alias_set({}, *listed[number::3], name=f"set{number}", connection=server, database=shop.database)
        for number in range(3)
    ]


def wanted_by(desired: Wish) -> dict[str, str]:
    listed = sorted((alias for each in desired for alias in each.aliases), key=lambda alias_set: alias_set.name)
    return {item.name: item.collection for item in listed if item.collection}


def tidy(shop: Shop) -> None:
    """Every name as at the start, dangling ones too, which no list shows."""
    client = shop.admin.client(shop.database)
    for name in COLLECTIONS:
        if not client.has_collection(name):
            shop.admin.create_collection(name, shop.database)
    for name in (*NAMES, *BYSTANDERS):
        client.drop_alias(name)
    shop.point(**BEFORE)


def catalogs_through(witness: Witness) -> Catalogs:
    def opened(connection: Connection, database: str, *, create: bool = False) -> Catalog:
        return connect(replace(connection, uri=witness.uri), database, create=create)

    return Catalogs(opened)


def apply(plan: Plan, witness: Witness) -> Report:
    with catalogs_through(witness) as catalogs:
        return apply_plan(plan, catalogs=catalogs)


def plan_for(desired: Wish) -> Plan:
    with Catalogs(connect) as catalogs:
        return make_plan(desired, catalogs=catalogs)


def insist_on_fairness(report: Report, ours: Witness, others: Sequence[Seen], live: Mapping[str, str]) -> int:
    """No change that was seen was overwritten, and every outcome is true; how many came in unseen, in the window."""
    assert {write.about for write in ours.writes} <= {step.alias for step in report.plan.steps}
    recreated = any(other.method == "DropCollection" for other in others)
    unseen = 0
    for result in report.results:
        alias = result.step.alias
        written, theirs = about(alias, ours.writes), about(alias, others)
        said = f"{result}; it is at {live.get(alias)}; we wrote {written}, they {theirs}"
        assert len(written) <= 1, said
        for write in written:
            read = ours.read_before(write)
            if not (recreated and result.step.current is None):  # then it may have been dangling
                found = may_have_found(read, theirs, before=result.step.current)
                assert result.step.current in found, f"overwritten though it was seen: {said}"
            unseen += any(read.arrived <= their.answered and their.arrived <= write.answered for their in theirs)
        insist_on_honesty(result, written, others, live, said)
    return unseen


def may_have_found(read: Seen, changes: Sequence[Seen], before: str | None) -> set[str | None]:
    """Where a read may have found its alias: where the last change before it left it, or one at the same time."""
    last = last_before(changes, read.arrived)
    meanwhile = {
        change.collection for change in changes if change.arrived <= read.answered and change.answered >= read.arrived
    }
    return {last.collection if last else before, *meanwhile}


def insist_on_honesty(
    result: StepResult, written: Sequence[Seen], others: Sequence[Seen], live: Mapping[str, str], said: str
) -> None:
    step = result.step
    touching = [other for other in others if other.about in {step.alias, step.desired}]
    if result.outcome is Outcome.DONE:
        assert written, said
        later = [item for item in touching if item.answered > written[0].arrived]
        assert live.get(step.alias) == step.desired or later, said
    elif result.outcome in {Outcome.NOOP, Outcome.NOT_ATTEMPTED, Outcome.BLOCKED} or result.code == ALIAS_MOVED:
        assert not written, said
    else:
        assert result.outcome is Outcome.FAILED, said
        assert touching, said
    if result.outcome not in {*ACHIEVED, Outcome.NOT_ATTEMPTED}:
        assert result.message, said


def insist_on_convergence(desired: Wish, shop: Shop) -> None:
    """The dust has settled: one more run finishes, and leaves all the rest as it is."""
    rest = {alias: at for alias, at in shop.live.items() if alias not in NAMES}
    with Catalogs(connect) as catalogs:
        report = apply_plan(make_plan(desired, catalogs=catalogs), catalogs=catalogs)
    assert report.exit_code is ExitCode.DONE, report.results
    assert shop.live == wanted_by(desired) | rest


@pytest.mark.parametrize("shop", ["milvus"], indirect=True)
def test_two_appliers_that_want_different_things(shop: Shop, rounds: range, tried: Callable[[str], Tally]) -> None:
    suite, unseen, moved, windows = tried("Two concurrent appliers with different desired states"), 0, 0, []
    for seed in rounds:
        print(f"seed {seed}")
        random = Random(f"appliers {seed}")  # noqa: S311 - repeatable
        tidy(shop)
        wishes = [spec_hash(shop, random, "v2"), spec_hash(shop, random, "v3")]
        plans = [plan_for(wish) for wish in wishes]
        with witnesses(shop.uri, 2) as watching, ThreadPoolExecutor(2) as pool, suite.case(faults=1):
            reports = list(pool.map(apply, plans, watching))
            live = shop.live
            for report, ours, theirs in zip(reports, watching, reversed(watching), strict=True):
                unseen += insist_on_fairness(report, ours, theirs.changes, live)
                moved += sum(result.code == ALIAS_MOVED for result in report.results)
                windows += ours.windows()
            assert {alias: live.get(alias) for alias in BYSTANDERS} == dict.fromkeys(BYSTANDERS, "v1")
            insist_on_convergence(random.choice(wishes), shop)
    print(f"{moved} steps found their alias moved, {unseen} met a change in the window; {told(windows)}")
    assert moved, "they never met"


class Person:
    """Somebody who changes aliases and collections by hand, and does not look at what others do."""

    def __init__(self, witness: Witness, database: str, random: Random) -> None:
        self._admin = MilvusAdmin(witness.uri)
        self._client = self._admin.client(database)
        self._database = database
        self._random = random

    def work(self, stop: threading.Event) -> None:
        while not stop.wait(self._random.uniform(0, 0.01)):
            with suppress(MilvusException):  # such as: there is no such alias
                self._do_something()
        self._admin.close()

    def _do_something(self) -> None:
        alias, collection = self._random.choice([*NAMES, *BYSTANDERS]), self._random.choice(COLLECTIONS)
        match self._random.choices(("alter", "create", "drop", "recreate"), (8, 4, 4, 1))[0]:
            case "alter":
                self._client.alter_alias(collection, alias)
            case "create":
                self._client.create_alias(collection, alias)
            case "drop":
                self._client.drop_alias(alias)
            case "recreate":
                self._admin.drop_collection(collection, self._database)
                self._admin.create_collection(collection, self._database)


@pytest.mark.parametrize("shop", ["milvus"], indirect=True)
def test_a_person_who_changes_things_meanwhile(shop: Shop, rounds: range, tried: Callable[[str], Tally]) -> None:
    suite, unseen, moved, windows = tried("Manual moves, drops and re-creates during a run"), 0, 0, []
    for seed in rounds:
        print(f"seed {seed}")
        random = Random(f"person {seed}")  # noqa: S311 - repeatable
        tidy(shop)
        desired = spec_hash(shop, random, "v2")
        plan, gone = plan_for(desired), threading.Event()
        with witnesses(shop.uri, 2) as (ours, theirs), ThreadPoolExecutor(1) as pool, suite.case():
            working = pool.submit(Person(theirs, shop.database, random).work, gone)
            try:
                report = apply(plan, ours)
            finally:
                gone.set()
                working.result()
            suite.faults += len(theirs.writes)
            unseen += insist_on_fairness(report, ours, theirs.changes, shop.live)
            moved += sum(result.code == ALIAS_MOVED for result in report.results)
            windows += ours.windows()
            for name in COLLECTIONS:
                if not shop.admin.client(shop.database).has_collection(name):
                    shop.admin.create_collection(name, shop.database)
            insist_on_convergence(desired, shop)
    print(f"{moved} steps found their alias moved, {unseen} met a change in the window; {told(windows)}")
    assert moved, "they never met"


def told(windows: Sequence[float]) -> str:
    milliseconds = [1000 * window for window in windows]
    return f"{len(windows)} windows: median {median(milliseconds):.1f} ms, max {max(milliseconds):.1f} ms"


@pytest.mark.parametrize("shop", ["milvus"], indirect=True)
@pytest.mark.parametrize("concurrency", [1, 8])
def test_every_write_relies_on_a_read_of_its_alias_right_before(
    concurrency: int, shop: Shop, soak: bool, tried: Callable[[str], Tally], tmp_path: Path
) -> None:
    """How long the window between the two is, in which a change goes unseen, is printed for docs/measurements.md."""
    names = [f"many{number:03}" for number in range(300 if soak else 40)]
    shop.put_back(dict.fromkeys(names, "v1"))
    shop.want(dict.fromkeys(names, "v2"))
    with witnesses(shop.uri, 1) as (watching,), tried("Each write directly preceded by a read of its alias").case():
        options = ("--uri", watching.uri, "--concurrency", str(concurrency), "--journal", str(tmp_path / "journal"))
        assert shop.apply(*options).code == 0
        windows = watching.windows()
    print(f"{concurrency} in flight: {told(windows)}")
    assert len(windows) == len(names)
