"""Verified propagation: reads through the alias prove the move; a stuck alias is healed, or told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event, Timer
from typing import NoReturn

import pytest
from msgspec.structs import replace

from reconciler.catalog.memory import Flavour, MemoryCatalog, MemoryServer
from reconciler.core.errors import CallTimedOut, CatalogError, ConnectionFailed, ExitCode, PermissionDenied, RateLimited
from reconciler.core.model import Alias, Connection, Field, OnFailure, Propagation, Row, Schema, Verify
from reconciler.core.report import Outcome, Reach, Report, StepResult
from reconciler.execute import propagation
from reconciler.journal import Journal
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import LOCAL, alias_set, live, server
from tests.faults.memory import Recorder

PROXY = Connection(name="proxy", uri="http://proxy:19530", address="proxy:19530")
SHORT = Verify(propagation=Propagation(timeout=0.4))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A memory server has no reads in flight that a proof must outlast."""
    monkeypatch.setattr(propagation, "PROVING_SECONDS", 0.05)
    monkeypatch.setattr(propagation, "PAUSE", 0.01)


def row(key: int, *, x: float = 0.0) -> Row:
    return {"id": key, "vector": (x, 0.0, 0.0, 1.0)}


def shop(
    old: Sequence[Row] = (row(1), row(2)),
    new: Sequence[Row] = (row(2), row(3)),
    *,
    flavour: Flavour = Flavour.MILVUS_2_3,
    version: str | None = None,
) -> MemoryServer:
    made = server("old", "new", aliases={"a": "old"}, flavour=flavour, version=version)
    made.insert("old", old)
    made.insert("new", new)
    return made


def moved(made: MemoryServer | Recorder, *, verify: Verify = SHORT, on_failure: OnFailure = OnFailure.STOP) -> Report:
    recorder = made if isinstance(made, Recorder) else Recorder(made)
    with recorder.catalogs() as opened:
        desired = alias_set({"a": "new"}, verify=verify, on_failure=on_failure)
        return apply_plan(make_plan([desired], catalogs=opened), catalogs=opened)


def only(report: Report) -> StepResult:
    return report.results[0]


def keys_through(made: MemoryServer, alias: str) -> set[object]:
    return set(made.connect(LOCAL, "default").sample_keys(alias, "id", 100))


def read_after_the_move(recorder: Recorder, method: str, name: str) -> bool:
    """Whether a call of a hook is a read of the proof; what is permitted is read before the move, too."""
    return bool(recorder.writes) and (method, name) == ("rows", "a")


WAYS_TO_DIFFER: Mapping[str, tuple[Sequence[Row], Sequence[Row]]] = {
    "a key that only the new one has": ([row(1)], [row(1), row(2)]),
    "a key that only the old one has": ([row(1), row(2)], [row(1)]),
    "other keys altogether": ([row(1)], [row(2)]),
    "the same keys, embedded anew": ([row(1), row(2)], [row(1, x=1.0), row(2, x=1.0)]),
    "an empty new one": ([row(1)], []),
    "an empty old one": ([], [row(1)]),
}


@pytest.mark.parametrize(("old", "new"), WAYS_TO_DIFFER.values(), ids=WAYS_TO_DIFFER)
def test_readers_that_follow_are_proved_to(old: Sequence[Row], new: Sequence[Row]) -> None:
    result = only(moved(shop(old, new)))
    assert result.outcome is Outcome.DONE
    assert [(item.reach, item.heals) for item in result.propagation] == [(Reach.VERIFIED, 0)]
    assert result.propagation[0].reads >= propagation.PROVING_READS


@pytest.mark.parametrize(("old", "new"), WAYS_TO_DIFFER.values(), ids=WAYS_TO_DIFFER)
def test_stuck_readers_are_healed_where_the_server_allows_it(old: Sequence[Row], new: Sequence[Row]) -> None:
    made = shop(old, new)
    made.stick_readers("a", alters=3)
    result = only(moved(made))
    assert (result.outcome, result.propagation[0].reach) == (Outcome.DONE, Reach.VERIFIED)
    assert result.propagation[0].heals == 3
    assert keys_through(made, "a") == {item["id"] for item in new}


