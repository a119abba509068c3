"""A Milvus that is killed while aliases are being moved, and comes back on the same data."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from reconciler.catalog import Catalogs, connect
from reconciler.core.errors import CatalogError, ExitCode
from reconciler.core.model import Alias, AliasSet, Limits, Verify
from reconciler.core.plan import describe_location
from reconciler.core.report import ACHIEVED, Outcome, Report
from reconciler.core.run_events import RunEvent, SoakStarted
from reconciler.journal import Journal
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import alias_set
from tests.cli.shop import Shop
from tests.faults.own_milvus import OwnMilvus, own_milvus
from tests.faults.relay import Call
from tests.faults.saboteur import saboteur
from tests.reliability.tally import Tally
from tests.servers import MilvusAdmin, connection_to

pytestmark = pytest.mark.own_server

STEPS = 12
RECOVERY_SECONDS = 60.0
"""From when the server says that it is ready; `finish` says what it waits for then."""
BEFORE = {f"alias{number:02}": "v1" for number in range(10)}
AFTER = {f"alias{number:02}": "v2" for number in range(2, STEPS)}
"""Two are dropped, two are created, the others altered."""
NAMES = sorted(BEFORE | AFTER)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnMilvus]:
    with own_milvus(tmp_path_factory.mktemp("milvus")) as server:
        yield server


@pytest.fixture(scope="module")
def shop(server: OwnMilvus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The database `default` with the collections v1 and v2."""
    admin = MilvusAdmin(server.uri)
    for name in ("v1", "v2"):
        admin.create_collection(name)
    yield Shop(server.uri, "default", admin, tmp_path_factory.mktemp("shop"))
    admin.close()


def spec_hash(uri: str, verify: Verify = Verify()) -> AliasSet:
    """Creates and alters in two waves, a drop in each."""
    listed = [Alias(name, AFTER.get(name), wave=number % 2) for number, name in enumerate(NAMES)]
    server = connection_to(uri, timeout=5.0, concurrency=2)
    return alias_set({}, *listed, connection=server, limits=Limits(max_drops=STEPS), verify=verify)


def insist_on_truth(report: Report, live: Mapping[str, str], journal: Journal) -> None:
    """What the report and the journal say of each alias is what the server says once it is back."""
    for result in report.results:
        step, at = result.step, live.get(result.step.alias)
        said = f"{result}; it is {describe_location(at)}"
        assert at in {step.current, step.desired}, said
        if result.outcome in ACHIEVED:
            assert at == step.desired, said
        elif result.outcome is not Outcome.UNKNOWN:
            assert at == step.current or "may still take effect" in (result.message or ""), said
    assert {past.step.alias: past.outcome for past in journal.runs()[-1].steps} == {
        result.step.alias: result.outcome for result in report.results if result.outcome is not Outcome.NOT_ATTEMPTED
    }


def finish(uri: str, catalogs: Catalogs, shop: Shop, journal: Journal) -> None:
    """Run until the work is done.

    The session of the proxy that was killed holds the first write up until it runs out, after `common.session.ttl` or
    30 s (measured on 2.3.5), which is longer than our timeout: each run on the way there tells the truth, too.
    """
    deadline = time.monotonic() + RECOVERY_SECONDS
    while True:
        try:
            report = apply_plan(make_plan([spec_hash(uri)], catalogs=catalogs), catalogs=catalogs, journal=journal)
        except CatalogError as error:
            if error.transient and time.monotonic() < deadline:
                continue
            raise
        if report.exit_code is ExitCode.DONE:
            assert shop.live == AFTER
            return
        insist_on_truth(report, shop.live, journal)
        assert time.monotonic() < deadline, report.results


def killing(server: OwnMilvus, *, acted: bool) -> Callable[[Call], Any]:
    """Kills the server when a write arrives there, or when it has acted on it."""

    def befall(call: Call) -> Any:
        if acted:
            call.pass_on()
        server.kill()
        call.context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")

    return befall


@pytest.mark.parametrize("acted", [False, True], ids=["before it acted", "after it acted"])
def test_killed_while_it_is_written_to(
    acted: bool, server: OwnMilvus, shop: Shop, soak: bool, tally: Callable[[str, str], Tally], tmp_path: Path
) -> None:
    """The run reports; when the server is back, the report is true, and the same clients finish the work."""
    suite = tally("Server killed during an apply and restarted", "Milvus 2.3.5")
    for at in (1, 4, 7, 10, 12) if soak else (7,):
        journal = Journal(tmp_path / f"{at}.jsonl")
        shop.put_back(BEFORE)
        with saboteur(server.uri) as relay, Catalogs(connect) as catalogs, suite.case(faults=1):
            relay.faults[at] = killing(server, acted=acted)
            plan = make_plan([spec_hash(relay.uri)], catalogs=catalogs)
            try:
                report = apply_plan(plan, catalogs=catalogs, journal=journal)
            finally:
                server.start()
            started = time.monotonic()
            insist_on_truth(report, shop.live, journal)
            assert report.exit_code is ExitCode.INCOMPLETE
            finish(relay.uri, catalogs, shop, journal)
            suite.recovered(time.monotonic() - started)


def test_killed_while_readers_are_watched(
    server: OwnMilvus, shop: Shop, soak: bool, tally: Callable[[str, str], Tally], tmp_path: Path
) -> None:
    """A soak says nothing about the new collections while nobody answers, and goes on when somebody does."""
    if not soak:
        pytest.skip("takes two minutes; make soak runs it")
    shop.put_back(BEFORE)
    suite = tally("Server killed during the soak and restarted", "Milvus 2.3.5")
    with ThreadPoolExecutor(1) as pool, Catalogs(connect) as catalogs, suite.case(faults=1):
        restarts: list[Future[None]] = []

        def restart() -> None:
            server.kill()
            server.start()

        def on_event(event: RunEvent) -> None:
            if not restarts and isinstance(event, SoakStarted):
                restarts.append(pool.submit(restart))

        plan = make_plan([spec_hash(server.uri, Verify(soak=60.0))], catalogs=catalogs)
        report = apply_plan(plan, catalogs=catalogs, journal=Journal(tmp_path / "journal.db"), on_event=on_event)
        assert restarts[0].result() is None
        assert (report.exit_code, shop.live) == (ExitCode.DONE, AFTER), report.results
