"""What manifests say, document by document, before flags and the environment have their say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.errors import Problem
from reconciler.model import Alias, Credential, Limits, OnFailure, Scope, Source, Tls, Verify


@dataclass(frozen=True, slots=True)
class ConnectionManifest:
    """A MilvusConnection; `timeout` (seconds) and `concurrency` are None where the document has none."""

    name: str
    namespace: str
    uri: str
    address: str
    token: Credential | None
    tls: Tls | None
    timeout: float | None
    concurrency: int | None
    source: Source


@dataclass(frozen=True, slots=True)
class AliasSetManifest:
    """An AliasSet; `database` is None where the document has none. `connection_source` is where it names its server.

    `verify` is without endpoints: `endpoints` has their names, each with the place where it stands.
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
    source: Source


@dataclass(frozen=True, slots=True)
class Manifests:
    """All that was read: connections by namespace and name; `skipped` counts the documents that are not ours."""

    connections: Mapping[tuple[str, str], ConnectionManifest] = field(default_factory=dict)
    sets: tuple[AliasSetManifest, ...] = ()
    skipped: int = 0
    warnings: tuple[Problem, ...] = ()
