"""What manifests say, document by document, before flags and the environment have their say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.core.errors import Problem
from reconciler.core.model import Alias, Credential, Limits, OnFailure, Scope, Source, Tls, Verify


@dataclass(frozen=True, slots=True)
class ConnectionManifest:
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


class Approval(StrEnum):
    """Whether the operator makes a set's changes by itself, or waits until a person has approved the plan."""

    AUTO = "Auto"
    MANUAL = "Manual"


class DriftPolicy(StrEnum):
    """What the operator does about an alias that was in place and that somebody else has moved since."""

    CORRECT = "Correct"
    REPORT = "Report"


class DeletionPolicy(StrEnum):
    """What becomes of the aliases in Milvus when the AliasSet is deleted."""

    ORPHAN = "Orphan"
    DELETE = "Delete"


@dataclass(frozen=True, slots=True)
class Operation:
    """How the operator goes about a set; `interval` and `deletion_timeout` are in seconds."""

    interval: float = 300.0
    approval: Approval = Approval.AUTO
    drift: DriftPolicy = DriftPolicy.CORRECT
    deletion_policy: DeletionPolicy = DeletionPolicy.ORPHAN
    deletion_timeout: float = 300.0


@dataclass(frozen=True, slots=True)
class AliasSetManifest:
    """An AliasSet; `database` is None where the document has none. `connection_source` is where it names its server.

    `verify` is without endpoints: `endpoints` has their names, each with the place where it stands. `operation` is for
    the operator alone.
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

    @property
    def key(self) -> str:
        """The set's name in messages: `namespace/name`, or `name` where no namespace is given."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True)
class Manifests:
    """All that was read: connections by namespace and name; `skipped` counts the documents that are not ours."""

    connections: Mapping[tuple[str, str], ConnectionManifest] = field(default_factory=dict)
    sets: tuple[AliasSetManifest, ...] = ()
    skipped: int = 0
    warnings: tuple[Problem, ...] = ()
