"""Rights of readers: what a move takes away fails its verification; what was denied before is not blamed on it."""

from __future__ import annotations

import time
from pathlib import Path
from threading import Event

import pytest

from reconciler.catalog.memory import Flavour
from reconciler.core.errors import CallTimedOut, CatalogError, ExitCode, PermissionDenied, RateLimited
from reconciler.core.gates import Gates
from reconciler.core.model import Alias, Connection, OnFailure, Propagation, Verify
from reconciler.core.report import Outcome, Reach, Report
from reconciler.execute import propagation, soak
from reconciler.gates.canary import CanaryGate
from reconciler.journal import Journal
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import alias_set, live, server
from tests.faults.memory import Recorder

BY_ALIAS, BY_COLLECTION, UNKNOWN = "v2.6.8", "v2.6.13", "unknown-20260608-7ea6e3526"
SEARCH_BY_COLLECTION = "v2.6.11"
PROOF = Verify(propagation=Propagation(timeout=5.0))
SOAK = Verify(soak=0.05)
PROXY = Connection(name="proxy", uri="http://proxy:19530", address="proxy:19530")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A memory server has no reads in flight that a proof must outlast."""
    monkeypatch.setattr(propagation, "PROVING_SECONDS", 0.05)
    monkeypatch.setattr(propagation, "PAUSE", 0.01)
    monkeypatch.setattr(soak, "SHORTEST_PAUSE", 0.01)


def shop(version: str, *, alike: bool = False) -> Recorder:
    """Two collections, which nothing tells apart where they are `alike`; `a` points to `old`."""
    made = server("old", "new", aliases={"a": "old"}, flavour=Flavour.MILVUS_2_6, version=version)
    for collection, key in (("old", 1), ("new", 1 if alike else 2)):
        made.insert(collection, [{"id": key, "vector": (0.0, 0.0, 0.0, 1.0)}])
    return Recorder(made)


def denied_after_the_move(recorder: Recorder, method: str) -> None:
    """Deny reads through the alias to users who may still read the collections by their own names."""

    def deny(called: str, name: str) -> None:
        if (called, name) == (method, "a") and recorder.writes:
            raise PermissionDenied("the privilege Query is missing: permission deny to reader", privilege="Query")

    recorder.before = deny


def moved(
    recorder: Recorder,
    verify: Verify,
    *,
    on_failure: OnFailure = OnFailure.STOP,
    journal: Journal | None = None,
    stop: Event | None = None,
) -> Report:
    desired = alias_set({"a": "new"}, verify=verify, on_failure=on_failure)
    with recorder.catalogs() as opened:
        plan = make_plan([desired], catalogs=opened, journal=journal)
        return apply_plan(plan, catalogs=opened, journal=journal, stop=stop)


def test_reads_that_are_denied_since_the_move_fail_its_proof_soon() -> None:
    recorder = shop(BY_COLLECTION)
    denied_after_the_move(recorder, "rows")
    report = moved(recorder, Verify(propagation=Propagation(timeout=600)))
    [result] = report.results
    assert (result.outcome, result.code, report.exit_code) == (
        Outcome.FAILED,
        "PropagationDenied",
        ExitCode.INCOMPLETE,
    )
    assert result.propagation[0].reach is Reach.DENIED
    assert "permitted before the move and are denied now: the privilege Query is missing" in (result.message or "")
    assert (result.message or "").endswith('grant_privilege_v2("ROLE", "Query", "new", db_name="default")')


@pytest.mark.parametrize("alike", [False, True], ids=["comparable", "alike"])
@pytest.mark.parametrize(
    ("version", "privilege", "reach"),
    [
        (BY_COLLECTION, "Query", Reach.DENIED),
        (BY_COLLECTION, "Search", Reach.DENIED),
        (UNKNOWN, "Search", Reach.DENIED),
        (SEARCH_BY_COLLECTION, "Search", Reach.DENIED),
        (BY_ALIAS, "Search", Reach.VERIFIED),
    ],
)
def test_the_privilege_that_is_missing_on_the_new_collection_counts_where_the_server_checks_it(
    version: str, privilege: str, reach: Reach, alike: bool
) -> None:
    """Also where nothing tells the two collections apart, or they may not be compared."""
    recorder = shop(version, alike=alike)
    recorder.server.deny(privilege, "new")
    report = moved(recorder, PROOF)
    [result] = report.results
    expected = Reach.UNKNOWN if alike and reach is Reach.VERIFIED else reach
    assert result.propagation[0].reach is expected
    assert report.exit_code is (ExitCode.INCOMPLETE if reach is Reach.DENIED else ExitCode.DONE)


def test_readers_that_lose_their_rights_get_them_back_by_a_revert() -> None:
    recorder = shop(BY_COLLECTION)
    recorder.server.deny("Query", "new")
    report = moved(recorder, PROOF, on_failure=OnFailure.REVERT)
    assert [result.outcome for result in report.results] == [Outcome.REVERTED]
    assert live(recorder.server) == {"a": "old"}


@pytest.mark.parametrize("verify", [PROOF, SOAK], ids=["propagation", "soak"])
@pytest.mark.parametrize(("version", "on"), [(BY_ALIAS, "a"), (BY_COLLECTION, ""), (UNKNOWN, "")])
def test_reads_that_were_denied_before_are_not_blamed_on_the_move(version: str, on: str, verify: Verify) -> None:
    recorder = shop(version)
    recorder.server.deny("Query", on)
    report = moved(recorder, verify)
    [result] = report.results
    assert (result.outcome, result.code, report.exit_code) == (Outcome.DONE, None, ExitCode.DONE)
    assert {item.reach for item in result.propagation} <= {Reach.UNKNOWN}
    assert "the privilege Query is missing" in (result.message or "")


def test_a_query_that_was_denied_before_is_told_and_a_search_that_is_taken_fails() -> None:
    recorder = shop(BY_COLLECTION)
    recorder.server.deny("Query")
    recorder.server.deny("Search", "new")
    for verify, code in ((PROOF, "PropagationDenied"), (SOAK, "SoakFailed")):
        [result] = moved(recorder, verify).results
        assert (result.outcome, result.code) == (Outcome.FAILED, code)
        recorder.server.connect(PROXY, "default").alter_alias("a", "old")


def test_a_denial_that_passes_is_none() -> None:
    """A proxy that does not find an alias's collection for a moment looks for a grant on the alias."""
    recorder = shop(BY_COLLECTION)
    denials = iter(range(3))

    def deny(method: str, name: str) -> None:
        if name == "a" and recorder.writes and method in ("rows", "search") and next(denials, None) is not None:
            raise PermissionDenied("the privilege Query is missing", privilege="Query")

    recorder.before = deny
    [result] = moved(recorder, PROOF).results
    assert (result.outcome, result.propagation[0].reach) == (Outcome.DONE, Reach.VERIFIED)


