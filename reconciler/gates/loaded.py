"""Gate `loaded`: searches on the new collection can be answered.

Why: an alias may point at a collection that is not loaded, and every search through it then fails (measured on Milvus
2.3.5: code 101) or, on Milvus Lite, finds nothing. Where only some of its partitions are loaded, the server says that
the collection is, and reads silently leave the others out (measured on 2.3.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from reconciler.core.errors import CatalogError
from reconciler.core.fields import about
from reconciler.core.gates import DEFAULT_GUARD, GateSettings
from reconciler.core.model import LoadState
from reconciler.core.plan import Action, GateResult, Step, Verdict
from reconciler.core.text import counted, listed
from reconciler.gates.gate import Call, Ends, Gate
from reconciler.gates.probe import CannotTell, Probe, of_current, of_desired


class LoadedGate(GateSettings, frozen=True):
    """The desired collection must be loaded, with every partition that the current one does not leave out."""

    gate = DEFAULT_GUARD

    enabled: Annotated[bool, about("False: the alias may move to a collection that is not loaded.")] = True
    replicas: Annotated[Annotated[int, Meta(ge=1)] | None, about("Minimum number of replicas that serve.")] = None


def _check(gate: LoadedGate, step: Step, probe: Probe) -> GateResult:
    """Require that the desired collection is loaded, in all its partitions and with enough replicas."""
    state = _state_of_desired(step, probe)
    if state is not LoadState.LOADED:
        return _result(Verdict.FAIL, f"{step.desired} is {_words(state)}; load it first", state)
    if missing := _missing(_unloaded(step, probe), step, probe):
        return _partial(missing, step, "")
    if gate.replicas is None:
        return _result(Verdict.PASS, "", state)
    try:
        replicas = probe.replicas(step.desired or "")
    except CatalogError as error:
        if error.transient:
            raise
        return _result(Verdict.UNKNOWN, f"the replicas of {step.desired} cannot be read: {error}", state)
    verdict = Verdict.PASS if replicas >= gate.replicas else Verdict.FAIL
    detail = "" if verdict is Verdict.PASS else f"{step.desired} has {replicas} of {gate.replicas} replicas serving"
    return GateResult(
        LoadedGate.gate, verdict, detail, {"state": state, "replicas": replicas, "desiredReplicas": gate.replicas}
    )


def _guard(step: Step, probe: Probe) -> GateResult | None:
    """Require that an alias is not moved from a loaded collection to one that is not, or not as much.

    A create moves no readers, so it is not blocked, and a collection that is not loaded, or only partly, is reported.
    """
    if step.action is not Action.ALTER:
        return None if probe.is_lite else _reported(step, probe)
    desired: LoadState | CannotTell
    unloaded: list[str] = []
    try:
        desired = _state_of_desired(step, probe)
        if desired is LoadState.LOADED:
            unloaded = _unloaded(step, probe)
    except CannotTell as cannot:
        desired = cannot  # which matters only if the current one is loaded, or cannot be read either
    if desired is LoadState.LOADED and not unloaded:
        return _result(Verdict.PASS, "", desired)
    with of_current(f"the load state of {step.current} cannot be read"):
        current = probe.load_state(step.current or "")
    if current is not LoadState.LOADED:
        return _result(Verdict.NOT_APPLICABLE, f"{step.current} is not loaded either", None)
    if isinstance(desired, CannotTell):
        raise desired
    remedy = "" if step.reverting else ", or set gates: {loaded: {enabled: false}}"
    if desired is LoadState.LOADED:
        missing = _missing(unloaded, step, probe)
        return _partial(missing, step, remedy) if missing else _result(Verdict.PASS, "", desired)
    return _result(
        Verdict.FAIL, f"{step.desired} is {_words(desired)} while {step.current} is; load it first{remedy}", desired
    )


def _reported(step: Step, probe: Probe) -> GateResult | None:
    """Return a result that does not block, if the alias is created on a collection that is not wholly loaded."""
    try:
        state = _state_of_desired(step, probe)
        unloaded = _unloaded(step, probe) if state is LoadState.LOADED else []
    except CannotTell as cannot:
        return _result(Verdict.NOT_APPLICABLE, str(cannot), None)
    detail = what_readers_miss(step.desired or "", state, unloaded)
    return _result(Verdict.NOT_APPLICABLE, detail, state) if detail else None


def what_readers_miss(collection: str, state: LoadState, unloaded: Sequence[str]) -> str:
    """Return what readers of an alias miss while its collection is not wholly loaded; "" if it is.

    `unloaded`: the partitions that are not loaded, of a collection that is.
    """
    if state is not LoadState.LOADED:
        return f"{collection} is {_words(state)}: searches through the alias fail until it is loaded"
    if unloaded:
        return f"{_loaded_without(collection, unloaded)}; reads through the alias leave these rows out"
    return ""


def _state_of_desired(step: Step, probe: Probe) -> LoadState:
    with of_desired(f"the load state of {step.desired} cannot be read"):
        return probe.load_state(step.desired or "")


def _unloaded(step: Step, probe: Probe) -> list[str]:
    """Return the partitions of the desired collection that are not loaded."""
    with of_desired(f"the partitions of {step.desired} cannot be read"):
        return [name for name, loaded in probe.partitions(step.desired or "").items() if not loaded]


def _missing(unloaded: list[str], step: Step, probe: Probe) -> list[str]:
    """Return those of the unloaded partitions that the current collection does not leave out too.

    All of them where it has nothing loaded, or its partitions cannot be read.
    """
    if not unloaded or step.current is None:
        return unloaded
    try:
        current = probe.partitions(step.current)
    except CatalogError as error:
        if error.transient:
            raise
        return unloaded
    return [name for name in unloaded if current.get(name, True)] if any(current.values()) else unloaded


def _partial(missing: list[str], step: Step, remedy: str) -> GateResult:
    detail = f"{_loaded_without(step.desired or '', missing)}; load the whole collection first{remedy}"
    return GateResult(
        LoadedGate.gate, Verdict.FAIL, detail, {"state": LoadState.LOADED, "missingPartitions": len(missing)}
    )


def _loaded_without(collection: str, partitions: Sequence[str]) -> str:
    return f"{collection} is loaded without {counted(len(partitions), 'partition')}: {listed(partitions, 3)}"


def _result(verdict: Verdict, detail: str, state: LoadState | None) -> GateResult:
    return GateResult(LoadedGate.gate, verdict, detail, {"state": state} if state else {})


def _words(state: LoadState) -> str:
    return {LoadState.LOADING: "still loading", LoadState.MISSING: "gone"}.get(state, "not loaded")


GATE = Gate(
    settings=LoadedGate,
    about="The collection is loaded.",
    check=_check,
    guard=_guard,
    needs={Call.GET_LOAD_STATE: Ends.BOTH, Call.SHOW_PARTITIONS: Ends.BOTH},
    watched=True,
)
