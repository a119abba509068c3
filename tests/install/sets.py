"""AliasSets as the API server has them, with what the operator says of them."""

from __future__ import annotations

from typing import Any

from reconciler.core.reasons import MEANINGS, Reason
from tests.install.built import Object

GENERATION = 3


def alias_set(status: dict[str, Any] | None) -> Object:
    made: Object = {
        "apiVersion": "aliasctl.dev/v1alpha1",
        "kind": "AliasSet",
        "metadata": {"name": "search", "namespace": "search", "generation": GENERATION},
        "spec": {"connectionRef": {"name": "prod"}, "suspend": False},
    }
    return made if status is None else {**made, "status": status}


def condition(kind: str, status: str, reason: Reason, message: str = "why") -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message, "observedGeneration": GENERATION}


def with_reason(reason: Reason, message: str = "why") -> Object:
    """A set of which the operator says this; `Reconciling` and `Stalled` are there only while they are true."""
    meaning = MEANINGS[reason]
    conditions = [condition("Ready", meaning.ready, reason, message)]
    conditions += [condition("Reconciling", "True", reason, message)] if meaning.reconciling else []
    conditions += [condition("Stalled", "True", reason, message)] if meaning.stalled else []
    return alias_set({"observedGeneration": GENERATION, "conditions": conditions})
