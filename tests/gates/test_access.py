"""The gate `access`: roles that may read before a move may do so after it, by what the server's version checks."""

from __future__ import annotations

import pytest

from reconciler.catalog.memory import Flavour, MemoryServer
from reconciler.catalog.port import DataRead
from reconciler.core.errors import ConnectionFailed, PermissionDenied
from reconciler.core.gates import Gates, OnUnknown
from reconciler.core.plan import Verdict
from reconciler.gates.access import AccessGate
from tests.builders import LOCAL, server
from tests.gates.judging import OFF, asked, judged, move

GATES = Gates(OFF, AccessGate())
BY_ALIAS, SEARCH_BY_COLLECTION, BY_COLLECTION, UNKNOWN = "v2.5.18", "v2.6.11", "v2.6.12", "unknown-20260608-7ea6e3526"
QUERY, SEARCH = DataRead
PASS, FAIL = Verdict.PASS, Verdict.FAIL


def guarded(
    *grants: tuple[str, DataRead, str], version: str = BY_COLLECTION, database: str = "default"
) -> MemoryServer:
    """A server with authorization; each grant is of a role, on a name."""
    made = server("c1", "c2", aliases={"a": "c1"}, version=version)
    made.authorization = True
    for role, read, name in grants:
        made.grant(role, read, name, database)
    return made


@pytest.mark.parametrize(
    ("version", "losing"),
    [(BY_ALIAS, None), (SEARCH_BY_COLLECTION, 1), (BY_COLLECTION, 2), ("v3.0.0", 2), (UNKNOWN, 2)],
)
def test_what_a_role_loses_follows_from_the_version(version: str, losing: int | None) -> None:
    made = guarded(("readers", QUERY, "c1"), ("searchers", SEARCH, "c1"), version=version)
    result = asked(made, GATES)
    assert result.verdict is (PASS if losing is None else FAIL)
    assert result.figures.get("losing") == losing


def test_a_failure_names_the_roles_the_reads_and_the_grants_that_repair_it() -> None:
    made = guarded(
        ("readers", QUERY, "c1"),
        ("readers", SEARCH, "c1"),
        ("analysts", SEARCH, "c1"),
        ("auditors", QUERY, "c1"),
        ("auditors", QUERY, "c2"),
    )
    result = asked(made, GATES)
    assert (result.verdict, result.detail) == (
        FAIL,
        "2 of 3 roles would lose access to a, need 0: analysts (Search), readers (Query, Search); "
        "granted on c1, not on c2; "
        'grant it first: grant_privilege_v2("analysts", "Search", "c2", db_name="default"); '
        'grant_privilege_v2("readers", "Query", "c2", db_name="default"); '
        'grant_privilege_v2("readers", "Search", "c2", db_name="default")',
    )
    assert result.figures["grants"] == result.detail.partition("grant it first: ")[2]


def test_what_was_not_permitted_before_is_not_lost() -> None:
    """A grant on the alias's name counts for nothing here, nor do those in other databases or on other collections."""
    made = guarded(("readers", QUERY, "a"), ("others", QUERY, "c9"))
    made.grant("elsewhere", QUERY, "c1", "other")
    result = asked(made, GATES)
    assert (result.verdict, result.figures) == (PASS, {"roles": 0, "losing": 0})


@pytest.mark.parametrize("database", ["default", "*"])
@pytest.mark.parametrize("holder", ["readers", "public"])
def test_a_grant_on_all_collections_outlasts_a_move(holder: str, database: str) -> None:
    made = guarded(("readers", QUERY, "c1"))
    assert asked(made, GATES).verdict is FAIL
    made.grant(holder, QUERY, "*", database)
    assert asked(made, GATES).verdict is PASS


def test_the_role_of_every_user_is_named_as_such() -> None:
    made = guarded(("public", SEARCH, "c1"))
    assert "public, which every user has, (Search)" in asked(made, GATES).detail


