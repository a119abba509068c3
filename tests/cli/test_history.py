"""`history`: what earlier runs did, for people and for programs."""

from __future__ import annotations

import getpass
import json
import re
import socket
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from reconciler.journal.entries import journal_schema
from tests.cli.command import COLOUR, run, run_at_terminal
from tests.cli.shop import Shop, connection
from tests.journals import documents, rows, write

ID = r"\d{8}-\d{6}-[0-9a-f]{6}"
WHEN = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
WHO = re.escape(f"{getpass.getuser()}@{socket.gethostname()}")


@pytest.fixture
def past(shop: Shop) -> Shop:
    """Two runs: one that moved everything, and one of which something failed."""
    shop.point(a="v1", gone="v1")
    shop.want({"a": "v2", "new": "v1", "gone": None}, gates={"loaded": {}})
    assert shop.apply().code == 0
    shop.want({"a": "v3", "new": {"collection": "v9", "wave": 1}})
    assert shop.apply().code == 5
    return shop


def test_without_a_journal_there_is_nothing_to_tell(tmp_path: Path) -> None:
    told = run("history", cwd=tmp_path)
    assert (told.code, told.stdout, told.stderr) == (0, f"No runs recorded at {tmp_path}/journal.db.\n", "")
    assert not list(tmp_path.iterdir())
    assert run("history", "--format", "json", cwd=tmp_path).document["runs"] == []
    unknown = run("history", "2026", cwd=tmp_path)
    assert (unknown.code, unknown.stderr) == (
        1,
        'error: no run "2026"; see aliasctl history\n',
    )


def test_runs_are_listed_newest_first(past: Shop) -> None:
    head, second, first = past.run("history").stdout.splitlines()
    assert head.split() == ["ID", "WHEN", "WHO", "WHAT", "RESULT"]
    what = r"apply aliases\.yaml"
    assert re.fullmatch(rf"{ID}   {WHEN}   {WHO}   {what}   3 done", first)
    assert re.fullmatch(rf"{ID}   {WHEN}   {WHO}   {what}   1 done, 1 blocked", second)
    assert head.index("WHEN") == first.index("   ") + 3

    newest = past.run("history", "--limit", "1")
    assert newest.stdout.splitlines() == [head, second]
    assert newest.stderr == "2 runs recorded; --limit N shows more than 1\n"


def test_a_run_is_shown_in_full_by_the_beginning_of_its_id(past: Shop) -> None:
    first = past.run("history", "--format", "json").document["runs"][1]
    shown = past.run("history", first["id"][:-1])
    assert shown.code == 0
    head, facts, target, *steps, result = shown.stdout.splitlines()
    assert head == f"Run {first['id']}   apply aliases.yaml"
    assert re.fullmatch(rf"{WHEN}, \d+\.\d s, by {WHO}, process {first['pid']}, aliasctl \S+, digest sha256:\w+", facts)
    assert target == f"main / {past.database}"
    assert sorted(steps, key=lambda line: line.split()[1]) == [
        "  ~ a      v1 → v2   done   ✓ loaded",
        "  - gone   v1        done",
        "  + new    → v1      done   ✓ loaded",
    ]
    assert result == "Result: 3 done. Exit code 0."

    several = past.run("history", "2")
    assert several.code == 1
    assert re.fullmatch(rf'error: "2" is the beginning of several runs: {ID}, {ID}; write more of it\n', several.stderr)


def test_what_the_aliases_of_a_move_share_is_shown_once(shop: Shop) -> None:
    shop.point(a="v1", b="v1", c="v1")
    later, other = {"collection": "v2", "wave": 1}, {"collection": "v1", "gates": {"rows": {"enabled": False}}}
    shop.want({"a": "v2", "b": "v2", "c": later, "new": other}, gates={"rows": {"min": 7}})
    assert shop.apply().code == 5
    (run,) = shop.run("history", "--format", "json").document["runs"]
    _, _, _, *steps, _ = shop.run("history", run["id"]).stdout.splitlines()
    assert [line for line in steps if "new" not in line] == [
        "  ! v1 → v2   3 aliases   blocked",
        "    ✗ rows   v2 has 0 rows; need ≥ 7; 7 rows short; check the import job or relax gates.rows",
        "    ✓ loaded",
        "      wave 0   a, b",
        "      wave 1   c",
    ]


def test_runs_fit_the_width_of_a_terminal(shop: Shop) -> None:
    """An ID stays whole, so that it can be copied. It begins with the time, for which there is no room."""
    shop.point(a="v1")
    for folder in ("first", "second"):
        shop.write(f"{folder}-of-several/aliases.yaml", connection(shop.uri, folder))
    shop.want({"a": "v2", "b": "v9"})
    assert shop.run("apply", "aliases.yaml", "first-of-several", "second-of-several", "--yes").code == 5
    told = shop.at_terminal("history", env={"NO_COLOR": "1"}).stdout.splitlines()
    assert told[0].split() == ["ID", "WHO", "WHAT", "RESULT"]
    assert re.match(rf"{ID}   ", told[1])
    assert max(map(len, told)) <= 80
    assert all(line.startswith(" " * 22) for line in told[2:])


