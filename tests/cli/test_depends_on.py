"""`spec.dependsOn` on the command line: the order of databases, what a plan says, and what a failure stops."""

from __future__ import annotations

import pytest

from tests.cli.shop import Shop, Spec, alias_set, connection

AFTER_STAGING = [{"name": "staging"}]


@pytest.fixture
def staging(shop: Shop) -> str:
    """A second database, which comes after that of the shop by name; it has the collections v1 and v2."""
    name = f"z_{shop.database}"
    shop.admin.create_database(name)
    for collection in ("v1", "v2"):
        shop.admin.create_collection(collection, name)
    return name


def two(shop: Shop, staging: str, collection: str = "v2") -> tuple[Spec, ...]:
    return (
        connection(shop.uri, token={"env": "TOKEN"}),
        alias_set({"a": "v2"}, name="prod", database=shop.database, dependsOn=AFTER_STAGING),
        alias_set({"a": collection}, name="staging", database=staging),
    )


def test_the_plan_says_what_waits_and_a_saved_plan_is_applied_in_that_order(shop: Shop, staging: str) -> None:
    shop.write("aliases.yaml", *two(shop, staging))
    planned = shop.plan("--out", "plan.json")
    assert planned.stdout.index(f"main / {staging}") < planned.stdout.index(f"main / {shop.database}")
    assert "  note: prod waits for staging\n" in planned.stdout
    applied = shop.run("apply", "plan.json", "--yes", "--output", "json=report.json")
    assert applied.code == 0, applied.stderr
    assert [target["database"] for target in shop.read("report.json")["targets"]] == [staging, shop.database]
    assert shop.live == {"a": "v2"}


def test_what_waits_for_a_blocked_set_is_blocked_and_nothing_is_written(shop: Shop, staging: str) -> None:
    shop.write("aliases.yaml", *two(shop, staging, "absent"))
    planned = shop.plan()
    assert planned.code == 3
    assert 'waits for AliasSet "staging": "a" is blocked: absent does not exist' in " ".join(planned.stdout.split())
    assert shop.apply().code == 3
    assert shop.live == {}


def test_a_dependency_that_is_not_given_stops_the_command_with_its_place(shop: Shop, staging: str) -> None:
    *given, _ = two(shop, staging)
    shop.write("aliases.yaml", *given)
    planned = shop.plan()
    assert planned.code == 1
    assert 'AliasSet "staging" is not among the manifests; give its file with -f' in planned.stderr
    assert "aliases.yaml:" in planned.stderr
    assert shop.run("validate", "-f", "aliases.yaml").code == 0


def test_the_graph_has_an_arrow_from_the_set_that_waits(shop: Shop, staging: str) -> None:
    shop.write("aliases.yaml", *two(shop, staging))
    drawn = shop.run("graph", "-f", "aliases.yaml", "--live")
    assert '  s2 -. "waits for" .-> s1\n' in drawn.stdout
