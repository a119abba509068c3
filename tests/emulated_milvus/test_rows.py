"""Each row of the table of server behaviour: what a client sees of it, and what aliasctl does about it.

Versions are those next to where Milvus changed. Each test fails if the emulated behaviour or the handling is inverted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

from reconciler.catalog import Catalogs, connect
from reconciler.catalog.milvus_client import ONE_TRY, SingleAttempt
from reconciler.catalog.port import IMPOSSIBLE_NAME, AliasWrite
from reconciler.catalog.server_behaviour import Rights
from reconciler.core.durations import Duration
from reconciler.core.errors import ExitCode, NotPrimary
from reconciler.core.gates import Gates
from reconciler.core.model import Alias, Credential, Propagation, Verify
from reconciler.core.plan import BlockReason, Verdict
from reconciler.core.report import Outcome, Reach
from reconciler.gates.loaded import LoadedGate
from reconciler.gates.rows import RowsGate
from reconciler.gates.warm import WarmGate
from reconciler.inspect.access import check_access
from reconciler.inspect.conditions import Result, Subject
from tests.builders import alias_set
from tests.emulated_milvus.behaviour import VERSIONS
from tests.emulated_milvus.cluster import Cached, Code
from tests.emulated_milvus.stage import NEW, OLD, Stage, rows
from tests.servers import connection_to

import grpc  # isort: skip
from pymilvus import MilvusClient, MilvusException  # isort: skip

READER, ROOT = "reader:passw0rd", "root:Milvus"
ATTEMPT: dict[str, Any] = {"timeout": SingleAttempt(5), **ONE_TRY}


def where(*behaving: str, others: tuple[str, ...]) -> pytest.MarkDecorator:
    """Run on versions that behave so and on others, with the stage and whether it does."""
    cases = [(version, True) for version in behaving] + [(version, False) for version in others]
    return pytest.mark.parametrize(("stage", "behaves"), cases, indirect=["stage"], ids=[name for name, _ in cases])


def code(call: Callable[[], object]) -> int:
    """The code of Milvus's answer; 0 for success."""
    try:
        call()
    except MilvusException as error:
        return int(error.code)
    return 0


def status(call: Callable[[], object]) -> str:
    """The gRPC status that a call ends with."""
    try:
        call()
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def proved(stage: Stage, timeout: float = 30.0) -> Any:
    """A move of `a` to `new`, proved by reads."""
    return stage.apply(stage.set({"a": "new"}, verify=Verify(propagation=Propagation(timeout=timeout))))


@where("2.3.5", others=("2.4.15", "cloud"))
def test_reads_default_database(stage: Stage, behaves: bool) -> None:
    stage.admin.create_database("other")
    stage.admin.create_collection("there", "other")
    client = stage.admin.client("other")
    client.create_alias("there", "a")
    stage.client.create_alias("old", "a")
    assert client.describe_alias("a")["collection_name"] == ("old" if behaves else "there")

    catalog = connect(stage.connection, "other")
    stage.cluster.calls.clear()
    found = catalog.resolve("a")
    catalog.close()
    assert found is not None
    assert found.name == "there"
    assert (stage.cluster.calls["DescribeCollection"], stage.cluster.calls["DescribeAlias"]) == (behaves, not behaves)


@where("2.3.5", "2.4.15", others=("2.5.4", "2.6.8", "cloud"))
def test_drops_by_prefix(stage: Stage, behaves: bool) -> None:
    for alias in ("s", "s_x"):
        stage.client.create_alias("old", alias)
    (step,) = stage.plan(stage.set({"s": None})).steps
    assert (step.blocked.reason if step.blocked else None) == (BlockReason.LOSES_OTHERS if behaves else None)
    stage.client.drop_alias("s")
    assert stage.keys("s_x") == OLD
    stage.cluster.restart()
    assert stage.catalog.alias_names() == (set() if behaves else {"s_x"})


@where("2.3.5", "2.4.15", "2.5.4", others=("2.5.18", "2.6.4", "3.0.1"))
def test_leaves_dangling_aliases(stage: Stage, behaves: bool) -> None:
    problems = " ".join(row.problem for row, _ in stage.catalog.behaviour.known_problems())
    assert ("#36963" in problems) is behaves
    stage.client.create_alias("old", "a")
    assert code(lambda: stage.client.drop_collection("old")) == (0 if behaves else Code.UNSPECIFIED)
    if not behaves:
        return
    assert code(lambda: stage.client.create_alias("new", "a")) == Code.ALIAS_EXISTS
    assert stage.apply(stage.set({"a": "new"})).exit_code is ExitCode.DONE
    assert stage.keys("a") == NEW


