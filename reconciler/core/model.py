"""What the user wants and what the server has, as frozen records.

Nothing here does I/O, reads a clock or knows a file format. `manifest` and, later, the operator build the *wanted*
side (`AliasSet`); `catalog` builds the *live* side (`LiveCatalog`); `diff` compares them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import NamedTuple

from reconciler.core.gates import Gates
from reconciler.core.patterns import beginning_like, matches

DEFAULT_DATABASE = "default"
NAME_PATTERN = "[A-Za-z_][A-Za-z0-9_]{0,254}"
"""What Milvus accepts as the whole name of an alias or a collection; anything else is code 1100 (measured on 2.3.5)."""
DEFAULT_TIMEOUT_SECONDS = 10.0
DEFAULT_CONCURRENCY = 8


class Source(NamedTuple):
    """Where in the user's input something was written; lines and columns count from 1, and 0 is not known."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part)


class Origin(StrEnum):
    """Who named the address of a connection; shown in the plan's header."""

    MANIFEST = "manifest"
    FLAG = "flag"
    ENVIRONMENT = "environment"
    PLAN_FILE = "plan file"
    EARLIER_RUN = "earlier run"


@dataclass(frozen=True, slots=True)
class SecretKeyRef:
    """One key of a Kubernetes Secret in the object's own namespace."""

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class Credential:
    """A place a token or a PEM file can be read from, never its content: safe to print and to store.

    Exactly one is set: `env`, an environment variable's name; `file`, an absolute path; `secret`, which only the
    operator can read.
    """

    env: str | None = None
    file: str | None = None
    secret: SecretKeyRef | None = None


@dataclass(frozen=True, slots=True)
class Tls:
    """Where the PEM data are, and the name to expect in the server's certificate."""

    ca: Credential | None = None
    cert: Credential | None = None
    key: Credential | None = None
    server_name: str | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach a Milvus server.

    `address` is the server's identity: `host:port`, normalised, or the real path of a Milvus Lite file. Two
    connections with one address are the same server, whatever they are called. `timeout` is in seconds, for one call.
    `server_version` is what the user says of a server that reports no version number.
    """

    name: str
    uri: str
    address: str
    origin: Origin = Origin.MANIFEST
    token: Credential | None = None
    tls: Tls | None = None
    timeout: float = DEFAULT_TIMEOUT_SECONDS
    concurrency: int = DEFAULT_CONCURRENCY
    namespace: str = ""
    server_version: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """One database on one server: the place where an alias name is unique."""

    address: str
    database: str

    def __str__(self) -> str:
        return f"{self.address} / {self.database}"


@dataclass(frozen=True, slots=True)
class Propagation:
    """Prove by reads through the alias that the new collection answers; give up after `timeout` seconds."""

    timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class Verify:
    """What is checked after an alias was moved.

    `endpoints` are further proxies of the same Milvus, through which `propagation` is proved too. `soak` is how long,
    in seconds, a wave is watched before the next one; None for not at all.
    """

    propagation: Propagation | None = None
    endpoints: tuple[Connection, ...] = ()
    soak: float | None = None


class OnFailure(StrEnum):
    """What becomes of the changes a run has made in a set when a later one fails."""

    STOP = "Stop"
    REVERT = "Revert"


@dataclass(frozen=True, slots=True)
class Alias:
    """One wanted alias; `collection=None` says that it must not exist (`state: Absent`)."""

    name: str
    collection: str | None
    wave: int = 0
    protect: bool = False
    gates: Gates = Gates()
    source: Source | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Claim:
    """What another set has authority over: the names it lists, and those its scope covers."""

    names: frozenset[str]
    scope: Scope

    def holds(self, name: str) -> bool:
        return name in self.names or self.scope.covers(name)


@dataclass(frozen=True, slots=True)
class Scope:
    """The names over which a set has authority: included, and not excluded. Protected names are never dropped.

    `yields` are claims that go before this one: what they hold, this scope does not cover.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    protect: tuple[str, ...] = ()
    yields: tuple[Claim, ...] = ()

    def covered(self, names: Sequence[str]) -> set[str]:
        """Those of some sorted names that it covers; looks only at names that begin like one of its patterns."""
        begun = {name for glob in self.include for name in beginning_like(glob, names)}
        return {name for name in begun if self.covers(name)}

    def covers(self, name: str) -> bool:
        return (
            any(matches(glob, name) for glob in self.include)
            and not any(matches(glob, name) for glob in self.exclude)
            and not any(claim.holds(name) for claim in self.yields)
        )

    def protects(self, name: str) -> bool:
        return any(matches(glob, name) for glob in self.protect)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one run may change of one set."""

    max_drops: int = 10
    max_change_percent: float | None = None
    allow_empty: bool = False


@dataclass(frozen=True, slots=True)
class AliasSet:
    """The wanted aliases of one database, as one manifest document says it.

    `connection=None` means that the manifest names a connection which this run was not given.
    """

    name: str
    namespace: str
    connection_name: str
    connection: Connection | None
    database: str = DEFAULT_DATABASE
    aliases: tuple[Alias, ...] = ()
    scope: Scope = Scope()
    limits: Limits = Limits()
    verify: Verify = Verify()
    on_failure: OnFailure = OnFailure.STOP
    suspend: bool = False
    source: Source | None = field(default=None, compare=False)

    @property
    def key(self) -> str:
        """The set's name in plans and reports: `namespace/name`, or `name` where no namespace is given."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True)
