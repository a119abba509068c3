"""Check whether hooks answer, with an event that asks for no decision."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.core.errors import IntegrationFailed
from reconciler.core.model import AliasSet, Connection, Target
from reconciler.credentials import Secrets
from reconciler.gates.hook import HookGate
from reconciler.inspect.conditions import Condition, Result, Subject
from reconciler.integrations.hooks import Hooks

REFUSED = (401, 403)
_WORST_FIRST = (Result.MISSING, Result.UNKNOWN, Result.OK)


def hook_conditions(
    connection: Connection, target: Target, sets: Sequence[AliasSet], secrets: Secrets | None
) -> list[Condition]:
    """Return the condition of the hooks that gates of some sets of one database name; none where there are no hooks."""
    gates = (alias.gates.get(HookGate) for alias_set in sets for alias in alias_set.aliases)
    names = sorted({name for gate in gates if gate for name in gate.hooks})
    if not names:
        unused = Condition(Subject.HOOKS, Result.NOT_NEEDED, "no gate of these sets names one")
        return [unused] if connection.hooks else []
    hooks = Hooks(connection, target, secrets)
    found = [_test(name, hooks) for name in names]
    worst = next(result for result in _WORST_FIRST if any(each is result for each, _ in found))
    details = [detail for result, detail in found if result is worst]
    return [Condition(Subject.HOOKS, worst, "; ".join(details))]


def _test(name: str, hooks: Hooks) -> tuple[Result, str]:
    try:
        response = hooks.test(name)
    except IntegrationFailed as error:
        return Result.MISSING, str(error)
    said = f'hook "{name}" answers {response.status} to a test event'
    if 200 <= response.status < 300:
        return Result.OK, said
    if response.status in REFUSED:
        return Result.MISSING, f"{said}; check its secret"
    return Result.UNKNOWN, said