def test_what_happened_to_an_alias_is_told_run_by_run(past: Shop) -> None:
    told = past.run("history", "--alias", "new").stdout.splitlines()
    assert [line for line in told if not re.match(ID, line)] == [
        f"main / {past.database}",
        f'  ! new   v1 → v9   wave 1   blocked: v9 does not exist in database "{past.database}"',
        f"main / {past.database}",
        next(line for line in told if "→ v1" in line),
    ]
    documents = past.run("history", "--alias", "gone", "--format", "json", "--output", "json=told.json").document
    assert documents == past.read("told.json")
    (run,) = documents["runs"]
    (step,) = run["steps"]
    assert (step["from"], step["to"], step["outcome"], step["database"]) == ("v1", None, "done", past.database)

    nothing = past.run("history", "--alias", "nobody")
    assert (nothing.code, nothing.stdout) == (
        0,
        f'No run recorded at {past.folder}/journal.db touched alias "nobody".\n',
    )


def test_a_run_that_was_cut_off_says_so(past: Shop) -> None:
    """As a crash between a call and the note about it leaves it."""
    journal = past.folder / "journal.db"
    kept = [entry for entry in documents(journal)[:4] if entry["event"] != "result"]
    assert kept[-1]["event"] == "intent"
    write(journal, [kept[0] | {"pid": 999999999}, *kept[1:]])
    told = past.run("history")
    assert told.stdout.splitlines()[1].endswith("   interrupted: 1 unclear")
    assert told.stderr == ""
    (run,) = past.run("history", "--format", "json").document["runs"]
    assert (run["state"], run["steps"][0]["begun"], "outcome" in run["steps"][0]) == ("interrupted", "move", False)
    shown = past.run("history", run["id"]).stdout
    assert "interrupted: the call may or may not have been made" in shown
    assert "\nResult: interrupted: 1 unclear.\n" in shown


def test_a_revert_that_was_cut_off_leaves_open_whether_the_alias_went_back(past: Shop) -> None:
    """As a crash between the call that moves it back and the note about it leaves it."""
    journal = past.folder / "journal.db"
    first, *others = documents(journal)
    kept = [entry for entry in others if entry["run"] == first["run"] and entry["event"] != "runEnded"]
    (move,) = (entry for entry in kept if entry["event"] == "intent" and entry["alias"] == "a")
    write(journal, [first | {"pid": 999999999}, *kept, move | {"act": "revert"}])
    assert past.run("history").stdout.splitlines()[1].endswith("   interrupted: 2 done, 1 unclear")
    told = past.run("history", "--alias", "a").stdout
    assert "  ~ a   v1 → v2   interrupted: it may or may not have been moved back   ✓ loaded\n" in told


def test_colours_and_escape_codes(past: Shop) -> None:
    """Who may write the journal may not command the terminal."""
    journal = past.folder / "journal.db"
    write(journal, [entry | ({"user": "e\x1b[31mvil"} if "user" in entry else {}) for entry in documents(journal)])
    told = past.run("history")
    assert "e\\x1b[31mvil@" in told.stdout
    assert COLOUR not in told.stdout
    screen = run_at_terminal("history", cwd=past.folder).stdout
    assert "\x1b[32m3 done" in screen
    assert "\x1b[1;31m1 done, 1 blocked" in screen


def test_an_unreadable_journal_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    told = run("history", "--journal", "folder", "--format", "json", cwd=tmp_path)
    (error,) = told.document["errors"]
    assert (told.code, error) == (
        1,
        {"code": "JournalError", "message": "folder: the journal cannot be read: it is a folder, not a file"},
    )


def test_the_journal_is_in_the_state_folder_of_the_user_unless_somebody_says_otherwise(tmp_path: Path) -> None:
    told = run("history", cwd=tmp_path, env={"ALIASCTL_JOURNAL": "", "XDG_STATE_HOME": "", "HOME": str(tmp_path)})
    assert re.fullmatch(rf"No runs recorded at {tmp_path}/.+/aliasctl/journal\.db\.\n", told.stdout)


@pytest.fixture
def blocked(past: Shop) -> Shop:
    """The same, and three runs that found a gate closed, until they gave up."""
    past.want({"a": "v1"}, gates={"rows": {"min": 1_000_000}})
    for _ in range(3):
        assert past.apply("--wait", "1ms").code == 3
    return past


