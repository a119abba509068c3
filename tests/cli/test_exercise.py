"""`aliasctl check --exercise`: consent, what it prints, and that it cleans up whatever ends it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import grpc
import pytest

from reconciler.catalog import open_sandbox
from tests.cli.command import TIMEOUT, finish, start
from tests.cli.shop import Shop, connection
from tests.faults.relay import Relay
from tests.servers import connection_to

NO_TERMINAL = "error: --exercise creates collections and aliases, and there is no terminal to ask at; add --yes\n"
STOPPING = "Stopping: removing what was created; once more to quit at once\n"
OLD = "aliasctl_check_old"


def arguments(shop: Shop, *more: str) -> list[str]:
    return ["check", "--exercise", "--uri", shop.uri, "--database", shop.database, *more]


def names(shop: Shop) -> set[str]:
    """Every collection and alias of the database that the command may have made."""
    client = shop.admin.client(shop.database)
    every = {*client.list_collections(), *client.list_aliases("", db_name=shop.database)["aliases"]}
    return {name for name in every if name.startswith("aliasctl_check_")}


def test_an_exercise_reads_like_this(shop: Shop) -> None:
    shop.point(a="v1")
    done = shop.run(*arguments(shop, "--yes", "--output", "json=exercise.json"))
    head, heads, first, *_, last = done.stdout.splitlines()
    assert (done.code, done.stderr, names(shop), shop.live) == (0, "", set(), {"a": "v1"})
    assert head.startswith(f"milvus / {shop.database}   Milvus Lite ")
    assert head.endswith(f" at {shop.uri} (flag)")
    assert heads.split() == ["exercise", "expected", "observed"]
    assert first.split() == ["✓", "create", "done", "done"]
    assert "✗" not in done.stdout
    assert last.startswith("Exercise: 45 as expected. 200 moves under 0 readers, ")
    assert max(map(len, done.stdout.splitlines()[1:])) <= 80
    document = shop.read("exercise.json")
    assert (document["kind"], document["exitCode"], document["tool"]["name"]) == ("Exercise", 0, "aliasctl")
    assert {finding["verdict"] for finding in document["findings"]} == {"asExpected"}


def test_without_a_terminal_it_needs_yes(shop: Shop) -> None:
    refused = shop.run(*arguments(shop))
    assert (refused.code, refused.stdout, refused.stderr, names(shop)) == (1, "", NO_TERMINAL, set())


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 1)])
def test_at_a_terminal_it_asks(answer: str, code: int, shop: Shop) -> None:
    question = "Create and remove collections and aliases named aliasctl_check_… in "
    shown = shop.at_terminal(*arguments(shop), prompt="[y/N]: ", answer=answer + "\n")
    asked, _, after = shown.stdout.partition("[y/N]: ")
    assert f"{question}milvus / {shop.database} at {shop.uri}? " in asked
    assert shown.code == code
    assert ({"y": "as expected", "n": "error: "}[answer]) in after
    assert ({"y": "\x1b[32m✓\x1b[0m", "n": "not exercised"}[answer]) in after
    assert names(shop) == set()


def test_yes_alone_is_a_usage_error(shop: Shop) -> None:
    wrong = shop.run("check", "--yes", "--uri", shop.uri)
    assert (wrong.code, "--yes goes with --exercise" in wrong.stderr) == (1, True)
    wrong = shop.run(*arguments(shop, "--include-suspended"))
    assert (wrong.code, "--include-suspended does not go with --exercise" in wrong.stderr) == (1, True)


def test_the_connection_of_a_manifest_can_be_used(shop: Shop) -> None:
    shop.write("aliases.yaml", connection("http://127.0.0.1:1", "gone"), connection(shop.uri))
    chosen = ("-f", "aliases.yaml", "--connection", "main", "--database", shop.database)
    done = shop.run("check", "--exercise", "--yes", *chosen, "--format", "json")
    assert (done.code, done.document["connection"]["name"], done.document["database"]) == (0, "main", shop.database)
    unclear = shop.run("check", "--exercise", "--yes", "-f", "aliases.yaml")
    assert (unclear.code, "choose one with --connection" in unclear.stderr) == (1, True)


def test_a_missing_database_is_an_error_before_any_write(shop: Shop) -> None:
    missing = shop.run("check", "--exercise", "--yes", "--uri", shop.uri, "--database", "nowhere", "--format", "json")
    assert (missing.code, missing.document["errors"][0]["code"]) == (1, "DatabaseNotFound")


def test_a_milvus_lite_file_is_not_created(shop: Shop) -> None:
    missing = shop.run("check", "--exercise", "--yes", "--uri", "./new.db")
    assert (missing.code, "only apply creates one" in missing.stderr) == (1, True)
    assert not (shop.folder / "new.db").exists()


def nth(number: int, reached: Event) -> Callable[[grpc.ServicerContext], None]:
    """A hook that notes when a call has arrived for the nth time, and holds it for a moment."""
    seen: list[object] = []

    def hook(context: grpc.ServicerContext) -> None:
        seen.append(context)
        if len(seen) == number:
            reached.set()
            time.sleep(1)

    return hook


@pytest.mark.parametrize(
    ("how", "method", "number", "last"),
    [
        (signal.SIGINT, "LoadCollection", 1, None),
        (signal.SIGTERM, "RenameCollection", 1, "rename a collection"),
        (signal.SIGHUP, "AlterAlias", 1, "alter"),
        (signal.SIGINT, "AlterAlias", 100, "drop a collection with aliases"),
    ],
)
def test_a_signal_ends_it_early_and_everything_is_removed(
    shop: Shop, relay: Relay, how: signal.Signals, method: str, number: int, last: str | None
) -> None:
    reached = Event()
    relay.before[method] = nth(number, reached)
    shop.uri = relay.uri
    process = start(arguments(shop, "--yes", "--format", "json"), shop.folder)
    assert reached.wait(TIMEOUT)
    process.send_signal(how)
    stopped = finish(process)
    assert (stopped.code, stopped.document["endedEarly"], stopped.stderr) == (1, "interrupted", STOPPING)
    assert "left" not in stopped.document
    assert [finding["exercise"] for finding in stopped.document["findings"]][-1:] == ([last] if last else [])
    assert names(shop) == set()


def test_the_next_run_removes_what_a_killed_one_left(shop: Shop, relay: Relay) -> None:
    reached = Event()
    relay.before["AlterAlias"] = nth(30, reached)
    process = start(["check", "--exercise", "--yes", "--uri", relay.uri, "--database", shop.database], shop.folder)
    assert reached.wait(TIMEOUT)
    process.kill()
    process.communicate()
    left = names(shop)
    assert {OLD, "aliasctl_check_new"} < left
    again = shop.run(*arguments(shop, "--yes", "--format", "json"))
    assert (again.code, names(shop)) == (0, set())
    assert {name.split()[1] for name in again.document["removed"]} == left


def leftover_with_alias(shop: Shop) -> None:
    sandbox = open_sandbox(connection_to(shop.uri), shop.database)
    sandbox.create_collection(OLD)
    sandbox.close()
    shop.point(mine=OLD)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (
            lambda shop: shop.admin.create_collection("aliasctl_check_mine", shop.database),
            'collection "aliasctl_check_mine" has other fields, so it is not a leftover',
        ),
        (
            lambda shop: shop.point(aliasctl_check_x="v1"),
            'alias "aliasctl_check_x" points to "v1", so it is not a leftover',
        ),
        (
            leftover_with_alias,
            f'alias "mine" points to "{OLD}", a leftover: point it elsewhere',
        ),
    ],
)
def test_what_is_not_ours_is_not_touched(shop: Shop, prepare: Callable[[Shop], Any], message: str) -> None:
    prepare(shop)
    before, live = names(shop), shop.live
    refused = shop.run(*arguments(shop, "--yes", "--format", "json"))
    assert (refused.code, refused.document["errors"][0]["code"]) == (1, "InvalidInput")
    assert message in refused.stderr
    assert (names(shop), shop.live) == (before, live)


def test_a_sandbox_writes_no_other_name(shop: Shop) -> None:
    sandbox = open_sandbox(connection_to(shop.uri), shop.database)
    shop.point(mine="v1")
    writes: list[Callable[[], None]] = [
        lambda: sandbox.drop_collection("v1"),
        lambda: sandbox.drop_alias("mine"),
        lambda: sandbox.alter_alias("mine", OLD),
        lambda: sandbox.create_alias("aliasctl_check_a", "v1"),
        lambda: sandbox.rename_collection("v1", OLD),
        lambda: sandbox.insert("v1", [1]),
    ]
    for write in writes:
        with pytest.raises(ValueError, match="not a name of this sandbox"):
            write()
    sandbox.close()
    assert shop.live == {"mine": "v1"}


def test_the_report_goes_to_files_that_are_checked_first(shop: Shop, tmp_path: Path) -> None:
    wrong = shop.run(*arguments(shop, "--yes", "--output", f"json={tmp_path}/no/exercise.json"))
    assert (wrong.code, names(shop)) == (1, set())
    assert "there is no folder" in wrong.stderr
