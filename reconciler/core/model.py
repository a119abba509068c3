"""The desired state and the live state, as frozen records.

Nothing here does I/O, reads a clock or knows a file format. `manifest` builds the *desired* side (`AliasSet`),
`catalog` the *live* side (`LiveCatalog`), and `diff` compares them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum, StrEnum
from functools import cached_property
from typing import Annotated

from msgspec import Meta, Struct, field
from msgspec.structs import astuple, replace

from reconciler.core.fields import Globs, ObjectName, about, text
from reconciler.core.gates import Gates
from reconciler.core.metrics import Metric
from reconciler.core.patterns import beginning_like, matches
from reconciler.core.record import ALWAYS, INTERNAL, Count, Record

DEFAULT_DATABASE = "default"
DEFAULT_TIMEOUT_SECONDS = 10.0
DEFAULT_CONCURRENCY = 8


class Source(Record, frozen=True, order=True):
    """Where in the manifests something was written; lines and columns count from 1, and 0 is unknown."""

    file: str
    line: Annotated[Count, Meta(description="From 1.")] = 0
    column: Annotated[Count, Meta(description="From 1.")] = 0

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part)


class Origin(StrEnum):
    """Who named the address of a connection; shown in the plan's header."""

    MANIFEST = "manifest"
    FLAG = "flag"
    ENVIRONMENT = "environment"
    PLAN_FILE = "plan file"
    EARLIER_RUN = "earlier run"


class SecretKeyRef(Record, frozen=True):
    """One key of a Kubernetes Secret in the object's own namespace."""

    name: Annotated[ObjectName, about("The Secret.")]
    key: Annotated[
        str,
        text("[A-Za-z0-9._-]{1,253}", 253, 'expected letters, digits, "-", "_" and ".", at most 253'),
        about("A key of its data."),
    ]


class Credential(Record, frozen=True):
    """A place that a token or a PEM file is read from, never its content: safe to print and to store.

    Exactly one is set. Only the operator can read a `secret`.
    """

    env: Annotated[str | None, Meta(description="The name of an environment variable.")] = None
    file: Annotated[str | None, Meta(description="The absolute path of a file.")] = None
    secret: Annotated[SecretKeyRef | None, INTERNAL] = None


class Tls(Record, frozen=True):
    """Where the PEM data are, and the name to expect in the server's certificate."""

    ca: Credential | None = None
    cert: Credential | None = None
    key: Credential | None = None
    server_name: str | None = None


class HttpEndpoint(Record, frozen=True, kw_only=True):
    """How to reach a system beside Milvus over HTTP.

    `secret` is a token or a signing key, as the system requires.
    """

    uri: Annotated[str, Meta(description="http(s)://host[:port][/path][?query]")]
    secret: Credential | None = None
    tls: Tls | None = None
    timeout: Annotated[float, Meta(gt=0, le=3600, description="Of one request, as a whole."), ALWAYS] = field(
        default=DEFAULT_TIMEOUT_SECONDS, name="timeoutSeconds"
    )

    @property
    def host(self) -> str:
        """Return the host and port as the URI has them; its path and query may be secret."""
        return self.uri.partition("://")[2].partition("/")[0].partition("?")[0]


class Hook(HttpEndpoint, frozen=True, kw_only=True):
    """A system that decides whether an alias may move."""

    name: str


class Label(Record, frozen=True):
    """A label of series in Prometheus."""

    name: str
    value: str


class Prometheus(HttpEndpoint, frozen=True, kw_only=True):
    """The Prometheus that scrapes a Milvus. `labels` are those of its series, where it scrapes several."""

    labels: tuple[Label, ...] = ()


class EventType(StrEnum):
    """What a notification reports about an alias.

    `moved`: it was created, altered or dropped. `reverted`: that was undone after a failure. `failed`: a step failed,
    or its result is unknown. `blocked`: it cannot be moved. `drifted`: something else moved it. `verified`: its
    verification passed. `recovered`: it is as desired again after one of reverted, failed, blocked and drifted.
    `approvalRequired`: its change waits for the approval of a person.
    """

    MOVED = "moved"
    REVERTED = "reverted"
    FAILED = "failed"
    BLOCKED = "blocked"
    DRIFTED = "drifted"
    VERIFIED = "verified"
    RECOVERED = "recovered"
    APPROVAL_REQUIRED = "approvalRequired"


class MessageFormat(StrEnum):
    """The form in which a receiver gets notifications."""

    CLOUD_EVENTS = "cloudevents"
    SLACK = "slack"
    GITHUB_STATUS = "github-status"
    GITLAB_STATUS = "gitlab-status"

    @property
    def is_status(self) -> bool:
        """Return whether it is the status of a commit, and not an event about an alias."""
        return self in (MessageFormat.GITHUB_STATUS, MessageFormat.GITLAB_STATUS)


