"""What is printed, and where: streams, colours, files, and text from servers that a terminal must not obey."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.command import ALIASCTL, COLOUR, TIMEOUT, clean_environment, finish, run, run_at_terminal, start
from tests.cli.shop import Shop, alias_set, connection, manifest
from tests.faults.relay import Relay

COLOUR_CODE = re.compile(r"\x1b\[[0-9;]*m")
ERASE_LINE, HIDE_CURSOR = "\x1b[2K", "\x1b[?25l"


def test_a_plan_reads_like_this(shop: Shop) -> None:
    shop.point(moved="v1", s_legacy="v1", safe="v1")
    shop.want(
        {"new": "v1", "moved": "v2", "lost": "v9", "safe": {"collection": "v3", "protect": True}},
        scope={"include": ["s_*"]},
    )
    planned = shop.plan("--out", "plan.json").stdout
    head, *lines = planned.splitlines()
    assert head.startswith(f"main / {shop.database}   Milvus Lite ")
    assert f" at {shop.uri} (manifest)   3 aliases, " in head
    assert head.endswith(" calls")
    assert lines == [
        f'  ! lost       BLOCKED: v9 does not exist in database "{shop.database}"',
        "  ~ moved      v1 → v2   ✓ loaded",
        "  + new        → v1",
        "  ! safe       v1 → v3   BLOCKED: the alias is protected; allow this change with --allow-protected safe",
        "  ! s_legacy   v1   (in scope, not listed)   BLOCKED: waiting: an earlier wave is blocked (lost)",
        "Plan: 1 to create, 1 to alter, 0 to drop, 3 blocked, 0 unchanged.",
    ]
    saved = shop.run("show", "plan.json").stdout
    _, saved_head, secret, *saved_lines = saved.splitlines()
    assert [saved_head, *saved_lines] == [head.replace("(manifest)", "(plan file)"), *lines], "after a line of its own"
    assert secret == f"  the token in environment variable TOKEN goes to {shop.uri.removeprefix('http://')}"
    without_arrows = shop.run("show", "plan.json", env={"PYTHONIOENCODING": "ascii"}).stdout
    assert without_arrows == saved.replace("→", "\\u2192").replace("✓", "\\u2713")


def test_results_go_to_stdout_and_to_files_and_all_else_to_stderr(shop: Shop) -> None:
    shop.want({"a": "v1"})
    shop.write("foreign.yaml", {"apiVersion": "example.com/v1", "kind": "AliasSet"})
    both = ("--output", "text=applied.txt", "--output", "json=applied.json")
    applied = shop.run(
        "apply", "-f", ".", "--yes", "--format", "json", *both, "--log-level", "info", "--log-format", "json"
    )
    assert (applied.code, applied.document) == (0, shop.read("applied.json"))
    run = applied.document["run"]
    head, row, summary, undo = (shop.folder / "applied.txt").read_text().splitlines()
    assert (head, row, undo) == (f"main / {shop.database}", "  + a   → v1   done", f"To undo: aliasctl rollback {run}")
    assert re.fullmatch(rf"Apply: 1 done in \d+\.\d s\.   run {run}", summary)
    warning, entry = applied.remarks.splitlines()
    assert warning.startswith("foreign.yaml:1:1: warning: skipped this AliasSet")
    assert '"alias": "a"' in entry
    assert (shop.folder / "applied.json").stat().st_mode & 0o777 == 0o644


def test_colours_are_for_terminals_that_want_them(tmp_path: Path) -> None:
    (tmp_path / "aliases.yaml").write_text(manifest(alias_set({"a": "v1"})))
    asked = ("validate", "-f", "aliases.yaml")
    piped = run(*asked, cwd=tmp_path)
    assert COLOUR not in piped.stdout + piped.stderr
    colourful = run_at_terminal(*asked, cwd=tmp_path).stdout
    assert "\x1b[1;33mwarning: \x1b[0m" in colourful
    assert "\x1b[1;32mValid: \x1b[0m" in colourful
    wide = {"COLUMNS": "200"}
    by_flag = run_at_terminal(*asked, "--no-color", cwd=tmp_path, env=wide)
    by_variable = run_at_terminal(*asked, cwd=tmp_path, env={"NO_COLOR": "1", **wide})
    assert by_flag.stdout == by_variable.stdout == piped.stderr + piped.stdout


@pytest.mark.parametrize("locale", ["C", "POSIX", "en_US.ISO-8859-1"])
def test_output_is_utf_8_in_every_locale(locale: str, shop: Shop) -> None:
    shop.point(a="v1")
    shop.want({"a": "v2"})
    env = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    process = start(["plan", "-f", "aliases.yaml", "--output", "text=plan.txt"], shop.folder, env, encoding="utf-8")
    planned = finish(process)
    assert (planned.code, planned.stderr) == (0, "")
    assert "~ a   v1 → v2   ✓ loaded" in planned.stdout
    assert (shop.folder / "plan.txt").read_text(encoding="utf-8") == planned.stdout


@pytest.mark.parametrize("variable", ["FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "CLICOLOR_FORCE"])
def test_there_is_no_spinner_or_bar_without_a_terminal(variable: str, shop: Shop) -> None:
    shop.want({f"a{number:02}": "v1" for number in range(25)})
    forced = {variable: "1"}
    for quiet, env in ((("--no-color",), forced), ((), {**forced, "NO_COLOR": "1"})):
        planned = shop.run("plan", "-f", "aliases.yaml", *quiet, env=env)
        assert (planned.stderr, "\x1b" in planned.stdout) == ("", False)
    applied = shop.run("apply", "-f", "aliases.yaml", "--yes", env=forced)
    shown = COLOUR_CODE.sub("", applied.stderr)
    assert (applied.code, "\x1b" in shown, len(shown.splitlines())) == (0, False, 1 + 25), "no cursor movements"


def test_no_color_wins_at_a_terminal_too(tmp_path: Path) -> None:
    (tmp_path / "aliases.yaml").write_text(manifest(alias_set({"a": "v1"})))
    asked = ("validate", "-f", "aliases.yaml", "--log-level", "debug")
    for quiet, env in ((("--no-color",), {}), ((), {"NO_COLOR": "1"})):
        shown = run_at_terminal(*asked, *quiet, cwd=tmp_path, env={"FORCE_COLOR": "1", **env})
        assert "\x1b" not in shown.stdout


def test_escape_codes_in_names_never_reach_a_terminal(shop: Shop) -> None:
    """Milvus Lite takes any string for an alias."""
    shop.point(**{"evil\x1b[31m\r\n": "v1"})
    shop.want({"a": "v1"}, scope={"include": ["*"]})
    shown = "evil\\x1b[31m\\r\\n"
    planned = shop.plan("--out", "plan.json", "--output", "text=plan.txt")
    assert f"- {shown}   v1   (in scope, not listed)" in planned.stdout
    status = shop.run("status", "-f", "aliases.yaml")
    exported = shop.run("export", "-f", "aliases.yaml", "--database", shop.database)
    assert exported.stderr == f'warning: alias "{shown}" is left out: no manifest can name it\n'
    saved = shop.run("show", "plan.json")
    applied = shop.apply("--log-level", "debug")
    assert (applied.code, shop.live) == (0, {"a": "v1"})
    text = (shop.folder / "plan.txt").read_text()
    for output in (*(each.stdout + each.stderr for each in (planned, status, exported, saved, applied)), text):
        assert shown in output
        assert "\x1b" not in output
        assert "\r" not in output


def test_a_reader_that_leaves_early_is_no_trouble(shop: Shop) -> None:
    shop.point(**{f"alias_{number:03}": "v1" for number in range(30)})
    for arguments in (["export", "--uri", shop.uri, "--database", shop.database], ["schema", "AliasSet"], ["--help"]):
        process = start(arguments, shop.folder)
        assert process.stdout
        process.stdout.close()
        process.stdout = None
        assert "Error" not in finish(process).stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_a_closed_stream_is_no_trouble(closed: str, tmp_path: Path) -> None:
    (tmp_path / "aliases.yaml").write_text(manifest(alias_set({"a": "v1"})))
    script = f'"$@" {closed}'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *ALIASCTL, "validate", "-f", "aliases.yaml"],
        cwd=tmp_path,
        env=clean_environment({}),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ("" if closed == ">&-" else "Valid: 1 set, 1 alias, 0 connections.\n")


def test_a_file_that_cannot_be_written_is_told_at_once_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Before any server is asked: there is none here."""
    (tmp_path / "aliases.yaml").write_text(manifest(connection("http://127.0.0.1:1"), alias_set({"a": "v1"})))
    failed = run(
        *("plan", "-f", "aliases.yaml", "--format", "json"),
        *("--out", "nowhere/plan.json", "--output", "text=."),
        cwd=tmp_path,
    )
    assert (failed.code, failed.document["kind"]) == (1, "Error")
    assert failed.stderr.splitlines() == [
        "error: cannot write .: it is a folder",
        f"error: cannot write nowhere/plan.json: there is no folder {tmp_path}/nowhere",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["aliases.yaml"]


def test_files_are_written_through_links_and_into_pipes(shop: Shop) -> None:
    """`--out /dev/null` must not put a file in its place."""
    shop.want({"a": "v1"})
    (shop.folder / "linked").symlink_to("actual")
    pipe = shop.folder / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, text=True)
    process = start(["plan", "-f", "aliases.yaml", "--output", "text=pipe", "--out", "linked"], shop.folder)
    planned = finish(process)
    assert (planned.code, reader.communicate(timeout=TIMEOUT)[0]) == (0, planned.stdout)
    assert pipe.is_fifo()
    assert (shop.folder / "linked").is_symlink()
    assert shop.read("actual")["kind"] == "Plan"


