"""Gate `loaded`: searches on the new collection can be answered.

Why: an alias may point at a collection that is not loaded, and every search through it then fails (measured on Milvus
2.3.5: code 101) or, on Milvus Lite, finds nothing.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from reconciler.core.errors import CatalogError
from reconciler.core.gates import DEFAULT_GUARD, GateSettings
from reconciler.core.model import LoadState
from reconciler.core.plan import Action, GateResult, Step, Verdict
from reconciler.gates.gate import Call, Ends, Gate
from reconciler.gates.probe import CannotTell, Probe, of_current, of_desired


class LoadedGate(GateSettings, frozen=True):
    """The desired collection must be loaded."""

    gate = DEFAULT_GUARD

    enabled: Annotated[bool, Meta(description="False: the alias may move to a collection that is not loaded.")] = True
    replicas: Annotated[int, Meta(ge=1, description="Minimum number of loaded replicas.")] | None = None


def _check(gate: LoadedGate, step: Step, probe: Probe) -> GateResult:
    """Require that the desired collection is loaded, with enough replicas."""
    state = _state_of_desired(step, probe)
    if state is not LoadState.LOADED:
        return _result(Verdict.FAIL, f"{step.desired} is {_words(state)}; load it first", state)
    if gate.replicas is None:
        return _result(Verdict.PASS, "", state)
    try:
        replicas = probe.replicas(step.desired or "")
    except CatalogError as error:
        if error.transient:
            raise
        return _result(Verdict.UNKNOWN, f"the replicas of {step.desired} cannot be read: {error}", state)
    verdict = Verdict.PASS if replicas >= gate.replicas else Verdict.FAIL
    detail = "" if verdict is Verdict.PASS else f"{step.desired} has {replicas} of {gate.replicas} replicas loaded"
    return GateResult(
        LoadedGate.gate, verdict, detail, {"state": state, "replicas": replicas, "desiredReplicas": gate.replicas}
    )


def _guard(step: Step, probe: Probe) -> GateResult | None:
    """Require that an alias is not moved from a loaded collection to one that is not."""
    if step.action is not Action.ALTER:
        return None
    desired: LoadState | CannotTell
    try:
        desired = _state_of_desired(step, probe)
    except CannotTell as cannot:
        desired = cannot  # which matters only if the current one is loaded, or may not be asked either
    if desired is LoadState.LOADED:
        return _result(Verdict.PASS, "", desired)
    with of_current(f"the load state of {step.current} cannot be read", lambda: _state_of_desired(step, probe)):
        current = probe.load_state(step.current or "")
    if current is not LoadState.LOADED:
        return _result(Verdict.NOT_APPLICABLE, f"{step.current} is not loaded either", None)
    if isinstance(desired, CannotTell):
        raise desired
    remedy = "" if step.reverting else ", or set gates: {loaded: {enabled: false}}"
    return _result(
        Verdict.FAIL, f"{step.desired} is {_words(desired)} while {step.current} is; load it first{remedy}", desired
    )


def _state_of_desired(step: Step, probe: Probe) -> LoadState:
    with of_desired(f"the load state of {step.desired} cannot be read"):
        return probe.load_state(step.desired or "")


def _result(verdict: Verdict, detail: str, state: LoadState | None) -> GateResult:
    return GateResult(LoadedGate.gate, verdict, detail, {"state": state} if state else {})


def _words(state: LoadState) -> str:
    return {LoadState.LOADING: "still loading", LoadState.MISSING: "gone"}.get(state, "not loaded")


GATE = Gate(
    settings=LoadedGate,
    about="The collection is loaded.",
    check=_check,
    guard=_guard,
    needs={Call.GET_LOAD_STATE: Ends.BOTH},
    watched=True,
)
