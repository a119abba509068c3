"""Gate `indexed`: every vector field of the new collection has an index, and no row waits for it.

Why: rows that are not in an index yet are searched one by one, so the first searches after a switch are slow. A server
says that an index is finished and how many rows it has not got; Milvus Lite is always finished.
"""

from __future__ import annotations

from reconciler.core.gates import GateSettings
from reconciler.core.model import Index
from reconciler.core.plan import GateResult, Step, Verdict
from reconciler.core.text import listed
from reconciler.gates.gate import Call, Ends, Gate
from reconciler.gates.probe import Probe, of_desired


class IndexedGate(GateSettings, frozen=True):
    """Every vector field of the desired collection must be indexed, and no row may wait for its index."""

    gate = "indexed"


def _check(gate: IndexedGate, step: Step, probe: Probe) -> GateResult:
    """Evaluate one create or alter."""
    collection = step.desired or ""
    with of_desired(f"the indexes of {collection} cannot be read"):
        fields = [vector.name for vector in probe.schema(collection).vectors]
        found = {index.field: index for index in probe.indexes(collection)}
    troubles = [trouble for name in fields if (trouble := _trouble(name, found.get(name)))]
    figures = {"fields": len(fields), "pendingRows": sum(found[name].pending_rows for name in fields if name in found)}
    if not troubles:
        return GateResult(gate.gate, Verdict.PASS, "", figures)
    return GateResult(gate.gate, Verdict.FAIL, f"{collection}: {listed(troubles, separator='; ')}", figures)


def _trouble(field: str, index: Index | None) -> str | None:
    if index is None:
        return f"{field} has no index; create one"
    if index.pending_rows:
        return f"the index of {field} lacks {index.pending_rows:,} rows; wait until it is built"
    return None if index.finished else f"the index of {field} is not finished; wait until it is built"


GATE = Gate(
    settings=IndexedGate,
    about="Every vector field of the collection is indexed, and no row waits for its index.",
    check=_check,
    needs={Call.DESCRIBE_INDEX: Ends.DESIRED},
)
