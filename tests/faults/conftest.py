"""A database on a real server, Milvus Lite or Milvus 2.3.5, whose aliases are made and unmade in every round."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.cli.shop import Shop, shop_for_all
from tests.reliability.tally import Tally


@pytest.fixture(scope="module", params=["lite_server", "milvus"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A new database with the empty collections v1, v2 and v3; and a folder to work in."""
    server = request.getfixturevalue(request.param)
    uri = server if isinstance(server, str) else server.connection.uri
    with shop_for_all(uri, tmp_path_factory.mktemp("shop")) as shop:
        for name in ("v1", "v2", "v3"):
            shop.admin.create_collection(name, shop.database)
        yield shop


@pytest.fixture
def tried(shop: Shop, tally: Callable[[str, str], Tally]) -> Callable[[str], Tally]:
    """Opens a suite by its name, on the server of the shop."""
    version = shop.admin.client().get_server_version()
    return lambda suite: tally(suite, "Milvus Lite 3.2" if "milvus_lite" in version else "Milvus 2.3.5")
