"""Evaluate gates over the steps of a database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from reconciler.catalog.port import Catalog
from reconciler.core.errors import CatalogError
from reconciler.core.gates import DEFAULT_GUARD, OnUnknown
from reconciler.core.plan import Action, Block, BlockReason, GateResult, SetPlan, Step, Verdict
from reconciler.gates.gate import Gate
from reconciler.gates.probe import CannotTell, Halted, Probe
from reconciler.gates.registry import GATES

if TYPE_CHECKING:
    from reconciler.integrations.hooks import Hooks  # not needed to read a manifest


def evaluate_gates(
    steps: Sequence[Step],
    catalog: Catalog,
    *,
    which: Collection[str] | None = None,
    blocking: bool = True,
    halted: Callable[[], bool] = lambda: False,
    on_step: Callable[[], None] = lambda: None,
    hooks: Hooks | None = None,
) -> tuple[Step, ...]:
    """Return the steps with the results of their gates, which replace earlier ones; a gate that fails blocks its step.

    Drops and blocked steps pass through. For a step that reverts only the default guard blocks, and only if it fails;
    costly gates are not evaluated at all, because a rollback must be short.

    Args:
        steps: changes of one database.
        catalog: it, open.
        which: names of the gates to evaluate, if a step has them and does not skip them; None for all.
        blocking: whether a gate that does not pass blocks its step; without, the results are only noted.
        halted: whether to stop. Steps not evaluated until then are returned unchanged, so a caller that halts a round
            must not act on it.
        on_step: called after each step, in any thread.
        hooks: those of the database's connection; None where no hook can be asked.

    Raises:
        CatalogError: a transient error that affects every answer, such as a lost connection; an error that concerns
            one collection is the verdict `unknown`.
    """
    from concurrent.futures import ThreadPoolExecutor  # not needed to read a manifest

    probe = Probe(catalog, halted, hooks)
    gates = [gate for gate in GATES.values() if which is None or gate.name in which]

    def evaluated(step: Step) -> Step:
        result = _evaluated(step, gates, probe, blocking)
        on_step()
        return result

    with ThreadPoolExecutor(catalog.concurrency, thread_name_prefix="gate") as pool:
        return tuple(pool.map(evaluated, steps))


def evaluate_sets(
    plans: Sequence[SetPlan],
    catalog: Catalog,
    *,
    which: Collection[str] | None = None,
    blocking: bool = True,
    on_step: Callable[[], None] = lambda: None,
    hooks: Hooks | None = None,
) -> list[SetPlan]:
    """Evaluate the gates of all sets of one database in one round, so that each measurement is made once."""
    steps = [step for plan in plans for step in plan.steps]
    evaluated = iter(evaluate_gates(steps, catalog, which=which, blocking=blocking, on_step=on_step, hooks=hooks))
    return [
        without_evaluation(
            replace(plan, steps=tuple(islice(evaluated, len(plan.steps)))), but=GATES if which is None else which
        )
        for plan in plans
    ]


def without_evaluation(plan: SetPlan, *, but: Collection[str] = ()) -> SetPlan:
    """Return a set's plan in which the gates that are on and were not evaluated have the verdict `notEvaluated`.

    `but`: names of the gates that were evaluated.
    """
    left_out = [gate for gate in GATES.values() if gate.name not in but]
    return replace(plan, steps=tuple(_marked(step, left_out) for step in plan.steps) if left_out else plan.steps)


def _marked(step: Step, left_out: Sequence[Gate[Any]]) -> Step:
    if step.blocked or step.action is Action.DROP:
        return step
    names = [gate.name for gate in left_out if _is_on(gate, step) and _applies(gate, step)]
    results = (*step.gate_results, *(GateResult(name, Verdict.NOT_EVALUATED, "", {}) for name in names))
    order = list(GATES)
    return replace(step, gate_results=tuple(sorted(results, key=lambda result: order.index(result.gate))))


def _applies(gate: Gate[Any], step: Step) -> bool:
    """Return whether an apply of a step evaluates a gate that is on."""
    return gate.name not in step.skipped_gates and not (step.reverting and gate.costly)


def _is_on(gate: Gate[Any], step: Step) -> bool:
    settings = step.gates.settings.get(gate.name)
    return settings.enabled if settings else bool(gate.guard)


def _evaluated(step: Step, gates: Sequence[Gate[Any]], probe: Probe, blocking: bool) -> Step:
    if step.blocked or step.action is Action.DROP:
        return step
    results: tuple[GateResult, ...] = ()
    try:
        for gate in gates:
            if _applies(gate, step) and (result := _result_after(gate, results, step, probe)):
                results += (result,)
    except Halted:
        return step
    failed = [result for result in results if _blocks(result, step)] if blocking else []
    return replace(step, gate_results=results, blocked=_block(failed) if failed else None)


def _result_after(gate: Gate[Any], earlier: tuple[GateResult, ...], step: Step, probe: Probe) -> GateResult | None:
    """Return the result of a gate that is evaluated after others; None if the step does not have it."""
    if not gate.after_others:
        return _result(gate, step, probe)
    if not _is_on(gate, step):
        return None
    if any(_blocks(result, step) for result in earlier):
        return GateResult(gate.name, Verdict.NOT_EVALUATED, "", {})
    return _result(gate, replace(step, gate_results=earlier), probe)


def _result(gate: Gate[Any], step: Step, probe: Probe) -> GateResult | None:
    settings = step.gates.settings.get(gate.name)
    try:
        if gate.guard and (settings is None or step.reverting):
            return gate.guard(step, probe)
        return gate.check(settings, step, probe) if settings and settings.enabled else None
    except CannotTell as cannot:
        return GateResult(gate.name, cannot.verdict, str(cannot), {})
    except CatalogError as error:
        if step.reverting and gate.name != DEFAULT_GUARD:
            return GateResult(gate.name, Verdict.UNKNOWN, str(error), {})
        raise


def _blocks(result: GateResult, step: Step) -> bool:
    if step.reverting:
        return result.gate == DEFAULT_GUARD and result.verdict is Verdict.FAIL
    if result.verdict is Verdict.UNKNOWN:
        return step.gates.on_unknown is not OnUnknown.PASS
    return result.verdict is Verdict.FAIL


def _block(failed: Sequence[GateResult]) -> Block:
    """Return a block that names all failed gates, and `onUnknown` only where that setting would be enough."""
    message = "; also ".join(f"{result.gate}: {result.detail}" for result in failed)
    if all(result.verdict is Verdict.UNKNOWN for result in failed):
        message += "; set gates.onUnknown: Pass to go on without an answer"
    return Block(BlockReason.GATE_FAILED, message)
