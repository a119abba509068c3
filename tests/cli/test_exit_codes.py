"""Every exit code, by the real command; and under `--format json` one valid document with each of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import run
from tests.cli.shop import Shop, alias_set, connection, open_shop
from tests.servers import Backend, free_port


def test_0_is_done_and_then_nothing_to_do(shop: Shop) -> None:
    shop.point(moved="v1", gone="v1")
    shop.want({"new": "v1", "moved": "v2", "gone": None})
    done = shop.apply("--format", "json")
    assert (done.code, done.remarks, shop.live) == (0, "", {"moved": "v2", "new": "v1"})
    assert done.document["summary"]["done"] == 3
    assert done.document["targets"][0]["database"] == shop.database

    again = shop.run("apply", "-f", "aliases.yaml", "--format", "json")  # without --yes: there is nothing to ask
    assert (again.code, again.document["kind"], again.document["targets"][0]["steps"]) == (0, "Report", [])
    assert again.document["targets"][0]["sets"][0]["unchanged"] == 3


def test_1_is_an_error_before_any_write(shop: Shop) -> None:
    """One database of two cannot be read: nothing is written to the other either."""
    there = connection(f"http://127.0.0.1:{free_port()}", "gone")
    elsewhere = alias_set({"a": "v1"}, "elsewhere", connectionRef={"name": "gone"})
    shop.want({"a": "v1"}, there, elsewhere)
    failed = shop.apply("--format", "json", "--timeout", "1s")
    assert (failed.code, failed.document["exitCode"], shop.live) == (1, 1, {})
    assert failed.document["errors"][0]["code"] == "ConnectionFailed"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan"], "Missing manifests: give PATH, or -f PATH"),
        (["apply"], "Missing manifests: give PATH, or -f PATH"),
        (["plan", "-f", ".", "--timeout", "soon"], "--timeout"),
        (["plan", "-f", ".", "--output", "pdf=x"], "'pdf=x' is not FORMAT=FILE with FORMAT one of text, json"),
    ],
)
def test_1_is_a_usage_error_too(arguments: list[str], message: str, tmp_path: Path) -> None:
    """Click's own code for it is 2, which means "there are changes"."""
    failed = run(*arguments, "--format", "json", cwd=tmp_path)
    assert (failed.code, failed.document["errors"][0]["code"]) == (1, "UsageError")
    assert message in failed.document["errors"][0]["message"]
    assert message in failed.stderr
    assert f"Try 'aliasctl {arguments[0]} --help' for help." in failed.stderr


def test_1_is_no_command_at_all_and_shows_the_help(tmp_path: Path) -> None:
    bare, unknown = run(cwd=tmp_path), run("aply", cwd=tmp_path)
    assert (bare.code, bare.stdout, bare.stderr) == (1, "", run("--help", cwd=tmp_path).stdout)
    assert unknown.code == 1
    assert "No such command 'aply'." in unknown.stderr


def test_2_is_changes_if_asked_for(shop: Shop) -> None:
    shop.want({"a": "v1", "b": "nowhere"})
    plain, detailed = shop.plan(), shop.plan("--detailed-exitcode", "--format", "json")
    assert (plain.code, detailed.code, detailed.document["summary"]["create"]) == (0, 2, 1)
    assert detailed.document["digest"].startswith("sha256:")
    assert shop.live == {}


def test_3_is_a_guard_that_refused(shop: Shop) -> None:
    shop.point(s_one="v1", s_two="v1", s_three="v1")
    shop.want({"a": "v1", "s_one": "v1"}, scope={"include": ["s_*"]}, limits={"maxDrops": 1})
    refused = shop.plan("--format", "json", "--detailed-exitcode")
    assert (refused.code, refused.document["summary"]["drop"]) == (3, 2)
    [sentence] = refused.document["targets"][0]["sets"][0]["refusals"]
    for word in ('"shop"', "2 aliases", "maxDrops of 1", "--max-drops 2", "aliases.yaml:"):
        assert word in sentence

    before = shop.live
    applied = shop.apply("--format", "json")
    assert (applied.code, applied.document["exitCode"], shop.live) == (3, 3, before)
    assert applied.document["summary"]["notAttempted"] == 3

    allowed = shop.apply("--max-drops", "2")
    assert (allowed.code, shop.live) == (0, {"a": "v1", "s_one": "v1"})