@pytest.mark.parametrize("privilege", ["Query", "Search"])
def test_reads_that_are_denied_since_the_move_fail_its_soak(privilege: str) -> None:
    recorder = shop(BY_COLLECTION)
    recorder.server.deny(privilege, "new")
    report = moved(recorder, SOAK)
    [result] = report.results
    assert (result.outcome, result.code, report.exit_code) == (Outcome.FAILED, "SoakFailed", ExitCode.INCOMPLETE)
    assert f"the privilege {privilege} is missing" in (result.message or "")


@pytest.mark.parametrize(
    ("before", "outcome"), [(False, Outcome.FAILED), (True, Outcome.BLOCKED)], ids=["since the move", "before it"]
)
def test_searches_of_the_canary_that_are_denied_since_the_move_fail_its_soak(before: bool, outcome: Outcome) -> None:
    """They use the collection's own name; where they are denied before, nothing moves."""
    recorder = shop(BY_ALIAS, alike=True)

    def deny(method: str, name: str) -> None:
        if (method, name) == ("search", "new") and (before or recorder.writes):
            raise PermissionDenied("the privilege Search is missing", privilege="Search")

    recorder.before = deny
    gates = Gates(CanaryGate(min_overlap=0.0))
    with recorder.catalogs() as opened:
        plan = make_plan([alias_set({}, Alias("a", "new", gates=gates), verify=SOAK)], catalogs=opened)
        [result] = apply_plan(plan, catalogs=opened).results
    assert result.outcome is outcome
    assert "canary: new cannot be searched: the privilege Search is missing" in (result.message or "")


def interrupted(recorder: Recorder, journal: Journal, verify: Verify) -> None:
    """A run that moves the alias and is stopped before it verifies."""
    stop = Event()
    recorder.after = lambda method, alias: stop.set()
    report = moved(recorder, verify, journal=journal, stop=stop)
    assert report.results[0].code in ("PropagationInterrupted", "SoakInterrupted")
    recorder.after = lambda method, alias: None
    recorder.journal.clear()


VERSIONS_OF_RIGHTS: list[tuple[str, tuple[str, ...], bool]] = [
    (BY_COLLECTION, ("new",), True),
    (BY_COLLECTION, ("old", "new"), False),
    (UNKNOWN, ("new",), True),
    (BY_ALIAS, ("a",), False),
]


@pytest.mark.parametrize("verify", [PROOF, SOAK], ids=["propagation", "soak"])
@pytest.mark.parametrize(("version", "denied", "taken"), VERSIONS_OF_RIGHTS)
def test_verified_again_the_former_collection_shows_what_was_permitted(
    version: str, denied: tuple[str, ...], taken: bool, verify: Verify, tmp_path: Path
) -> None:
    recorder, journal = shop(version), Journal(tmp_path / "journal.jsonl")
    interrupted(recorder, journal, verify)
    for on in denied:
        recorder.server.deny("Query", on)
    report = moved(recorder, verify, journal=journal)
    [result] = report.results
    failed = ExitCode.INCOMPLETE if recorder.writes else ExitCode.ERROR
    assert report.exit_code is (failed if taken else ExitCode.DONE)
    assert (result.outcome is Outcome.FAILED) is taken
    assert "the privilege Query is missing" in (result.message or "")


