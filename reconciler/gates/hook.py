"""Gate `hook`: systems of the user's own allow the move.

Why: whether now is a good time, whether the encoders for the new collection are deployed, and whether an offline
evaluation passed, is known elsewhere. A hook is asked last, and only if no other gate blocks the move, because an
answer may cost much or involve people. No answer is the verdict `unknown`.
"""

from __future__ import annotations

from typing import Annotated

from reconciler.core.errors import IntegrationFailed
from reconciler.core.fields import MAX_ITEMS, ObjectName, about
from reconciler.core.gates import GateSettings
from reconciler.core.plan import Figure, GateResult, Step, Verdict
from reconciler.gates.gate import Gate, if_on
from reconciler.gates.probe import CannotTell, Probe


class HookGate(GateSettings, frozen=True):
    """The hooks of the MilvusConnection that must allow the move, by their names."""

    gate = "hook"
    hook_fields = ("name", "names")
    rules = (
        if_on(
            "a hook gate needs name: a hook of the MilvusConnection; or names, for several",
            "has(self.name) != (has(self.names) && size(self.names) > 0)",
            {
                "anyOf": [
                    {"required": ["name"], "not": {"required": ["names"]}},
                    {"required": ["names"], "not": {"required": ["name"]}, "properties": {"names": {"minItems": 1}}},
                ]
            },
        ),
    )

    name: Annotated[ObjectName | None, about("A hook of the MilvusConnection.")] = None
    names: Annotated[
        tuple[Annotated[ObjectName, about("A hook of the MilvusConnection.")], ...],
        about("Several hooks, all of which must allow the move; they are asked in this order.", maxItems=MAX_ITEMS),
    ] = ()

    @property
    def hooks(self) -> tuple[str, ...]:
        """Return the names of the hooks, in the order in which they are asked."""
        return (self.name,) if self.name else self.names


def _check(gate: HookGate, step: Step, probe: Probe) -> GateResult:
    """Ask about one create or alter; the first hook that does not allow it is the last one that is asked."""
    figures: dict[str, Figure] = {}
    details = []
    for name in gate.hooks:
        try:
            decision = probe.ask_hook(name, step)
        except IntegrationFailed as error:
            raise CannotTell(Verdict.UNKNOWN, str(error)) from None
        figures[name] = "allow" if decision.allow else "deny"
        details.append(f"{name}: {decision.reason or ('allowed' if decision.allow else 'denied')}")
        if not decision.allow:
            return GateResult(gate.gate, Verdict.FAIL, details[-1], figures)
    return GateResult(gate.gate, Verdict.PASS, "; ".join(details), figures)


GATE = Gate(
    settings=HookGate,
    about="Hooks of the MilvusConnection allow the move.",
    check=_check,
    costly=True,
    after_others=True,
)
