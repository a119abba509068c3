"""Gate `rows`: the new collection has as many rows as it should, by itself and against the one that is served now.

Why: an import that ended early, or ran twice, shows in nothing else. Rows are counted exactly, with strong consistency:
the cheap statistics of Milvus 2.3.5 leave out unflushed rows and ignore deletions (measured).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil, floor
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from reconciler.core.fields import about
from reconciler.core.gates import GateSettings
from reconciler.core.plan import Figure, GateResult, Step, Verdict
from reconciler.core.record import Count
from reconciler.core.text import counted, rounded
from reconciler.gates.gate import Call, Ends, Gate, ascending, if_on
from reconciler.gates.probe import CannotTell, Probe, has_current, of_current, of_desired

if TYPE_CHECKING:
    from fractions import Fraction

REMEDY = "check the import job or relax gates.rows"

Percent = Annotated[float, Meta(ge=0)]
LIMITS = ("min", "max", "minPercentOfCurrent", "maxPercentOfCurrent")


class RowsGate(GateSettings, frozen=True):
    """How many rows the desired collection may have, as a count and in percent of the current collection."""

    gate = "rows"
    rules = (
        if_on(
            f"a rows gate needs a limit: {', '.join(LIMITS[:-1])} or {LIMITS[-1]}",
            " || ".join(f"has(self.{name})" for name in LIMITS),
            {"anyOf": [{"required": [name]} for name in LIMITS]},
        ),
        ascending("min", "max"),
        ascending("minPercentOfCurrent", "maxPercentOfCurrent"),
    )

    min: Annotated[Count | None, about("Minimum number of rows.")] = None
    max: Annotated[Count | None, about("Maximum number of rows.")] = None
    min_percent_of_current: Annotated[
        Percent | None, about("Minimum number of rows, in percent of the current collection.")
    ] = None
    max_percent_of_current: Annotated[
        Percent | None, about("Maximum number of rows, in percent of the current collection.")
    ] = None


def _check(gate: RowsGate, step: Step, probe: Probe) -> GateResult:
    """Evaluate one create or alter."""
    base, note = None, ""
    if gate.min_percent_of_current is not None or gate.max_percent_of_current is not None:
        try:
            base = _rows_of_current(step, probe)
        except CannotTell as cannot:
            if gate.min is None and gate.max is None:
                raise
            note = f"; not compared: {cannot}"
    return _judged(step, gate, _rows_of_desired(step, probe), base, note)


def _rows_of_desired(step: Step, probe: Probe) -> int:
    with of_desired(f"{step.desired} cannot be counted"):
        return probe.count(step.desired or "")


def _rows_of_current(step: Step, probe: Probe) -> int:
    collection = has_current(step.current)
    with of_current(f"{collection} cannot be counted"):
        rows = probe.count(collection)
    if rows == 0:
        raise CannotTell(Verdict.NOT_APPLICABLE, f"{collection} has no rows to compare with")
    return rows


def _judged(step: Step, gate: RowsGate, rows: int, base: int | None, note: str) -> GateResult:
    figures: dict[str, Figure] = {"rows": rows}
    troubles = list(_troubles(gate, rows, base))
    found = passed = counted(rows, "row")
    if base is not None:
        percent = 100 * rows / base
        limits = [
            limit for limit in (gate.min_percent_of_current, gate.max_percent_of_current, 100) if limit is not None
        ]
        passed = f"{rounded(percent, *limits).removesuffix('.0')} %"
        found += f", {passed} of {step.current} ({base:,})"
        figures |= {"currentRows": base, "percent": round(percent, 3)}
    if not troubles:
        return GateResult(gate.gate, Verdict.PASS, passed + note, figures)
    detail = f"{step.desired} has {found}; {'; '.join(troubles)}{note}; {REMEDY}"
    return GateResult(gate.gate, Verdict.FAIL, detail, figures)


def _troubles(gate: RowsGate, rows: int, base: int | None) -> Iterator[str]:
    """Yield each limit that is not kept, and by how much."""
    for limit, shown in _limits(gate.min, gate.min_percent_of_current, base, ceil):
        if rows < limit:
            yield f"need ≥ {shown}; {counted(limit - rows, 'row')} short"
    for limit, shown in _limits(gate.max, gate.max_percent_of_current, base, floor):
        if rows > limit:
            yield f"need ≤ {shown}; {counted(rows - limit, 'row')} too many"


def _limits(
    count: int | None, percent: float | None, base: int | None, whole: Callable[[Fraction], int]
) -> Iterator[tuple[int, str]]:
    """Yield limits in rows, and in words. 99.9 is no binary fraction, so floats would not be exact."""
    if count is not None:
        yield count, f"{count:,}"
    if percent is not None and base is not None:
        from fractions import Fraction  # not needed to read a manifest

        limit = whole(Fraction(str(percent)) * base / 100)
        yield limit, f"{str(percent).removesuffix('.0')} % ({limit:,})"


GATE = Gate(
    settings=RowsGate,
    about="How many rows the collection has.",
    check=_check,
    needs={Call.QUERY: Ends.BOTH},
    costly=True,
)
