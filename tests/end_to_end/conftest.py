"""A database on a real server, Milvus Lite or Milvus 2.3.5, that several processes can use."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.cli.shop import Shop
from tests.servers import MilvusAdmin


@pytest.fixture(scope="module", params=["lite_server", "milvus"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A new database with the loaded collections `old` and `new`, of different rows; and a folder to work in."""
    server = request.getfixturevalue(request.param)
    uri = server if isinstance(server, str) else server.connection.uri
    admin, database = MilvusAdmin(uri), f"shop_{uuid4().hex[:8]}"
    admin.create_database(database)
    try:
        for name, keys in (("old", (1, 2, 3)), ("new", (101, 102, 103))):
            rows = [{"id": key, "vector": (float(key), 0.0, 0.0, 0.0)} for key in keys]
            admin.create_collection(name, database, replicas=1, rows=rows)
        yield Shop(uri, database, admin, tmp_path_factory.mktemp("shop"))
    finally:
        client = admin.client(database)
        for alias in client.list_aliases("", db_name=database)["aliases"]:
            client.drop_alias(alias)
        for name in client.list_collections():
            admin.drop_collection(name, database)
        admin.forget(database)
        admin.close()
