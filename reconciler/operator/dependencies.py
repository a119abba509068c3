"""Whether the sets that a set depends on (`spec.dependsOn`) are applied and verified, by their objects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from reconciler.core.dependencies import cycle_in, waits_for
from reconciler.core.reasons import Ready
from reconciler.core.text import shortened
from reconciler.manifest.records import AliasSetManifest
from reconciler.operator.objects import Ref, SetObject
from reconciler.operator.status import condition

MAX_MESSAGE = 500
"""Characters of the message of another set that a message repeats."""

Get = Callable[[Ref], SetObject | None]
"""Returns the newest known version of a set; None if there is none."""


def dependencies(set_object: SetObject | None) -> Sequence[Ref]:
    """Return the sets that a set depends on; none if its spec is not valid."""
    if set_object is None or not isinstance(set_object.spec, AliasSetManifest):
        return ()
    return [Ref(set_object.ref.namespace, name) for name in set_object.spec.depends_on]


def dependents_by_set(sets: Mapping[Ref, SetObject]) -> Mapping[Ref, Sequence[Ref]]:
    """Return, for each set that others depend on, those others; not those that depend on it through them."""
    found: dict[Ref, list[Ref]] = defaultdict(list)
    for ref, set_object in sets.items():
        for other in dependencies(set_object):
            found[other].append(ref)
    return found


def cycle_from(ref: Ref, get: Get) -> tuple[str, ...]:
    """Return the names of sets that depend on each other, if a set depends on them or is one; empty if there are none.

    The last name is the first one again.
    """
    graph: dict[Ref, Sequence[Ref]] = {}
    left = [ref]
    while left:
        if (each := left.pop()) not in graph:
            graph[each] = dependencies(get(each))
            left += graph[each]
    return tuple(each.name for each in cycle_in(graph))


def waiting_for(ref: Ref, get: Get) -> str:
    """Return the first set that a set has to wait for, and why; empty if there is none.

    A set that is ready itself still counts as waiting for what it depends on. The sets must not depend on each other.
    """
    for other in dependencies(get(ref)):
        found = get(other)
        why = why_not_ready(found) if found else f"there is no such AliasSet in namespace {other.namespace}"
        if why := why or waiting_for(other, get):
            return waits_for(other.name, why)
    return ""


def why_not_ready(set_object: SetObject) -> str:
    """Return why a set is not applied and verified at its present generation; empty if it is."""
    if set_object.deleting:
        return "it is being deleted"
    ready = condition(set_object.status, "Ready")
    if ready.get("observedGeneration") != set_object.generation:
        return f"its generation {set_object.generation} is not reconciled yet"
    if ready.get("status") != Ready.TRUE:
        return f"{ready.get('reason')}: {shortened(str(ready.get('message')), MAX_MESSAGE)}"
    if set_object.status.get("pendingVerification") or set_object.status.get("pendingRevert"):
        return "it is not verified"
    return ""
