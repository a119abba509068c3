"""`aliasctl status` and `export` with their options, as a user calls them."""

from __future__ import annotations

import csv
import os
import pty
import re
import select
import signal
import time

import pytest
import yaml

from tests.cli.command import TIMEOUT, finish, start
from tests.cli.shop import Shop

CLEAR = "\x1b[2J"
CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def status(shop: Shop, *arguments: str) -> tuple[int, str]:
    done = shop.run("status", "-f", "aliases.yaml", *arguments)
    return done.code, done.stdout


def test_problems_and_an_exit_code_for_scripts(shop: Shop) -> None:
    """A difference, drift after the run that made it, and an error are different things."""
    shop.point(same="v1", moved="v1")
    shop.want({"same": "v1", "moved": "v2"})
    assert status(shop)[0] == 0
    code, text = status(shop, "--exit-code", "--problems")
    assert code == 2
    assert [line.split()[-1] for line in text.splitlines()[1:-1]] == ["Pending"]
    assert shop.apply().code == 0
    assert status(shop, "--exit-code", "--problems") == (0, "Nothing needs attention. 2 InSync\n")
    shop.move(moved="v3")
    assert "1 InSync, 1 Drifted" in status(shop)[1]
    assert status(shop, "--exit-code", "--timeout", "1s", "--uri", "http://127.0.0.1:1")[0] == 1


def test_the_same_in_every_format(shop: Shop) -> None:
    shop.point(a="v1")
    shop.want({"a": "v2", "b": "v9"})
    files = [f"{name}=out.{name}" for name in ("json", "markdown", "html", "csv")]
    assert status(shop, *(part for each in files for part in ("--output", each)))[0] == 0
    assert [row["state"] for row in shop.read("out.json")["aliases"]] == ["Pending", "Missing"]
    with (shop.folder / "out.csv").open() as table:
        assert [row["state"] for row in csv.DictReader(table)] == ["Pending", "Missing"]
    assert (shop.folder / "out.markdown").read_text().startswith("<!-- aliasctl:status -->\n## aliasctl status: ")
    assert (shop.folder / "out.html").read_text().startswith("<!doctype html>")
    by = shop.run("status", "-f", "aliases.yaml", "--by", "collection", "-o", "json").document
    assert [(row["collection"], row["aliases"], row["expected"]) for row in by["collections"]] == [
        ("v1", ["a"], []),
        ("v2", [], ["a"]),
        ("v9", [], ["b"]),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--interval", "1s"], "--interval goes with --watch"),
        (["--watch", "--interval", "100ms"], "--interval is at least 1s"),
        (["--watch", "-f", "-"], "--watch reads the manifests again"),
        (["--watch", "-o", "json"], "--watch prints text"),
        (["--watch", "--output", "json=x.json"], "--watch prints text"),
        (["--unreferenced", "-o", "csv"], "csv has one table"),
        (["--all-databases", "--database", "x"], "--all-databases does not go with --database"),
    ],
)
def test_options_that_do_not_go_together(arguments: list[str], message: str, shop: Shop) -> None:
    shop.want({"a": "v1"})
    done = shop.run("status", "-f", "aliases.yaml", *arguments)
    assert (done.code, message in done.stderr) == (1, True), done.stderr


def test_at_a_terminal_it_fits_80_columns(shop: Shop) -> None:
    long = "a_rather_long_name_of_an_alias_for_a_search_in_production"
    shop.point(**{long: "v1"})
    shop.want({long: "v2", "b": "a_collection_that_does_not_exist_and_whose_name_is_long_as_well_x"})
    shown = shop.at_terminal("status", "-f", "aliases.yaml", "--unreferenced")
    lines = CODES.sub("", shown.stdout.rpartition("\r")[2]).splitlines()
    assert max(map(len, lines)) <= 80
    assert "".join(line[2:20].strip() for line in lines[:12]).count("a_rather_long_name") == 1
    assert long in status(shop)[1]


def read_until(terminal: int, text: str, times: int, seconds: float = TIMEOUT) -> str:
    shown, end = "", time.monotonic() + seconds
    while shown.count(text) < times and time.monotonic() < end:
        if select.select([terminal], [], [], 1)[0]:
            shown += os.read(terminal, 65536).decode()
    return shown


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_watch_at_a_terminal_redraws_and_ends_cleanly(ending: signal.Signals, shop: Shop) -> None:
    shop.point(a="v1")
    shop.want({"a": "v2"})
    ours, theirs = pty.openpty()
    arguments = ["status", "-f", "aliases.yaml", "--watch", "--interval", "1s", "--exit-code"]
    process = start(arguments, shop.folder, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    assert "1 Pending" in read_until(ours, CLEAR, 2)
    shop.move(a="v2")
    assert "1 InSync" in read_until(ours, "1 InSync", 1)
    process.send_signal(ending)
    assert process.wait(TIMEOUT) == 0, "what was seen last needs no attention"
    os.close(ours)


def test_a_watch_without_a_terminal_prints_changes(shop: Shop) -> None:
    shop.point(a="v1")
    shop.want({"a": "v2"})
    process = start(["status", "-f", "aliases.yaml", "--watch", "--interval", "1s", "--exit-code"], shop.folder)
    assert process.stdout
    lines = [process.stdout.readline() for _ in range(5)]
    assert lines[3] == "1 Pending\n"
    time.sleep(2.5)
    process.send_signal(signal.SIGTERM)
    ended = finish(process)
    assert (ended.code, ended.stdout, ended.stderr) == (2, "", ""), "nothing has changed since"


def test_all_databases(shop: Shop) -> None:
    """Those without a set too, where nothing is wrong; an export of them plans to no change."""
    other = f"{shop.database}_b"
    shop.admin.create_database(other)
    shop.admin.create_collection("t1", other)
    shop.admin.client(other).create_alias("t1", "tenant_alias")
    shop.point(a="v1")
    shop.want({"a": "v1"})
    code, text = status(shop, "--all-databases", "--exit-code")
    (row,) = [line.split() for line in text.splitlines() if "tenant_alias" in line]
    assert (code, row[-5:]) == (0, ["-", "tenant_alias", "-", "t1", "Unmanaged"])
    assert "tenant_alias" not in status(shop)[1]

    exported = shop.run("export", "--uri", shop.uri, "--all-databases")
    assert exported.code == 0
    sets = {each["spec"].get("database"): each["spec"] for each in yaml.safe_load_all(exported.stdout)}
    assert sets[other]["aliases"] == [{"name": "tenant_alias", "collection": "t1"}]
    assert {"default", shop.database} <= sets.keys()
    planned = shop.run("plan", "-f", "-", "--detailed-exitcode", text=exported.stdout)
    assert planned.code == 0
    both = shop.run("export", "--uri", shop.uri, "--all-databases", "--database", other)
    assert (both.code, "--all-databases does not go with --database" in both.stderr) == (1, True)
