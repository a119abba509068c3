"""The way to know whether a drop is permitted on newer servers, walked on a real one that says it is a newer one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from pymilvus.grpc_gen import milvus_pb2

from reconciler.catalog import connect
from reconciler.catalog.port import AliasWrite
from reconciler.core.model import Credential
from tests.faults.relay import Relay
from tests.inspect.certificates import Certificates
from tests.inspect.people import People
from tests.servers import connection_to, status


class Renewed(Relay):
    """Passes calls on over TLS, and reports a newer version."""

    def __init__(self, uri: str, certificates: Certificates, version: str = "v2.6.4") -> None:
        super().__init__(uri)
        self._version = version
        self._channel.close()
        trusted = grpc.ssl_channel_credentials(Path(certificates.pem("ca")).read_bytes())
        self._channel = grpc.secure_channel(uri.removeprefix("https://"), trusted)
        self.methods: list[str] = []

    def answer(self, method: str, request: bytes, context: grpc.ServicerContext) -> Any:
        self.methods.append(method.rpartition("/")[2])
        if self.methods[-1] == "GetVersion":
            return milvus_pb2.GetVersionResponse(status=status(), version=self._version).SerializeToString()
        return super().answer(method, request, context)


@pytest.fixture
def renewed(check_limits: str, certificates: Certificates) -> Iterator[Renewed]:
    relay = Renewed(check_limits, certificates)
    yield relay
    relay.stop()


@pytest.mark.parametrize(("lacking", "permitted"), [((), True), (("DropAlias",), False)])
def test_everyone_may_read_their_own_grants(
    lacking: tuple[str, ...], permitted: bool, renewed: Renewed, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN_OF_SOMEBODY", people.lacking(*lacking))
    server = connection_to(renewed.uri, token=Credential(env="TOKEN_OF_SOMEBODY"), timeout=30.0)
    catalog = connect(server, "default")
    assert catalog.permits(AliasWrite.DROP) is permitted
    assert catalog.permits(AliasWrite.CREATE) is True
    catalog.close()
    assert "DropAlias" not in renewed.methods
