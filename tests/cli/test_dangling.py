"""A dangling alias: its collection is gone, no list shows it, and it still holds its name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.catalog import connect
from tests.cli.command import run
from tests.cli.shop import Shop, open_shop, shop_for_all
from tests.emulated_milvus.behaviour import VERSIONS
from tests.emulated_milvus.cluster import Cluster
from tests.emulated_milvus.proxy import Proxy
from tests.servers import MilvusAdmin, connection_to


@pytest.fixture(params=["milvus", "2.5.4", "2.6.13"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    """A shop whose alias `gone` dangles, on a real server, on an emulated one, and on one that was upgraded since."""
    if request.param == "milvus":
        with shop_for_all(request.getfixturevalue("milvus").connection.uri, tmp_path) as shop:
            yield with_dangling_alias(open_shop(shop.uri, shop.database, shop.admin, tmp_path))
        return
    with Proxy(Cluster(VERSIONS["2.5.4"])) as proxy:
        admin = MilvusAdmin(proxy.uri)
        shop = with_dangling_alias(open_shop(proxy.uri, "default", admin, tmp_path))
        proxy.cluster.upgrade(VERSIONS[request.param])
        yield shop
        admin.close()


def with_dangling_alias(shop: Shop) -> Shop:
    shop.point(gone="v3", here="v1")
    shop.admin.drop_collection("v3", shop.database)
    return shop


def dangles(shop: Shop) -> bool | None:
    catalog = connect(connection_to(shop.uri), shop.database)
    try:
        return catalog.dangles("gone")
    finally:
        catalog.close()


def test_absent_drops_it_and_says_so(shop: Shop) -> None:
    shop.want({"gone": None, "never": None, "here": "v1"})
    planned = shop.plan("--detailed-exitcode", "--output", "json=plan.json")
    assert planned.code == 2
    assert "  - gone   (dangling)" in planned.stdout
    assert "1 to drop, 0 blocked, 2 unchanged" in planned.stdout
    [step] = shop.read("plan.json")["targets"][0]["steps"]
    assert (step["action"], step["from"], step["to"], step["dangling"]) == ("drop", None, None, True)
    [row] = [line for line in shop.run("status", "-f", "aliases.yaml").stdout.splitlines() if " gone " in line]
    state, note = row.split(maxsplit=8)[-2:]
    assert (state, note) == ("Unwanted", "dangling: its collection is gone, and the alias still holds the name")

    applied = shop.apply()
    assert (applied.code, "gone   (dangling)   done" in applied.stdout, dangles(shop)) == (0, True, False)
    assert shop.plan("--detailed-exitcode").code == 0
    shop.point(gone="v1")


def test_a_limit_counts_it(shop: Shop) -> None:
    shop.want({"gone": None}, limits={"maxDrops": 0})
    refused = shop.apply()
    assert (refused.code, "would drop 1 alias, over its maxDrops of 0" in refused.stdout, dangles(shop)) == (
        3,
        True,
        True,
    )


def test_a_protected_one_stays(shop: Shop) -> None:
    shop.want({"gone": None}, scope={"include": [], "protect": ["gone"]})
    refused = shop.apply()
    assert (refused.code, "the alias is protected" in refused.stdout, dangles(shop)) == (3, True, True)


def test_a_saved_plan_drops_it(shop: Shop) -> None:
    shop.want({"gone": None})
    assert shop.plan("--out", "plan.json").code == 0
    assert "(dangling)" in shop.run("show", "plan.json").stdout
    assert shop.run("apply", "plan.json", "--yes").code == 0
    assert shop.run("apply", "plan.json", "--yes").code == 0
    assert dangles(shop) is False


def test_a_rollback_has_nothing_to_restore(shop: Shop) -> None:
    shop.want({"gone": None, "here": "v2"}, gates={"loaded": {"enabled": False}})
    assert shop.apply("--journal", "journal.jsonl").code == 0
    [past] = shop.run("history", "--journal", "journal.jsonl", "--format", "json").document["runs"]
    assert "(dangling)" in shop.run("history", "--journal", "journal.jsonl", past["id"]).stdout
    rolled_back = shop.run("rollback", "--journal", "journal.jsonl", "--yes")
    assert (rolled_back.code, shop.live) == (0, {"here": "v1"})


def test_without_the_privilege_it_is_reported_that_nobody_knows(tmp_path: Path) -> None:
    with Proxy(Cluster(VERSIONS["2.5.4"])) as proxy:
        admin = MilvusAdmin(proxy.uri)
        shop = with_dangling_alias(open_shop(proxy.uri, "default", admin, tmp_path))
        admin.close()
        proxy.cluster.passwords["bob"] = "Passw0rd"
        proxy.cluster.authorization = True
        shop.want({"gone": None})
        env = {"TOKEN": "bob:Passw0rd"}
        planned = run("plan", "-f", "aliases.yaml", cwd=tmp_path, env=env)
        assert planned.code == 0, planned
        said = 'cannot determine whether a dangling alias still holds "gone": the server does not say; grant the'
        assert f"note: {said} privilege ShowPartitions on the name, or call drop_alias" in planned.stdout
        status = run("status", "-f", "aliases.yaml", cwd=tmp_path, env=env)
        assert f"InSync   {said}" in status.stdout
