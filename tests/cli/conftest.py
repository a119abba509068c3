"""A shop for each test on a Milvus Lite that runs as a server, so that commands and tests can share it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.cli.shop import Shop, open_shop
from tests.faults.relay import Relay, relay_to
from tests.servers import MilvusAdmin


@pytest.fixture(scope="session")
def admin(lite_server: str) -> Iterator[MilvusAdmin]:
    admin = MilvusAdmin(lite_server)
    yield admin
    admin.close()


@pytest.fixture
def shop(lite_server: str, admin: MilvusAdmin, tmp_path: Path) -> Shop:
    """A new database on the Milvus Lite server."""
    database = f"shop_{uuid4().hex[:8]}"
    admin.create_database(database)
    return open_shop(lite_server, database, admin, tmp_path)


@pytest.fixture
def relay(lite_server: str) -> Iterator[Relay]:
    with relay_to(lite_server) as relay:
        yield relay