@pytest.mark.parametrize("version", ["pkg/v2.5.4", "2.6.0", "2.6.4", "unknown-20260608-7ea6e3526", "2.6-20260101"])
def test_readers_are_healed_on_every_version_that_may_allow_it(version: str) -> None:
    made = shop(version=version)
    made.stick_readers("a", alters=2)
    result = only(moved(made))
    assert (result.outcome, result.propagation[0].reach, result.propagation[0].heals) == (
        Outcome.DONE,
        Reach.VERIFIED,
        2,
    )


def test_on_an_unknown_version_healing_is_tried_and_its_effect_checked() -> None:
    made = shop(flavour=Flavour.MILVUS_2_6, version="unknown-20260608-7ea6e3526")
    made.stick_readers("a")
    result = only(moved(made))
    assert (result.outcome, result.propagation[0].reach) == (Outcome.FAILED, Reach.STUCK)
    assert result.propagation[0].heals > 0
    assert "repeated alter" in (result.message or "")


@pytest.mark.parametrize("version", ["2.6.5", "2.6.22", "2.6.23", "3.0.0"])
def test_nothing_is_altered_again_where_the_server_ignores_it(version: str) -> None:
    made = shop(version=version)
    made.stick_readers("a")
    result = only(moved(made))
    assert (result.outcome, result.propagation[0].heals) == (Outcome.FAILED, 0)
    assert "ignores an alter to the same collection" in (result.message or "")


def test_where_the_server_ignores_a_repeated_alter_stuck_readers_are_told() -> None:
    made = shop(flavour=Flavour.MILVUS_2_6)
    made.stick_readers("a")
    report = moved(made)
    result = only(report)
    assert (result.outcome, result.code) == (Outcome.FAILED, "PropagationStuck")
    assert result.propagation[0].reach is Reach.STUCK
    assert "the catalog has new, but reads through the alias are still answered by old" in (result.message or "")
    assert report.exit_code is ExitCode.INCOMPLETE
    assert live(made) == {"a": "new"}


def test_stuck_readers_count_as_a_failure_for_a_revert() -> None:
    made = shop(flavour=Flavour.MILVUS_2_6)
    made.stick_readers("a")
    result = only(moved(made, on_failure=OnFailure.REVERT))
    assert result.outcome is Outcome.REVERTED
    assert live(made) == {"a": "old"}


def test_two_collections_that_answer_alike_cannot_be_told_apart_and_it_says_so() -> None:
    report = moved(shop([row(1)], [row(1)]))
    result = only(report)
    assert (result.outcome, report.exit_code) == (Outcome.DONE, ExitCode.DONE)
    assert result.propagation[0].reach is Reach.UNKNOWN
    assert "old and new answer alike" in (result.message or "")


def test_a_collection_that_cannot_be_read_proves_nothing() -> None:
    made = shop()
    made.release("new")
    made.release("old")
    result = only(moved(made))
    assert (result.outcome, result.propagation[0].reach) == (Outcome.DONE, Reach.UNKNOWN)
    assert "new cannot be read" in (result.message or "")


def test_an_old_collection_that_is_released_answers_nobody() -> None:
    made = shop([row(1)], [row(1)])
    made.release("old")
    assert only(moved(made)).propagation[0].reach is Reach.VERIFIED


def test_every_endpoint_is_proved_by_itself_and_a_heal_is_checked_at_all_of_them() -> None:
    made = shop()
    made.stick_readers("a", address=PROXY.address)
    result = only(moved(made, verify=replace(SHORT, endpoints=(PROXY,))))
    assert [(item.endpoint, item.reach) for item in result.propagation] == [
        (LOCAL.address, Reach.VERIFIED),
        (PROXY.address, Reach.VERIFIED),
    ]
    assert result.propagation[1].heals == 1


def test_one_stuck_endpoint_of_two_is_named() -> None:
    made = shop(flavour=Flavour.MILVUS_2_6)
    made.stick_readers("a", address=PROXY.address)
    result = only(moved(made, verify=replace(SHORT, endpoints=(PROXY,))))
    assert [item.reach for item in result.propagation] == [Reach.VERIFIED, Reach.STUCK]
    assert (result.message or "").startswith("proxy:19530: ")


