"""Open connections to Milvus: one for each connection, credential and database, shared by all runs that need it.

A connection whose Secret has another content is another connection: runs that began with the old one finish with it.
"""

from __future__ import annotations

import hashlib
import secrets as random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeAlias

from reconciler.catalog import Catalog, Catalogs
from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.model import Connection, SecretKeyRef
from reconciler.operator.cluster import Cluster, ClusterError
from reconciler.operator.objects import Ref

SECRET_SECONDS = 5.0
"""How long a Secret that was read serves other sets; reading is all that the operator may do with Secrets."""

Key: TypeAlias = tuple[Connection, str, str]
"""A connection, the fingerprint of its credentials, and a database."""
OpenDatabase: TypeAlias = Callable[[Connection, str], Catalog]


class SecretForbidden(InvalidInput):
    """The operator may not read a Secret; it may be there all the same."""


class Secrets:
    """Secrets as they were read a moment ago."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._lock = Lock()
        self._read: dict[Ref, tuple[float, dict[str, bytes]]] = {}
        self._salt = random.token_bytes(16)

    def value(self, namespace: str, secret: SecretKeyRef) -> bytes:
        """A key's value.

        Raises:
            InvalidInput: it is not there; `SecretForbidden` if it may not be read.
            ClusterError: it cannot be read now.
        """
        ref = Ref(namespace, secret.name)
        with self._lock:
            at, data = self._read.get(ref, (float("-inf"), {}))
        if time.monotonic() - at > SECRET_SECONDS:
            found = self._ask(ref)
            if found is None:
                raise InvalidInput(Problem(f'there is no Secret "{secret.name}" in namespace {namespace}'))
            data = dict(found)
            with self._lock:
                self._read[ref] = (time.monotonic(), data)
        if secret.key not in data:
            raise InvalidInput(Problem(f'Secret "{secret.name}" in namespace {namespace} has no key "{secret.key}"'))
        return data[secret.key]

    def _ask(self, ref: Ref) -> Mapping[str, bytes] | None:
        try:
            return self._cluster.secret(ref)
        except ClusterError as error:
            if not error.forbidden:
                raise
            told = f'Secret "{ref.name}" in namespace {ref.namespace} may not be read: {error}'
            raise SecretForbidden(Problem(told)) from error

    def forget(self, connection: Connection) -> None:
        """Read the Secrets of a connection anew at the next call."""
        with self._lock:
            for secret in _secrets_of(connection):
                self._read.pop(Ref(connection.namespace, secret.name), None)

    def fingerprint(self, connection: Connection) -> str:
        """Tells whether the credentials of a connection are still the same; it means nothing outside this process."""
        digest = hashlib.blake2b(key=self._salt)
        for secret in _secrets_of(connection):
            digest.update(hashlib.blake2b(self.value(connection.namespace, secret), key=self._salt).digest())
        return digest.hexdigest()


def _secrets_of(connection: Connection) -> list[SecretKeyRef]:
    tls = connection.tls
    credentials = [connection.token, *((tls.ca, tls.cert, tls.key) if tls else ())]
    return [credential.secret for credential in credentials if credential and credential.secret]


@dataclass(slots=True)
class _Shared:
    """One open database. `lock` is held while it is opened, so that nobody opens it twice."""

    lock: Lock = field(default_factory=Lock)
    catalog: Catalog | None = None
    users: int = 0


class Clients:
    """See above. Used by several threads.

    Args:
        secrets: where credentials come from.
        connect: opens a database.
    """

    def __init__(self, secrets: Secrets, connect: OpenDatabase) -> None:
        self._secrets = secrets
        self._connect = connect
        self._lock = Lock()
        self._shared: dict[Key, _Shared] = {}

    @contextmanager
    def session(self) -> Iterator[Catalogs]:
        """Connections for one run; they stay open at least until its end."""
        taken: list[_Shared] = []

        def opened(connection: Connection, database: str, *, create: bool = False) -> Catalog:  # noqa: ARG001
            shared = self._take(connection, database)
            taken.append(shared)
            with shared.lock:
                if shared.catalog is None:
                    shared.catalog = self._connect(connection, database)
                return shared.catalog

        try:
            yield Catalogs(opened)
        finally:
            with self._lock:
                for shared in taken:
                    shared.users -= 1

    def close_unused(self, in_use: frozenset[Connection]) -> None:
        """Close what no run uses and no set needs any more, old credentials included."""
        unused = []
        with self._lock:
            newest = {(key[0], key[2]): key for key in self._shared}
            for key, shared in list(self._shared.items()):
                needed = key[0] in in_use and newest[key[0], key[2]] == key
                if not shared.users and not needed:
                    unused.append(self._shared.pop(key))
        for shared in unused:
            if shared.catalog:
                shared.catalog.close()

    def close(self) -> None:
        """Close everything."""
        with self._lock:
            everything, self._shared = self._shared, {}
        for shared in everything.values():
            if shared.catalog:
                shared.catalog.close()

    def _take(self, connection: Connection, database: str) -> _Shared:
        key = (connection, self._secrets.fingerprint(connection), database)
        with self._lock:
            shared = self._shared.setdefault(key, _Shared())
            shared.users += 1
            return shared