@pytest.mark.parametrize("after", ["2.5.18", "2.6.13", "3.0.1"])
@pytest.mark.parametrize("stage", ["2.5.4"], indirect=True)
def test_a_dangling_alias_survives_an_upgrade(stage: Stage, after: str) -> None:
    stage.client.create_alias("old", "a")
    stage.client.drop_collection("old")
    stage.cluster.upgrade(VERSIONS[after])
    assert code(lambda: stage.client.create_alias("new", "a")) == Code.ALIAS_EXISTS
    assert stage.apply(stage.set({"a": "new"})).exit_code is ExitCode.DONE
    assert stage.keys("a") == NEW


@pytest.mark.parametrize("after", ["2.5.4", "2.5.18", "2.6.13", "3.0.1"])
@pytest.mark.parametrize("stage", ["2.5.4"], indirect=True)
def test_absent_drops_a_dangling_alias(stage: Stage, after: str) -> None:
    stage.client.create_alias("old", "a")
    stage.client.drop_collection("old")
    stage.cluster.upgrade(VERSIONS[after])
    report = stage.apply(stage.set({"a": None}))
    assert [(result.step.alias, result.outcome) for result in report.results] == [("a", Outcome.DONE)]
    assert stage.apply(stage.set({"a": None})).results == ()
    assert code(lambda: stage.client.create_alias("new", "a")) == 0


@pytest.mark.parametrize("stage", ["2.5.4"], indirect=True)
def test_a_collection_that_took_a_dangling_alias_s_name_goes_only_after_it(stage: Stage) -> None:
    stage.client.create_alias("old", "a")
    stage.client.drop_collection("old")
    stage.admin.create_collection("a")
    assert code(lambda: stage.client.drop_collection("a")) == Code.UNSPECIFIED
    stage.client.drop_alias("a")
    assert code(lambda: stage.client.drop_collection("a")) == 0


def guarded(stage: Stage, *grants: tuple[str, str, str]) -> Any:
    """A client of a user who has these grants: (object, privilege, name)."""
    user, password = READER.split(":")
    root = MilvusClient(stage.proxy.uri, token=ROOT, dedicated=True)
    stage.cluster.authorization = True
    root.create_user(user, password)
    root.create_role("readers")
    root.grant_role(user, "readers")
    for kind, privilege, name in grants:
        root.grant_privilege("readers", kind, privilege, name, db_name="default")
    root.close()
    return MilvusClient(stage.proxy.uri, token=READER, dedicated=True)


