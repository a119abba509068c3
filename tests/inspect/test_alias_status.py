"""The states of `aliasctl status`: what was not applied yet, and what someone else changed after a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.catalog.memory import MemoryServer
from reconciler.core.errors import CatalogError, ConnectionFailed, PermissionDenied
from reconciler.core.model import Alias, AliasSet, OnFailure, Propagation, Verify
from reconciler.inspect.alias_status import State, StatusRow, differing, status
from reconciler.inspect.load_states import read_load_states
from reconciler.journal import Journal
from reconciler.reconcile import apply_plan, make_plan
from reconciler.rollback import changes_of, plan_rollback
from tests.builders import LOCAL, alias_set, catalogs, server
from tests.faults.memory import Recorder


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.db")


def applied(made: MemoryServer | Recorder, desired: AliasSet, journal: Journal | None) -> str:
    """Apply a set; the ID of the run."""
    opened = made.catalogs() if isinstance(made, Recorder) else catalogs(made)
    with opened:
        return apply_plan(make_plan([desired], catalogs=opened, journal=journal), catalogs=opened, journal=journal).run


def rows(made: MemoryServer, desired: AliasSet, journal: Journal) -> list[StatusRow]:
    with catalogs(made) as opened:
        plan = make_plan([desired], catalogs=opened, journal=journal)
        loads = read_load_states([desired], plan, opened)
        return list(status([desired], plan, loads, journal.applied(differing(plan))))


def states(made: MemoryServer, desired: AliasSet, journal: Journal) -> dict[str, State]:
    return {row.alias: row.state for row in rows(made, desired, journal)}


def test_what_someone_else_changed_after_a_run_is_drift(journal: Journal) -> None:
    """Moved, dropped, and created again after it was dropped."""
    made = server("v1", "v2", "v3", aliases={"moved": "v1", "absent": "v1"})
    desired = alias_set({"moved": "v2", "dropped": "v2", "absent": None})
    run = applied(made, desired, journal)
    other = made.connect(LOCAL, "default")
    other.alter_alias("moved", "v3")
    other.drop_alias("dropped")
    other.create_alias("absent", "v3")
    found = rows(made, desired, journal)
    assert [(row.alias, row.state) for row in found] == [
        ("absent", State.DRIFTED),
        ("dropped", State.DRIFTED),
        ("moved", State.DRIFTED),
    ]
    assert {row.note for row in found} == {f"changed by someone else since run {run}"}


def test_what_no_run_applied_is_pending_missing_or_unwanted(journal: Journal) -> None:
    made = server("v1", "v2", aliases={"a": "v1", "s_b": "v1"})
    desired = alias_set({"a": "v2", "new": "v2"}, include=("s_*",))
    assert states(made, desired, journal) == {"a": State.PENDING, "new": State.MISSING, "s_b": State.UNWANTED}


def test_a_change_of_the_manifest_is_pending(journal: Journal) -> None:
    made = server("v1", "v2", "v3", aliases={"a": "v1"})
    applied(made, alias_set({"a": "v2"}), journal)
    assert states(made, alias_set({"a": "v3"}), journal) == {"a": State.PENDING}
    made.connect(LOCAL, "default").alter_alias("a", "v1")
    assert states(made, alias_set({"a": "v3"}), journal) == {"a": State.PENDING}


def test_what_was_rolled_back_is_pending(journal: Journal) -> None:
    made = server("v1", "v2", aliases={"a": "v1"})
    desired = alias_set({"a": "v2"})
    run = applied(made, desired, journal)
    with catalogs(made) as opened:
        undone = plan_rollback(changes_of(journal.find(run)), opened)
        apply_plan(undone, catalogs=opened, journal=journal)
    assert states(made, desired, journal) == {"a": State.PENDING}


def test_the_same_name_in_another_database_is_another_alias(journal: Journal) -> None:
    made = server("v1", "v2", aliases={"a": "v1"})
    made.create_database("other")
    for name in ("v1", "v2"):
        made.create_collection(name, "other")
    made.connect(LOCAL, "other").create_alias("a", "v1")
    applied(made, alias_set({"a": "v2"}), journal)
    assert states(made, alias_set({"a": "v2"}, database="other"), journal) == {"a": State.PENDING}


def test_a_correction_that_is_blocked_leaves_it_drift(journal: Journal) -> None:
    made = server("v1", "v2", aliases={"a": "v1"})
    desired = alias_set({"a": "v2"})
    applied(made, desired, journal)
    made.connect(LOCAL, "default").alter_alias("a", "v1")
    made.release("v2")
    applied(made, alias_set({"a": "v2", "new": "v1"}), journal)
    assert [past.outcome for run in journal.runs() for past in run.steps_of("a")] == ["done", "blocked"]
    (row,) = rows(made, desired, journal)
    assert (row.state, row.blocked) == (State.DRIFTED, "gateFailed")
    assert row.note
    assert "since run" in row.note
    assert "v2 is not loaded" in row.note


@pytest.mark.parametrize(("error", "state"), [(PermissionDenied, State.DRIFTED), (ConnectionFailed, State.PENDING)])
def test_after_a_correction_that_may_have_moved_it_nothing_is_certain(
    journal: Journal, error: type[CatalogError], state: State
) -> None:
    """A call that was refused moved nothing. After one without an answer, and then none to reads, it is unknown."""
    made = Recorder(server("v1", "v2", aliases={"a": "v1"}))
    desired = alias_set({"a": "v2"})
    applied(made, desired, journal)
    made.server.connect(LOCAL, "default").alter_alias("a", "v1")
    failed: list[str] = []

    def fail(method: str, alias: str) -> None:
        if alias == "a" and (method == "alter" or (failed and error is ConnectionFailed)):
            failed.append(method)
            raise error("gone")

    made.before = fail
    applied(made, desired, journal)
    assert failed
    assert states(made.server, desired, journal) == {"a": state}


def test_a_move_that_was_reverted_is_not_applied(journal: Journal) -> None:
    made = Recorder(server("v1", "v2", aliases={"a": "v1", "b": "v1"}))
    desired = alias_set({"a": "v2"}, Alias("b", "v2", wave=1), on_failure=OnFailure.REVERT)

    def fail(method: str, alias: str) -> None:
        if (method, alias) == ("alter", "b"):
            raise PermissionDenied("no")

    made.before = fail
    applied(made, desired, journal)
    assert states(made.server, desired, journal) == {"a": State.PENDING, "b": State.PENDING}


def test_a_move_that_was_not_verified(journal: Journal) -> None:
    """Unless its collection is not loaded any more, which is worse; the note has both."""
    made = server("v1", "v2", aliases={"a": "v1"})
    desired = alias_set({"a": "v2"}, verify=Verify(propagation=Propagation(timeout=0.2)))
    made.insert("v1", [{"id": 1, "vector": (0.0,) * 4}])
    made.stick_readers("a", alters=100)
    run = applied(made, desired, journal)
    (row,) = rows(made, desired, journal)
    assert (row.state, row.note) == (State.PENDING_VERIFICATION, f"run {run} did not verify it")
    made.release("v2")
    (row,) = rows(made, desired, journal)
    assert row.state is State.NOT_LOADED
    assert f"run {run} did not verify it" in (row.note or "")
