"""Both overlays, built once."""

from __future__ import annotations

import pytest

from tests.install.built import OVERLAYS, Object, build


@pytest.fixture(scope="session")
def cluster_install() -> list[Object]:
    return build(OVERLAYS / "cluster")


@pytest.fixture(scope="session")
def namespace_install() -> list[Object]:
    return build(OVERLAYS / "namespace")


@pytest.fixture(params=["cluster_install", "namespace_install"])
def installed(request: pytest.FixtureRequest) -> list[Object]:
    """Each overlay in turn."""
    made: list[Object] = request.getfixturevalue(request.param)
    return made
