"""A repository and a shop for each test, on a Milvus Lite that runs as a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.cli.shop import Shop, open_shop
from tests.faults.relay import Relay, relay_to
from tests.servers import MilvusAdmin
from tests.sync.keys import SshKey, new_ssh_key
from tests.sync.origin import Origin, new_origin
from tests.sync.servers import GitOverHttp, GitOverSsh, git_over_ssh
from tests.sync.stage import Stage


@pytest.fixture(scope="session")
def admin(lite_server: str) -> Iterator[MilvusAdmin]:
    admin = MilvusAdmin(lite_server)
    yield admin
    admin.close()


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    """An empty repository."""
    return new_origin(tmp_path)


@pytest.fixture
def stage(lite_server: str, admin: MilvusAdmin, origin: Origin, tmp_path: Path) -> Stage:
    """A shop whose alias `a` is at v1, as the first commit says; beside it are v2 and v3."""
    database = f"shop_{uuid4().hex[:8]}"
    admin.create_database(database)
    return set_stage(open_shop(lite_server, database, admin, _folder(tmp_path)), origin)


@pytest.fixture(params=["lite_server", "milvus"])
def any_stage(request: pytest.FixtureRequest, origin: Origin, tmp_path: Path) -> Iterator[Stage]:
    """The same, on each kind of server."""
    server = request.getfixturevalue(request.param)
    uri = server if isinstance(server, str) else server.connection.uri
    admin, database = MilvusAdmin(uri), f"shop_{uuid4().hex[:8]}"
    admin.create_database(database)
    try:
        yield set_stage(open_shop(uri, database, admin, _folder(tmp_path)), origin)
    finally:
        client = admin.client(database)
        for alias in client.list_aliases("", db_name=database)["aliases"]:
            client.drop_alias(alias)
        for name in client.list_collections():
            admin.drop_collection(name, database)
        admin.forget(database)
        admin.close()


def set_stage(shop: Shop, origin: Origin) -> Stage:
    stage = Stage(shop, origin)
    shop.point(a="v1")
    stage.connect_to(shop.uri)
    stage.merge({"a": "v1"}, message="Take over the aliases")
    return stage


def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / "agent"
    folder.mkdir()
    return folder


@pytest.fixture
def relay(stage: Stage) -> Iterator[Relay]:
    """What the agents find where they look for Milvus."""
    with relay_to(stage.shop.uri) as relay:
        stage.connect_to(relay.uri)
        yield relay


@pytest.fixture
def http(origin: Origin) -> Iterator[GitOverHttp]:
    server = GitOverHttp(origin.bare.parent)
    yield server
    server.down()


@pytest.fixture(scope="session")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitOverSsh]:
    with git_over_ssh(tmp_path_factory.mktemp("ssh")) as server:
        yield server


@pytest.fixture(scope="session")
def robins_key(tmp_path_factory: pytest.TempPathFactory) -> SshKey:
    return new_ssh_key(tmp_path_factory.mktemp("robin") / "key")


@pytest.fixture(scope="session")
def strangers_key(tmp_path_factory: pytest.TempPathFactory) -> SshKey:
    return new_ssh_key(tmp_path_factory.mktemp("stranger") / "key")
