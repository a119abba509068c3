"""All gates, in the order in which they are evaluated. Everything that names gates reads it from here."""

from __future__ import annotations

from typing import Any

from reconciler.gates import access, canary, contract, freshness, hook, indexed, loaded, rows, schema, warm
from reconciler.gates.gate import Gate
from reconciler.version import __version__

GATES: dict[str, Gate[Any]] = {
    gate.name: gate
    for gate in (
        loaded.GATE,
        indexed.GATE,
        rows.GATE,
        freshness.GATE,
        schema.GATE,
        contract.GATE,
        access.GATE,
        canary.GATE,
        warm.GATE,
        hook.GATE,  # last: it is evaluated after the others
    )
}


def cheap_gates() -> frozenset[str]:
    """Return the names of the gates that need neither searches nor exact counts."""
    return frozenset(gate.name for gate in GATES.values() if not gate.costly)


def watched_gates() -> frozenset[str]:
    """Return the names of the gates that are evaluated again while a wave soaks."""
    return frozenset(gate.name for gate in GATES.values() if gate.watched)


def unknown_gate(name: str) -> str:
    """Return the message for a name that no gate has."""
    return f"gate {name} cannot be evaluated by aliasctl {__version__} (it knows: {', '.join(sorted(GATES))})"
