"""Which authorities a server's certificate is verified by."""

from __future__ import annotations

import pytest

from reconciler.catalog.memory import MemoryCatalog, MemoryServer
from reconciler.core.model import Connection, Credential, Tls
from reconciler.inspect.conditions import Subject
from reconciler.inspect.server import GRPC_ROOTS, server_conditions


@pytest.mark.parametrize(
    ("tls", "variable", "expected"),
    [
        (None, "", "the authorities that gRPC brings, not the system's"),
        (None, "/etc/ssl/roots.crt", f"the authorities in /etc/ssl/roots.crt ({GRPC_ROOTS})"),
        (Tls(ca=Credential(file="ca.pem")), "/etc/ssl/roots.crt", "the file ca.pem"),
    ],
)
def test_the_authorities_are_named(
    tls: Tls | None, variable: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(GRPC_ROOTS, variable)
    connection = Connection("lab", "https://localhost:19530", "localhost:19530", tls=tls)
    found = server_conditions(connection, MemoryCatalog(MemoryServer(), "default"))
    [detail] = [condition.detail for condition in found if condition.subject is Subject.TLS]
    assert detail == f"the server's certificate is verified by {expected}"
