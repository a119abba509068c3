"""What must be true of a collection before an alias points at it: one file a gate.

A gate is a function from a step and a `Probe` to a `GateResult`, or to None where it does not apply. To add one:
write its file, add it to `GATES`, its settings to `model.Gates` and `plan.gate_specification`, its shape to
`manifest.schema`. Gates read, and never write.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice

from reconciler.catalog.port import Catalog
from reconciler.gates import loaded
from reconciler.gates.probe import Probe
from reconciler.model import OnUnknown
from reconciler.plan import Action, Block, BlockReason, GateResult, SetPlan, Step, Verdict

Gate = Callable[[Step, Probe], GateResult | None]

GATES: dict[str, Gate] = {loaded.NAME: loaded.check}


def gated(steps: Sequence[Step], catalog: Catalog) -> tuple[Step, ...]:
    """The same steps with their gates' results; those that fail one are blocked.

    Drops and blocked steps pass through. Raises `CatalogError` only for trouble that affects every answer, such as a
    lost connection; what one question cannot tell is the verdict `unknown`.
    """
    probe = Probe(catalog)
    with ThreadPoolExecutor(catalog.concurrency, thread_name_prefix="gate") as pool:
        return tuple(pool.map(lambda step: _judged(step, probe), steps))


def gated_sets(plans: Sequence[SetPlan], catalog: Catalog) -> list[SetPlan]:
    """`gated` over all sets of one database at once, so that each question is asked once for all of them."""
    judged = iter(gated([step for plan in plans for step in plan.steps], catalog))
    return [replace(plan, steps=tuple(islice(judged, len(plan.steps)))) for plan in plans]


def _judged(step: Step, probe: Probe) -> Step:
    if step.blocked or step.action is Action.DROP:
        return step
    results = tuple(result for gate in GATES.values() if (result := gate(step, probe)))
    failed = next((result for result in results if not _passes(result, step.gates.on_unknown)), None)
    return replace(step, gate_results=results, blocked=_block(failed) if failed else None)


def _block(failed: GateResult) -> Block:
    way_out = "; set gates.onUnknown: Pass to go on without an answer" if failed.verdict is Verdict.UNKNOWN else ""
    return Block(BlockReason.GATE_FAILED, f"{failed.gate}: {failed.detail}{way_out}")


def _passes(result: GateResult, on_unknown: OnUnknown) -> bool:
    if result.verdict is Verdict.UNKNOWN:
        return on_unknown is OnUnknown.PASS
    return result.verdict is not Verdict.FAIL
