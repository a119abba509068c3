"""What must be true of a collection before an alias points at it: one file a gate.

A gate is a function from a step and a `Probe` to a `GateResult`, or to None where it does not apply; it raises
`CannotTell` where there is nothing to judge. To add one: write its file, add it to `GATES`, its settings to
`model.Gates` and `plan.gate_specification`, its shape to `manifest.shape`. Gates read, and never write.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice

from reconciler.catalog.port import Catalog
from reconciler.core.errors import CatalogError
from reconciler.core.model import OnUnknown
from reconciler.core.plan import Action, Block, BlockReason, GateResult, SetPlan, Step, Verdict
from reconciler.gates import canary, contract, indexed, loaded, rows, schema
from reconciler.gates.probe import CannotTell, Halted, Probe


@dataclass(frozen=True, slots=True)
class Gate:
    """`costly`: it takes exact counts or searches, which a busy server notices."""

    name: str
    check: Callable[[Step, Probe], GateResult | None]
    costly: bool = False


GATES = (
    Gate(loaded.NAME, loaded.check),
    Gate(indexed.NAME, indexed.check),
    Gate(rows.NAME, rows.check, costly=True),
    Gate(schema.NAME, schema.check),
    Gate(contract.NAME, contract.check),
    Gate(canary.NAME, canary.check, costly=True),
)
ALL = frozenset(gate.name for gate in GATES)
CHEAP = frozenset(gate.name for gate in GATES if not gate.costly)


def evaluate_gates(
    steps: Sequence[Step],
    catalog: Catalog,
    *,
    which: Collection[str] = ALL,
    blocking: bool = True,
    halted: Callable[[], bool] = lambda: False,
) -> tuple[Step, ...]:
    """The same steps with their gates' results, in place of earlier ones; those that fail one are blocked.

    Drops and blocked steps pass through. On the way back (`Step.way_back`) only `loaded` blocks, and only if it fails;
    costly gates are not asked at all, because the way back must be short.

    Args:
        steps: changes of one database.
        catalog: it, open.
        which: names of the gates that are asked, if a step has them and does not skip them.
        blocking: whether a gate that does not pass blocks its step; without, the results are only noted.
        halted: whether nothing further should be asked. Steps that are not judged by then come back as they were, so
            whoever halts a round must not act on it.

    Raises:
        CatalogError: transient trouble that affects every answer, such as a lost connection; what one question cannot
            tell is the verdict `unknown`.
    """
    probe = Probe(catalog, halted)
    asked = [gate for gate in GATES if gate.name in which]
    with ThreadPoolExecutor(catalog.concurrency, thread_name_prefix="gate") as pool:
        return tuple(pool.map(lambda step: _judged(step, asked, probe, blocking), steps))


def evaluate_sets(
    plans: Sequence[SetPlan], catalog: Catalog, *, which: Collection[str] = ALL, blocking: bool = True
) -> list[SetPlan]:
    """`gated` over all sets of one database at once, so that each question is asked once for all of them."""
    steps = [step for plan in plans for step in plan.steps]
    judged = iter(evaluate_gates(steps, catalog, which=which, blocking=blocking))
    return [replace(plan, steps=tuple(islice(judged, len(plan.steps)))) for plan in plans]


def _judged(step: Step, asked: Sequence[Gate], probe: Probe, blocking: bool) -> Step:
    if step.blocked or step.action is Action.DROP:
        return step
    gates = [gate for gate in asked if gate.name not in step.skipped_gates and not (step.reverting and gate.costly)]
    try:
        results = tuple(result for gate in gates if (result := _ask(gate, step, probe)))
    except Halted:
        return step
    failed = [result for result in results if _holds_up(result, step)] if blocking else []
    return replace(step, gate_results=results, blocked=_block(failed) if failed else None)


def _ask(gate: Gate, step: Step, probe: Probe) -> GateResult | None:
    try:
        return gate.check(step, probe)
    except CannotTell as cannot:
        return GateResult(gate.name, cannot.verdict, str(cannot), {})
    except CatalogError as error:
        if step.reverting and gate.name != loaded.NAME:
            return GateResult(gate.name, Verdict.UNKNOWN, str(error), {})
        raise


def _holds_up(result: GateResult, step: Step) -> bool:
    if step.reverting:
        return result.gate == loaded.NAME and result.verdict is Verdict.FAIL
    if result.verdict is Verdict.UNKNOWN:
        return step.gates.on_unknown is not OnUnknown.PASS
    return result.verdict is Verdict.FAIL


def _block(failed: Sequence[GateResult]) -> Block:
    """All that fail, the first one first; a way out only where it is enough."""
    message = "; also ".join(f"{result.gate}: {result.detail}" for result in failed)
    if all(result.verdict is Verdict.UNKNOWN for result in failed):
        message += "; set gates.onUnknown: Pass to go on without an answer"
    return Block(BlockReason.GATE_FAILED, message)