@where("2.5.4", "3.0.1", "cloud", others=("2.3.5", "2.4.15"))
def test_has_grant_privilege_v2(stage: Stage, behaves: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    grants = lambda: stage.client.grant_privilege_v2("public", "Query", "old", db_name="default", **ATTEMPT)  # noqa: E731
    assert status(grants) == ("OK" if behaves else "UNIMPLEMENTED")
    client = guarded(stage)
    lists = lambda: client.list_aliases("", db_name="default", **ATTEMPT)  # noqa: E731
    assert status(lists) == ("OK" if behaves else "PERMISSION_DENIED")
    client.close()

    monkeypatch.setenv("TOKEN", READER)
    desired = alias_set({"a": "old"}, connection=connection_to(stage.proxy.uri, token=Credential("TOKEN")))
    with Catalogs(connect) as catalogs:
        (found,) = check_access([desired], catalogs)
    create = next(condition for condition in found.conditions if condition.subject is Subject.CREATE_ALIAS)
    assert create.result is Result.MISSING
    assert create.remedy is not None
    assert create.remedy.startswith("grant_privilege_v2(" if behaves else "grant_privilege(")


@where("2.5.18", "2.6.4", others=("2.3.5", "2.5.4", "2.6.8", "3.0.1"))
def test_records_missing_drops(stage: Stage, behaves: bool) -> None:
    assert code(lambda: stage.client.drop_alias("nothing")) == 0
    assert stage.cluster.events == ([("DropAlias", "nothing")] if behaves else [])
    stage.cluster.events.clear()
    stage.cluster.calls.clear()
    assert stage.catalog.permits(AliasWrite.DROP) is True
    assert stage.cluster.events == []
    assert stage.cluster.calls["DropAlias"] == (not behaves)


@where("2.3.5", "2.5.4", others=("2.5.18", "2.6.8"))
def test_checks_name_in_drop(stage: Stage, behaves: bool) -> None:
    assert code(lambda: stage.client.drop_alias(IMPOSSIBLE_NAME)) == (Code.INVALID_NAME if behaves else 0)
    assert stage.catalog.permits(AliasWrite.CREATE) is True
    assert stage.catalog.permits(AliasWrite.ALTER) is True


@where("2.5.18", "2.6.23", "3.0.1", "cloud", others=("2.3.5", "2.5.4"))
def test_describe_may_be_stale(stage: Stage, behaves: bool) -> None:
    stage.client.create_alias("old", "a")
    stage.proxy.cache.race(Cached.DESCRIPTION, "a")
    stage.client.alter_alias("new", "a")
    assert stage.client.describe_collection("a")["collection_name"] == ("old" if behaves else "new")
    found = stage.catalog.resolve("a")
    assert found is not None
    assert found.name == "new"
    assert not stage.plan(stage.set({"a": "new"})).steps


@where("2.6.4", "3.0.1", "cloud", others=("2.3.5", "2.5.18"))
def test_serialises_alias_calls(stage: Stage, behaves: bool) -> None:
    stage.cluster.alias_seconds = 0.1
    entries = {f"a{number}": "old" for number in range(8)}
    assert stage.apply(stage.set(dict(entries))).exit_code is ExitCode.DONE
    assert (stage.cluster.most_alias_calls == 1) is behaves


@where("2.6.4", "3.0.1", "cloud", others=("2.3.5", "2.5.18"))
def test_loaded_is_not_warm(stage: Stage, behaves: bool) -> None:
    stage.cluster.cold_seconds = 1.0

    def search() -> float:
        started = time.monotonic()
        stage.client.search("new", data=[[0.0] * 4], anns_field="vector", limit=1)
        return time.monotonic() - started

    first, second = search(), search()
    assert (first - second > stage.cluster.cold_seconds / 2) is behaves


@where("2.6.4", "3.0.1", others=("2.3.5",))
def test_the_gate_warm_searches_until_a_loaded_collection_is_warm(stage: Stage, behaves: bool) -> None:
    stage.cluster.cold_seconds = 2.0
    gates = Gates(WarmGate(Duration(1.0), Duration(30)))
    report = stage.apply(stage.set({}, Alias("a", "new", gates=gates)))
    (result,) = report.results[0].step.gate_results[-1:]
    assert (report.exit_code, result.verdict) == (ExitCode.DONE, Verdict.PASS)
    assert result.figures["rounds"] == (3 if behaves else 2)


STUCK = pytest.mark.usefixtures("quick")


@STUCK
@where("2.3.5", "2.5.4", "2.6.4", "2.6.8", "2.6.13", "cloud", others=("2.6.23", "3.0.1"))
def test_keeps_stuck_readers(stage: Stage, behaves: bool) -> None:
    stage.client.create_alias("old", "a")
    stage.proxy.cache.race(Cached.DATA, "a")
    stage.client.alter_alias("new", "a")
    assert stage.keys("a") == (OLD if behaves else NEW)
    assert stage.client.describe_alias("a")["collection_name"] == "new"


@STUCK
@pytest.mark.parametrize(
    ("stage", "reach", "heals"),
    [
        ("2.3.5", Reach.VERIFIED, True),
        ("2.5.4", Reach.VERIFIED, True),
        ("2.6.4", Reach.VERIFIED, True),
        ("2.6.8", Reach.STUCK, False),
        ("2.6.13", Reach.STUCK, False),
        ("2.6.23", Reach.VERIFIED, False),
        ("3.0.1", Reach.VERIFIED, False),
        ("cloud", Reach.STUCK, True),
    ],
    indirect=["stage"],
)
def test_ignores_realter(stage: Stage, reach: Reach, heals: bool) -> None:
    """Altering again is tried unless it is known to be useless, and its effect is checked."""
    stage.client.create_alias("old", "a")
    stage.proxy.cache.race(Cached.DATA, "a")
    report = proved(stage, timeout=1.0 if reach is Reach.STUCK else 30.0)
    (found,) = report.results[0].propagation
    assert (found.reach, found.heals > 0) == (reach, heals)
    assert (report.exit_code is ExitCode.DONE) is (reach is Reach.VERIFIED)
    assert (stage.keys("a") == NEW) is (reach is Reach.VERIFIED)


@STUCK
@where("2.6.4", others=("2.5.18", "2.6.8"))
def test_expires_before_change(stage: Stage, behaves: bool) -> None:
    """A read between the two halves of an alter is enough there; altering again heals it."""
    stage.client.create_alias("old", "a")
    stage.cluster.between = lambda: stage.keys("a")
    stage.client.alter_alias("new", "a")
    stage.cluster.between = lambda: None
    assert stage.keys("a") == (OLD if behaves else NEW)
    stage.client.alter_alias("new", "a")
    assert stage.keys("a") == NEW


@where("2.6.8", "3.0.1", "cloud", others=("2.5.18", "2.6.4"))
def test_replicates_alias_calls(stage: Stage, behaves: bool) -> None:
    stage.client.create_alias("old", "a")
    stage.cluster.secondary = True
    assert code(lambda: stage.client.alter_alias("new", "a", **ATTEMPT)) == (Code.UNSPECIFIED if behaves else 0)
    with pytest.raises(MilvusException, match="STREAMING_CODE_REPLICATE_VIOLATION") if behaves else nullcontext():
        stage.client.insert("old", rows([9]), **ATTEMPT)
    desired = stage.set({}, Alias("b", "new", gates=Gates(LoadedGate(enabled=False))))
    report = stage.apply(desired)
    (result,) = report.results
    assert (result.outcome, result.code) == ((Outcome.FAILED, NotPrimary.__name__) if behaves else (Outcome.DONE, None))
    assert report.exit_code is (ExitCode.ERROR if behaves else ExitCode.DONE)
    assert ("primary cluster" in (result.message or "")) is behaves


@where("2.6.11", "3.0.1", others=("2.6.8", "2.5.18"))
def test_truncates_collections(stage: Stage, behaves: bool) -> None:
    """A collection that is loaded and empty: the gate on rows keeps readers from it."""
    stage.client.create_alias("old", "a")
    empties = lambda: stage.client.truncate_collection("new", **ATTEMPT)  # noqa: E731
    assert status(empties) == ("OK" if behaves else "UNIMPLEMENTED")
    gates = Gates(RowsGate(min=1))
    report = stage.apply(stage.set({}, Alias("a", "new", gates=gates)))
    assert (report.exit_code is ExitCode.REFUSED) is behaves


@pytest.mark.parametrize("granted", ["alias", "collection"])
@pytest.mark.parametrize(
    ("stage", "rights"),
    [
        ("2.3.5", Rights.ALIAS),
        ("2.5.18", Rights.ALIAS),
        ("2.6.8", Rights.ALIAS),
        ("2.6.11", Rights.COLLECTION_FOR_SEARCH),
        ("2.6.13", Rights.COLLECTION),
        ("3.0.1", Rights.COLLECTION),
    ],
    indirect=["stage"],
)
def test_searches_and_reads_by_collection_grants(stage: Stage, rights: Rights, granted: str) -> None:
    """Whose privileges count for a reader of the alias: a move takes them away, or does not."""
    assert stage.catalog.behaviour.rights_by is rights
    stage.client.create_alias("old", "a")
    name = "a" if granted == "alias" else "old"
    client = guarded(stage, ("Collection", "Search", name), ("Collection", "Query", name))
    search = lambda: client.search("a", data=[[0.0] * 4], anns_field="vector", limit=1, **ATTEMPT)  # noqa: E731
    query = lambda: client.query("a", filter="id > 0", **ATTEMPT)  # noqa: E731

    by_collection = {
        Rights.ALIAS: (False, False),
        Rights.COLLECTION_FOR_SEARCH: (True, False),
        Rights.COLLECTION: (True, True),
    }[rights]
    allowed = [(counts is (granted == "collection")) for counts in by_collection]
    assert [status(search) == "OK", status(query) == "OK"] == allowed
    stage.cluster.authorization = False
    stage.client.alter_alias("new", "a")
    stage.cluster.authorization = True
    after = [status(search) == "OK", status(query) == "OK"]
    assert after == [may and not counts for may, counts in zip(allowed, by_collection, strict=True)]
    client.close()


@where("2.6.13", "3.0.1", "cloud", others=("2.5.18", "2.6.11"))
def test_resolves_alias_targets(stage: Stage, behaves: bool) -> None:
    """Blocked before any call, whatever the server makes of it."""
    stage.client.create_alias("old", "x")
    (step,) = stage.plan(stage.set({"a": "x"})).steps
    assert step.blocked
    assert step.blocked.reason is BlockReason.COLLECTION_IS_ALIAS
    assert code(lambda: stage.client.create_alias("x", "a")) == (0 if behaves else Code.COLLECTION_NOT_FOUND)
    lists = lambda: stage.client.list_aliases("x", db_name="default")  # noqa: E731
    assert code(lists) == (0 if behaves else Code.COLLECTION_NOT_FOUND)
    assert stage.catalog.aliases_of("x") is None


@where("2.6.13", others=("2.6.8", "2.6.11", "2.6.23", "3.0.1"))
def test_slow_alias_reads(stage: Stage, behaves: bool) -> None:
    stage.client.create_alias("old", "a")
    stage.cluster.lookups.clear()
    for _ in range(3):
        stage.keys("a")
    assert stage.cluster.lookups["a"] == (3 if behaves else 1)
    assert noticed(stage, "#49510") is behaves


@where("2.6.8", "2.6.13", others=("2.5.18", "2.6.4", "2.6.23", "3.0.1"))
def test_readers_stay_stuck(stage: Stage, behaves: bool) -> None:
    assert noticed(stage, "#51779") is behaves


@where("2.6.23", "3.0.1", others=("2.6.13",))
def test_may_search_unloaded(stage: Stage, behaves: bool) -> None:
    """A search proves nothing there: the gate reads the load state."""
    stage.cluster.searches_unloaded = True
    stage.client.create_alias("old", "a")
    stage.client.release_collection("new")
    search = lambda: stage.client.search("new", data=[[0.0] * 4], anns_field="vector", limit=1, **ATTEMPT)  # noqa: E731
    assert code(search) == (0 if behaves else Code.NOT_LOADED)
    assert stage.apply(stage.set({"a": "new"})).exit_code is ExitCode.REFUSED


@where("3.0.1", others=("2.6.23", "2.6.4"))
def test_has_row_level_security(stage: Stage, behaves: bool) -> None:
    """The policy of the old collection does not move with the alias."""
    stage.client.create_alias("old", "a")
    stage.cluster.database("default").collections["old"].policy = "id == 1"
    assert stage.keys("a") == ((1,) if behaves else OLD)
    assert noticed(stage, "#50263") is behaves
    stage.client.alter_alias("new", "a")
    assert stage.keys("a") == NEW


@where("2.3.5", others=("2.4.15", "3.0.1"))
def test_alters_without_privilege(stage: Stage, behaves: bool) -> None:
    stage.client.create_alias("old", "a")
    client = guarded(stage)
    assert status(lambda: client.alter_alias("new", "a", **ATTEMPT)) == ("OK" if behaves else "PERMISSION_DENIED")
    assert status(lambda: client.create_alias("new", "b", **ATTEMPT)) == "PERMISSION_DENIED"
    client.close()


@where("2.3.5", others=("2.4.15", "3.0.1"))
def test_load_state_needs_load(stage: Stage, behaves: bool) -> None:
    client = guarded(stage, ("Collection", "Load" if behaves else "GetLoadState", "old"))
    assert status(lambda: client.get_load_state("old", **ATTEMPT)) == "OK"
    client.close()


@pytest.mark.parametrize("stage", ["2.3.5", "2.6.8", "3.0.1"], indirect=True)
def test_a_partition_that_is_not_loaded_blocks_a_move(stage: Stage) -> None:
    stage.client.create_partition("new", "more")
    stage.client.create_alias("old", "a")
    assert stage.client.get_load_state("new")["state"].name == "Loaded"
    assert stage.apply(stage.set({"a": "new"})).exit_code is ExitCode.REFUSED
    stage.client.load_partitions("new", ["more"])
    assert stage.apply(stage.set({"a": "new"})).exit_code is ExitCode.DONE


@pytest.mark.parametrize("stage", ["cloud"], indirect=True)
def test_a_version_without_a_number_is_read_from_the_build_tags(stage: Stage) -> None:
    assert stage.client.get_server_version().startswith("unknown-")
    assert stage.catalog.server_version() == "Zilliz Cloud Vector Database(Compatible with Milvus 2.6)"


def noticed(stage: Stage, issue: str) -> bool:
    """Whether a plan to move `a` says that the server has a known problem."""
    if "a" not in stage.catalog.alias_names():
        stage.client.create_alias("old", "a")
    (target,) = stage.plan(stage.set({"a": "new"})).targets
    return any(issue in notice for notice in target.notices)
