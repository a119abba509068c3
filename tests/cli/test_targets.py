"""Which sets, aliases and servers a run is about: --only, suspended sets, flags, the environment, status."""

from __future__ import annotations

from tests.cli.shop import Shop, alias_set, connection
from tests.servers import free_port


def test_only_looks_at_one_alias(shop: Shop) -> None:
    shop.want({"a": "v1", "b": "v1"})
    applied = shop.apply("--only", "b")
    assert (applied.code, shop.live) == (0, {"b": "v1"})


def test_a_suspended_set_is_skipped_and_said_until_it_is_included(shop: Shop) -> None:
    shop.want({"a": "v1"}, suspend=True)
    skipped = shop.apply()
    assert (skipped.code, shop.live) == (0, {})
    assert "shop   suspended: skipped" in skipped.stdout
    rows = shop.run("status", "-f", "aliases.yaml", "--format", "json").document["aliases"]
    assert [(row["state"], row["live"]) for row in rows] == [("Suspended", None)]
    assert (shop.apply("--include-suspended").code, shop.live) == (0, {"a": "v1"})


def test_status_has_a_row_for_each_alias(shop: Shop) -> None:
    shop.point(same="v1", pending="v1", s_stale="v1", outside="v1")
    shop.want({"same": "v1", "pending": "v2", "missing": "v3", "gone": None}, scope={"include": ["s_*"]})
    shown = shop.run("status", "-f", "aliases.yaml", "--output", "json=status.json")
    target = f"main / {shop.database}"
    width = len(target)
    assert (shown.code, shown.stdout.splitlines()) == (
        0,
        [
            f"{'TARGET'.ljust(width)}   SET    ALIAS     DESIRED   LIVE   STATE      NOTE",
            f"{target}   shop   gone      -         -      InSync",
            f"{target}   shop   missing   v3        -      Missing",
            f"{target}   shop   pending   v2        v1     Pending",
            f"{target}   shop   s_stale   -         v1     Unwanted",
            f"{target}   shop   same      v1        v1     InSync",
            "2 InSync, 1 Pending, 1 Missing, 1 Unwanted",
        ],
    )
    states = {row["alias"]: row["state"] for row in shop.read("status.json")["aliases"]}
    assert states["s_stale"] == "Unwanted"


def test_the_environment_fills_gaps_and_never_retargets(shop: Shop) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    env = {"ALIASCTL_URI": shop.uri, "ALIASCTL_DATABASE": shop.database, "ALIASCTL_TOKEN_ENV": "TOKEN"}
    shop.write("gaps.yaml", alias_set({"a": "v1"}))
    filled = shop.run("plan", "-f", "gaps.yaml", env=env)
    assert (filled.code, filled.stderr) == (0, "")
    assert f"main / {shop.database}   Milvus Lite" in filled.stdout
    assert f"at {shop.uri} (environment)   0 aliases" in filled.stdout

    shop.want({"a": "v1"})
    named = shop.run("plan", "-f", "aliases.yaml", env={"ALIASCTL_URI": nowhere, "ALIASCTL_DATABASE": "other"})
    assert f"main / {shop.database}   Milvus Lite" in named.stdout
    assert f"at {shop.uri} (manifest)" in named.stdout

    wrong = shop.run("plan", "-f", "gaps.yaml", env={**env, "ALIASCTL_TIMEOUT": "soon"})
    assert wrong.code == 1
    assert wrong.stderr.startswith("ALIASCTL_TIMEOUT: error: ")


def test_flags_retarget_and_the_header_says_so(shop: Shop) -> None:
    actual = shop.uri
    shop.uri = f"http://127.0.0.1:{free_port()}"
    shop.want({"a": "v1"}, connection(actual, "backup"))
    by_uri = shop.plan("--uri", actual)
    assert f"at {actual} (flag)" in by_uri.stdout
    by_name = shop.plan("--connection", "backup")
    assert f"backup / {shop.database}" in by_name.stdout
    assert f"at {actual} (manifest)" in by_name.stdout


def test_an_override_that_would_merge_two_targets_is_refused(shop: Shop) -> None:
    shop.want({"a": "v1"}, alias_set({"b": "v1"}, "elsewhere", database="other"))
    merged = shop.apply("--database", shop.database)
    assert (merged.code, merged.stdout, shop.live) == (1, "", {})
    assert "--database would give this set and AliasSet" in merged.stderr
