"""`--publish FILE`: apply, a saved plan and rollback keep the file; what cannot be written is reported separately."""

from __future__ import annotations

from tests.cli.shop import Shop


def published(shop: Shop) -> dict[str, str]:
    return {entry["alias"]: entry["collection"] for entry in shop.read("resolution.json")["aliases"]}


def test_apply_and_rollback_keep_the_file(shop: Shop) -> None:
    shop.point(a="v1", b="v1")
    shop.want({"a": "v2", "b": "v1"})
    assert shop.apply("--publish", "resolution.json").code == 0
    assert published(shop) == {"a": "v2", "b": "v1"}
    assert shop.run("rollback", "--yes", "--publish", "resolution.json").code == 0
    assert published(shop) == shop.live == {"a": "v1", "b": "v1"}


def test_a_saved_plan_keeps_the_file(shop: Shop) -> None:
    shop.point(a="v1", b="v1")
    shop.want({"a": "v1", "b": "v1"})
    assert shop.apply("--publish", "resolution.json").code == 0
    shop.want({"a": "v2"})
    shop.plan("--out", "plan.json")
    assert shop.run("apply", "plan.json", "--yes", "--publish", "resolution.json").code == 0
    assert published(shop) == {"a": "v2", "b": "v1"}


def test_a_single_alias_changes_nothing_else_in_the_file(shop: Shop) -> None:
    shop.point(a="v1", b="v1")
    shop.want({"a": "v2", "b": "v2"})
    assert shop.apply("--only", "a", "--publish", "resolution.json").code == 0
    assert published(shop) == {"a": "v2"}
    assert shop.live["b"] == "v1"


def test_a_file_that_cannot_be_written_is_an_error_after_the_moves(shop: Shop) -> None:
    shop.want({"a": "v1"})
    applied = shop.apply("--publish", "absent/resolution.json")
    assert (applied.code, shop.live) == (1, {"a": "v1"})
    assert "1 done" in applied.stdout
    assert "error: cannot write absent/resolution.json: No such file or directory" in applied.stderr.replace(
        f"{shop.folder}/", ""
    )
