"""What each set had in place, as it is kept on the disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler.catalog import Catalogs
from reconciler.core.errors import AliasctlError
from reconciler.core.model import AliasSet
from reconciler.core.report import Report
from reconciler.reconcile import apply_plan, make_plan
from reconciler.sync.last_applied import LastApplied
from tests.builders import alias_set, catalogs, server

SHOP = alias_set({"a": "v1"})
OTHER = alias_set({"b": "v1"}, name="other")


def applied(*sets: AliasSet) -> Report:
    return apply_plan(make_plan(sets, catalogs=fresh()), catalogs=fresh())


def fresh() -> Catalogs:
    return catalogs(server("v1", "v2"))


def opened(file: Path, *known: AliasSet) -> LastApplied:
    item = LastApplied(file)
    item.load(known)
    return item


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The shop was in place."""
    file = tmp_path / "last-applied.json"
    opened(file).record([SHOP], applied(SHOP))
    return file


def test_it_is_known_after_a_restart_until_the_set_wants_something_else(file: Path) -> None:
    kept = opened(file)
    assert kept.has(SHOP)
    assert not kept.has(alias_set({"a": "v2"}))
    assert not kept.has(alias_set({"a": "v1"}, database="other"))
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_run_that_begins_forgets_what_another_wish_had_in_place_before_anything_moves(file: Path) -> None:
    opened(file).invalidate([SHOP])
    assert opened(file).has(SHOP)
    opened(file).invalidate([alias_set({"a": "v2"})])
    assert not opened(file).has(SHOP)


def test_a_set_that_waits_or_is_suspended_is_not_in_place_and_one_that_went_is_forgotten(file: Path) -> None:
    waiting = alias_set({"w": "nowhere"}, name="waiting")
    suspended = alias_set({"s": "v1"}, name="suspended", suspend=True)
    sets = [OTHER, waiting, suspended]
    opened(file).record(sets, applied(*sets))
    kept = opened(file)
    assert [kept.has(alias_set) for alias_set in (SHOP, *sets)] == [False, True, False, False]


def test_what_is_suspended_or_only_watched_stays_known(file: Path) -> None:
    paused = alias_set({"a": "v1"}, suspend=True)
    opened(file).record([paused, OTHER], applied(paused, OTHER))
    assert opened(file).has(SHOP)
    opened(file).record([SHOP, OTHER], applied(OTHER))
    assert opened(file).has(SHOP)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not valid JSON"),
        (b'{"kind": "InPl', "not valid JSON"),
        (b"\xff\x00", "not valid JSON"),
        (b"[]", "not a document of the kind LastApplied"),
        (b'{"kind": "Plan", "formatVersion": 1}', "not a document of the kind LastApplied"),
        (b'{"kind": "LastApplied", "formatVersion": 2, "sets": {}}', "not of the format 1, which this aliasctl reads"),
        (b'{"kind": "LastApplied", "formatVersion": 1, "sets": {"shop": 1}}', "sets is no mapping of names to digests"),
        (b'{"kind": "LastApplied", "formatVersion": 1}', "sets is no mapping of names to digests"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_and_made_anew(
    file: Path, content: bytes, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_bytes(content)
    kept = opened(file)
    assert not kept.has(SHOP)
    told = capsys.readouterr().out
    assert str(file) in told
    assert reason in told
    kept.record([SHOP], applied(SHOP))
    assert json.loads(file.read_bytes())["formatVersion"] == 1
    assert opened(file).has(SHOP)


def test_without_a_file_the_commit_that_was_all_applied_counts_and_is_written_down(tmp_path: Path) -> None:
    """As in the folder of an agent of an earlier version."""
    file = tmp_path / "last-applied.json"
    paused = alias_set({"s": "v1"}, name="paused", suspend=True)
    kept = opened(file, SHOP, paused)
    assert (kept.has(SHOP), kept.has(paused)) == (True, False)
    kept.record([SHOP, OTHER, paused], applied(OTHER))
    assert opened(file).has(SHOP)
    assert not opened(file, alias_set({"a": "v2"})).has(alias_set({"a": "v2"})), "the file says otherwise"


def test_a_file_that_cannot_be_written_is_told_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "last-applied.json"
    file.mkdir()
    with pytest.raises(AliasctlError, match=r"last-applied\.json: cannot be written: "):
        opened(file).record([SHOP], applied(SHOP))
