"""Connections to Milvus, shared by all runs with the same connection, credentials and database.

When the content of a Secret changes, later runs get a new connection; runs that began with the old one finish with it.
"""

from __future__ import annotations

import hashlib
import secrets as random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import TypeAlias

from msgspec import Struct, field

from reconciler.catalog import Catalog, Catalogs
from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.model import Connection, SecretKeyRef
from reconciler.operator.cluster import Cluster, ClusterError
from reconciler.operator.objects import Ref

SECRET_SECONDS = 5.0
"""How long a Secret is cached. It cannot be watched: the operator may only read Secrets by name."""

Key: TypeAlias = tuple[Connection, str, str]
"""A connection, the fingerprint of its credentials, and a database."""
OpenDatabase: TypeAlias = Callable[[Connection, str], Catalog]


class SecretForbidden(InvalidInput):
    """The operator may not read a Secret, which may exist or not."""


class Secrets:
    """Reads Secrets, and caches them for a moment. Thread-safe."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._lock = Lock()
        self._read: dict[Ref, tuple[float, dict[str, bytes]]] = {}
        self._salt = random.token_bytes(16)

    def value(self, namespace: str, secret: SecretKeyRef) -> bytes:
        """Return the value of a key.

        Raises `InvalidInput`: the Secret or the key does not exist; `SecretForbidden` if it may not be read. Raises
        `ClusterError`: the Secret cannot be read now.
        """
        ref = Ref(namespace, secret.name)
        with self._lock:
            at, data = self._read.get(ref, (float("-inf"), {}))
        if time.monotonic() - at > SECRET_SECONDS:
            found = self._fetch(ref)
            if found is None:
                raise InvalidInput(Problem(f'there is no Secret "{secret.name}" in namespace {namespace}'))
            data = dict(found)
            with self._lock:
                self._read[ref] = (time.monotonic(), data)
        if secret.key not in data:
            raise InvalidInput(Problem(f'Secret "{secret.name}" in namespace {namespace} has no key "{secret.key}"'))
        return data[secret.key]

    def _fetch(self, ref: Ref) -> Mapping[str, bytes] | None:
        try:
            return self._cluster.secret(ref)
        except ClusterError as error:
            if not error.forbidden:
                raise
            message = f'Secret "{ref.name}" in namespace {ref.namespace} may not be read: {error}'
            raise SecretForbidden(Problem(message)) from error

    def forget(self, connection: Connection) -> None:
        """Drop the Secrets of a connection from the cache."""
        with self._lock:
            for secret in _secrets_of(connection):
                self._read.pop(Ref(connection.namespace, secret.name), None)

    def fingerprint(self, connection: Connection) -> str:
        """Return a keyed hash of the credentials of a connection, which only this process can compare."""
        digest = hashlib.blake2b(key=self._salt)
        for secret in _secrets_of(connection):
            digest.update(hashlib.blake2b(self.value(connection.namespace, secret), key=self._salt).digest())
        return digest.hexdigest()


def _secrets_of(connection: Connection) -> list[SecretKeyRef]:
    tls = connection.tls
    credentials = [connection.token, *((tls.ca, tls.cert, tls.key) if tls else ())]
    return [credential.secret for credential in credentials if credential and credential.secret]


class _Shared(Struct):
    """An open database. `lock` is held while it is opened, so that it is opened once.

    `outdated` are earlier connections, which runs may still use.
    """

    lock: Lock = field(default_factory=Lock)
    catalog: Catalog | None = None
    outdated: list[Catalog] = field(default_factory=list)
    users: int = 0

    def open(self, connect: Callable[[], Catalog]) -> Catalog:
        """Return the connection, opened if there is none yet or another primary may have taken over."""
        with self.lock:
            if self.catalog is None or self.catalog.outdated:
                before, self.catalog = self.catalog, connect()
                self.outdated += [before] if before else []
            return self.catalog


class Clients:
    """Opens, shares and closes connections. Thread-safe."""

    def __init__(self, secrets: Secrets, connect: OpenDatabase) -> None:
        self._secrets = secrets
        self._connect = connect
        self._lock = Lock()
        self._shared: dict[Key, _Shared] = {}

    @contextmanager
    def session(self) -> Iterator[Catalogs]:
        """Yield connections for one run; they stay open at least until its end."""
        taken: list[_Shared] = []

        def opened(connection: Connection, database: str, *, create: bool = False) -> Catalog:  # noqa: ARG001
            shared = self._take(connection, database)
            taken.append(shared)
            return shared.open(lambda: self._connect(connection, database))

        try:
            yield Catalogs(opened, secrets=self._secrets.value)
        finally:
            with self._lock:
                for shared in taken:
                    shared.users -= 1

    def close_unused(self, in_use: frozenset[Connection]) -> None:
        """Close connections that no run uses, unless a set needs them with these credentials."""
        unused: list[Catalog] = []
        with self._lock:
            newest = {(key[0], key[2]): key for key in self._shared}
            for key, shared in list(self._shared.items()):
                needed = key[0] in in_use and newest[key[0], key[2]] == key
                if not shared.users:
                    unused += shared.outdated
                    shared.outdated = []
                if not shared.users and not needed:
                    unused += [shared.catalog] if shared.catalog else []
                    del self._shared[key]
        for catalog in unused:
            catalog.close()

    def close(self) -> None:
        with self._lock:
            everything, self._shared = self._shared, {}
        for shared in everything.values():
            for catalog in (*shared.outdated, *([shared.catalog] if shared.catalog else [])):
                catalog.close()

    def _take(self, connection: Connection, database: str) -> _Shared:
        key = (connection, self._secrets.fingerprint(connection), database)
        with self._lock:
            shared = self._shared.setdefault(key, _Shared())
            shared.users += 1
            return shared
