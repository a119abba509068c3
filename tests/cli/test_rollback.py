"""`rollback`: which run is meant, what is asked and shown, and where it does not go."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from tests.cli.shop import Shop, connection
from tests.cli.test_history import ID

REMARK = (
    "The manifests still point a to v2; the next apply will move it back. Update the manifests or set suspend: true.\n"
)


@pytest.fixture
def moved(shop: Shop) -> Shop:
    """A run that moved `a` from v1 to v2; its report is report.json."""
    shop.point(a="v1")
    shop.want({"a": "v2"})
    assert shop.apply("--output", "json=report.json").code == 0
    return shop


def test_the_newest_run_is_undone_without_its_manifests(moved: Shop) -> None:
    (moved.folder / "aliases.yaml").unlink()
    dry = moved.run("rollback", "--dry-run", "--format", "json")
    (step,) = dry.document["targets"][0]["steps"]
    assert (dry.code, step["from"], step["to"], step["reverting"], moved.live) == (0, "v2", "v1", True, {"a": "v2"})

    back = moved.run("rollback", "--yes")
    assert (back.code, moved.live) == (0, {"a": "v1"})
    undoing, remark = back.remarks.splitlines(keepends=True)
    assert re.fullmatch(rf"Rolling back run {ID} \(apply, \S+, \S+@\S+\)\n", undoing)
    assert remark == REMARK
    plan, *_, summary, undo = back.stdout.splitlines()
    assert plan.startswith(f"main / {moved.database}   Milvus Lite ")
    assert f"at {moved.uri} (earlier run)" in plan
    assert "  ~ a   v2 → v1   ✓ loaded" in back.stdout
    run = moved.run("history", "--format", "json").document["runs"][0]["id"]
    assert re.fullmatch(rf"Rollback: 1 done in \d+\.\d s\.   run {run}", summary)
    assert undo == f"To undo: aliasctl rollback {run}"

    again = moved.run("rollback", "--yes")
    none = f"no run recorded at {moved.folder}/journal.db changed anything, or it was rolled back"
    nothing = f"Nothing to roll back: {none}.\n"
    assert (again.code, again.stdout, again.stderr) == (0, nothing, "")
    assert moved.run("rollback", "--format", "json").document["targets"] == []
    rollback, apply = moved.run("history", "--format", "json").document["runs"]
    assert (rollback["command"], rollback["source"]) == ("rollback", [apply["id"]])


def test_without_an_id_the_run_that_cannot_be_undone_is_named_and_the_one_before_it_offered(moved: Shop) -> None:
    moved.want({"a": "v3"})
    assert moved.apply().code == 0
    newest, first = (run["id"] for run in moved.run("history", "--format", "json").document["runs"])
    moved.move(a="v2")
    back = moved.run("rollback", "--yes")
    assert f"Nothing to roll back: what run {newest} (apply, " in back.stdout
    assert back.stdout.endswith(f": aliasctl rollback {first}.\n")
    assert f"changed is back already; before it there is run {first} (apply, " in back.stdout
    moved.move(a="v1")
    blocked = moved.run("rollback", "--yes")
    assert (blocked.code, moved.live) == (3, {"a": "v1"})
    assert f"Cannot roll back run {newest} (apply, " in blocked.stderr
    assert f"aliasctl rollback {first}\n" in blocked.stderr


def test_a_report_is_enough(moved: Shop) -> None:
    """Where the runner and its journal are gone."""
    (moved.folder / "journal.db").unlink()
    back = moved.run("rollback", "report.json", "--yes", "--format", "json")
    assert (back.code, back.document["summary"]["done"], moved.live) == (0, 1, {"a": "v1"})
    assert back.stderr.endswith(REMARK)
    again = moved.run("rollback", "report.json")
    assert again.stdout == (
        "Nothing to roll back: what the run of report.json changed is back already; for an older run give its ID.\n"
    )
    (run,) = moved.run("history", "--format", "json").document["runs"]
    assert run["source"] == [moved.read("report.json")["run"]]


def test_it_asks_and_says_no_for_an_answer(moved: Shop) -> None:
    unasked = moved.run("rollback")
    assert (unasked.code, moved.live) == (1, {"a": "v2"})
    assert "no terminal to ask at; run with --yes" in unasked.stderr
    question = f"Apply 1 change to main / {moved.database}? [y/N]: "
    refused = moved.at_terminal("rollback", prompt=question, answer="n\n", env={"ALIASCTL_JOURNAL": "journal.db"})
    assert (refused.code, moved.live) == (1, {"a": "v2"})
    assert "Manifests" not in refused.stdout
    agreed = moved.at_terminal("rollback", prompt=question, answer="y\n", env={"ALIASCTL_JOURNAL": "journal.db"})
    assert (agreed.code, moved.live) == (0, {"a": "v1"})


def test_what_somebody_else_moved_since_is_refused(moved: Shop) -> None:
    moved.move(a="v3")
    refused = moved.run("rollback", "--yes")
    assert (refused.code, moved.live) == (3, {"a": "v3"})
    assert 'it is at "v3" now, so someone else moved it since' in refused.stdout
    assert "Manifests" not in refused.stderr
    forced = moved.run("rollback", "--alias", "a", "--to", "v1", "--yes")
    assert (forced.code, moved.live) == (0, {"a": "v1"})
    assert moved.run("rollback", "--alias", "a", "--to", "v1").stdout == (
        'Nothing to roll back: alias "a" is at "v1" already.\n'
    )


UNUSABLE = [
    (["20"], 'error: "20" is the beginning of several runs: '),
    (["1999"], 'error: no run "1999"; see aliasctl history'),
    (["nowhere.json"], "nowhere.json: error: cannot be read as a report: No such file or directory; a report is"),
    (["aliases.yaml"], "aliases.yaml: error: not a report: not valid JSON; a report is what apply --output json="),
    (["plan.json"], 'plan.json: error: not a report: kind is "Plan"'),
    (["other.json"], "other.json: error: not a valid report: $.tool.name: Invalid enum value"),
    (["newer.json"], "newer.json: error: report format 3 is not the one this aliasctl reads (2); use the aliasctl"),
    (["astray.json"], "astray.json: error: the report was edited: a connection does not lead to the address"),
    (["--to", "v1"], "error: --to says where one alias goes: name it with --alias"),
    (["report.json", "--alias", "a", "--to", "v1"], "error: give either --to COLLECTION or a run"),
    (["--uri", "http://127.0.0.1:1"], "error: a run says by itself where it was made"),
    (["--alias", "b", "--to", "v1"], 'journal.db knows alias "b"; name its server with --uri or -f'),
    (["--token-env", "A", "--token-file", "b"], "--token-env: error: give either this or --token-file"),
]


def test_what_cannot_be_used_is_told_in_one_line(moved: Shop) -> None:
    """All in one test, because each would have to make the same two runs."""
    moved.want({"a": "v3"})
    moved.plan("--out", "plan.json")
    moved.apply()
    report = moved.read("report.json")
    for name, change in {
        "other": {"tool": {"name": "otherctl", "version": "1"}},
        "newer": {"formatVersion": 3},
        "astray": {"targets": [report["targets"][0] | {"address": "elsewhere:19530"}]},
    }.items():
        (moved.folder / f"{name}.json").write_text(json.dumps(report | change))
    for arguments, message in UNUSABLE:
        refused = moved.run("rollback", "--yes", *arguments)
        assert (refused.code, refused.stdout) == (1, "")
        assert message in refused.stderr
        assert [line for line in refused.stderr.splitlines() if "error: " in line] == refused.stderr.splitlines()[-1:]
    assert moved.live == {"a": "v3"}


def test_a_run_that_changed_nothing_leaves_nothing_to_undo(moved: Shop) -> None:
    moved.want({"a": "v9"})
    moved.apply("--output", "json=report.json")
    nothing = moved.run("rollback", "report.json", "--yes")
    assert (nothing.code, nothing.stdout) == (0, "Nothing to roll back: the run of report.json changed nothing.\n")
    other = moved.run("rollback", "report.json", "--alias", "b")
    assert other.stdout == 'Nothing to roll back: the run of report.json changed nothing about alias "b".\n'


def test_an_alias_of_that_name_in_two_databases_must_be_chosen(moved: Shop) -> None:
    other = f"{moved.database}_too"
    moved.admin.create_database(other)
    shop = Shop(moved.uri, other, moved.admin, moved.folder)
    for collection in ("v1", "v2"):
        moved.admin.create_collection(collection, other)
    shop.point(a="v1")
    shop.want({"a": "v2"})
    assert shop.apply().code == 0

    places = f"main / {moved.database}, main / {other}"
    for to in ((), ("--to", "v1")):
        unclear = moved.run("rollback", "--alias", "a", *to, "--yes")
        assert unclear.code == 1
        assert f'error: recorded runs know alias "a" in several places: {places}; choose one with --' in unclear.stderr
    chosen = moved.run("rollback", "--alias", "a", "--database", moved.database, "--yes")
    assert (chosen.code, moved.live, shop.live) == (0, {"a": "v1"}, {"a": "v2"})
    by_address = moved.run("rollback", "--alias", "a", "--uri", moved.uri, "--database", other, "--yes")
    assert (by_address.code, shop.live) == (0, {"a": "v1"})


def test_other_credentials_may_be_given_and_an_unknown_alias_needs_a_server(moved: Shop) -> None:
    elsewhere = moved.run("rollback", "--token-env", "OTHER_TOKEN", "--yes")
    assert (elsewhere.code, moved.live) == (1, {"a": "v2"})
    assert "OTHER_TOKEN" in elsewhere.stderr
    moved.write("connections.yaml", connection(moved.uri, token={"env": "TOKEN"}))
    target = ("-f", "connections.yaml", "--database", moved.database)
    made = moved.run("rollback", "--alias", "b", "--to", "v3", *target, "--yes")
    assert (made.code, moved.live) == (0, {"a": "v2", "b": "v3"})


def test_its_journal_must_be_writable_before_anything_is_undone(moved: Shop) -> None:
    shutil.copy(moved.folder / "journal.db", moved.folder / "past.jsonl")
    (moved.folder / "journal.db").unlink()
    (moved.folder / "journal.db").mkdir()
    refused = moved.run("rollback", "report.json", "--yes")
    assert (refused.code, moved.live) == (1, {"a": "v2"})
    assert (
        "the journal cannot be written: it is a folder, not a file; name another file with --journal" in refused.stderr
    )
    assert moved.run("rollback", "--journal", "past.jsonl", "--yes").code == 0
    assert moved.live == {"a": "v1"}