def test_an_endpoint_that_cannot_be_reached_is_unknown_and_named() -> None:
    class WithoutProxy(Recorder):
        def connect(self, connection: Connection, database: str, *, create: bool = False):  # type: ignore[no-untyped-def]
            if connection.address == PROXY.address:
                raise ConnectionFailed("cannot reach proxy:19530")
            return super().connect(connection, database, create=create)

    result = only(moved(WithoutProxy(shop()), verify=replace(SHORT, endpoints=(PROXY,))))
    assert [item.reach for item in result.propagation] == [Reach.VERIFIED, Reach.UNKNOWN]
    assert (result.outcome, "cannot reach proxy:19530" in (result.message or "")) == (Outcome.DONE, True)


class WithSecondary(Recorder):
    """A cluster, and another one that follows: its alias moves once it was read a number of times after the move."""

    def __init__(self, made: MemoryServer, after: int) -> None:
        super().__init__(made)
        self.secondary = Recorder(shop(flavour=Flavour.MILVUS_2_6))
        self.secondary.before = self._follow
        self._left = after

    def connect(self, connection: Connection, database: str, *, create: bool = False) -> MemoryCatalog:
        if connection.address == PROXY.address:
            return self.secondary.connect(connection, database)
        return super().connect(connection, database)

    def _follow(self, method: str, name: str) -> None:
        if self.writes and (method, name) == ("rows", "a"):
            self._left -= 1
            if self._left == 0:
                self.secondary.server.connect(PROXY, "default").alter_alias("a", "new")


FOLLOWED = replace(SHORT, endpoints=(PROXY,), endpoint_timeouts={"proxy": 60.0})


def test_a_cluster_that_follows_later_is_waited_for_and_is_no_reason_to_alter_again() -> None:
    recorder = WithSecondary(shop(), after=150)
    result = only(moved(recorder, verify=FOLLOWED))
    assert [(item.reach, item.heals) for item in result.propagation] == [(Reach.VERIFIED, 0), (Reach.VERIFIED, 0)]
    assert result.propagation[0].seconds > (SHORT.propagation or Propagation()).timeout
    assert (recorder.writes, recorder.secondary.writes) == ([("alter", "a")], [])


def test_a_cluster_that_does_not_follow_in_its_time_fails_the_move() -> None:
    recorder = WithSecondary(shop(), after=-1)
    verify = Verify(Propagation(timeout=60.0), endpoints=(PROXY,), endpoint_timeouts={"proxy": 0.6})
    result = only(moved(recorder, verify=verify))
    assert [item.reach for item in result.propagation] == [Reach.VERIFIED, Reach.STUCK]
    assert (result.outcome, result.code) == (Outcome.FAILED, "PropagationStuck")
    assert "proxy:19530: reads through the alias are still answered by old after 0.6 s; check the replication" in (
        result.message or ""
    )
    assert recorder.secondary.writes == []


HANGS_SECONDS = 3.0


class Hangs(Recorder):
    """A server of which one proxy hangs whenever data are read there after a move, and has nothing to say at last."""

    def __init__(self, made: MemoryServer) -> None:
        super().__init__(made)
        self.given_up = Event()

    def connect(self, connection: Connection, database: str, *, create: bool = False) -> MemoryCatalog:
        opened = super().connect(connection, database, create=create)
        if connection.address == PROXY.address:
            opened.rows = self._hang  # type: ignore[method-assign]
        return opened

    def _hang(self, *_: object, **__: object) -> NoReturn:
        if self.writes:
            Timer(HANGS_SECONDS, self.given_up.set).start()
            self.given_up.wait(60)
        raise CallTimedOut("no answer within 10 s")


