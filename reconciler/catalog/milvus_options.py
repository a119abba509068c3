"""Settings of pymilvus for a connection: the value of the token and the paths of the PEM files.

Values are read at connect and stay inside the client; an error names the place, never the content.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec.structs import replace

from reconciler.catalog.port import Secrets
from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.model import Connection, Credential, Tls
from reconciler.credentials import read_secret, without_line_end


@contextmanager
def client_options(connection: Connection, secrets: Secrets | None = None) -> Iterator[dict[str, str]]:
    """Yield keyword arguments of `MilvusClient` for the connection's token and TLS settings.

    PEM data from Secrets are in private files while the context is open; gRPC reads them when the client is created.
    `secrets`: how Kubernetes Secrets are read; None if they cannot be. Raises `InvalidInput`: a variable, file or
    Secret is missing, empty or unreadable, or the settings are not compatible.
    """
    token = {"token": _token(connection, connection.token, secrets)} if connection.token else {}
    if connection.tls is None:
        yield token
    elif secrets is None:
        yield token | _tls(connection, connection.tls)
    else:
        with _temporary_folder() as folder:
            yield token | _tls(connection, _on_disk(connection.tls, connection.namespace, secrets, Path(folder)))


def _temporary_folder() -> TemporaryDirectory[str]:
    try:
        return TemporaryDirectory(prefix="aliasctl-")
    except OSError as error:
        message = f"TLS settings in Secrets need a folder for temporary files: {error.strerror}; set TMPDIR to one"
        raise _invalid(message) from error


def _on_disk(tls: Tls, namespace: str, secrets: Secrets, folder: Path) -> Tls:
    """Return the TLS settings with files instead of Secrets."""

    def written(credential: Credential | None, name: str) -> Credential | None:
        if credential is None or credential.secret is None:
            return credential
        path = folder / name
        path.touch(mode=0o600)
        path.write_bytes(secrets(namespace, credential.secret))
        return Credential(file=str(path))

    return replace(tls, ca=written(tls.ca, "ca"), cert=written(tls.cert, "cert"), key=written(tls.key, "key"))


def _token(connection: Connection, credential: Credential, secrets: Secrets | None) -> str:
    if credential.secret is None:
        return read_secret(credential, "the token")
    if secrets is None:
        raise _unreadable_here("token", "--token-env or --token-file")
    place = f"Secret {credential.secret.name} (key {credential.secret.key})"
    try:
        token = without_line_end(secrets(connection.namespace, credential.secret).decode())
    except UnicodeDecodeError:  # whose text would show the content
        raise _invalid(f"the token's {place} is not text") from None
    if not token:
        raise _invalid(f"the token's {place} is empty")
    return token


def _tls(connection: Connection, tls: Tls) -> dict[str, str]:
    """Return TLS settings as pymilvus expects them.

    pymilvus 3.0.2 (`grpc_handler.py`, `_create_grpc_channel`) takes a CA alone as `server_pem_path`, and a client
    certificate only if all three of its own paths are given and `server_pem_path` is not.
    """
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
    except ValueError:  # a name that is not possible for a file
        raise _invalid(f"cannot read the TLS {part} file {path}: no such file") from None


def _path(credential: Credential, what: str, flags: str) -> Path:
    if credential.secret is not None:
        raise _unreadable_here(what, flags)
    if credential.file is None:
        raise _invalid(f"the {what} must come from a file; pass {flags}")
    return Path(credential.file)


def _unreadable_here(what: str, flags: str) -> InvalidInput:
    return _invalid(f"the {what} is in a Kubernetes Secret, which only the operator can read; pass {flags}")


def _invalid(message: str) -> InvalidInput:
    return InvalidInput(Problem(message))
