"""What manifests say, document by document, before flags and the environment have their say."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from reconciler.core.errors import Problem
from reconciler.core.model import (
    Alias,
    Credential,
    Hook,
    Limits,
    OnFailure,
    Prometheus,
    Receiver,
    Scope,
    Source,
    Tls,
    Verify,
)
from reconciler.manifest.specs.alias_set import Operation


class ConnectionManifest(Struct, frozen=True):
    """A MilvusConnection; `timeout` (seconds) and `concurrency` are None where the document has none.

    `server_version` is empty where the document has none.
    """

    name: str
    namespace: str
    uri: str
    address: str
    token: Credential | None
    tls: Tls | None
    timeout: float | None
    concurrency: int | None
    server_version: str
    source: Source
    hooks: tuple[Hook, ...] = ()
    prometheus: Prometheus | None = None
    notify: tuple[Receiver, ...] = ()


class AliasSetManifest(Struct, frozen=True):
    """An AliasSet; `database` is None where the document has none. `connection_source` is where it names its server.

    `verify` is without endpoints: `endpoints` has their names, each with the place where it stands, `hooks` those of
    the hooks that gates name, and `depends_on` those of the sets that come first. `operation` is for the operator
    alone.
    """

    name: str
    namespace: str
    connection_name: str
    connection_source: Source
    database: str | None
    aliases: tuple[Alias, ...]
    scope: Scope
    limits: Limits
    verify: Verify
    endpoints: Mapping[str, Source]
    on_failure: OnFailure
    suspend: bool
    operation: Operation
    source: Source
    hooks: tuple[tuple[str, Source], ...] = ()
    depends_on: Mapping[str, Source] = {}

    @property
    def key(self) -> str:
        """The set's name in messages: `namespace/name`, or `name` where no namespace is given."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Manifests(Struct, frozen=True):
    """All that was read: connections by namespace and name; `skipped` counts the documents that are not ours."""

    connections: Mapping[tuple[str, str], ConnectionManifest] = {}
    sets: tuple[AliasSetManifest, ...] = ()
    skipped: int = 0
    warnings: tuple[Problem, ...] = ()
