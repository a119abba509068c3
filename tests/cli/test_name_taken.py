"""A collection has the name that is to become an alias: the plan says how to go on, and going on works."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shop import Shop, shop_for_all


@pytest.fixture(params=["lite_server", "milvus"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    server = request.getfixturevalue(request.param)
    with shop_for_all(server if isinstance(server, str) else server.connection.uri, tmp_path) as shop:
        yield shop


def test_from_a_collection_to_an_alias_and_back(shop: Shop) -> None:
    rows = [{"id": 1, "vector": [0.1] * 4}]
    shop.admin.create_collection("products", shop.database, replicas=1, rows=rows)
    shop.want({"products": "products_v1"})
    planned = shop.plan()
    assert planned.code == 3
    assert (
        f'"products" is the name of a collection in database "{shop.database}"; rename it to products_v1, then apply '
        "again: see docs/adopt.md#make-a-collections-name-an-alias" in planned.stdout
    )
    shop.admin.rename_collection("products", "products_v1", shop.database)
    shop.admin.load("products_v1", shop.database)  # Milvus Lite releases it
    assert (shop.apply().code, shop.live) == (0, {"products": "products_v1"})
    assert len(shop.admin.client(shop.database).query("products", filter="id > 0")) == 1

    shop.want({"products": None})
    assert (shop.apply().code, shop.live) == (0, {})
    shop.admin.rename_collection("products_v1", "products", shop.database)
    assert shop.admin.client(shop.database).has_collection("products")


def test_a_new_collection_that_took_the_name_is_not_to_be_renamed_to_an_existing_one(shop: Shop) -> None:
    for name in ("products", "products_v1"):
        shop.admin.create_collection(name, shop.database)
    shop.want({"products": "products_v1"})
    planned = shop.plan()
    assert (planned.code, "; rename that collection, then apply again" in planned.stdout) == (3, True)


def test_the_chapter_that_the_message_names_exists() -> None:
    page = (Path(__file__).parents[2] / "docs" / "adopt.md").read_text()
    assert "\n## Make a collection's name an alias\n" in page
