"""`check --exercise` on emulated servers: each version passes, and every behaviour that is inverted is detected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Event
from typing import Any

import pytest

from reconciler.catalog import open_sandbox
from reconciler.catalog.port import IMPOSSIBLE_NAME
from reconciler.exercise import moves
from reconciler.exercise.names import NEW, OLD, SPARE, A, B
from reconciler.exercise.records import ExerciseReport, Verdict
from reconciler.exercise.run import EXERCISES, run_exercises
from reconciler.render.exercise import exercise_lines
from tests.emulated_milvus import calls
from tests.emulated_milvus.behaviour import VERSIONS, Behaviour
from tests.emulated_milvus.calls import Call, Denied, Handler
from tests.emulated_milvus.cluster import Cached, Cluster, Code, Database, Refused
from tests.emulated_milvus.proxy import Proxy
from tests.servers import connection_to

import grpc  # isort: skip
from pymilvus.grpc_gen import milvus_pb2  # isort: skip

DATABASE = "scratch"
MOVED = moves.ALIASES[0]
Invert = Callable[[Call, Any, Handler], Any]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else reads, so no read in flight is to be outlasted, and a few moves will do."""
    monkeypatch.setattr(moves, "SETTLING_SECONDS", 0.05)
    monkeypatch.setattr(moves, "ALIASES", moves.ALIASES[:4])
    monkeypatch.setattr(moves, "ROUNDS", 2)


def exercised(behaviour: Behaviour, *races: Cached, database: str = DATABASE) -> ExerciseReport:
    """Exercise an emulated server, with a read in flight at the first alter for each of the caches."""
    cluster = Cluster(behaviour)
    cluster.searches_unloaded = True
    with Proxy(cluster) as proxy:
        cluster.databases[DATABASE] = Database(DATABASE)
        for kind in races:
            proxy.cache.race(kind, MOVED, database)
        connection = connection_to(proxy.uri)
        sandbox = open_sandbox(connection, database)
        try:
            report = run_exercises(sandbox, connection, Event())
        finally:
            sandbox.close()
    assert report.ended_early == ""
    return report


def contradictions(report: ExerciseReport) -> set[str]:
    return {finding.exercise for finding in report.findings if finding.verdict is Verdict.CONTRADICTION}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_server_that_behaves_as_its_version_passes(version: str) -> None:
    report = exercised(VERSIONS[version], *Cached)
    assert contradictions(report) == set()
    assert (report.exit_code, report.left, report.removed) == (0, (), ())
    assert not VERSIONS[version].leaves_dangling_aliases or any("dangling" in each.exercise for each in report.findings)


ROWS = (
    ("describe, no database in the call", "2.3.5", "reads_default_database", ()),
    ("describe, no database in the call", "2.4.15", "reads_default_database", ()),
    ("list, no database in the call", "2.3.5", "reads_default_database", ()),
    ("list, no database in the call", "2.4.15", "reads_default_database", ()),
    ("create, an alias as collection", "2.6.11", "resolves_alias_targets", ()),
    ("create, an alias as collection", "2.6.13", "resolves_alias_targets", ()),
    ("alter, an alias as collection", "2.6.11", "resolves_alias_targets", ()),
    ("alter, an alias as collection", "2.6.13", "resolves_alias_targets", ()),
    ("drop a collection with aliases", "2.5.4", "leaves_dangling_aliases", ()),
    ("drop a collection with aliases", "2.5.18", "leaves_dangling_aliases", ()),
    ("describe, after a move", "2.5.4", "describe_may_be_stale", (Cached.DESCRIPTION,)),
    ("readers, after a move", "2.6.23", "keeps_stuck_readers", (Cached.DATA,)),
    ("readers, after altering again", "2.6.4", "ignores_realter", (Cached.DATA,)),
    ("readers, after altering again", "2.6.8", "ignores_realter", (Cached.DATA,)),
    ("search, collection not loaded", "2.5.18", "may_search_unloaded", ()),
    ("truncate a collection", "2.6.8", "truncates_collections", ()),
    ("truncate a collection", "2.6.11", "truncates_collections", ()),
)
"""Exercises, each with a version and the row of the emulated behaviour that is inverted on it, and reads in flight."""


