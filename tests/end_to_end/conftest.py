"""A database on a real server, Milvus Lite or Milvus 2.3.5, that several processes can use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.shop import Shop, shop_for_all


@pytest.fixture(scope="module", params=["lite_server", "milvus"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A new database with the loaded collections `old` and `new`, of different rows; and a folder to work in."""
    server = request.getfixturevalue(request.param)
    uri = server if isinstance(server, str) else server.connection.uri
    with shop_for_all(uri, tmp_path_factory.mktemp("shop")) as shop:
        for name, keys in (("old", (1, 2, 3)), ("new", (101, 102, 103))):
            rows = [{"id": key, "vector": (float(key), 0.0, 0.0, 0.0)} for key in keys]
            shop.admin.create_collection(name, shop.database, replicas=1, rows=rows)
        yield shop
