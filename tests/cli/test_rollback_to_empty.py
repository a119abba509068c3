"""A rollback to a collection that has become empty is not silent, and is a person's decision."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shop import Shop
from tests.emulated_milvus.behaviour import VERSIONS
from tests.emulated_milvus.cluster import Cluster
from tests.emulated_milvus.proxy import Proxy
from tests.servers import MilvusAdmin

ENV = {"ALIASCTL_JOURNAL": "journal.jsonl"}
EMPTY = "note: v1 is empty now: after the rollback, searches through a, b find nothing"


@pytest.fixture
def moved(tmp_path: Path) -> Iterator[Shop]:
    """A shop whose aliases were moved from v1 to v2, both of them with a row."""
    with Proxy(Cluster(VERSIONS["2.6.13"])) as proxy:
        admin = MilvusAdmin(proxy.uri)
        for name in ("v1", "v2"):
            admin.create_collection(name, replicas=1, rows=[{"id": 1, "vector": [0.5] * 4}])
        shop = Shop(proxy.uri, "default", admin, tmp_path)
        shop.point(a="v1", b="v1")
        shop.want({"a": "v2", "b": "v2"})
        assert shop.run("apply", "-f", "aliases.yaml", "--yes", env=ENV).code == 0
        yield shop
        admin.close()


def test_the_plan_of_the_rollback_says_so_and_is_not_blocked(moved: Shop) -> None:
    assert "is empty" not in moved.run("rollback", "--dry-run", env=ENV).stdout
    moved.admin.client().truncate_collection("v1")
    planned = moved.run("rollback", "--dry-run", "--output", "json=plan.json", env=ENV)
    assert (planned.code, EMPTY in planned.stdout) == (0, True)
    assert moved.read("plan.json")["targets"][0]["notices"] == [EMPTY.removeprefix("note: ")]
    to = moved.run("rollback", "--alias", "a", "--to", "v1", "--dry-run", env=ENV)
    assert "v1 is empty now: after the rollback, searches through a find nothing" in to.stdout
    done = moved.run("rollback", "--yes", env=ENV)
    assert (done.code, moved.live) == (0, {"a": "v1", "b": "v1"})
    assert EMPTY.removeprefix("note: ") in done.stdout + done.stderr
