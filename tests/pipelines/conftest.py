"""The shipped pipelines on each system, a Git repository of their own, and a database on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import pytest

from tests.cli.shop import Shop, open_shop
from tests.pipelines.forge import Ran, serving
from tests.pipelines.github import GitHub, GitHubApi
from tests.pipelines.gitlab import GitLab, GitLabApi
from tests.pipelines.repository import Repository, new_repository
from tests.pipelines.shell import Shell
from tests.servers import MilvusAdmin


class Pipeline(Protocol):
    """A CI system with the shipped pipeline for it. Every call is one job, on a runner of its own."""

    repository: Repository

    def review(self, branch: str) -> Ran: ...
    def review_from_outside(self, branch: str) -> Ran: ...
    def merged(self, commit: str) -> Ran: ...
    def plan_again(self, commit: str) -> Ran: ...
    def drift(self, commit: str) -> Ran: ...


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    """A database whose alias `products` is at v1; beside it are v2 and v3.

    On Milvus Lite, or where a test is marked `milvus`, on the real one: pipelines are slow, and the same to both.
    """
    real = request.node.get_closest_marker("milvus")
    uri = request.getfixturevalue("milvus").connection.uri if real else request.getfixturevalue("lite_server")
    admin, database = MilvusAdmin(uri), f"shop_{uuid4().hex[:8]}"
    admin.create_database(database)
    try:
        shop = open_shop(uri, database, admin, tmp_path)
        shop.point(products="v1")
        yield shop
    finally:
        client = admin.client(database)
        for alias in client.list_aliases("", db_name=database)["aliases"]:
            client.drop_alias(alias)
        for name in client.list_collections():
            admin.drop_collection(name, database)
        admin.forget(database)
        admin.close()


@pytest.fixture
def repository(shop: Shop, tmp_path: Path) -> Repository:
    """Its main wants what is live."""
    repository = new_repository(tmp_path, shop.uri, shop.database)
    repository.want({"products": "v1"})
    repository.commit("Take over the aliases")
    repository.push()
    return repository


@pytest.fixture
def github(repository: Repository, tmp_path: Path) -> Iterator[GitHub]:
    api = GitHubApi()
    with serving(api) as url:
        yield GitHub(repository, tmp_path / "github", url, api)


@pytest.fixture
def gitlab(repository: Repository, tmp_path: Path) -> Iterator[GitLab]:
    api = GitLabApi()
    with serving(api) as url:
        api.storage = url.replace("127.0.0.1", "localhost")
        yield GitLab(repository, tmp_path / "gitlab", url, api)


@pytest.fixture
def shell(repository: Repository, tmp_path: Path) -> Shell:
    (tmp_path / "shell").mkdir()
    return Shell(repository, tmp_path / "shell")


ON_A_REAL_SERVER = pytest.param("shell", marks=pytest.mark.milvus, id="shell-milvus")


@pytest.fixture(params=["github", "gitlab", "shell"])
def pipeline(request: pytest.FixtureRequest, repository: Repository) -> Pipeline:
    """Each system in turn."""
    made: Pipeline = request.getfixturevalue(request.param)
    return made
