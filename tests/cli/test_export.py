"""`export`, and plans against what it wrote."""

from __future__ import annotations

import yaml

from tests.cli.shop import Shop, alias_set, connection
from tests.servers import free_port


def test_an_export_plans_to_no_change_and_reads_like_a_persons(shop: Shop) -> None:
    shop.point(search_b="v2", search_a="v1")
    exported = shop.run("export", "--uri", shop.uri, "--database", shop.database)
    assert (exported.code, exported.stderr) == (0, "")
    assert exported.stdout == (
        "---\n"
        "apiVersion: aliasctl.dev/v1alpha1\n"
        "kind: MilvusConnection\n"
        "metadata: {name: milvus}\n"
        "spec:\n"
        f"  uri: {shop.uri}\n"
        "---\n"
        "apiVersion: aliasctl.dev/v1alpha1\n"
        "kind: AliasSet\n"
        f"metadata: {{name: {shop.database.replace('_', '-')}}}\n"
        "spec:\n"
        "  connectionRef: {name: milvus}\n"
        f"  database: {shop.database}\n"
        "  scope: {include: []}\n"
        "  aliases:\n"
        "    - {name: search_a, collection: v1}\n"
        "    - {name: search_b, collection: v2}\n"
    )
    planned = shop.run("plan", "-f", "-", "--detailed-exitcode", text=exported.stdout)
    assert (planned.code, planned.stdout.splitlines()[-1]) == (0, "No changes. 2 aliases up to date.")


def test_an_export_of_a_known_connection_is_a_set_for_it(shop: Shop) -> None:
    """And an empty database is a set too: a place to start."""
    shop.write("connections.yaml", connection(shop.uri))
    exported = shop.run("export", "-f", "connections.yaml", "--database", shop.database)
    [document] = yaml.safe_load_all(exported.stdout)
    assert (document["kind"], document["spec"]["connectionRef"]) == ("AliasSet", {"name": "main"})
    assert (document["spec"]["scope"], document["spec"]["aliases"]) == ({"include": []}, [])
    planned = shop.run("plan", "-f", "connections.yaml", "-f", "-", "--detailed-exitcode", text=exported.stdout)
    assert planned.code == 0


def test_a_plan_against_an_export_is_the_live_plan_without_the_network(shop: Shop) -> None:
    """It can be reviewed, and insisted on; it has never seen the server, and so is not applied by itself."""
    shop.point(moved="v1", s_stale="v1")
    shop.want({"new": "v1", "moved": "v2"}, scope={"include": ["s_*"]})
    exported = shop.run("export", "-f", "aliases.yaml", "--database", shop.database)
    (shop.folder / "export.yaml").write_text(exported.stdout)
    live = shop.plan("--format", "json").document
    planned = shop.plan("--against", "export.yaml", "--out", "plan.json", "--format", "json")
    offline = planned.document
    assert (offline["digest"], offline["summary"]) == (live["digest"], live["summary"])
    assert (offline["targets"][0]["offline"], offline["targets"][0]["calls"]) == (True, 0)

    bare = shop.run("apply", "plan.json", "--yes")
    assert (bare.code, len(shop.live)) == (1, 2)
    assert "made against an export and cannot be applied by itself; use apply -f … --plan" in bare.stderr
    reviewed = shop.apply("--plan", "plan.json")
    assert (reviewed.code, shop.live) == (0, {"moved": "v2", "new": "v1"})

    shop.uri = f"http://127.0.0.1:{free_port()}"
    shop.want({"new": "v1", "moved": "v3"})
    unreachable = shop.plan("--against", "export.yaml")
    assert (unreachable.code, unreachable.stderr) == (0, "")
    assert "~ moved   v1 → v3" in unreachable.stdout
    assert "2 aliases, from an export: targets and gates not checked" in unreachable.stdout


def test_an_export_of_something_else_is_no_live_side(shop: Shop) -> None:
    shop.want({"a": "v1"})
    shop.write("export.yaml", alias_set({"a": "v1"}, database="other"))
    failed = shop.plan("--against", "export.yaml")
    address = shop.uri.removeprefix("http://")
    assert (failed.code, failed.stderr) == (
        1,
        f"error: the export has nothing about {address} / {shop.database}; "
        f"aliasctl export --database {shop.database} writes it\n",
    )


def test_what_is_wanted_is_not_taken_for_what_is_there(shop: Shop) -> None:
    """A pipeline that names the wrong file would see no changes for ever."""
    shop.want({"a": "v1"}, scope={"include": ["s_*"]})
    same = shop.plan("--against", "aliases.yaml")
    assert (same.code, same.stderr) == (
        1,
        "error: --against aliases.yaml is also given with -f: it must be an export of the server\n",
    )
    shop.write("copy.yaml", alias_set({"a": "v1"}, database=shop.database, scope={"include": ["s_*"]}))
    copied = shop.plan("--against", "copy.yaml")
    assert copied.code == 1
    assert "this is no export: it has a scope" in copied.stderr


def test_an_export_stays_in_the_namespace_of_its_connection(shop: Shop) -> None:
    shop.point(a="v1")
    there = {**connection(shop.uri), "metadata": {"name": "main", "namespace": "team"}}
    shop.write("connection.yaml", there)
    exported = shop.run("export", "-f", "connection.yaml", "--database", shop.database)
    (shop.folder / "export.yaml").write_text(exported.stdout)
    planned = shop.run("plan", "-f", "connection.yaml", "-f", "export.yaml")
    assert (planned.code, "No changes. 1 alias up to date." in planned.stdout) == (0, True)
