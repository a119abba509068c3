"""Settings of pymilvus for a connection: the value of the token and the paths of the PEM files.

Values are read at connect and stay inside the client; an error names the place, never the content.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.model import Connection, Tls
from reconciler.credentials import Secrets, on_disk, pem_file, read_credential


@contextmanager
def client_options(connection: Connection, secrets: Secrets | None = None) -> Iterator[dict[str, str]]:
    """Yield keyword arguments of `MilvusClient` for the connection's token and TLS settings.

    PEM data from Secrets are in private files while the context is open; gRPC reads them when the client is created.
    `secrets`: how Kubernetes Secrets are read; None if they cannot be. Raises `InvalidInput`: a variable, file or
    Secret is missing, empty or unreadable, or the settings are not compatible.
    """
    token = {}
    if connection.token:
        remedy = "pass --token-env or --token-file"
        token["token"] = read_credential(connection.token, "the token", remedy, connection.namespace, secrets)
    with on_disk(connection.tls or Tls(), connection.namespace, secrets) as tls:
        yield token | (_tls(connection, tls) if connection.tls else {})


def _tls(connection: Connection, tls: Tls) -> dict[str, str]:
    """Return TLS settings as pymilvus expects them.

    pymilvus 3.0.2 (`grpc_handler.py`, `_create_grpc_channel`) takes a CA alone as `server_pem_path`, and a client
    certificate only if all three of its own paths are given and `server_pem_path` is not.
    """
    if not connection.uri.lower().startswith("https://"):
        raise _invalid(f"TLS settings need an https:// address, and {connection.address} has none")
    ca, cert, key = (
        str(pem_file(credential, part, f"pass --tls-{part}")) if credential else ""
        for credential, part in ((tls.ca, "ca"), (tls.cert, "cert"), (tls.key, "key"))
    )
    name = {"server_name": tls.server_name} if tls.server_name else {}
    if cert and key and ca:
        return name | {"client_pem_path": cert, "client_key_path": key, "ca_pem_path": ca}
    if cert or key:
        raise _invalid("a client certificate needs --tls-cert, --tls-key and --tls-ca together")
    return name | ({"server_pem_path": ca} if ca else {})


def _invalid(message: str) -> InvalidInput:
    return InvalidInput(Problem(message))
