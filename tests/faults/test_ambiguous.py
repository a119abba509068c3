"""Calls whose fate is open: whatever is cut, lost, late or overtaken, the report says where the aliases are.

A schedule of faults is drawn from each seed, and befalls the calls of an apply of 1 to 30 steps. Time is bounded: no
call takes longer than its timeout, and a run not longer than its calls and, where the server says "not now", the pauses
before it is asked again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import grpc
import pytest
from msgspec.structs import replace

from reconciler.catalog import Catalog, Catalogs, Connect, connect
from reconciler.core.errors import CatalogError, ConnectionFailed, ExitCode
from reconciler.core.model import Alias, AliasSet, Connection, Limits, OnFailure
from reconciler.core.options import Options
from reconciler.core.plan import describe_location
from reconciler.core.report import ACHIEVED, Outcome, Report, StepResult
from reconciler.execute.attempt import RATE_LIMIT_SECONDS
from reconciler.journal import Journal
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import alias_set
from tests.cli.shop import Shop
from tests.faults.fault_proxy import FaultProxy, fault_proxy, repeated
from tests.faults.relay import relay_to
from tests.faults.schedule import REFUSALS, Schedule
from tests.reliability.tally import Tally
from tests.servers import connection_to

TIMEOUT = 0.5
BUSY = 10.0
"""Seconds that a call, or a run, may take longer on a machine that has other things to do."""
ELSEWHERE = "v3"
MAY_STILL = "may still take effect"


@dataclass(frozen=True)
class Wish:
    """Where the aliases are, where they should be, and the sets that say so."""

    before: Mapping[str, str]
    after: Mapping[str, str]
    sets: Sequence[AliasSet]


@dataclass
class Observed:
    """The calls of a run as its client saw them: method, `ok` or the error, seconds."""

    calls: list[tuple[str, str, float]] = field(default_factory=list)

    def __call__(self, method: str, code: str, seconds: float) -> None:
        self.calls.append((method, code, seconds))

    @property
    def lost_reads(self) -> int:
        """Reads that ended without an answer about what was asked."""
        lost = {"ConnectionFailed", "CallTimedOut", "RateLimited", "UnexpectedAnswer"}
        return sum(code in lost and not method.endswith("_alias") for method, code, _ in self.calls)


def draw_wish(seed: int, shop: Shop) -> Wish:
    """1 to 30 changes, in up to four sets that each have up to three waves; in every fourth they go together."""
    random = Random(f"wish {seed}")  # noqa: S311 - repeatable
    before, after = {"bystander": "v1"}, {"bystander": "v1"}
    listed: dict[int, list[Alias]] = {number: [] for number in range(random.randint(1, 4))}
    for number in range(random.randint(1, 30)):
        change, owner = random.choice(("create", "alter", "alter", "drop", "prune")), random.choice(list(listed))
        alias = f"{change}{owner}x{number:02}"
        if change != "create":
            before[alias] = "v1"
        if change in {"create", "alter"}:
            after[alias] = "v2"
        if change != "prune":
            listed[owner].append(Alias(alias, after.get(alias), wave=random.randrange(3)))
    sets = [
        alias_set(
            {},
            *aliases,
            name=f"set{number}",
            connection=connection_to(shop.uri),
            database=shop.database,
            include=(f"prune{number}x*",),
            limits=Limits(max_drops=30, allow_empty=True),
            on_failure=random.choice((OnFailure.REVERT, OnFailure.STOP, OnFailure.STOP, OnFailure.STOP)),
        )
        for number, aliases in listed.items()
    ]
    return Wish(dict(sorted(before.items())), dict(sorted(after.items())), sets)


def through(proxy: FaultProxy, observed: Observed) -> Connect:
    """Opens databases through a proxy, with little patience."""

    def opened(connection: Connection, database: str, *, create: bool = False) -> Catalog:
        return connect(replace(connection, uri=proxy.uri, timeout=TIMEOUT), database, create=create, observe=observed)

    return opened


def apply_under_faults(
    spec_hash: Wish, seed: int, proxy: FaultProxy, observed: Observed, journal: Journal
) -> Report | CatalogError:
    """Plan in peace, and apply while the faults of a seed befall its calls."""
    with Catalogs(connect) as catalogs:
        plan = make_plan(spec_hash.sets, catalogs=catalogs)
    with Catalogs(through(proxy, observed)) as catalogs:
        proxy.schedule = Schedule(seed)
        try:
            return apply_plan(plan, catalogs=catalogs, journal=journal)
        except CatalogError as error:
            return error
        finally:
            proxy.resolve()


def insist_on_truth(result: StepResult, at: str | None, proxy: FaultProxy, observed: Observed) -> None:
    """What is said of one step is so; a call that came late is excused if it was announced."""
    step, message = result.step, result.message or ""
    said = f"{step.alias}, from {step.current} to {step.desired}: {result}; it is {describe_location(at)}"
    if step.alias in proxy.overtaken:
        assert at == ELSEWHERE, f"somebody else's change was undone: {said}"
        assert result.outcome in {Outcome.FAILED, Outcome.UNKNOWN}, said
        return
    assert at in {step.current, step.desired}, said
    if result.outcome in ACHIEVED:
        assert at == step.desired, said
    elif result.outcome is Outcome.UNKNOWN:
        assert observed.lost_reads, said
    elif result.code == "RevertFailed":
        excuses = (f"the alias is {describe_location(at)} now", "could not be read", "not tried", MAY_STILL)
        assert any(excuse in message for excuse in excuses), said
    elif at != step.current:
        assert step.alias in proxy.late, said
        assert MAY_STILL in message, said


def insist_on_the_run(
    ended: Report | CatalogError, live: Mapping[str, str], spec_hash: Wish, proxy: FaultProxy, journal: Journal
) -> None:
    """Nobody's change is undone by a second call; exit code and journal say what was done."""
    assert not repeated(proxy.writes)
    assert live["bystander"] == "v1"
    assert {write.alias for write in proxy.writes} <= spec_hash.before.keys() | spec_hash.after.keys()
    acted = any(write.fault not in REFUSALS for write in proxy.writes)
    if isinstance(ended, CatalogError):
        assert (proxy.writes, live) == ([], spec_hash.before)
        return
    if ended.exit_code in {ExitCode.ERROR, ExitCode.REFUSED}:
        assert (acted, live) == (False, spec_hash.before)
    if ended.exit_code is ExitCode.DONE:
        assert live == spec_hash.after
    (run,) = journal.runs()
    assert run.end
    assert (run.end.exit_code, run.end.counts) == (ended.exit_code, ended.counts)
    assert {past.step.alias: past.outcome for past in run.steps} == {
        result.step.alias: result.outcome for result in ended.results if result.outcome is not Outcome.NOT_ATTEMPTED
    }
    assert journal.damaged == 0