@pytest.mark.parametrize("stuck", [False, True])
def test_an_endpoint_that_hangs_keeps_no_other_from_being_proved(stuck: bool) -> None:
    """More aliases than reads at a time; and what is stuck elsewhere is healed as soon as no read is on the way."""
    names = {f"a{number}": "new" for number in range(3 * LOCAL.concurrency)}
    recorder = Hangs(shop())
    for name in names:
        recorder.server.connect(LOCAL, "default").create_alias(name, "old")
    if stuck:
        recorder.server.stick_readers("a23", address=LOCAL.address)
    verify = Verify(propagation=Propagation(2.0), endpoints=(PROXY,))
    with recorder.catalogs() as opened:
        report = apply_plan(make_plan([alias_set(names, verify=verify)], catalogs=opened), catalogs=opened)
    for result in report.results:
        assert [item.reach for item in result.propagation] == [Reach.VERIFIED, Reach.UNKNOWN]
    assert report.results[-1].step.alias == "a9"
    assert [result.step.alias for result in report.results if result.propagation[0].heals] == ["a23"] * stuck
    assert sum(result.propagation[1].reads for result in report.results) == LOCAL.concurrency


def test_reads_that_fail_for_a_while_only_take_longer() -> None:
    recorder = Recorder(shop())
    failures = iter(range(3))

    def unlucky(method: str, name: str) -> None:
        if (method, name) == ("rows", "a") and next(failures, None) is not None:
            raise ConnectionFailed("failed to get delegator")

    recorder.before = unlucky
    assert only(moved(recorder)).propagation[0].reach is Reach.VERIFIED


def test_reads_that_are_forbidden_prove_nothing() -> None:
    recorder = Recorder(shop())

    def forbidden(method: str, name: str) -> None:
        if (method, name) == ("rows", "a"):
            raise PermissionDenied("the privilege Query is missing")

    recorder.before = forbidden
    result = only(moved(recorder))
    assert result.propagation[0].reach is Reach.UNKNOWN
    assert "the privilege Query is missing" in (result.message or "")


def test_an_alias_that_somebody_moves_meanwhile_is_not_altered_again() -> None:
    made = shop()
    made.create_collection("theirs")
    made.stick_readers("a", alters=9)
    recorder = Recorder(made)

    def race(method: str, alias: str) -> None:
        recorder.after = lambda method, alias: None
        made.connect(LOCAL, "default").alter_alias("a", "theirs")

    recorder.before = lambda method, name: race(method, name) if read_after_the_move(recorder, method, name) else None
    insist_that_the_third_place_is_named(only(moved(recorder)))
    assert live(made) == {"a": "theirs"}


def test_a_third_place_is_named_also_if_no_read_can_tell_the_collections_apart() -> None:
    """The alias is altered once more as a precaution, and the read before that finds it elsewhere."""
    recorder = Recorder(shop([row(1)], [row(1)]))
    recorder.server.create_collection("theirs")
    reads: list[str] = []

    def race(method: str, alias: str) -> None:
        if recorder.writes and (method, alias) == ("resolve", "a"):
            reads.append(alias)
            if len(reads) == 2:  # the first is the read-back
                recorder.server.connect(LOCAL, "default").alter_alias("a", "theirs")

    recorder.before = race
    report = moved(recorder)
    insist_that_the_third_place_is_named(only(report))
    assert report.exit_code is ExitCode.INCOMPLETE


def insist_that_the_third_place_is_named(result: StepResult) -> None:
    assert (result.outcome, result.code) == (Outcome.FAILED, "VerifyMismatch")
    assert result.message == 'the server accepted the call, yet the alias is at "theirs" now'
    assert (result.propagation[0].reach, result.propagation[0].detail) == (
        Reach.UNKNOWN,
        'the alias is at "theirs" now, moved by someone else',
    )


def test_without_the_wish_nothing_is_read_through_the_alias() -> None:
    recorder = Recorder(shop())
    seen: list[str] = []
    recorder.before = lambda method, name: seen.append(name) if method in {"rows", "count", "sample_keys"} else None
    result = only(moved(recorder, verify=Verify()))
    assert (result.outcome, result.propagation, seen) == (Outcome.DONE, (), [])