class Receiver(HttpEndpoint, frozen=True, kw_only=True):
    """Who is notified, and of what. `secret` signs CloudEvents, and is the token for the status of a commit.

    `uri` is empty if it is a secret itself, which is read from `uri_from` then.
    """

    name: Annotated[str, Meta(description="Unique within its MilvusConnection.")]
    uri: Annotated[str, Meta(description="Where to send; empty for the content of uriFrom.")] = ""
    uri_from: Annotated[Credential | None, Meta(description="Where to read a URI that is a secret.")] = None
    events: Annotated[tuple[EventType, ...], Meta(description="What is reported; empty for everything.")] = ()
    format: MessageFormat = MessageFormat.CLOUD_EVENTS

    def takes(self, event: EventType) -> bool:
        """Return whether this receiver is notified of such an event."""
        return not self.format.is_status and (not self.events or event in self.events)


class Connection(Record, frozen=True):
    """How to reach a Milvus server, and the systems that a run asks about it.

    `address` is the server's identity: `host:port`, normalised, or the real path of a Milvus Lite file. Two connections
    with one address are the same server, whatever their names. `server_version` is what the user says of a server that
    does not report all of its version.
    """

    name: str
    uri: str
    address: Annotated[str, INTERNAL] = ""
    origin: Annotated[Origin, ALWAYS] = Origin.MANIFEST
    token: Credential | None = None
    tls: Tls | None = None
    timeout: Annotated[float, Meta(gt=0, le=3600, description="Of one call."), ALWAYS] = field(
        default=DEFAULT_TIMEOUT_SECONDS, name="timeoutSeconds"
    )
    concurrency: Annotated[int, Meta(ge=1, le=64, description="Calls in flight."), ALWAYS] = DEFAULT_CONCURRENCY
    namespace: Annotated[str, INTERNAL] = ""
    server_version: Annotated[
        str, Meta(description="Stated by the manifest, for a server that does not report all of it.")
    ] = ""
    hooks: tuple[Hook, ...] = ()
    prometheus: Prometheus | None = None
    notify: tuple[Receiver, ...] = ()

    @property
    def http_endpoints(self) -> tuple[HttpEndpoint, ...]:
        """Return all systems beside Milvus that a run asks; receivers of notifications are not asked."""
        return (*self.hooks, *([self.prometheus] if self.prometheus else []))


class Target(Record, frozen=True, order=True):
    """One database on one server: the place where an alias name is unique."""

    address: Annotated[str, Meta(description="The server's identity: host:port, or the path of a Milvus Lite file.")]
    database: str

    def __str__(self) -> str:
        return f"{self.address} / {self.database}"


class Propagation(Record, frozen=True):
    """Prove by reads through the alias that the new collection answers; fail after `timeout` seconds."""

    timeout: Annotated[float, Meta(gt=0, le=3600), ALWAYS] = field(default=30.0, name="timeoutSeconds")


class Verify(Record, frozen=True):
    """Checks after a change.

    `endpoints` are further proxies of the same Milvus, or the tokens of other users, with which `propagation` is proved
    too. Those with a timeout of their own, by the name of the connection, are clusters that follow that Milvus.
    """

    propagation: Propagation | None = None
    endpoints: Annotated[tuple[Connection, ...], INTERNAL] = ()
    endpoint_timeouts: Annotated[
        Mapping[str, Annotated[float, Meta(gt=0, le=3600)]],
        Meta(
            description="Of the endpoints that are clusters of their own and follow later, by connection; in seconds."
        ),
    ] = {}
    soak: Annotated[
        float | None, Meta(gt=0, le=86_400, description="How long a wave is watched before the next one starts.")
    ] = field(default=None, name="soakSeconds")

    def __hash__(self) -> int:
        return hash((self.propagation, self.endpoints, tuple(sorted(self.endpoint_timeouts.items())), self.soak))


class OnFailure(StrEnum):
    """What happens to the changes that a run has made in a set when a later one fails."""

    STOP = "Stop"
    REVERT = "Revert"


class Alias(Struct, frozen=True, eq=False):
    """One desired alias; `collection=None` means that it must not exist (`state: Absent`). `source` is not compared."""

    name: str
    collection: str | None
    wave: int = 0
    protect: bool = False
    gates: Gates = Gates()
    metrics: tuple[Metric, ...] = ()
    source: Source | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Alias) and _without_source(self) == _without_source(other)

    __ne__ = object.__ne__  # that of a Struct would compare identities

    def __hash__(self) -> int:
        return hash(_without_source(self))


class Claim(Record, frozen=True):
    """The authority of another set: the names it lists, and those its scope covers."""

    names: frozenset[str]
    scope: Scope

    def holds(self, name: str) -> bool:
        return name in self.names or self.scope.covers(name)