@pytest.mark.parametrize(("version", "verdict"), [(BY_ALIAS, PASS), (BY_COLLECTION, FAIL), (UNKNOWN, FAIL)])
def test_a_created_alias_is_for_those_who_have_a_grant_on_its_name(version: str, verdict: Verdict) -> None:
    made = guarded(("readers", QUERY, "b"), version=version)
    step = move(GATES, None, "c2", alias="b")
    (result,) = judged(made, step).gate_results
    assert result.verdict is verdict
    made.grant("readers", QUERY, "c2")
    (result,) = judged(made, step).gate_results
    assert result.verdict is PASS


def test_nobody_loses_a_new_alias() -> None:
    (result,) = judged(guarded(("readers", QUERY, "c1")), move(GATES, None, "c2", alias="b")).gate_results
    assert (result.verdict, result.figures["roles"]) == (PASS, 0)


def test_a_renamed_collection_is_judged_by_the_name_that_it_has() -> None:
    made = guarded(("readers", QUERY, "c1"), ("writers", QUERY, "renamed"))
    made.rename_collection("c1", "renamed")
    result = asked(made, GATES, "renamed")
    assert "writers (Query)" in result.detail
    assert "readers" not in result.detail


def test_an_unknown_version_says_what_was_assumed() -> None:
    detail = asked(guarded(("readers", QUERY, "c1"), version=UNKNOWN), GATES).detail
    assert "assumed because the server's version is not known: set serverVersion in the MilvusConnection" in detail


def test_without_authorization_nobody_loses_anything() -> None:
    made = guarded(("readers", QUERY, "c1"))
    made.authorization = False
    result = asked(made, GATES)
    assert result.verdict is Verdict.NOT_APPLICABLE
    assert "authorization is off" in result.detail


def test_milvus_lite_has_no_privileges() -> None:
    made = server("c1", "c2", aliases={"a": "c1"}, flavour=Flavour.LITE)
    result = asked(made, GATES)
    assert (result.verdict, result.detail) == (Verdict.NOT_APPLICABLE, "Milvus Lite has no privileges")


@pytest.mark.parametrize(("on_unknown", "blocked"), [(OnUnknown.FAIL, True), (OnUnknown.PASS, False)])
def test_who_may_not_read_grants_learns_which_privilege_that_takes(on_unknown: OnUnknown, blocked: bool) -> None:
    made = guarded(("readers", QUERY, "c1"), ("readers", QUERY, "c2"))
    made.deny("SelectOwnership")
    step = judged(made, move(Gates(OFF, AccessGate(), on_unknown=on_unknown)))
    (result,) = step.gate_results
    assert (result.verdict, step.blocked is not None) == (Verdict.UNKNOWN, blocked)
    assert "the privilege SelectOwnership is missing" in result.detail
    assert result.detail.endswith('grant it: grant_privilege_v2("ROLE", "SelectOwnership", "*", db_name="*")')


def test_where_the_name_of_the_alias_counts_no_grant_is_read() -> None:
    made = guarded(version=BY_ALIAS)
    made.deny("SelectOwnership")
    assert asked(made, GATES).verdict is PASS


@pytest.mark.parametrize(
    ("error", "verdict"), [(PermissionDenied("no"), FAIL), (ConnectionFailed("down"), None)], ids=["denied", "down"]
)
def test_authorization_counts_as_on_unless_it_is_seen_to_be_off(
    error: Exception, verdict: Verdict | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reconciler.catalog.memory import MemoryCatalog
    from reconciler.gates import evaluate_gates

    def fail(_: MemoryCatalog) -> bool:
        raise error

    monkeypatch.setattr(MemoryCatalog, "requires_token", fail)
    catalog = guarded(("readers", QUERY, "c1")).connect(LOCAL, "default")
    if verdict is None:
        with pytest.raises(ConnectionFailed):
            evaluate_gates([move(GATES)], catalog)
    else:
        (result,) = evaluate_gates([move(GATES)], catalog)[0].gate_results
        assert result.verdict is verdict


def test_all_aliases_of_a_round_share_one_read_of_the_grants(monkeypatch: pytest.MonkeyPatch) -> None:
    made = guarded(("readers", QUERY, "c1"))
    catalog = made.connect(LOCAL, "default")
    catalog.server_version()
    from reconciler.gates import evaluate_gates

    before = catalog.calls
    evaluate_gates([move(GATES, alias=f"a{number}") for number in range(20)], catalog)
    assert catalog.calls - before == 1
