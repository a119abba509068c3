"""Gate `freshness`: the new collection has rows that were written lately.

Why: an import from an old export is complete, indexed and loaded, and serves yesterday's data. The age of a row is in
one of its fields; the gate counts the rows that are young enough. The clock is that of this machine, so a clock that is
off by minutes moves the limit by as much. Rows that are more than five minutes ahead of it do not count: a field in
another unit would otherwise always be fresh.
"""

from __future__ import annotations

from enum import StrEnum
from time import time
from typing import Annotated

from msgspec import Meta

from reconciler.core.durations import Age, Duration
from reconciler.core.fields import MilvusName, about
from reconciler.core.gates import GateSettings
from reconciler.core.model import Schema
from reconciler.core.plan import GateResult, Step, Verdict
from reconciler.core.text import counted, listed
from reconciler.gates.gate import Call, Ends, Gate, if_on
from reconciler.gates.probe import CannotTell, Probe, of_desired

MAX_AHEAD = Duration(300)
"""How far a row may be ahead of our clock: clocks differ."""
NUMBERS = ("INT64", "DOUBLE")
"""Types that hold a time in every unit."""


class Unit(StrEnum):
    """What the field counts since 1970-01-01 UTC: seconds, milliseconds, microseconds or nanoseconds."""

    SECONDS = "s"
    MILLISECONDS = "ms"
    MICROSECONDS = "us"
    NANOSECONDS = "ns"

    @property
    def per_second(self) -> int:
        return {Unit.SECONDS: 1, Unit.MILLISECONDS: 10**3, Unit.MICROSECONDS: 10**6, Unit.NANOSECONDS: 10**9}[self]


class FreshnessGate(GateSettings, frozen=True):
    """How many rows of the desired collection must be how young, by which field."""

    gate = "freshness"
    rules = (
        if_on(
            "a freshness gate needs field and maxAge: the field with the time of a row, and how old it may be",
            "(has(self.field) && has(self.maxAge))",
            {"required": ["field", "maxAge"]},
        ),
    )

    field: Annotated[MilvusName, about("The field with the time of a row, as a number since 1970-01-01 UTC.")]
    max_age: Annotated[Age, about("Maximum age of a row to count: above 0s, at most 8784h.")]
    unit: Annotated[Unit, about("What the field counts: s, ms, us or ns.")] = Unit.SECONDS
    min_rows: Annotated[int, Meta(ge=1), about("Minimum number of rows of that age.")] = 1


def _check(gate: FreshnessGate, step: Step, probe: Probe) -> GateResult:
    """Evaluate one create or alter. Aliases of one collection with the same settings share the count."""
    collection = step.desired or ""
    return probe.once((gate, collection), lambda: _counted(gate, collection, probe))


def _counted(gate: FreshnessGate, collection: str, probe: Probe) -> GateResult:
    now = time()
    oldest, newest = _in_unit(gate, now - gate.max_age), _in_unit(gate, now + MAX_AHEAD)
    with of_desired(f"{collection} cannot be counted by {gate.field}"):
        _check_field(gate, collection, probe.schema(collection))
        fresh = probe.count(collection, f"{gate.field} >= {oldest} and {gate.field} <= {newest}")
        ahead = probe.count(collection, f"{gate.field} > {newest}") if fresh < gate.min_rows else 0
    found = f"{counted(fresh, 'row')} of the last {gate.max_age}"
    if fresh >= gate.min_rows:
        return GateResult(gate.gate, Verdict.PASS, found, {"rows": fresh})
    future = (
        f"; {counted(ahead, 'row')} more than {MAX_AHEAD} in the future, check gates.freshness.unit" if ahead else ""
    )
    detail = f"{collection} has {found} by {gate.field}, need ≥ {gate.min_rows:,}{future}; check the import job"
    return GateResult(gate.gate, Verdict.FAIL, detail, {"rows": fresh, "future": ahead})


def _in_unit(gate: FreshnessGate, seconds: float) -> int:
    return int(seconds) * gate.unit.per_second


def _check_field(gate: FreshnessGate, collection: str, schema: Schema) -> None:
    """Raise `CannotTell` if no row can have the field, or not with a time in it. A dynamic field has no type."""
    field = next((field for field in schema.fields if field.name == gate.field), None)
    if field and field.type not in NUMBERS:
        raise CannotTell(Verdict.UNKNOWN, f"{gate.field} of {collection} is {field.type}, need {' or '.join(NUMBERS)}")
    if field is None and not schema.dynamic:
        names = listed([field.name for field in schema.fields])
        missing = f"{collection} has no field {gate.field}; name one in gates.freshness.field: {names}"
        raise CannotTell(Verdict.UNKNOWN, missing)


GATE = Gate(
    settings=FreshnessGate,
    about="The collection has rows that were written lately.",
    check=_check,
    needs={Call.QUERY: Ends.DESIRED},
    costly=True,
)