def insist_on_time(seconds: float, observed: Observed, proxy: FaultProxy) -> None:
    assert max((spent for _, _, spent in observed.calls), default=0) < TIMEOUT + BUSY
    pauses = RATE_LIMIT_SECONDS * len({write.alias for write in proxy.writes if write.fault in REFUSALS})
    assert seconds < TIMEOUT * len(observed.calls) + pauses + BUSY


def insist_on_convergence(spec_hash: Wish, shop: Shop, journal: Journal) -> None:
    with Catalogs(connect) as catalogs:
        again = make_plan(spec_hash.sets, Options(retry_rejected=True), catalogs=catalogs, journal=journal)
        report = apply_plan(again, catalogs=catalogs, journal=journal)
        assert (report.exit_code, shop.live) == (ExitCode.DONE, spec_hash.after), report.results
        assert not make_plan(spec_hash.sets, catalogs=catalogs).steps


def try_schedule(seed: int, shop: Shop, journal: Journal, tried: Tally) -> Counter[str]:
    """One seed; how its steps ended, counted."""
    print(f"seed {seed}")
    spec_hash, observed = draw_wish(seed, shop), Observed()
    shop.put_back(spec_hash.before)

    def overtake(alias: str) -> None:
        if alias in shop.live:
            shop.move(**{alias: ELSEWHERE})
        else:
            shop.point(**{alias: ELSEWHERE})

    with fault_proxy(shop.uri, overtake) as proxy, tried.case():
        started = time.monotonic()
        ended = apply_under_faults(spec_hash, seed, proxy, observed, journal)
        seconds, live = time.monotonic() - started, shop.live
        tried.faults += proxy.faults.total()
        results = ended.results if isinstance(ended, Report) else ()
        for result in results:
            insist_on_truth(result, live.get(result.step.alias), proxy, observed)
        insist_on_the_run(ended, live, spec_hash, proxy, journal)
        insist_on_time(seconds, observed, proxy)
        started = time.monotonic()
        insist_on_convergence(spec_hash, shop, journal)
        tried.recovered(time.monotonic() - started)
    return Counter(result.outcome for result in results)


SCHEDULES = pytest.mark.parametrize(
    ("shop", "few", "many"), [("lite_server", 20, 100), ("milvus", 40, 1000)], indirect=["shop"]
)


@SCHEDULES
def test_the_report_is_true_and_nobody_is_overwritten(
    few: int, many: int, shop: Shop, soak: bool, tried: Callable[[str], Tally], tmp_path: Path
) -> None:
    suite, outcomes = tried("Calls cut, lost, delayed, refused or overtaken, on a schedule"), Counter[str]()
    for seed in range(many if soak else few):
        journal = Journal(tmp_path / f"{seed}.jsonl")
        outcomes += try_schedule(seed, shop, journal, suite)
        journal.path.unlink(missing_ok=True)
    print(f"{suite.cases} schedules, {suite.faults} faults: {dict(outcomes)}")
    assert outcomes.keys() >= {Outcome.DONE, Outcome.FAILED, Outcome.UNKNOWN, Outcome.REVERTED}, "it was not all tried"


@pytest.mark.parametrize("shop", ["lite_server"], indirect=True)
def test_a_server_that_does_not_answer_costs_no_other_a_write(shop: Shop, tried: Callable[[str], Tally]) -> None:
    """What cannot be reached is found before the first write anywhere, also by clients that did not make the plan."""
    shop.put_back({"one": "v1", "other": "v1"})
    with (
        relay_to(shop.uri) as item,
        relay_to(shop.uri) as other,
        tried("Second of two servers unavailable").case(faults=1),
    ):
        first, last = sorted((item.uri, other.uri))
        desired = [
            alias_set({alias: "v2"}, name=alias, connection=connection_to(uri), database=shop.database)
            for alias, uri in (("one", first), ("other", last))
        ]
        plan = make_plan(desired)
        gone = item if item.uri == last else other
        gone.before["GetVersion"] = lambda context: context.abort(grpc.StatusCode.UNAVAILABLE, "down")
        with pytest.raises(ConnectionFailed):
            apply_plan(plan)
        assert shop.live == {"one": "v1", "other": "v1"}