def test_runs_that_changed_nothing_are_shown_when_they_are_selected(blocked: Shop) -> None:
    told = blocked.run("history")
    assert len(told.stdout.splitlines()) == 3
    assert told.stderr == "not shown: 1 run that changed nothing; --all shows all runs\n"
    newest = blocked.run("history", "--all").stdout.splitlines()[1]
    assert re.search(rf"   1 blocked \(3 times, last {WHEN}\)$", newest)
    run, *_ = blocked.run("history", "--all", "--format", "json").document["runs"]
    assert (run["times"], run["summary"]["blocked"], run["last"] > run["ended"]) == (3, 1, True)
    shown = blocked.run("history", run["id"]).stdout
    assert re.search(r"\nResult: 1 blocked \(3 times, last .*\)\. Exit code 3\.\n", shown)


@pytest.mark.parametrize(
    ("options", "results"),
    [
        (("--result", "blocked"), ["1 blocked", "1 done, 1 blocked"]),
        (("--result", "done"), ["1 done, 1 blocked", "3 done"]),
        (("--result", "failed"), []),
        (("--alias", "gone"), ["3 done"]),
        (("--set", "shop", "--since", "1d"), ["1 done, 1 blocked", "3 done"]),
        (("--set", "other"), []),
        (("--since", "2999-01-01", "--all"), []),
        (("--since", "2020-01-01T00:00:00Z", "--all", "--limit", "1"), ["1 blocked"]),
    ],
)
def test_runs_are_selected(options: tuple[str, ...], results: list[str], blocked: Shop) -> None:
    found = blocked.run("history", *options, "--format", "json").document["runs"]
    counts = [[f"{number} {outcome}" for outcome, number in run["summary"].items() if number] for run in found]
    assert [", ".join(count) for count in counts] == results


def test_what_is_exported_can_be_imported(blocked: Shop) -> None:
    """All of it, that of runs that changed nothing too, oldest first."""
    exported = blocked.run("history", "--format", "jsonl").stdout
    entries = [json.loads(line) for line in exported.splitlines()]
    assert entries == documents(blocked.folder / "journal.db")
    for entry in entries:
        Draft202012Validator(journal_schema()).validate(entry)
    told = blocked.run("history", "--limit", "1", "--output", "jsonl=one.jsonl")
    assert len(told.stdout.splitlines()) == 2
    (blocked.folder / "copy").write_text(exported)
    copy = blocked.run("history", "--all", "--journal", "copy", "--format", "json")
    assert "imported" in copy.stderr
    assert copy.document["runs"] == blocked.run("history", "--all", "--format", "json").document["runs"]
    assert {json.loads(line)["run"] for line in (blocked.folder / "one.jsonl").read_text().splitlines()} == {
        copy.document["runs"][0]["id"]
    }


def test_old_runs_are_removed(past: Shop) -> None:
    journal = past.folder / "journal.db"
    for collection in ("v1", "v2"):
        past.want({"a": collection})
        assert past.apply().code == 0
    kept, _, _, newest = (entry["run"] for entry in documents(journal) if entry["event"] == "runStarted")
    assert past.run("history", "prune", "--older-than", "1d").stdout == f"Removed 0 runs from {journal}; 4 left.\n"
    rows(journal, "UPDATE run SET last = last - 366 * 86400.0")
    told = past.run("history", "prune", "--older-than", "1y", "--format", "json").document
    assert (told["removedRuns"], told["runs"]) == (2, [])
    left = past.run("history", "--format", "json").document["runs"]
    assert [run["id"] for run in left] == [newest, kept], "they have the newest changes of a, and of new and gone"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("prune",), "history prune --older-than AGE removes old ones"),
        (("--older-than", "1y"), "history prune --older-than AGE removes old ones"),
        (("20261123", "--all"), "history ID shows one"),
        (("prune", "--older-than", "1h"), "expected an age such as 90d, 12w or 1y"),
        (
            ("--since", "yesterday"),
            "'yesterday' is not a date such as 2026-11-30, a time, or an age",
        ),
        (("--result", "reached"), "'reached' is not one of"),
    ],
)
def test_options_that_make_no_sense_are_refused(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    refused = run("history", *arguments, cwd=tmp_path)
    assert (refused.code, message in refused.stderr) == (1, True), refused.stderr


def test_the_retention_is_an_age(tmp_path: Path) -> None:
    refused = run("history", cwd=tmp_path, env={"ALIASCTL_JOURNAL_RETENTION": "1 year"})
    assert (refused.code, refused.stderr) == (
        1,
        "ALIASCTL_JOURNAL_RETENTION: error: 1 year: expected an age such as 90d, 12w or 1y, or forever\n",
    )
    assert run("history", cwd=tmp_path, env={"ALIASCTL_JOURNAL_RETENTION": "forever"}).code == 0