@pytest.mark.parametrize(("exercise", "version", "row", "races"), ROWS)
def test_a_row_that_is_inverted_is_a_contradiction(
    exercise: str, version: str, row: str, races: tuple[Cached, ...]
) -> None:
    inverted: dict[str, Any] = {row: not getattr(VERSIONS[version], row)}
    report = exercised(replace(VERSIONS[version], **inverted), *races)
    assert exercise in contradictions(report)
    assert_named(report, exercise)
    assert {finding.row for finding in report.findings if finding.exercise in contradictions(report)} == {row}


UNKNOWN = "unknown-20260608-7ea6e3526"


@pytest.mark.parametrize(
    ("version", "races", "like"),
    [
        ("2.3.5", (), "before 2.4.0"),
        ("2.4.15", (), "2.4.0 to 2.4.22 or 2.5.0 to 2.5.4"),
        ("2.6.8", (Cached.DATA,), "2.6.5 to 2.6.10"),
        ("2.6.11", (), "2.6.11"),
        ("3.0.1", (), "2.6.17 and later"),
    ],
)
def test_an_unknown_version_is_narrowed_down(version: str, races: tuple[Cached, ...], like: str) -> None:
    report = exercised(replace(VERSIONS[version], version=UNKNOWN, build_tags=""), *races)
    assert (report.exit_code, report.behaves_like) == (0, like)
    lines = [line.plain for line in exercise_lines(report)]
    remedy = "set serverVersion in the MilvusConnection to the version that runs"
    assert f"Behaves like Milvus {like}; {remedy}." in lines
    expected = next(finding.expected for finding in report.findings if finding.exercise == "truncate a collection")
    assert expected == ("done", "NotSupported")


def test_a_server_that_reports_the_wrong_version_is_recognized() -> None:
    report = exercised(replace(VERSIONS["2.6.13"], version="2.5.4", build_tags="2.5.4"))
    lines = [line.plain for line in exercise_lines(report)]
    assert report.exit_code == 1
    assert "Behaves like Milvus 2.6.12 and later; it reports 2.5.4." in lines
    at = next(number for number, line in enumerate(lines) if line.startswith("  ✗ create, an alias as collection"))
    assert lines[at].split()[-2:] == ["CollectionNotFound", "done"]
    assert lines[at + 1].strip() == "guard: checks before any call, see docs/semantics.md#names"
    assert lines[-1] == "Please report this with the output of --format json."


def test_a_server_that_behaves_like_no_version_is_reported() -> None:
    report = exercised(replace(VERSIONS["2.5.4"], truncates_collections=True))
    lines = [line.plain for line in exercise_lines(report)]
    assert "No version in the table behaves like this server, which reports pkg/v2.5.4." in lines


def refuse(code: int) -> Invert:
    def answer(_call: Call, _request: Any, _original: Handler) -> Any:
        raise Refused(code, "inverted")

    return answer


def ignore(_call: Call, _request: Any, _original: Handler) -> None:
    """Success, and nothing is done."""


def deny(_call: Call, _request: Any, _original: Handler) -> Any:
    raise Denied(grpc.StatusCode.PERMISSION_DENIED, "PrivilegeCreateAlias: permission deny to somebody")


def as_alter(call: Call, request: Any, _original: Handler) -> Any:
    return calls.HANDLERS["AlterAlias"](call, request)


def as_create(call: Call, request: Any, _original: Handler) -> Any:
    return calls.HANDLERS["CreateAlias"](call, request)


def without_alias(name: str) -> Invert:
    """Do it as if there were no alias of the name that a field of the request has; the alias stays."""

    def answer(call: Call, request: Any, original: Handler) -> Any:
        kept = call.database.aliases.pop(getattr(request, name))
        try:
            return original(call, request)
        finally:
            call.database.aliases[getattr(request, name)] = kept

    return answer