@pytest.mark.parametrize(("aliases", "code"), [({"a": "v1"}, 1), ({"a": "v1", "b": "nowhere"}, 5)])
def test_a_report_that_cannot_be_written_hides_nothing_and_changes_no_meaning(
    aliases: dict[str, str], code: int, shop: Shop, relay: Relay
) -> None:
    """The workspace is cleaned while the run goes on. 5 would say that something desired is not done."""
    reports = shop.folder / "out"
    reports.mkdir()
    relay.before["CreateAlias"] = lambda _: reports.rmdir()
    shop.uri = relay.uri
    shop.want(aliases)
    files = ("--output", "json=out/report.json", "--output", "text=report.txt")
    applied = shop.apply(*files)
    assert (applied.code, shop.live) == (code, {"a": "v1"})
    assert applied.remarks == "error: cannot write out/report.json: No such file or directory\n"
    assert "+ a   → v1" in applied.stdout
    assert "Apply: 1 done" in (shop.folder / "report.txt").read_text(), "the other files are written"
    names = {path.name for path in shop.folder.iterdir()}
    assert not [name for name in names if name.startswith(".")]


def test_a_plan_is_printed_although_its_file_cannot_be_written(shop: Shop, relay: Relay) -> None:
    reports = shop.folder / "out"
    reports.mkdir()
    relay.before["GetVersion"] = lambda _: reports.rmdir() if reports.exists() else None
    shop.uri = relay.uri
    shop.want({"a": "v1"})
    planned = shop.plan("--out", "out/plan.json", "--detailed-exitcode", "--format", "json")
    assert (planned.code, planned.document["summary"]["create"]) == (1, 1), "a job must not go on to apply the file"
    assert planned.stderr == "error: cannot write out/plan.json: No such file or directory\n"


