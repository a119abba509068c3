"""Gate `schema`: what uses the alias now can go on with the new collection.

Why: Milvus moves an alias to any collection. Searches then fail on another dimension, rank wrongly with another metric,
and inserts fail on a field that they do not fill. `schema_changes` says what counts as a change; besides, the metric of
each vector field must stay, which is not in the schema but in the index.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from reconciler.core.fields import MAX_ITEMS, NAME_EXPECTED, NAME_PATTERN, about, text
from reconciler.core.gates import GateSettings
from reconciler.core.model import Index
from reconciler.core.plan import Figure, GateResult, Step, Verdict
from reconciler.core.text import listed
from reconciler.gates.gate import Call, Ends, Gate
from reconciler.gates.probe import CannotTell, Probe, has_current, of_current, of_desired, schemas
from reconciler.gates.schema_changes import SchemaPolicy, changes

NONE = frozenset[str]()
Changeable = Annotated[
    str,
    text(rf"(\$meta|{NAME_PATTERN})", 255, f"{NAME_EXPECTED}, or $meta"),
    about("A field, a function, or $meta for the dynamic field."),
]


class SchemaGate(GateSettings, frozen=True):
    """How the schema of the desired collection may differ from that of the current one."""

    gate = "schema"

    policy: Annotated[
        SchemaPolicy,
        about("Compatible: what a reader of the current collection uses still works. Identical: no change."),
    ] = SchemaPolicy.COMPATIBLE
    allow_changes: Annotated[frozenset[Changeable], Meta(max_length=MAX_ITEMS), about("Changes to allow.")] = NONE


def _check(gate: SchemaGate, step: Step, probe: Probe) -> GateResult:
    """Evaluate one create or alter."""
    current, desired = has_current(step.current), step.desired or ""
    before, after = schemas(current, desired, probe)
    found = changes(before, after, gate.policy)
    vectors = {vector.name for vector in before.vectors} & {vector.name for vector in after.vectors}
    metrics, unknown = _metrics(current, desired, sorted(vectors.difference(gate.allow_changes)), probe)
    for name, change in metrics.items():
        found[name] = f"{found[name]}, {change}" if name in found else change
    return _judged(gate, found, unknown)


def _metrics(current: str, desired: str, fields: list[str], probe: Probe) -> tuple[dict[str, str], CannotTell | None]:
    """Compare the metrics of vector fields that both collections have: what is changed, and why not all is known."""
    if not fields:
        return {}, None
    try:
        with of_current(f"the indexes of {current} cannot be read"):
            before = _by_field(probe.indexes(current))
        after = _metrics_of_target(desired, probe)
    except CannotTell as cannot:
        return {}, cannot
    changed = {name: f"metric {before[name]} → {after[name]}" for name in fields if _differ(name, before, after)}
    if missing := [name for name in fields if name in before and name not in after]:
        return changed, _no_metric(Verdict.UNKNOWN, desired, missing, "; create one")
    if missing := [name for name in fields if name not in before]:
        return changed, _no_metric(Verdict.NOT_APPLICABLE, current, missing)
    return changed, None


def _metrics_of_target(desired: str, probe: Probe) -> dict[str, str]:
    with of_desired(f"the indexes of {desired} cannot be read"):
        return _by_field(probe.indexes(desired))


def _by_field(indexes: tuple[Index, ...]) -> dict[str, str]:
    """Return the metric of each field whose index has one."""
    return {index.field: index.metric.upper() for index in indexes if index.metric}


def _differ(name: str, before: dict[str, str], after: dict[str, str]) -> bool:
    return name in before and name in after and before[name] != after[name]


def _no_metric(verdict: Verdict, collection: str, fields: list[str], remedy: str = "") -> CannotTell:
    return CannotTell(verdict, f"{collection} has no index on {listed(fields)} that tells a metric{remedy}")


def _judged(gate: SchemaGate, found: dict[str, str], unknown: CannotTell | None) -> GateResult:
    opposed = {name: change for name, change in found.items() if name not in gate.allow_changes}
    allowed = [f"{name}: {change}" for name, change in found.items() if name in gate.allow_changes]
    figures: dict[str, Figure] = {"changes": len(found), "allowed": len(allowed)}
    figures |= {f"changes.{name}": change for name, change in found.items()}
    if opposed:
        words = listed([f"{name}: {change}" for name, change in opposed.items()], separator="; ")
        remedy = f"allow with gates.schema.allowChanges: [{listed(list(opposed))}]"
        return GateResult(gate.gate, Verdict.FAIL, f"{words}; {remedy}", figures)
    if unknown and unknown.verdict is Verdict.UNKNOWN:
        return GateResult(gate.gate, Verdict.UNKNOWN, f"metrics cannot be compared: {unknown}", figures)
    notes = [f"allowed: {listed(allowed, separator='; ')}"] if allowed else []
    notes += [f"metrics not compared: {unknown}"] if unknown else []
    return GateResult(gate.gate, Verdict.PASS, "; ".join(notes), figures)


GATE = Gate(
    settings=SchemaGate,
    about="The collection's schema fits that of the current collection.",
    check=_check,
    needs={Call.DESCRIBE_INDEX: Ends.BOTH},
)
