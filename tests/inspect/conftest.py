"""Servers that ask who calls, one for each kind, for the whole session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.inspect.certificates import Certificates, make_certificates
from tests.inspect.people import People
from tests.inspect.servers import interpreter, secured_milvus


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "certificates" in getattr(item, "fixturenames", ()):
            item.add_marker("own_server")


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    interpreter()
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def check_limits(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One with authorization, over TLS."""
    folder = tmp_path_factory.mktemp("guarded")
    with secured_milvus(folder, certificates, "server", tls_mode=1, authorization_enabled="true") as uri:
        yield uri


@pytest.fixture(scope="session")
def mutual(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One that wants a certificate of its clients."""
    with secured_milvus(tmp_path_factory.mktemp("mutual"), certificates, "server", tls_mode=2) as uri:
        yield uri


@pytest.fixture(scope="session")
def expired(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One whose own certificate is no longer valid."""
    with secured_milvus(tmp_path_factory.mktemp("expired"), certificates, "expired_server", tls_mode=1) as uri:
        yield uri


@pytest.fixture(scope="session")
def people(check_limits: str, certificates: Certificates) -> Iterator[People]:
    people = People(check_limits, certificates)
    yield people
    people.close()