@pytest.mark.parametrize("file", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "linked", "job.log"])
def test_a_file_that_is_standard_output_is_written_where_it_is(file: str, shop: Shop) -> None:
    shop.want({"a": "v1"})
    (shop.folder / "linked").symlink_to("/dev/stdout")
    log = shop.folder / "job.log"
    log.touch(mode=0o600)
    script = 'exec > job.log; echo before; "$@"; echo after'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *ALIASCTL, "plan", "-f", "aliases.yaml", "--output", f"json={file}"],
        cwd=shop.folder,
        env=clean_environment({"ALIASCTL_JOURNAL": str(shop.folder / "journal.db")}),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    lines = log.read_text().splitlines()
    assert (done.returncode, done.stderr, lines[0], lines[-1]) == (0, "", "before", "after")
    assert "Plan: 1 to create" in log.read_text()
    assert '  "kind": "Plan",' in lines
    assert log.stat().st_mode & 0o777 == 0o600


def test_files_keep_their_mode_and_new_ones_have_that_of_the_umask(shop: Shop) -> None:
    shop.want({"a": "v1"})
    (shop.folder / "old.json").touch(mode=0o640)
    (shop.folder / "linked.json").symlink_to("old.json")
    files = [f"--output=json={name}" for name in ("old.json", "new.json", "linked.json")]
    through = ("sh", "-c", 'umask 077; exec "$@"', "sh")
    assert (
        finish(start(["plan", "-f", "aliases.yaml", "--out", "plan.json", *files], shop.folder, through=through)).code
        == 0
    )
    modes = {name: (shop.folder / name).stat().st_mode & 0o777 for name in ("old.json", "new.json", "plan.json")}
    assert modes == {"old.json": 0o640, "new.json": 0o600, "plan.json": 0o600}
    assert (shop.folder / "linked.json").is_symlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_file_that_is_mounted_by_itself_is_written_in_place(shop: Shop) -> None:
    """As `docker run -v ./report.json:/app/report.json` does; it cannot be replaced."""
    shop.want({"a": "v1"})
    for name in ("report.json", "host.json"):
        (shop.folder / name).touch()
    script = 'mount --bind host.json report.json || exit 77; exec "$@"'
    through = ("unshare", "-m", "sh", "-c", script, "sh")
    done = finish(
        start(["apply", "-f", "aliases.yaml", "--yes", "--output", "json=report.json"], shop.folder, through=through)
    )
    if done.code in (77, 1) and "unshare" in done.stderr + done.stdout:
        pytest.skip("no mount namespace here")
    assert (done.code, done.remarks) == (0, "")
    assert shop.read("host.json")["kind"] == "Report"
    assert not [path for path in shop.folder.iterdir() if path.name.startswith(".aliasctl")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to any folder")
def test_a_file_in_a_folder_that_is_read_only_is_written_in_place(shop: Shop) -> None:
    shop.want({"a": "v1"})
    folder = shop.folder / "closed"
    folder.mkdir()
    (folder / "plan.json").touch()
    folder.chmod(0o500)
    assert shop.plan("--out", "closed/plan.json").code == 0
    assert shop.read("closed/plan.json")["kind"] == "Plan"


def test_a_run_at_a_terminal_is_shown_live_with_the_cursor_and_the_report_follows(shop: Shop, relay: Relay) -> None:
    relay.before["AlterAlias"] = lambda _: time.sleep(3)
    shop.uri = relay.uri
    shop.point(a="v1", b="v1")
    shop.want({"a": "v2", "b": "v2"})
    shown = shop.at_terminal("apply", "-f", "aliases.yaml", "--yes").stdout
    assert "1 of 2 changes" in shown
    assert HIDE_CURSOR not in shown
    block, _, report = shown.rpartition("1 of 2 changes")
    assert "shop: " in block
    assert ERASE_LINE in report
    assert ERASE_LINE not in report[report.rindex("main / ") :]
    assert re.search(r"Apply: 2 done in [\d.]+ s\.\x1b\[0m.*\nTo undo: aliasctl rollback \S+\s*$", report)


def test_version_tells_tool_and_clients(tmp_path: Path) -> None:
    shown = run("version", cwd=tmp_path)
    assert [line.split()[0] for line in shown.stdout.splitlines()] == ["aliasctl", "Python", "pymilvus", "milvus-lite"]


def test_the_debug_log_has_every_call_and_goes_to_stderr(shop: Shop) -> None:
    shop.want({"a": "v1"})
    planned = shop.run("plan", "-f", "aliases.yaml", "--log-level", "debug", "--log-format", "json")
    calls = [json.loads(line) for line in planned.stderr.splitlines()]
    assert calls[0]["method"] == "get_server_version"
    assert f"{len(calls)} calls\n" in planned.stdout
    assert {call["database"] for call in calls} == {shop.database}


@pytest.mark.parametrize(
    ("arguments", "redirect", "code", "live"),
    [
        (["--format", "json"], ">/dev/full", 1, {"a": "v1", "b": "v1"}),
        (["--log-level", "info"], "2>/dev/full", 0, {"a": "v1", "b": "v1"}),
        ([], ">/dev/full", 1, {}),
    ],
)
def test_a_full_disk_neither_stops_a_run_half_way_nor_hides_that_it_wrote(
    arguments: list[str], redirect: str, code: int, live: dict[str, str], shop: Shop
) -> None:
    shop.want({"a": "v1", "b": "v1"})
    command = ["apply", "-f", "aliases.yaml", "--yes", *arguments]
    done = finish(start(command, shop.folder, through=("sh", "-c", f'"$@" {redirect}', "sh")))
    assert (done.code, shop.live) == (code, live)
    expected = "error: cannot write to standard output: No space left on device\n" if code else ""
    assert done.remarks == expected


def test_a_saved_plan_shows_what_stands_for_it(shop: Shop) -> None:
    shop.want({"a": "v1"})
    saved = shop.plan("--out", "plan.json")
    digest = shop.read("plan.json")["digest"]
    assert saved.stderr == "Saved to plan.json. To apply: aliasctl apply -f aliases.yaml --plan plan.json\n"
    assert shop.run("show", "plan.json").stdout.splitlines()[0].endswith(f", digest {digest}")


def test_a_saved_plan_comes_with_the_command_that_applies_it_or_why_none_does(shop: Shop) -> None:
    shop.want({"a": "v1", "b": "v9"})
    saved = shop.plan("--out", "my plan.json", "--only", "a", "--max-drops", "3", "--gates", "all").stderr
    command = "aliasctl apply -f aliases.yaml --plan 'my plan.json', with the same --only --max-drops\n"
    assert saved == f"Saved to my plan.json. To apply: {command}"
    blocked = shop.plan("--out", "plan.json", "--only", "b")
    assert blocked.stderr == "Saved to plan.json. It cannot be applied: every change is blocked.\n"
    shop.point(a="v1")
    shop.want({"a": "v1"})
    assert shop.plan("--out", "plan.json").stderr == "Saved to plan.json. There is nothing to apply.\n"
    shop.want({"a": None}, limits={"maxDrops": 0})
    refused = shop.plan("--out", "plan.json")
    assert refused.stderr == "Saved to plan.json. It cannot be applied: a guard refused the plan.\n"