def forgetting_alias(call: Call, request: Any, original: Handler) -> Any:
    call.database.aliases.pop(request.alias)
    return original(call, request)


def drop_collection(call: Call, request: Any, _original: Handler) -> None:
    name = request.alias if hasattr(request, "alias") else request.collection_name
    del call.database.collections[call.database.find(name)[0]]


def drop_longer(call: Call, request: Any, original: Handler) -> Any:
    for name in [name for name in call.database.aliases if name.startswith(request.alias)]:
        call.database.aliases.pop(name)
    return original(call, request)


def described_as(collection: str) -> Invert:
    return lambda call, request, _: milvus_pb2.DescribeAliasResponse(alias=request.alias, collection=collection)


def listed(names: Callable[[Call, list[str]], list[str]]) -> Invert:
    return lambda call, request, _: milvus_pb2.ListAliasesResponse(
        collection_name=request.collection_name, aliases=names(call, sorted(call.database.aliases))
    )


def read_from(collection: str) -> Invert:
    def answer(call: Call, request: Any, original: Handler) -> Any:
        request.collection_name = collection
        return original(call, request)

    return answer


def other_ids(call: Call, request: Any, original: Handler) -> Any:
    answer = original(call, request)
    answer.collection_ids[:] = [number + 1 for number in answer.collection_ids]
    return answer


def with_id(name: str, number: int) -> Invert:
    """Do it, and give the collection another id."""

    def answer(call: Call, request: Any, original: Handler) -> Any:
        done = original(call, request)
        call.database.collections[getattr(request, name)].id = number
        return done

    return answer


def all_loaded(call: Call, request: Any, _original: Handler) -> Any:
    names = list(call.database.find(request.collection_name)[1].partitions)
    return milvus_pb2.ShowPartitionsResponse(partition_names=names, inMemory_percentages=[100 for _ in names])


def keep_rows(_call: Call, _request: Any, _original: Handler) -> Any:
    return milvus_pb2.MutationResult()


def exists(call: Call, request: Any) -> bool:
    return request.alias in call.database.aliases


def unchanged(call: Call, request: Any) -> bool:
    at = call.database.by_id(call.database.aliases.get(request.alias))
    return at is not None and at[0] == request.collection_name


def dangles(call: Call, request: Any) -> bool:
    return exists(call, request) and call.database.by_id(call.database.aliases[request.alias]) is None


def always(_call: Call, _request: Any) -> bool:
    return True


def no_collection(call: Call, request: Any) -> bool:
    return request.collection_name not in call.database.collections and request.collection_name != IMPOSSIBLE_NAME