def test_where_nothing_tells_them_apart_the_alias_is_altered_once_more_if_that_helps() -> None:
    same = [row(1)]
    for flavour, heals in ((Flavour.MILVUS_2_3, 1), (Flavour.MILVUS_2_6, 0)):
        made = shop(same, same, flavour=flavour)
        recorder = Recorder(made)
        result = only(moved(recorder))
        assert (result.outcome, result.propagation[0].heals) == (Outcome.DONE, heals)
        assert len(recorder.writes) == 1 + heals
        assert ("altered once more" in (result.message or "")) is bool(heals)


def test_a_key_that_is_an_ordinary_field_of_the_old_collection_proves_nothing() -> None:
    """A filter on the new one's key is a filter on that field of the old one, and finds its rows."""
    made = MemoryServer(Flavour.MILVUS_2_6)
    fields = (Field("pk", "INT64", primary=True), Field("id", "INT64"), Field("vector", "FLOAT_VECTOR", dimension=4))
    old = Schema(fields)
    made.create_collection("old", schema=old, rows=[{"pk": 9, "id": 1, "vector": (0.0, 0.0, 0.0, 1.0)}])
    made.create_collection("new", rows=[row(1)])
    made.connect(LOCAL, "default").create_alias("a", "old")
    made.stick_readers("a")
    assert only(moved(made)).propagation[0].reach is not Reach.VERIFIED


def test_an_old_answer_is_not_forgotten_because_later_reads_fail() -> None:
    recorder = Recorder(shop(flavour=Flavour.MILVUS_2_6))
    recorder.server.stick_readers("a")
    reads = iter(range(4))

    def then_fail(method: str, name: str) -> None:
        if (method, name) == ("rows", "a") and next(reads, None) is None:
            raise ConnectionFailed("failed to get delegator")

    recorder.before = then_fail
    result = only(moved(recorder))
    assert (result.outcome, result.propagation[0].reach) == (Outcome.FAILED, Reach.STUCK)


@pytest.mark.parametrize("acts", [True, False], ids=["answered", "not answered"])
def test_stuck_readers_whose_reads_fail_after_an_alter_stay_stuck(acts: bool) -> None:
    """An alter proves nothing: until the new collection answers, the last answer is that of the old one."""
    recorder = Recorder(shop())
    recorder.server.create_collection("older")
    recorder.server.connect(LOCAL, "default").create_alias("b", "older")
    recorder.server.stick_readers("a", alters=9)

    def then_fail(method: str, name: str) -> None:
        if (method, name) == ("rows", "a") and recorder.writes.count(("alter", "a")) == 2:
            raise ConnectionFailed("failed to get delegator")

    def unanswered(method: str, alias: str) -> None:
        if not acts and recorder.writes.count((method, alias)) == 2:
            raise CallTimedOut("no answer within 10 s")

    recorder.before, recorder.after = then_fail, unanswered
    waves = alias_set({}, Alias("a", "new"), Alias("b", "new", wave=1), verify=SHORT)
    with recorder.catalogs() as opened:
        report = apply_plan(make_plan([waves], catalogs=opened), catalogs=opened)
    assert (report.results[0].outcome, report.results[0].propagation[0].reach) == (Outcome.FAILED, Reach.STUCK)
    assert live(recorder.server) == {"a": "new", "b": "older"}


@pytest.mark.parametrize(
    ("flavour", "reach"), [(Flavour.MILVUS_2_3, Reach.VERIFIED), (Flavour.MILVUS_2_6, Reach.STUCK)]
)
def test_readers_that_are_stuck_at_a_third_collection_are_stuck(flavour: Flavour, reach: Reach) -> None:
    """Someone moves the alias between the read before the move and the move, and readers stay there."""
    recorder = Recorder(shop(flavour=flavour))
    recorder.server.create_collection("third", rows=[row(9)])

    def race(method: str, alias: str) -> None:
        if (method, alias) == ("alter", "a") and len(recorder.writes) == 1:
            recorder.server.connect(LOCAL, "default").alter_alias("a", "third")
            recorder.server.stick_readers("a")

    recorder.before = race
    result = only(moved(recorder))
    assert (result.propagation[0].reach, result.propagation[0].heals) == (reach, reach is Reach.VERIFIED)
    assert (result.outcome is Outcome.FAILED) is (reach is Reach.STUCK)
    assert ("still answered by a third collection" in (result.message or "")) is (reach is Reach.STUCK)


