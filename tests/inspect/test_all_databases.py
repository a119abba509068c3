"""`--all-databases`: what is read, what it costs, and what is said where something may not be read."""

from __future__ import annotations

import pytest

from reconciler.catalog import Catalogs
from reconciler.catalog.memory import MemoryCatalog, MemoryServer
from reconciler.core.errors import CallTimedOut, CatalogError, NotSupported, PermissionDenied
from reconciler.core.model import Connection, Credential, Target
from reconciler.inspect.alias_status import State
from reconciler.inspect.all_databases import UnreadDatabase, read_databases, unmanaged
from reconciler.reconcile import make_plan
from tests.builders import LOCAL, alias_set, catalogs, server


@pytest.fixture
def made() -> MemoryServer:
    """`default` has a set, `tenant` has aliases without one, `empty` has none."""
    made = server("v1", aliases={"a": "v1", "of_others": "v1"})
    for database in ("tenant", "empty"):
        made.create_database(database)
    made.create_collection("t1", "tenant")
    for alias in ("x", "y", "z"):
        made.connect(LOCAL, "tenant").create_alias(alias, "t1")
    return made


class Odd(MemoryCatalog):
    """A catalog on which one call of one database fails."""

    fails: tuple[str, CatalogError] | None = None

    def alias_names(self) -> frozenset[str]:
        if self.fails and self.database == self.fails[0]:
            raise self.fails[1]
        return super().alias_names()

    def databases(self) -> frozenset[str]:
        if self.fails and not self.fails[0]:
            raise self.fails[1]
        return super().databases()


def odd(made: MemoryServer, fails: str, error: CatalogError) -> Catalogs:
    """Connections on which the list of aliases of a database fails; or that of databases, for ""."""

    def connect(connection: Connection, database: str, *, create: bool = False) -> Odd:
        catalog = Odd(made, database)
        catalog.fails = (fails, error)
        return catalog

    return Catalogs(connect)


def test_aliases_of_databases_without_a_set_are_shown_and_need_no_attention(made: MemoryServer) -> None:
    with catalogs(made) as opened:
        plan = make_plan([alias_set({"a": "v1"})], catalogs=opened)
        rows, unread = unmanaged(plan, opened)
    assert [(row.target, row.set, row.alias, row.live, row.state, row.needs_attention) for row in rows] == [
        (Target(LOCAL.address, "tenant"), None, alias, "t1", State.UNMANAGED, False) for alias in ("x", "y", "z")
    ]
    assert unread == ()


def test_what_it_costs(made: MemoryServer) -> None:
    """One call for the databases; version and aliases of each other one, and where there are aliases what they need."""
    with catalogs(made) as opened:
        plan = make_plan([alias_set({"a": "v1"})], catalogs=opened)
        before = opened.open(LOCAL, "default").calls
        unmanaged(plan, opened)
        calls = {name: opened.open(LOCAL, name).calls for name in ("default", "empty", "tenant")}
    assert calls == {"default": before + 1, "empty": 2, "tenant": 3 + 1}


def test_a_suspended_set_has_its_database_left_alone(made: MemoryServer) -> None:
    with catalogs(made) as opened:
        plan = make_plan([alias_set({"x": "t1"}, database="tenant", suspend=True)], catalogs=opened)
        rows, _ = unmanaged(plan, opened)
    assert {row.target.database for row in rows} == {"default"}


def test_two_tokens_for_one_server_show_a_database_once(made: MemoryServer) -> None:
    other = Connection("other", LOCAL.uri, LOCAL.address, token=Credential(env="TOKEN"))
    with catalogs(made) as opened:
        sets = [alias_set({"a": "v1"}), alias_set({"b": "v1"}, name="empty", connection=other, database="empty")]
        rows, _ = unmanaged(make_plan(sets, catalogs=opened), opened)
    assert [row.alias for row in rows] == ["x", "y", "z"]


def test_a_database_that_may_not_be_read_is_named_and_the_others_are_read(made: MemoryServer) -> None:
    with odd(made, "tenant", PermissionDenied("the privilege ListAliases is missing")) as opened:
        found = dict(read_databases(LOCAL, "default", opened))
    assert (found["default"], found["empty"]) == ({"a": "v1", "of_others": "v1"}, {})
    unread = found["tenant"]
    assert isinstance(unread, UnreadDatabase)
    assert (unread.target.database, unread.code) == ("tenant", "PermissionDenied")
    assert "ListAliases" in unread.message


def test_an_error_that_may_pass_ends_it(made: MemoryServer) -> None:
    """Otherwise a status would look complete after a time-out."""
    with odd(made, "tenant", CallTimedOut("no answer")) as opened, pytest.raises(CallTimedOut):
        list(read_databases(LOCAL, "default", opened))


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (
            PermissionDenied("the privilege ListDatabases is missing"),
            r"grant it with grant_.*ListDatabases.*--database",
        ),
        (NotSupported("it does not know the call"), "leave out --all-databases"),
    ],
)
def test_databases_that_cannot_be_listed_are_an_error_with_a_remedy(
    made: MemoryServer, error: CatalogError, remedy: str
) -> None:
    with odd(made, "", error) as opened, pytest.raises(type(error), match=f"cannot list the databases: .*{remedy}"):
        list(read_databases(LOCAL, "default", opened))
