"""`aliasctl check`: what it prints, and how it ends."""

from __future__ import annotations

from tests.cli.shop import Shop, alias_set, connection
from tests.servers import free_port


def test_a_check_reads_like_this(shop: Shop) -> None:
    shop.want({"a": "v1"}, gates={"rows": {"min": 1}})
    checked = shop.run("check", "-f", "aliases.yaml", "--output", "json=checked.json")
    head, *lines = checked.stdout.splitlines()
    assert (checked.code, checked.stderr, shop.live) == (0, "", {})
    assert head.startswith(f"main / {shop.database}   Milvus Lite ")
    assert head.endswith(f" at {shop.uri} (manifest)")
    address = shop.uri.removeprefix("http://")
    assert lines[:3] == [
        f"  ✓ address              {address} answers",
        "  - TLS                  not needed: off (http://): traffic, including the token, is not encrypted",
        "  ✓ token                that of the environment variable TOKEN is not refused; a server without "
        "authorization takes any",
    ]
    assert lines[4:] == [
        f'  ✓ database             "{shop.database}" exists',
        "  ✓ ListAliases          ok",
        "  ✓ DescribeCollection   ok",
        "  - DescribeAlias        not needed: DescribeCollection is used on this version",
        "  ✓ GetLoadState         ok on v1",
        "  ✓ ShowPartitions       ok on v1",
        "  - DescribeIndex        not needed: no gate or verification of these sets needs it",
        "  ✓ Query                ok on v1",
        "  - Search               not needed: no gate or verification of these sets needs it",
        "  - SelectOwnership      not needed: no gate of these sets reads grants",
        "  ✓ CreateAlias          permitted; nothing was written",
        "  ✓ AlterAlias           permitted; nothing was written",
        "  - DropAlias            not needed: these sets do not need it; a rollback may",
        "Check: 11 ok, 6 not needed.",
    ]
    assert shop.run("check", "-f", "aliases.yaml", "--format", "json").document == shop.read("checked.json")


def test_what_is_missing_is_exit_1_and_the_other_targets_are_checked_too(shop: Shop) -> None:
    port = free_port()
    there = connection(f"http://127.0.0.1:{port}", "gone")
    shop.want({"a": "v1"}, there, alias_set({"a": "v1"}, "elsewhere", connectionRef={"name": "gone"}))
    checked = shop.run("check", "-f", "aliases.yaml", "--format", "json", "--timeout", "20s")
    assert (checked.code, checked.document["exitCode"], checked.stderr) == (1, 1, "")
    by_address = {item["address"]: item["conditions"] for item in checked.document["targets"]}
    gone = by_address[f"127.0.0.1:{port}"]
    assert (gone[0]["result"], gone[0]["detail"]) == ("missing", f"cannot reach 127.0.0.1:{port}: connection refused")
    assert {item["result"] for item in gone[1:]} == {"unknown"}
    assert {item["result"] for item in by_address[shop.uri.removeprefix("http://")]} == {"ok", "notNeeded"}
    shown = shop.run("check", "-f", "aliases.yaml", "--timeout", "20s").stdout
    assert "  ? other conditions     not checked, because of the address" in shown
    assert shown.splitlines()[-1].startswith("Check: ")


def test_target_flags_alone_are_enough(shop: Shop) -> None:
    checked = shop.run("check", "--uri", shop.uri, "--database", shop.database, "--format", "json")
    [target] = checked.document["targets"]
    results = {item["condition"]: item["result"] for item in target["conditions"]}
    assert (checked.code, results["DropAlias"], results["Query"]) == (0, "ok", "unknown")
    missing = shop.run("check", "--uri", shop.uri, "--database", "nowhere")
    assert (missing.code, 'there is no database "nowhere"' in missing.stdout) == (1, True)
    assert shop.run("check").code == 1, "no server is named"


def test_suspended_sets_are_skipped_and_said(shop: Shop) -> None:
    shop.want({"a": "v1"}, suspend=True)
    skipped = shop.run("check", "-f", "aliases.yaml")
    assert (skipped.code, skipped.stdout) == (0, "Nothing to check.\n")
    assert skipped.stderr == 'set "shop" is suspended: skipped\n'
    assert "Check: " in shop.run("check", "-f", "aliases.yaml", "--include-suspended").stdout