def test_marked_rows_that_somebody_deletes_are_no_old_answer() -> None:
    made = shop([row(1), row(2)], [row(1, x=1.0), row(2, x=1.0)])
    recorder = Recorder(made)
    recorder.before = lambda method, name: (
        made.delete("new", [1, 2]) if read_after_the_move(recorder, method, name) else None
    )
    result = only(moved(recorder))
    assert (result.outcome, result.propagation[0].reach, len(recorder.writes)) == (Outcome.DONE, Reach.UNKNOWN, 1)
    assert "the rows that tell the collections apart have changed" in (result.message or "")


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("resolve", ConnectionFailed("down")),
        ("alter", PermissionDenied("no")),
        ("alter", RateLimited("not now")),
    ],
)
def test_an_alter_that_was_not_made_again_is_not_counted(method: str, error: CatalogError) -> None:
    recorder = Recorder(shop())
    recorder.server.stick_readers("a", alters=9)
    seen: list[str] = []

    def hinder(called: str, name: str) -> None:
        if read_after_the_move(recorder, called, name):
            seen.append(name)
        if seen and called == method:
            raise error

    recorder.before = hinder
    result = only(moved(recorder))
    assert (result.outcome, result.propagation[0].reach, result.propagation[0].heals) == (
        Outcome.FAILED,
        Reach.STUCK,
        0,
    )
    assert (result.message or "").endswith(f"it could not be altered again: {error}")


def test_an_old_answer_is_not_forgotten_because_an_alter_was_not_made_again() -> None:
    recorder = Recorder(shop())
    recorder.server.stick_readers("a", alters=9)
    seen: list[str] = []

    def die(method: str, name: str) -> None:
        if seen and name == "a":
            raise ConnectionFailed("down")
        if read_after_the_move(recorder, method, name):
            seen.append(name)

    recorder.before = die
    assert only(moved(recorder)).propagation[0].reach is Reach.STUCK


def test_an_alter_that_is_not_answered_starts_the_proof_anew_and_may_have_helped() -> None:
    recorder = Recorder(shop())
    recorder.server.stick_readers("a")
    reads: list[int] = []

    def note(method: str, name: str) -> None:
        if (method, name) == ("rows", "a"):
            reads.append(len(recorder.writes))

    def unanswered(method: str, alias: str) -> None:
        if len(recorder.writes) == 2:
            raise CallTimedOut("no answer within 10 s")

    recorder.before, recorder.after = note, unanswered
    result = only(moved(recorder))
    assert (result.outcome, result.propagation[0].reach) == (Outcome.DONE, Reach.VERIFIED)
    assert reads.count(2) >= propagation.PROVING_READS


def test_an_alter_that_may_still_arrive_is_told_after_a_revert(tmp_path: Path) -> None:
    """It would put the alias back where it must not be; and what was undone is refused all the same."""
    recorder = Recorder(shop())
    recorder.server.stick_readers("a", alters=10_000)

    def unanswered(method: str, alias: str) -> None:
        if method == "alter" and len(recorder.writes) == 2:
            raise CallTimedOut("no answer within 10 s")

    recorder.before = unanswered
    journal = Journal(tmp_path / "journal.db")
    desired = alias_set({"a": "new"}, verify=Verify(propagation=Propagation(0.9)), on_failure=OnFailure.REVERT)
    with recorder.catalogs() as opened:
        report = apply_plan(make_plan([desired], catalogs=opened), catalogs=opened, journal=journal)
    result = only(report)
    assert live(recorder.server) == {"a": "old"}
    assert (result.outcome, result.code, report.exit_code) == (Outcome.FAILED, "CallTimedOut", ExitCode.INCOMPLETE)
    assert 'it is at "old" again' in (result.message or "")
    assert (result.message or "").endswith("a call that was sent may still take effect")
    assert [rejection.collection for rejection in journal.decisions().rejected.values()] == ["new"]