class Scope(Record, frozen=True):
    """The names over which a set has authority: included, and not excluded. Protected names are never dropped.

    `yields` are claims that take precedence: what they hold, this scope does not cover.
    """

    include: Annotated[Globs, about("A live alias that matches, and that the set does not list, is dropped.")] = ()
    exclude: Annotated[Globs, about("Aliases to leave alone although an include matches them.")] = ()
    protect: Annotated[Globs, about("Aliases never to drop, and to alter only with --allow-protected.")] = ()
    yields: tuple[Claim, ...] = ()

    def covered(self, names: Sequence[str]) -> set[str]:
        """Return the names that the scope covers; only names with the prefix of a pattern are tested.

        `names`: sorted.
        """
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


class Limits(Record, frozen=True):
    """How much one run may change of one set."""

    max_drops: Annotated[Count, about("Maximum number of aliases that one run may drop.")] = 10
    max_change_percent: Annotated[
        Annotated[float, Meta(ge=0, le=100)] | None,
        about("Maximum share of the live aliases, in percent, that one run may change."),
    ] = None
    allow_empty: Annotated[
        bool, about("Whether a set that lists no collection may drop all that its scope covers.")
    ] = False


class AliasSet(Struct, frozen=True, eq=False):
    """The desired aliases of one database, as one manifest document has them. `source` is not compared.

    `connection=None` means that the manifest names a connection which this run was not given. `depends_on` has the keys
    of the sets that must be applied and verified first.
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
    source: Source | None = None
    depends_on: tuple[str, ...] = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AliasSet) and _without_source(self) == _without_source(other)

    __ne__ = object.__ne__

    def __hash__(self) -> int:
        return hash(_without_source(self))

    @property
    def key(self) -> str:
        """Return the set's name in plans and reports: `namespace/name`, or `name` if no namespace is given."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def _without_source(record: Alias | AliasSet) -> tuple[object, ...]:
    return astuple(replace(record, source=None))


class Collection(Struct, frozen=True):
    """A live collection. `id` is None where the server has none (Milvus Lite)."""

    name: str
    id: int | None = None


class Field(Struct, frozen=True):
    """One field of a collection's schema, in Milvus's terms; None where a type has no such property.

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


class Function(Struct, frozen=True):
    """A function of a collection's schema, such as BM25: it fills `outputs` from `inputs`."""

    name: str
    type: str
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


class Schema(Struct, frozen=True):
    """The schema of a collection, as `describe_collection` returns it."""

    fields: tuple[Field, ...]
    dynamic: bool = False
    functions: tuple[Function, ...] = ()
    properties: Mapping[str, str] = {}
    description: str = ""

    @property
    def primary(self) -> Field | None:
        return next((field for field in self.fields if field.primary), None)

    @property
    def vectors(self) -> tuple[Field, ...]:
        return tuple(field for field in self.fields if field.is_vector)


class Index(Struct, frozen=True):
    """One index of a collection. `finished` and `pending_rows` as the server reports them; Milvus Lite: always done."""

    field: str
    type: str
    metric: str | None = None
    finished: bool = True
    pending_rows: int = 0


PrimaryKey = int | str
Vector = tuple[float, ...]
"""A dense float vector."""
Row = Mapping[str, object]
"""One row as the server returns it: field name → value; vectors as `Vector`."""


class Certainty(IntEnum):
    """The certainty that something is true of a server whose version may not be fully known; only `NO` is falsy."""

    NO = 0
    POSSIBLE = 1
    YES = 2


class LoadState(StrEnum):
    """The state of a collection: whether searches can be answered."""

    LOADED = "Loaded"
    LOADING = "Loading"
    NOT_LOADED = "NotLoad"
    MISSING = "NotExist"


class LiveCatalog(Struct, frozen=True, dict=True):
    """The live state of one database, with the details that a diff of certain sets needs.

    `aliases` are all alias names. `pointing` has the collection of each alias that was looked up: all that the sets
    list, and all that a scope could drop; None for one that no longer existed. `collections` are those that the caller
    may see (Milvus filters the list by grants, so others may exist). `described` has each collection that a change
    would involve, None where it does not exist. `dangling` is, for each alias that a set lists as absent and no list
    contains, whether it dangles: its collection is gone, and it still holds its name; None where that cannot be
    determined. `drops_by_prefix`: see `prefix_drops`. `calls`: how many calls to the server it took.
    """

    target: Target
    server_version: str
    aliases: frozenset[str]
    pointing: Mapping[str, str | None]
    collections: frozenset[str]
    described: Mapping[str, Collection | None]
    dangling: Mapping[str, bool | None] = {}
    drops_by_prefix: Certainty = Certainty.NO
    calls: int = 0

    @cached_property
    def names(self) -> Sequence[str]:
        return sorted(self.aliases)

    def id_of(self, collection: str | None) -> int | None:
        """Return the id of a described collection; None where it is not known."""
        described = self.described.get(collection) if collection else None
        return described.id if described else None
