"""Access to Milvus for aliases: a protocol, its implementation over pymilvus, and an in-memory fake.

Importing this package does not import pymilvus (0.6 s); the first `connect` does.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.catalog.port import Catalog, Connect, Observe
from reconciler.catalog.sessions import Catalogs
from reconciler.core.errors import ConnectionFailed, InvalidInput, Problem
from reconciler.core.model import Connection
from reconciler.credentials import Secrets

if TYPE_CHECKING:
    from reconciler.catalog.sandbox import Sandbox

__all__ = ["Catalog", "Catalogs", "Connect", "Observe", "Secrets", "connect", "lite_file", "open_sandbox"]


def lite_file(connection: Connection) -> Path | None:
    """Return the Milvus Lite file that a connection names, or None if it names a server."""
    is_file = connection.uri.endswith(".db") and "://" not in connection.uri
    return Path(connection.uri) if is_file else None


def connect(
    connection: Connection,
    database: str,
    *,
    create: bool = False,
    secrets: Secrets | None = None,
    observe: Observe | None = None,
) -> Catalog:
    """Open a database, with at most `connection.timeout` seconds for it.

    Args:
        create: whether a missing Milvus Lite file may be created. Milvus Lite creates one (in fact a folder) when it is
            opened.
        secrets: how credentials in Kubernetes Secrets are read; without it they are an error.

    Raises:
        InvalidInput: token or TLS settings that cannot be used; milvus-lite is not installed.
        CatalogError: the server cannot be reached. A missing database is only detected by the first call.
    """
    _ensure_lite(connection, create=create)
    from reconciler.catalog.milvus import MilvusCatalog

    return MilvusCatalog(connection, database, secrets=secrets, observe=observe)


def open_sandbox(connection: Connection, database: str) -> Sandbox:
    """Open a database to exercise its server; errors as for `connect`."""
    _ensure_lite(connection, create=False)
    from reconciler.catalog.sandbox import Sandbox

    return Sandbox(connection, database)


def _ensure_lite(connection: Connection, *, create: bool) -> None:
    """Raise if a Milvus Lite file cannot be opened; see `connect`."""
    if path := lite_file(connection):
        if find_spec("milvus_lite") is None:
            remedy = "pip install '.[lite]' in a clone of aliasctl"
            raise InvalidInput(Problem(f"{connection.uri} is a Milvus Lite file, which needs milvus-lite: {remedy}"))
        if not create and not path.exists():
            raise ConnectionFailed(f"no Milvus Lite file at {path}; only apply creates one")
        if not path.parent.is_dir():
            raise ConnectionFailed(f"no folder {path.parent} to put a Milvus Lite file in")