def test_3_is_every_change_blocked(shop: Shop) -> None:
    shop.point(main="v1")
    shop.want({"main": {"collection": "v2", "protect": True}, "a": "nowhere"})
    applied = shop.run("apply", "-f", "aliases.yaml", "--format", "json")
    assert (applied.code, applied.document["summary"]["blocked"], shop.live) == (3, 2, {"main": "v1"})
    reasons = {step["alias"]: step["blocked"]["reason"] for step in applied.document["targets"][0]["steps"]}
    assert reasons == {"a": "collectionMissing", "main": "protected"}

    allowed = shop.apply("--only", "main", "--allow-protected", "main")
    assert (allowed.code, shop.live) == (0, {"main": "v2"})


def test_4_is_a_stale_plan(shop: Shop) -> None:
    shop.point(a="v1", other="v1")
    shop.want({"a": "v2"})
    assert shop.plan("--out", "plan.json").code == 0
    shop.move(a="v3", other="v3")
    before = shop.live

    saved = shop.run("apply", "plan.json", "--yes", "--format", "json")
    assert (saved.code, saved.document["errors"][0]["code"], shop.live) == (4, "StalePlan", before)
    assert 'alias "a" is at "v3" now; the plan saw it at "v1"' in saved.stderr

    reviewed = shop.apply("--plan", "plan.json", "--format", "json")
    assert (reviewed.code, reviewed.document["exitCode"], shop.live) == (4, 4, before)

    shown = shop.run("show", "plan.json")
    assert shown.code == 0
    assert "~ a   v1 → v2" in shown.stdout


def test_5_is_a_write_and_something_wanted_left_undone(shop: Shop) -> None:
    shop.want({"a": "v1", "b": "nowhere"})
    half = shop.apply("--format", "json")
    outcomes = {step["alias"]: step["outcome"] for step in half.document["targets"][0]["steps"]}
    assert (half.code, half.document["exitCode"], shop.live) == (5, 5, {"a": "v1"})
    assert outcomes == {"a": "done", "b": "blocked"}


def test_the_main_job_on_a_real_milvus(milvus: Backend, tmp_path: Path) -> None:
    """The same commands, through names and ids that only a real server has."""
    shop = open_shop(milvus.connection.uri, milvus.other_database, milvus.admin, tmp_path)
    try:
        shop.point(moved="v1", s_stale="v1")
        shop.want({"new": "v1", "moved": "v2"}, scope={"include": ["s_*"]})
        planned = shop.plan("--out", "plan.json", "--format", "json", "--detailed-exitcode")
        assert (planned.code, planned.document["summary"]["drop"]) == (2, 1)
        assert all(step["toId"] for step in planned.document["targets"][0]["steps"] if step["to"])
        assert shop.run("apply", "plan.json", "--yes").code == 0
        assert shop.live == {"moved": "v2", "new": "v1"}
        assert "No changes. 2 aliases up to date." in shop.apply().stdout
        exported = shop.run("export", "--uri", shop.uri, "--database", shop.database)
        (tmp_path / "export.yaml").write_text(exported.stdout)
        assert shop.run("plan", "-f", "export.yaml", "--detailed-exitcode").code == 0
    finally:
        client = milvus.admin.client(shop.database)  # type: ignore[attr-defined]
        for alias in shop.live:
            client.drop_alias(alias)
        for name in ("v1", "v2", "v3"):
            milvus.admin.drop_collection(name, shop.database)
