"""What pymilvus wants to know of a connection: the token's value and the PEM files' paths.

Values are read at connect and stay inside the client; an error names the place, never the content.
"""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.errors import InvalidInput, Problem
from reconciler.model import Connection, Credential, Tls


def client_options(connection: Connection) -> dict[str, str]:
    """Keyword arguments of `MilvusClient` for the connection's token and TLS settings.

    Raises:
        InvalidInput: a variable or file is missing, empty or unreadable, or the TLS settings do not go together.
    """
    token = {"token": _token(connection.token)} if connection.token else {}
    tls = _tls(connection, connection.tls) if connection.tls else {}
    return token | tls


def _token(credential: Credential) -> str:
    if credential.env is not None:
        place = f"environment variable {credential.env}"
        token = os.environ.get(credential.env)
        if token is None:
            raise _invalid(f"the token's {place} is not set")
    else:
        path = _path(credential, "token", "--token-env or --token-file")
        place = f"file {path}"
        try:
            token = path.read_text(encoding="utf-8")
        except OSError as error:
            raise _invalid(f"cannot read the token's {place}: {error.strerror}") from None
        except UnicodeDecodeError:  # whose text would show the content
            raise _invalid(f"the token's {place} is not text") from None
        token = token.removesuffix("\n").removesuffix("\r")
    if not token:
        raise _invalid(f"the token's {place} is empty")
    if not token.isascii() and _undecodable(token):
        raise _invalid(f"the token's {place} is not text")
    return token


def _undecodable(text: str) -> bool:
    """Whether bytes that are no UTF-8 were smuggled in, as Python does with environment variables."""
    return any("\udc80" <= character <= "\udcff" for character in text)


def _tls(connection: Connection, tls: Tls) -> dict[str, str]:
    """pymilvus 3.0.2 (`grpc_handler.py`, `_create_grpc_channel`) takes a CA alone as `server_pem_path`, and a client
    certificate only if all three of its own paths are given and `server_pem_path` is not."""
    if not connection.uri.lower().startswith("https://"):
        raise _invalid(f"TLS settings need an https:// address, and {connection.address} has none")
    ca, cert, key = (
        str(_pem(credential, part)) if credential else ""
        for credential, part in ((tls.ca, "ca"), (tls.cert, "cert"), (tls.key, "key"))
    )
    name = {"server_name": tls.server_name} if tls.server_name else {}
    if cert and key and ca:
        return name | {"client_pem_path": cert, "client_key_path": key, "ca_pem_path": ca}
    if cert or key:
        raise _invalid("a client certificate needs --tls-cert, --tls-key and --tls-ca together")
    return name | ({"server_pem_path": ca} if ca else {})


def _pem(credential: Credential, part: str) -> Path:
    path = _path(credential, f"TLS {part}", f"--tls-{part}")
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise _invalid(f"cannot read the TLS {part} file {path}: {error.strerror}") from None


def _path(credential: Credential, what: str, flags: str) -> Path:
    if credential.secret is not None:
        where = f"the {what} is in a Kubernetes Secret, which only the operator can read"
        raise _invalid(f"{where}; pass {flags}")
    if credential.file is None:
        raise _invalid(f"the {what} must come from a file; pass {flags}")
    return Path(credential.file)


def _invalid(message: str) -> InvalidInput:
    return InvalidInput(Problem(message))
