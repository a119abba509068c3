"""`check_access` on a Milvus in memory: which condition stands how, for which sets, and that nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.catalog import Catalogs
from reconciler.catalog.memory import Flavour, MemoryCatalog, MemoryServer
from reconciler.catalog.port import AliasWrite
from reconciler.core.errors import AuthenticationFailed, CallTimedOut, ConnectionFailed, DatabaseNotFound, TlsFailed
from reconciler.core.gates import Gates
from reconciler.core.model import (
    Alias,
    AliasSet,
    Collection,
    Connection,
    Credential,
    OnFailure,
    Propagation,
    Tls,
    Verify,
)
from reconciler.gates.access import AccessGate
from reconciler.gates.canary import CanaryGate
from reconciler.gates.indexed import IndexedGate
from reconciler.gates.loaded import LoadedGate
from reconciler.gates.rows import RowsGate
from reconciler.gates.schema import SchemaGate
from reconciler.inspect.access import Condition, Result, Subject, TargetAccess, check_access, exit_code
from tests.builders import LOCAL, alias_set, catalogs, live, server

S, R = Subject, Result
ALWAYS = [subject for subject in S if subject not in (S.HOOKS, S.PROMETHEUS)]
"""Those that are there for every connection."""
SECURE = replace(
    LOCAL,
    uri="https://localhost:19530",
    token=Credential(env="MILVUS_TOKEN"),
    tls=Tls(ca=Credential(file="/etc/ca.pem"), cert=Credential(file="/etc/c.pem"), server_name="milvus"),
)
ENDPOINT = replace(LOCAL, name="second", uri="http://second:19530", address="second:19530")


def check(made: MemoryServer, *sets: AliasSet) -> TargetAccess:
    """The conditions of the only target."""
    [found] = check_access(sets, catalogs(made))
    return found


def condition(found: TargetAccess, subject: Subject) -> Condition:
    return next(condition for condition in found.conditions if condition.subject is subject)


def full(**gates: Any) -> AliasSet:
    """A set that asks for everything."""
    every = Gates(IndexedGate(), RowsGate(min=0), CanaryGate(min_overlap=0.5), AccessGate(), **gates)
    return alias_set({}, Alias("a", "v2", gates=every), Alias("gone", None))


@pytest.mark.parametrize("flavour", Flavour)
def test_every_condition_has_a_row_and_nothing_is_written(flavour: Flavour) -> None:
    made = server("v1", "v2", aliases={"a": "v1", "gone": "v1"}, flavour=flavour)
    before = live(made)
    found = check(made, full())
    assert [condition.subject for condition in found.conditions] == ALWAYS
    not_needed = {S.TLS, S.TOKEN, S.SELECT_OWNERSHIP}
    not_needed |= {S.DESCRIBE_ALIAS} if flavour is not Flavour.MILVUS_2_6 else set()
    assert found.results == {item: R.NOT_NEEDED if item in not_needed else R.OK for item in ALWAYS}
    assert (found.server_version, found.holds, exit_code([found]), live(made)) == (flavour.value, True, 0, before)


@pytest.mark.parametrize(
    ("denied", "subject"),
    [
        ("ListAliases", S.LIST_ALIASES),
        ("DescribeCollection", S.DESCRIBE_COLLECTION),
        ("DescribeAlias", S.DESCRIBE_ALIAS),
        ("GetLoadState", S.GET_LOAD_STATE),
        ("ShowPartitions", S.SHOW_PARTITIONS),
        ("IndexDetail", S.DESCRIBE_INDEX),
        ("Query", S.QUERY),
        ("Search", S.SEARCH),
        ("DropAlias", S.DROP_ALIAS),
    ],
)
def test_a_privilege_that_is_missing_is_the_only_one(denied: str, subject: Subject) -> None:
    made = server("v1", "v2", aliases={"a": "v1"})
    made.deny(denied)
    found = check(made, full())
    assert {item for item, result in found.results.items() if result is R.MISSING} == {subject}
    remedy = condition(found, subject).remedy or ""
    assert remedy.startswith(f'grant_privilege_v2("ROLE", "{denied}", ')
    assert (found.holds, exit_code([found])) == (False, 1)


def test_one_privilege_is_for_creating_and_altering() -> None:
    made = server("v1")
    made.deny("CreateAlias")
    newer = check(made, full())
    assert (newer.results[S.CREATE_ALIAS], newer.results[S.ALTER_ALIAS]) == (R.MISSING, R.MISSING)
    made = server("v1", flavour=Flavour.MILVUS_2_3)
    made.deny("CreateAlias")
    older = check(made, full())
    assert (older.results[S.CREATE_ALIAS], older.results[S.ALTER_ALIAS]) == (R.MISSING, R.OK), "2.3.5 asks for none"
    assert condition(older, S.CREATE_ALIAS).remedy == (
        'grant_privilege("ROLE", "Global", "CreateAlias", "*", db_name="default")'
    )


def test_collections_are_asked_one_by_one_where_an_alias_is_and_where_it_goes() -> None:
    made = server("v1", "v2", "v3", aliases={"a": "v1", "b": "v2"})
    made.deny("GetLoadState", on="v1")
    gone_there = check(made, alias_set({"a": "v2", "b": "v2"}))
    assert condition(gone_there, S.GET_LOAD_STATE).detail == "the privilege GetLoadState is missing on v1"
    made.deny("GetLoadState", on="v2")
    both = condition(check(made, alias_set({"a": "v2", "b": "v2"})), S.GET_LOAD_STATE)
    assert both.detail == "the privilege GetLoadState is missing on v1, v2"
    assert both.remedy == (
        'grant_privilege_v2("ROLE", "GetLoadState", "v1", db_name="default"), and so on for each of them'
    )
    assert check(made, alias_set({"b": "v3"})).results[S.GET_LOAD_STATE] is R.MISSING, "b is at v2"


def test_a_collection_that_does_not_exist_yet_can_be_asked_for() -> None:
    made = server("v1")
    assert check(made, full()).holds
    made.deny("Query", on="v2")
    assert check(made, full()).results[S.QUERY] is R.MISSING


@pytest.mark.parametrize(
    ("desired", "not_needed"),
    [
        (alias_set({"a": "v1"}), {S.DESCRIBE_INDEX, S.QUERY, S.SEARCH, S.DROP_ALIAS}),
        (alias_set({"a": "v1"}, include=("s_*",)), {S.DESCRIBE_INDEX, S.QUERY, S.SEARCH}),
        (alias_set({"a": "v1"}, on_failure=OnFailure.REVERT), {S.DESCRIBE_INDEX, S.QUERY, S.SEARCH}),
        (
            alias_set({"a": None}),
            {S.GET_LOAD_STATE, S.SHOW_PARTITIONS, S.DESCRIBE_INDEX, S.QUERY, S.SEARCH, S.CREATE_ALIAS, S.ALTER_ALIAS},
        ),
        (
            alias_set({}, Alias("a", "v1", gates=Gates(LoadedGate(enabled=False), RowsGate(min=1)))),
            {S.GET_LOAD_STATE, S.SHOW_PARTITIONS, S.DESCRIBE_INDEX, S.SEARCH, S.DROP_ALIAS},
        ),
        (alias_set({"a": "v1"}, verify=Verify(propagation=Propagation())), {S.DESCRIBE_INDEX, S.SEARCH, S.DROP_ALIAS}),
        (alias_set({"a": "v1"}, verify=Verify(soak=5.0)), {S.DESCRIBE_INDEX, S.SEARCH, S.DROP_ALIAS}),
    ],
    ids=["plain", "scope", "revert", "absent", "rows", "propagation", "soak"],
)
def test_only_what_the_sets_need_is_asked_for(desired: AliasSet, not_needed: set[Subject]) -> None:
    made = server("v1")
    for privilege in ("IndexDetail", "Query", "Search", "GetLoadState", "DropAlias", "CreateAlias"):
        made.deny(privilege)
    found = check(made, desired)
    always = {S.TLS, S.TOKEN, S.SELECT_OWNERSHIP}
    assert {item for item, result in found.results.items() if result is R.NOT_NEEDED} == not_needed | always


@pytest.mark.parametrize("hidden", ["v1", "v2"])
def test_the_gate_schema_reads_the_indexes_of_both_collections(hidden: str) -> None:
    made = server("v1", "v2", aliases={"a": "v1"})
    desired = alias_set({}, Alias("a", "v2", gates=Gates(SchemaGate())))
    assert check(made, desired).results[S.DESCRIBE_INDEX] is R.OK
    made.deny("IndexDetail", on=hidden)
    found = condition(check(made, desired), S.DESCRIBE_INDEX)
    assert (found.result, found.detail) == (R.MISSING, f"the privilege IndexDetail is missing on {hidden}")


def test_where_the_alias_s_name_counts_reads_through_it_are_checked() -> None:
    made = server("v1", flavour=Flavour.MILVUS_2_3)
    made.deny("Query", on="a")
    assert check(made, alias_set({"a": "v1"}, verify=Verify(propagation=Propagation()))).results[S.QUERY] is R.MISSING


def test_the_gate_access_needs_to_read_grants_where_the_collection_s_count() -> None:
    made = server("v1", "v2", aliases={"a": "v1"}, version="v2.6.13")
    assert check(made, full()).results[S.SELECT_OWNERSHIP] is R.OK
    assert check(made, alias_set({"a": "v2"})).results[S.SELECT_OWNERSHIP] is R.NOT_NEEDED
    made.deny("SelectOwnership")
    found = check(made, full())
    assert {item for item, result in found.results.items() if result is R.MISSING} == {S.SELECT_OWNERSHIP}
    remedy = 'grant_privilege_v2("ROLE", "SelectOwnership", "*", db_name="*")'
    assert condition(found, S.SELECT_OWNERSHIP).remedy == remedy


def test_without_sets_everything_is_asked_but_what_depends_on_the_collection() -> None:
    made = server("v1")
    found = check(made, alias_set({}))
    unknown = {item for item, result in found.results.items() if result is R.UNKNOWN}
    assert unknown == {S.GET_LOAD_STATE, S.SHOW_PARTITIONS, S.DESCRIBE_INDEX, S.QUERY, S.SEARCH}
    assert "-f" in condition(found, S.QUERY).detail
    assert found.results[S.DROP_ALIAS] is R.OK
    assert found.holds


def refusing(error: Exception) -> Catalogs:
    def connect(connection: Connection, database: str, *, create: bool = False) -> MemoryCatalog:
        raise error

    return Catalogs(connect)


@pytest.mark.parametrize(
    ("error", "broken", "before", "remedy"),
    [
        (ConnectionFailed("connection refused"), S.ADDRESS, [], "the address is right"),
        (CallTimedOut("no answer"), S.ADDRESS, [], "the address is right"),
        (TlsFailed("certificate has expired"), S.TLS, [S.ADDRESS], "caFile"),
        (TlsFailed("refused", by_server=True), S.TLS, [S.ADDRESS], "client certificate is valid"),
        (AuthenticationFailed("no"), S.TOKEN, [S.ADDRESS, S.TLS], "environment variable MILVUS_TOKEN"),
        (DatabaseNotFound("none"), S.DATABASE, [S.ADDRESS, S.TLS, S.TOKEN], "--database"),
    ],
)
def test_what_holds_as_far_as_one_gets(error: Exception, broken: Subject, before: list[Subject], remedy: str) -> None:
    [found] = check_access([alias_set({"a": "v1"}, connection=SECURE)], refusing(error))
    assert (condition(found, broken).result, condition(found, broken).detail) == (R.MISSING, str(error))
    assert remedy in (condition(found, broken).remedy or "")
    assert [found.results[item] for item in before] == [R.OK] * len(before)
    rest = {found.results[item] for item in ALWAYS if item not in before and item is not broken}
    assert rest == {R.UNKNOWN}
    assert [condition.subject for condition in found.conditions] == ALWAYS
    assert exit_code([found]) == 1


def test_the_other_targets_are_checked_all_the_same() -> None:
    made = server("v1")

    def connect(connection: Connection, database: str, *, create: bool = False) -> MemoryCatalog:
        if connection.address == ENDPOINT.address:
            raise ConnectionFailed("connection refused")
        return made.connect(connection, database)

    sets = [alias_set({"a": "v1"}), alias_set({"b": "v1"}, name="other", connection=ENDPOINT)]
    found = check_access(sets, Catalogs(connect))
    assert [item.holds for item in found] == [True, False]
    assert exit_code(found) == 1


def test_a_database_that_is_missing() -> None:
    found = check(server("v1"), alias_set({"a": "v1"}, database="nowhere"))
    assert found.results[S.DATABASE] is R.MISSING
    assert found.results[S.DROP_ALIAS] is R.UNKNOWN


def test_a_database_that_an_endpoint_lacks_is_missing_there() -> None:
    made = server("v1")

    def connect(connection: Connection, database: str, *, create: bool = False) -> MemoryCatalog:
        if connection.address == ENDPOINT.address:
            raise DatabaseNotFound("there is no database")
        return made.connect(connection, database)

    verified = alias_set({"a": "v1"}, verify=Verify(propagation=Propagation(1.0), endpoints=(ENDPOINT,)))
    _, found = check_access([verified], Catalogs(connect))
    assert (found.endpoint, condition(found, S.DATABASE).result) == (True, R.MISSING)
    assert condition(found, S.DATABASE).detail == "there is no database"


def test_a_database_that_cannot_be_told_is_unknown() -> None:
    class Closed(MemoryCatalog):
        def collections(self) -> dict[str, Collection]:
            raise CallTimedOut("no answer")

    made = server("v1")
    made.deny("ListAliases")
    [found] = check_access([alias_set({"a": "v1"})], Catalogs(lambda item, name, create=False: Closed(made, name)))
    assert condition(found, S.DATABASE) == Condition(S.DATABASE, R.UNKNOWN, "not checked: no answer")


def test_what_cannot_be_found_out_is_never_said_to_hold() -> None:
    class Vague(MemoryCatalog):
        def permits(self, write: AliasWrite) -> bool | None:
            if write is AliasWrite.CREATE:
                raise CallTimedOut("no answer")
            return None

        def load_state(self, collection: str) -> Any:
            raise CallTimedOut("no answer")

    made = server("v1")
    [found] = check_access([full()], Catalogs(lambda item, name, create=False: Vague(made, name)))
    unknown = {item for item, result in found.results.items() if result is R.UNKNOWN}
    assert unknown == {S.GET_LOAD_STATE, S.CREATE_ALIAS, S.ALTER_ALIAS, S.DROP_ALIAS}
    assert found.holds, "unknown is not missing"


@pytest.mark.parametrize(
    ("version", "result", "said"),
    [
        ("v2.3.5", R.OK, "v2.3.5 (tested); stuck readers are refreshed by altering again"),
        ("milvus_lite-3.2.2", R.OK, "milvus_lite-3.2.2 (tested); one call at a time"),
        ("v2.6.4", R.OK, "not tested); stuck readers are refreshed by altering again"),
        ("v2.6.8", R.OK, "not tested); stuck readers cannot be refreshed"),
        ("v2.6.23", R.OK, "readers follow every move"),
        ("v2.2.16", R.MISSING, "cannot list its aliases"),
        ("cloud", R.UNKNOWN, "every guard assumes the worst case"),
        ("unknown", R.UNKNOWN, "every guard assumes the worst case"),
    ],
)
def test_versions(version: str, result: Result, said: str) -> None:
    flavour = {"v2.3.5": Flavour.MILVUS_2_3, "milvus_lite-3.2.2": Flavour.LITE}.get(version, Flavour.MILVUS_2_6)
    found = check(server("v1", flavour=flavour, version=version), alias_set({"a": "v1"}))
    assert condition(found, S.VERSION).result is result
    assert said in condition(found, S.VERSION).detail


@pytest.mark.parametrize(
    ("version", "issues"),
    [
        ("2.4.15", ["#33288", "#36963"]),
        ("2.5.18", []),
        ("2.6.8", ["#51779"]),
        ("2.6.13", ["#51779", "#49510"]),
        ("2.6.23", []),
        ("3.0.1", ["#50263"]),
        ("Zilliz Cloud Vector Database(Compatible with Milvus 2.6)", ["possibly #51779", "possibly #49510"]),
        ("milvus_lite-3.2.2", []),
    ],
)
def test_known_problems_are_listed(version: str, issues: list[str]) -> None:
    problems = check(server("v1", version=version), alias_set({"a": "v1"})).known_problems
    assert len(problems) == len(issues)
    for problem, issue in zip(problems, issues, strict=True):
        assert issue.rpartition("#")[2] in problem
        assert problem.startswith("possibly: ") is issue.startswith("possibly")


def test_places_of_credentials_are_told_and_tls_as_it_is() -> None:
    secure = check(server("v1"), alias_set({"a": "v1"}, connection=SECURE))
    assert "environment variable MILVUS_TOKEN" in condition(secure, S.TOKEN).detail
    tls = condition(secure, S.TLS)
    assert (tls.result, "/etc/ca.pem, as milvus" in tls.detail, "/etc/c.pem" in tls.detail) == (R.OK, True, True)
    plain = check(server("v1"), alias_set({"a": "v1"}, connection=replace(LOCAL, token=Credential(file="/t"))))
    assert "traffic, including the token, is not encrypted" in condition(plain, S.TLS).detail
    assert "file /t" in condition(plain, S.TOKEN).detail


def test_endpoints_are_checked_for_what_reads_through_them_need() -> None:
    made = server("v1", aliases={"a": "v1"})
    made.deny("Query", on="a")
    verify = Verify(propagation=Propagation(), endpoints=(ENDPOINT,))
    main, endpoint = check_access([alias_set({"a": "v1", "gone": None}, verify=verify)], catalogs(made))
    assert (main.endpoint, endpoint.endpoint, endpoint.target.address) == (False, True, "second:19530")
    assert [condition.subject for condition in endpoint.conditions] == [S.ADDRESS, S.TLS, S.TOKEN, S.VERSION, S.QUERY]
    assert condition(endpoint, S.QUERY).detail == "the privilege Query is missing on a"

    def connect(connection: Connection, database: str, *, create: bool = False) -> MemoryCatalog:
        if connection.address == ENDPOINT.address:
            raise ConnectionFailed("connection refused")
        return made.connect(connection, database)

    _, gone = check_access([alias_set({"a": "v1"}, verify=verify)], Catalogs(connect))
    results: Mapping[Subject, Result] = gone.results
    assert (results[S.ADDRESS], results[S.QUERY], len(results)) == (R.MISSING, R.UNKNOWN, 5)


@pytest.mark.parametrize(("version", "missing"), [("v2.6.8", False), ("v2.6.11", False), ("v2.6.12", True)])
def test_an_endpoint_is_checked_for_what_its_reads_need_after_the_move(version: str, missing: bool) -> None:
    """Before the move: the collection that the alias will point to is read with the reader's rights."""
    made = server("v1", "v2", aliases={"a": "v1"}, version=version)
    made.deny("Query", on="v2")
    verify = Verify(propagation=Propagation(), endpoints=(ENDPOINT,))
    _, endpoint = check_access([alias_set({"a": "v2"}, verify=verify)], catalogs(made))
    assert endpoint.results[S.QUERY] is (R.MISSING if missing else R.OK)
    assert ("v2" in condition(endpoint, S.QUERY).detail) is missing


def test_an_endpoint_at_the_same_address_is_checked_with_its_own_token() -> None:
    made, tokens = server("v1", aliases={"a": "v1"}), []
    reader = replace(LOCAL, name="reader", token=Credential(env="READER"))

    def connect(connection: Connection, database: str, *, create: bool = False) -> MemoryCatalog:
        tokens.append(connection.token)
        return made.connect(connection, database)

    verify = Verify(propagation=Propagation(), endpoints=(reader,))
    main, endpoint = check_access([alias_set({"a": "v1"}, verify=verify)], Catalogs(connect))
    assert (main.connection.name, endpoint.connection.name) == ("local", "reader")
    assert tokens == [None, Credential(env="READER")]