def test_what_the_move_took_fails_again_until_it_is_granted(tmp_path: Path) -> None:
    recorder, journal = shop(BY_COLLECTION), Journal(tmp_path / "journal.jsonl")
    denied_after_the_move(recorder, "rows")
    assert moved(recorder, PROOF, journal=journal).exit_code is ExitCode.INCOMPLETE
    assert moved(recorder, PROOF, journal=journal).exit_code is ExitCode.ERROR
    recorder.before = lambda method, name: None
    assert moved(recorder, PROOF, journal=journal).exit_code is ExitCode.DONE


@pytest.mark.parametrize("verify", [PROOF, SOAK], ids=["propagation", "soak"])
def test_an_endpoint_that_does_not_answer_before_the_move_is_not_read_for_every_alias(verify: Verify) -> None:
    """A whole timeout for every alias would let the results of gates age."""
    names = {f"a{number}": "new" for number in range(50)}
    recorder = Recorder(server("old", "new", aliases=dict.fromkeys(names, "old")))
    before: list[str] = []

    def hang(method: str, name: str) -> None:
        if method in ("rows", "search") and name in names and not recorder.writes:
            before.append(name)
            raise CallTimedOut("no answer within 10 s")

    recorder.before = hang
    with recorder.catalogs() as opened:
        report = apply_plan(make_plan([alias_set(names, verify=verify)], catalogs=opened), catalogs=opened)
    assert report.exit_code is ExitCode.DONE
    assert len(before) <= PROXY.concurrency


@pytest.mark.parametrize("alike", [False, True], ids=["comparable", "alike"])
@pytest.mark.parametrize("error", [RateLimited("takes no more calls for now"), CallTimedOut("no answer within 10 s")])
def test_a_reader_who_was_not_answered_before_the_move_and_is_denied_after_it_fails_it(
    error: CatalogError, alike: bool, tmp_path: Path
) -> None:
    """One read that is not answered must not hide what the move takes; the next run reads the former collection."""
    recorder, journal = shop(BY_COLLECTION, alike=alike), Journal(tmp_path / "journal.jsonl")
    recorder.server.deny("Search", "new")
    unanswered: list[str] = []

    def fail_once(method: str, name: str) -> None:
        if (method, name) == ("rows", "a") and not unanswered:
            unanswered.append(name)
            raise error

    recorder.before = fail_once
    report = moved(recorder, PROOF, journal=journal)
    [result] = report.results
    assert (result.outcome, result.code, report.exit_code) == (
        Outcome.FAILED,
        "PropagationDenied",
        ExitCode.INCOMPLETE,
    )
    assert "could not all be tried before the move and are denied now: the privilege Search" in (result.message or "")
    assert moved(recorder, PROOF, journal=journal).exit_code is ExitCode.ERROR, "it is pending verification"
    recorder.server.deny("Search", "old")
    assert moved(recorder, PROOF, journal=journal).exit_code is ExitCode.DONE, "it was denied before as well"


@pytest.mark.parametrize("method", ["rows", "search"])
def test_one_of_two_users_who_is_denied_is_named(method: str) -> None:
    """With the same address: the report says which connection it is."""
    recorder = shop(BY_COLLECTION)
    denied_after_the_move(recorder, method)
    home = alias_set().connection
    assert home is not None
    reader = Connection(name="reader", uri=home.uri, address=home.address)
    report = moved(recorder, Verify(propagation=Propagation(timeout=5.0), endpoints=(reader,)))
    [result] = report.results
    assert [item.connection for item in result.propagation] == ["", "reader"]
    assert f"{home.address} (reader): reads through the alias were permitted" in (result.message or "")


def test_users_of_one_address_share_its_concurrency() -> None:
    names = {f"a{number}": "new" for number in range(40)}
    recorder = Recorder(server("old", "new", aliases=dict.fromkeys(names, "old")))
    recorder.server.insert("new", [{"id": 1, "vector": (0.0, 0.0, 0.0, 1.0)}])
    at_work: list[str] = []
    most: list[int] = []

    def count(method: str, name: str) -> None:
        if method == "rows" and name in names:
            at_work.append(name)
            most.append(len(at_work))
            time.sleep(0.005)
            at_work.remove(name)

    recorder.before = count
    home = alias_set().connection
    assert home is not None
    reader = Connection(name="reader", uri=home.uri, address=home.address)
    verify = Verify(propagation=Propagation(timeout=5.0), endpoints=(reader,))
    with recorder.catalogs() as opened:
        report = apply_plan(make_plan([alias_set(names, verify=verify)], catalogs=opened), catalogs=opened)
    assert report.exit_code is ExitCode.DONE
    assert max(most) <= home.concurrency