INVERSIONS: dict[str, tuple[str, Callable[[Call, Any], bool], Invert]] = {
    "create": ("CreateAlias", always, ignore),
    "create, same collection": ("CreateAlias", unchanged, refuse(Code.ALIAS_EXISTS)),
    "create, other collection": ("CreateAlias", exists, as_alter),
    "create, name of a collection": ("CreateAlias", lambda _, request: request.alias == NEW, ignore),
    "create, collection missing": ("CreateAlias", no_collection, ignore),
    "create, 255 characters": ("CreateAlias", lambda _, request: len(request.alias) == 255, refuse(Code.INVALID_NAME)),
    "create, 256 characters": ("CreateAlias", lambda _, request: len(request.alias) == 256, ignore),
    "create, name with a hyphen": ("CreateAlias", lambda _, request: request.alias == f"{A}-b", ignore),
    "alter": ("AlterAlias", exists, ignore),
    "alter, same collection": ("AlterAlias", unchanged, refuse(Code.ALIAS_EXISTS)),
    "alter, alias missing": ("AlterAlias", lambda call, request: not exists(call, request), as_create),
    "alter, name of a collection": ("AlterAlias", lambda _, request: request.alias == NEW, ignore),
    "alter, collection missing": ("AlterAlias", no_collection, ignore),
    "drop": ("DropAlias", exists, ignore),
    "drop, alias missing": ("DropAlias", lambda call, request: not exists(call, request), refuse(Code.ALIAS_NOT_FOUND)),
    "drop, name of a collection": ("DropAlias", lambda _, request: request.alias == OLD, drop_collection),
    "drop, then read": ("Query", no_collection, read_from(OLD)),
    "drop, longer names": ("DropAlias", always, drop_longer),
    "resolve, alias missing": ("DescribeAlias", lambda call, request: not exists(call, request), described_as(OLD)),
    "resolve, name of a collection": ("DescribeAlias", lambda _, request: request.alias == OLD, described_as(NEW)),
    "list, all aliases": ("ListAliases", always, listed(lambda _, names: [name for name in names if name != B])),
    "list, of a collection": ("ListAliases", always, listed(lambda _, names: names)),
    "list, of a missing collection": ("ListAliases", no_collection, listed(lambda *_: [])),
    "list, of an alias": (
        "ListAliases",
        lambda _, request: request.collection_name == A,
        listed(lambda _, names: names),
    ),
    "check of privileges": ("CreateAlias", lambda _, request: request.alias == IMPOSSIBLE_NAME, deny),
    "collection ids": ("ShowCollections", always, other_ids),
    "collection ids, replacement": (
        "CreateCollection",
        lambda _, request: request.collection_name == SPARE,
        with_id("collection_name", 1),
    ),
    "rename a collection": ("RenameCollection", always, with_id("newName", 1)),
    "create a collection, alias's name": (
        "CreateCollection",
        lambda _, request: request.collection_name == A,
        without_alias("collection_name"),
    ),
    "rename a collection, alias's name": (
        "RenameCollection",
        lambda _, request: request.newName == A,
        without_alias("newName"),
    ),
    "drop a collection, by an alias": (
        "DropCollection",
        lambda _, request: request.collection_name == A,
        drop_collection,
    ),
    "create, dangling alias": ("CreateAlias", dangles, forgetting_alias),
    "alter, dangling alias": ("AlterAlias", dangles, refuse(Code.ALIAS_NOT_FOUND)),
    "drop, dangling alias": ("DropAlias", dangles, refuse(Code.UNSPECIFIED)),
    "resolve, after a move": ("DescribeAlias", lambda _, request: request.alias == MOVED, described_as(OLD)),
    "list, after a move": ("ListAliases", always, listed(lambda _, names: [name for name in names if name != MOVED])),
    "read through an alias": ("Query", lambda _, request: request.collection_name == A, read_from(NEW)),
    "count, without a flush": ("Delete", always, keep_rows),
    "partial load": ("ShowPartitions", always, all_loaded),
}
"""By exercise: a call, which of its requests are answered otherwise, and how. The server is a 2.5.4."""


def test_every_exercise_is_inverted() -> None:
    assert INVERSIONS.keys() | {exercise for exercise, *_ in ROWS} == {exercise.name for exercise in EXERCISES}


@pytest.mark.parametrize("exercise", INVERSIONS)
def test_a_case_that_is_inverted_is_a_contradiction(exercise: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method, concerns, invert = INVERSIONS[exercise]
    original = calls.HANDLERS[method]

    def handler(call: Call, request: Any) -> Any:
        return invert(call, request, original) if concerns(call, request) else original(call, request)

    monkeypatch.setitem(calls.HANDLERS, method, handler)
    report = exercised(VERSIONS["2.5.4"])
    assert exercise in contradictions(report)
    assert_named(report, exercise)


def assert_named(report: ExerciseReport, exercise: str) -> None:
    """The report ends with 1 and names the guard that relies on the exercise."""
    guard = next(each.guard for each in EXERCISES if each.name == exercise)
    found = next(finding for finding in report.findings if finding.exercise == exercise)
    assert report.exit_code in (1, 5)
    assert (found.guard, found.documentation) == guard.value