class Collection:
    """A live collection. `id` is None where the server has none to give (Milvus Lite)."""

    name: str
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a collection's schema, in Milvus's own words; None where a type has no such property.

    `type` is Milvus's name of it (`INT64`, `VARCHAR`, `FLOAT_VECTOR`), for arrays with the element: `ARRAY<INT64>`.
    `dimension` is of dense vectors; `length` the longest text in bytes, `capacity` the most elements of an array.
    """

    name: str
    type: str
    primary: bool = False
    auto_id: bool = False
    nullable: bool = False
    has_default: bool = False
    dimension: int | None = None
    length: int | None = None
    capacity: int | None = None

    @property
    def is_vector(self) -> bool:
        return self.type.endswith("_VECTOR")


@dataclass(frozen=True, slots=True)
class Function:
    """A function of a collection's schema, such as BM25: it fills `outputs` from `inputs`."""

    name: str
    type: str
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Schema:
    """What `describe_collection` tells of a collection beside its name."""

    fields: tuple[Field, ...]
    dynamic: bool = False
    functions: tuple[Function, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    description: str = ""

    @property
    def primary(self) -> Field | None:
        return next((field for field in self.fields if field.primary), None)

    @property
    def vectors(self) -> tuple[Field, ...]:
        return tuple(field for field in self.fields if field.is_vector)


@dataclass(frozen=True, slots=True)
class Index:
    """One index of a collection. `finished` and `pending_rows` as the server tells them; Milvus Lite is always done."""

    field: str
    type: str
    metric: str | None = None
    finished: bool = True
    pending_rows: int = 0


PrimaryKey = int | str
Vector = tuple[float, ...]
"""A dense float vector."""
Row = Mapping[str, object]
"""One row as the server gives it: field name → value; vectors as `Vector`."""


class Certainty(IntEnum):
    """Whether something is true of a server whose version may not be fully known; only `NO` is false as a condition."""

    NO = 0
    POSSIBLE = 1
    YES = 2


class LoadState(StrEnum):
    """Whether searches on a collection can be answered."""

    LOADED = "Loaded"
    LOADING = "Loading"
    NOT_LOADED = "NotLoad"
    MISSING = "NotExist"


@dataclass(frozen=True, slots=True)
class LiveCatalog:
    """One database as it was read, in the detail that a diff of certain sets needs.

    `aliases` are all alias names of the database. `pointing` gives the collection of each alias that was looked up:
    all that the sets list, and all that a scope could drop; None for one that was gone by then. `collections` are the
    names of the collections that the caller may see (Milvus filters the list by grants, so a name that is not in it
    may exist all the same). `described` has each collection that a change would involve, None where it does not exist.
    `drops_by_prefix` is whether a drop on this server loses more aliases than its own (see `prefix_drops`). `calls` is
    the number of calls to the server that it took. `names` are the `aliases` in order.
    """

    target: Target
    server_version: str
    aliases: frozenset[str]
    pointing: Mapping[str, str | None]
    collections: frozenset[str]
    described: Mapping[str, Collection | None]
    drops_by_prefix: Certainty = Certainty.NO
    calls: int = 0
    names: Sequence[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", sorted(self.aliases))
