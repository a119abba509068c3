"""The spec of an AliasSet: each field with its type, default, limits and description."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from reconciler.core.durations import Duration, LongDuration
from reconciler.core.fields import BY_NAME, MAX_ITEMS, MilvusName, ObjectName, about, text
from reconciler.core.gates import OnUnknown
from reconciler.core.json_schema import Rule, Schema, schema_of
from reconciler.core.metrics import BOUND_PATTERN, DEFAULT_QUANTILE, MAX_METRICS, Preset
from reconciler.core.model import DEFAULT_DATABASE, Limits, OnFailure, Scope
from reconciler.core.record import Record
from reconciler.gates import GATES

MAX_ALIASES = 1000
MAX_DEPENDENCIES = 16
SELF_ALIAS = "an alias cannot be its own collection"
OWN_CONNECTION = "an endpoint is a further proxy; the connection of the set is always read"
_REMEDY = 'may change only while the set is suspended; give "suspend: true" with the change, or write another set'
FIXED_CONNECTION = f"the connection {_REMEDY}"
FIXED_DATABASE = f"the database {_REMEDY}"
_SUSPENDED = "(has(self.suspend) && self.suspend)"
_METRIC_NAME = 'expected letters, digits, "-", "_" and ".", a letter or digit at both ends, at most 63'
_Bound = Annotated[str, text(BOUND_PATTERN, 24, 'expected a bound in quotes, such as "1%", "200ms" or "5"')]
_ABSENT = "has(self.state) && self.state == 'Absent'"
_IS_ABSENT: Schema = {"properties": {"state": {"const": "Absent"}}, "required": ["state"]}


class Approval(StrEnum):
    """Whether the operator applies the changes of a set by itself, or waits until a person has approved the plan."""

    AUTO = "Auto"
    MANUAL = "Manual"


class DriftPolicy(StrEnum):
    """What the operator does about an alias that was applied and that someone else has moved since."""

    CORRECT = "Correct"
    REPORT = "Report"


class DeletionPolicy(StrEnum):
    """What happens to the aliases in Milvus when the AliasSet is deleted."""

    ORPHAN = "Orphan"
    DELETE = "Delete"


class State(StrEnum):
    """Whether an alias must exist."""

    PRESENT = "Present"
    ABSENT = "Absent"


class ConnectionRef(Record, frozen=True, kw_only=True):
    name: Annotated[ObjectName, about("A MilvusConnection in the same namespace.")]


class EndpointRef(ConnectionRef, frozen=True, kw_only=True):
    timeout: Annotated[
        Duration | None,
        about(
            "For a cluster of its own that follows, such as a secondary: time for the reads there to agree, above 0s,"
            " at most 1h. Until then the previous collection may answer, and nothing is altered again because of it."
        ),
    ] = None


class AliasGates(dict[str, Any]):
    """The gates of an alias as they are written; `reconciler.manifest.gates` reads them."""

    @classmethod
    def json_schema(cls, variant: str) -> Schema:
        """Return the schema of all registered gates."""
        return {
            "type": "object",
            "properties": {name: _gate_schema(name, variant) for name in GATES},
            "additionalProperties": False,
        }


class SetGates(AliasGates):
    """The gates of a set, which also says whether unknown answers pass."""

    @classmethod
    def json_schema(cls, variant: str) -> Schema:
        schema = super().json_schema(variant)
        schema["properties"]["onUnknown"] = {
            "type": "string",
            "description": "Whether a gate passes when the server cannot answer it.",
            "enum": list(map(str, OnUnknown)),
            "default": str(OnUnknown.FAIL),
        }
        return schema


def _gate_schema(name: str, variant: str) -> Schema:
    """Return the schema of a gate; nothing is required, because a gate that is off needs nothing but `enabled`."""
    gate = GATES[name]
    file = gate.settings.file
    schema = schema_of(gate.settings, without=(file.sha256,) if file else (), variant=variant)
    schema.pop("required", None)
    fields: dict[str, Schema] = schema["properties"]
    return schema | {"description": gate.about, "properties": {"enabled": fields.pop("enabled"), **fields}}


_LATENCY = "has(self.preset) && self.preset == 'latency'"
_IS_LATENCY: Schema = {"properties": {"preset": {"const": "latency"}}, "required": ["preset"]}
_IS_ERRORS: Schema = {"properties": {"preset": {"const": "errors"}}, "required": ["preset"]}


class MetricSpec(Record, frozen=True, kw_only=True):
    rules: ClassVar = (
        Rule(
            "expected either preset or query",
            "has(self.preset) != has(self.query)",
            {
                "anyOf": [
                    {"required": ["preset"], "not": {"required": ["query"]}},
                    {"required": ["query"], "not": {"required": ["preset"]}},
                ]
            },
        ),
        Rule(
            "a query needs a name, by which its values are shown",
            "!has(self.query) || has(self.name)",
            {"if": {"required": ["query"]}, "then": {"required": ["name"]}},
        ),
        Rule(
            "expected a bound: max, min or maxRatio",
            "has(self.max) || has(self.min) || has(self.maxRatio)",
            {"anyOf": [{"required": [bound]} for bound in ("max", "min", "maxRatio")]},
        ),
        Rule(
            'the preset errors has the bound max alone, a share such as "1%"',
            "!has(self.preset) || self.preset != 'errors' || (has(self.max) && self.max.matches('^[0-9.]+%$')"
            " && !has(self.min) && !has(self.maxRatio))",
            {
                "if": _IS_ERRORS,
                "then": {
                    "required": ["max"],
                    "properties": {"max": {"pattern": "^[0-9.]+%$"}, "min": {"not": {}}, "maxRatio": {"not": {}}},
                },
            },
        ),
        Rule(
            'the preset latency has the bounds maxRatio, and max, a duration such as "200ms"',
            f"!({_LATENCY}) || ((!has(self.max) || self.max.matches('^[0-9.]+(ms|s|m)$')) && !has(self.min))",
            {
                "if": _IS_LATENCY,
                "then": {"properties": {"max": {"pattern": "^[0-9.]+(ms|s|m)$"}, "min": {"not": {}}}},
            },
        ),
        Rule(
            "the bounds of a query are plain numbers or shares, without a unit of time",
            "!has(self.query) || ((!has(self.max) || !self.max.matches('[ms]$'))"
            " && (!has(self.min) || !self.min.matches('[ms]$')))",
            {
                "if": {"required": ["query"]},
                "then": {"properties": {bound: {"pattern": "^-?[0-9.]+%?$"} for bound in ("max", "min")}},
            },
        ),
        Rule(
            "quantile is for the preset latency",
            f"!has(self.quantile) || ({_LATENCY})",
            {"if": {"required": ["quantile"]}, "then": _IS_LATENCY},
        ),
    )

    name: Annotated[
        Annotated[str, text("[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?", 63, _METRIC_NAME)] | None,
        about("What its values are shown as; by default, the preset."),
    ] = None
    preset: Annotated[
        Preset | None,
        about("errors: share of failed searches and queries through the alias. latency: how long they take."),
    ] = None
    query: Annotated[
        Annotated[str, text(r"[^\x00-\x08\x0b-\x1f]+", 2048, "expected PromQL, at most 2048")] | None,
        about("PromQL with one value as its result; {alias} stands for the alias, for use inside quotes."),
    ] = None
    quantile: Annotated[
        Annotated[float, Meta(gt=0, le=0.9999)] | None,
        about("The quantile of the latency, above 0 and at most 0.9999.", default=DEFAULT_QUANTILE),
    ] = None
    max: Annotated[_Bound | None, about("Maximum, such as 1%, 200ms or 5.")] = None
    min: Annotated[_Bound | None, about("Minimum, such as 99% or 5; for a query.")] = None
    max_ratio: Annotated[
        Annotated[float, Meta(gt=0, le=1000)] | None,
        about("Maximum ratio to the value before the move, above 0."),
    ] = None


Metrics = Annotated[tuple[Annotated[MetricSpec, about("One check.")], ...], Meta(max_length=MAX_METRICS)]


class AliasVerifySpec(Record, frozen=True, kw_only=True):
    metrics: Annotated[
        Metrics, about("What Prometheus must show during the soak, beside the metrics of the set with other names.")
    ] = ()


class AliasSpec(Record, frozen=True, kw_only=True):
    rules: ClassVar = (
        Rule(
            'no "collection" is given; name one, or say "state: Absent"',
            f"({_ABSENT}) || has(self.collection)",
            {"if": {"properties": {"state": {"const": "Present"}}}, "then": {"required": ["collection"]}},
        ),
        Rule(
            'an absent alias has no collection; remove "collection" or "state: Absent"',
            f"!({_ABSENT}) || !has(self.collection)",
            {"if": _IS_ABSENT, "then": {"properties": {"collection": {"not": {}}}}},
        ),
        Rule(
            'a protected alias is never dropped; remove "protect: true" or "state: Absent"',
            f"!({_ABSENT}) || !(has(self.protect) && self.protect)",
            {"if": _IS_ABSENT, "then": {"properties": {"protect": {"not": {"const": True}}}}},
        ),
        Rule(SELF_ALIAS, "!has(self.collection) || self.collection != self.name"),
    )

    name: Annotated[MilvusName, about("The alias.")]
    collection: Annotated[MilvusName | None, about("The desired collection; none where the state is Absent.")] = None
    state: Annotated[State, about("Absent: the alias must not exist.")] = State.PRESENT
    wave: Annotated[int, Meta(ge=0, le=1000), about("A wave starts when all lower ones are applied and verified.")] = 0
    protect: Annotated[bool, about("Never drop it, and alter it only with --allow-protected.")] = False
    gates: Annotated[AliasGates | None, about("Gates that replace those of the set by the same name.")] = None
    verify: Annotated[AliasVerifySpec | None, about("What is verified of this alias, beside what the set says.")] = None


class PropagationSpec(Record, frozen=True, kw_only=True):
    timeout: Annotated[Duration, about("Time for the reads to agree: above 0s, at most 1h.")] = Duration(30)


class VerifySpec(Record, frozen=True, kw_only=True):
    rules: ClassVar = (
        Rule(
            'endpoints are for propagation; say "propagation: {}" too',
            "!has(self.endpoints) || has(self.propagation)",
            {"if": {"required": ["endpoints"]}, "then": {"required": ["propagation"]}},
        ),
    )

    propagation: Annotated[
        PropagationSpec | None,
        about("Read through the alias until the new collection answers; the change fails if it does not in time."),
    ] = None
    endpoints: Annotated[
        tuple[Annotated[EndpointRef, about("One proxy.")], ...],
        about(
            "Further proxies of the same Milvus to read through, or other users to read as, each once; with a timeout,"
            " clusters that follow it.",
            **BY_NAME,
        ),
        Meta(max_length=MAX_ITEMS),
    ] = ()
    soak: Annotated[
        LongDuration | None,
        about("Time to watch the aliases of a wave before the next one starts: above 0s, at most 24h."),
    ] = None
    metrics: Annotated[
        Metrics,
        about("What the Prometheus of the connection must show during the soak, for each alias that is moved."),
    ] = ()


class DependencyRef(Record, frozen=True, kw_only=True):
    name: Annotated[ObjectName, about("An AliasSet in the same namespace.")]


class PublishSpec(Record, frozen=True, kw_only=True):
    config_map: Annotated[ObjectName, about("A ConfigMap of this set alone, which the operator creates.")]


class Operation(Record, frozen=True, kw_only=True):
    """How the operator treats a set."""

    interval: Annotated[
        LongDuration, about("Operator only: maximum time between two reconciliations: above 0s, at most 24h.")
    ] = LongDuration(300)
    approval: Annotated[
        Approval,
        about(
            "Operator only. Auto: changes are applied. Manual: they are shown in status.pendingPlan, and applied once"
            " the annotation aliasctl.dev/approve holds the digest of that plan."
        ),
    ] = Approval.AUTO
    drift: Annotated[
        DriftPolicy,
        about(
            "Operator only, where someone else moved or dropped an alias that was applied. Correct: it is moved back."
            " Report: the status shows it, until this set is changed."
        ),
    ] = DriftPolicy.CORRECT
    deletion_policy: Annotated[
        DeletionPolicy,
        about(
            "Operator only, when this object is deleted. Orphan: the aliases stay in Milvus. Delete: those that are"
            " listed, not protected, and still point where this set says are dropped."
        ),
    ] = DeletionPolicy.ORPHAN
    deletion_timeout: Annotated[
        LongDuration,
        about(
            "Operator only: time for a deletion with the policy Delete, above 0s and at most 24h; after that the"
            " aliases stay in Milvus, and an Event reports it."
        ),
    ] = LongDuration(300)
    publish: Annotated[
        PublishSpec | None,
        about("Operator only: where to publish which collection each alias points to, for query encoders."),
    ] = None


class AliasSetSpec(Operation, frozen=True, kw_only=True):
    rules: ClassVar = (
        Rule(
            OWN_CONNECTION,
            "!has(self.verify) || !has(self.verify.endpoints) || "
            "self.verify.endpoints.all(endpoint, endpoint.name != self.connectionRef.name)",
        ),
        Rule(FIXED_CONNECTION, f"{_SUSPENDED} || self.connectionRef.name == oldSelf.connectionRef.name"),
        Rule(
            FIXED_DATABASE,
            f"{_SUSPENDED} || (has(self.database) == has(oldSelf.database)"
            " && (!has(self.database) || self.database == oldSelf.database))",
        ),
    )

    connection_ref: Annotated[ConnectionRef, about("The server.")]
    database: Annotated[MilvusName | None, about("The database on that server.", default=DEFAULT_DATABASE)] = None
    scope: Annotated[Scope, about("The names that this set has authority over, beside those it lists.")] = Scope()
    aliases: Annotated[
        tuple[Annotated[AliasSpec, about("One alias.")], ...],
        about("The desired aliases, each name once.", **BY_NAME),
        Meta(max_length=MAX_ALIASES),
    ] = ()
    limits: Annotated[Limits, about("How much one run may change of this set.")] = Limits()
    gates: Annotated[SetGates, about("What must be true of a collection before an alias of this set points to it.")] = (
        SetGates()
    )
    verify: Annotated[VerifySpec, about("What is verified after an alias was moved.")] = VerifySpec()
    on_failure: Annotated[
        OnFailure,
        about(
            "What happens to a run's other changes of this set when one fails. Stop: no more are started. Revert:"
            " those made are reverted, too; and none is made while one is blocked."
        ),
    ] = OnFailure.STOP
    suspend: Annotated[bool, about("Leave this set alone until it is false again.")] = False
    depends_on: Annotated[
        tuple[Annotated[DependencyRef, about("One AliasSet.")], ...],
        about("AliasSets that must be applied and verified before this one is changed, each once.", **BY_NAME),
        Meta(max_length=MAX_DEPENDENCIES),
    ] = ()
