"""Open catalogs, one for each database and token, for the duration of a run."""

from __future__ import annotations

from threading import Lock
from types import TracebackType
from typing import Self

from reconciler.catalog.port import Catalog, Connect
from reconciler.core.model import Connection, Credential, Target
from reconciler.credentials import Secrets


class Catalogs:
    """A context manager that opens each database once per token, and closes all of them at the end.

    `create`: whether a Milvus Lite file may be created; only for front doors that are about to write.
    `secrets`: how the Kubernetes Secrets of systems beside Milvus are read; None if they cannot be.
    """

    def __init__(self, connect: Connect, *, create: bool = False, secrets: Secrets | None = None) -> None:
        self.secrets = secrets
        self._connect = connect
        self._create = create
        self._open: dict[tuple[Target, Credential | None], Catalog] = {}
        self._lock = Lock()

    def open(self, connection: Connection, database: str) -> Catalog:
        """Return the catalog of a database, opened at the first call. Raises `CatalogError` or `InvalidInput`."""
        key = Target(connection.address, database), connection.token
        with self._lock:
            if key not in self._open:
                self._open[key] = self._connect(connection, database, create=self._create)
            return self._open[key]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._open:
            self._open.popitem()[1].close()
