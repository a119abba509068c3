"""Options of a run beyond the manifests, and their validation."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import Enum, auto
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.model import AliasSet

if TYPE_CHECKING:
    from reconciler.core.plan import SetPlan


class Options(Struct, frozen=True):
    """Options of a run beyond the manifests.

    Args:
        only: plan these aliases and no others; empty for all.
        max_drops: overrides `limits.maxDrops` of every set.
        retry_rejected: retry moves that an earlier run reverted, and ignore waves that it could not verify.
    """

    only: Collection[str] = ()
    allow_protected: Collection[str] = ()
    max_drops: int | None = None
    include_suspended: bool = False
    skip_gates: Collection[tuple[str, str]] = ()
    retry_rejected: bool = False


class GatesToEvaluate(Enum):
    """The gates that a plan evaluates.

    `CHEAP`: those without searches and exact counts. `SHOWN`: all; a failing one is shown and blocks nothing yet,
    because the run will wait for it.
    """

    CHEAP = auto()
    ALL = auto()
    SHOWN = auto()


def check_names(options: Options, sets: Sequence[AliasSet], gates: Collection[str]) -> None:
    """Check that each name in the options is known; one that is not is a typing error.

    Raises `InvalidInput`: with every name that is not known.
    """
    suspended = [] if options.include_suspended else [alias_set for alias_set in sets if alias_set.suspend]
    active = [alias_set for alias_set in sets if alias_set not in suspended]
    named = [("--only", name, name) for name in options.only]
    named += [("--allow-protected", name, name) for name in options.allow_protected]
    named += [("--skip-gate", name, f"{gate}:{name}") for gate, name in options.skip_gates]
    problems = []
    for flag, name, value in named:
        if any(_knows(alias_set, name) for alias_set in active):
            continue
        suspended_set = next((alias_set.key for alias_set in suspended if _knows(alias_set, name)), None)
        why = (
            f'its set "{suspended_set}" is suspended; add --include-suspended'
            if suspended_set
            else "no set lists or covers it"
        )
        problems.append(Problem(f"{flag} {value}: {why}"))
    listed = {alias.name: alias for alias_set in active for alias in alias_set.aliases}
    unknown = {gate for gate, _ in options.skip_gates} - set(gates)
    problems += [Problem(f"--skip-gate {gate}: there is no such gate") for gate in sorted(unknown)]
    problems += [
        Problem(f'--skip-gate {gate}:{name}: alias "{name}" has no gate {gate}')
        for gate, name in options.skip_gates
        if name in listed and gate not in unknown and not listed[name].gates.has(gate)
    ]
    if problems:
        raise InvalidInput(*problems)


def limited(desired: AliasSet, options: Options) -> AliasSet:
    if options.max_drops is None:
        return desired
    return replace(desired, limits=replace(desired.limits, max_drops=options.max_drops))


def with_skipped_gates(plan: SetPlan, options: Options) -> SetPlan:
    """Return the plan, each step with the gates that this run skips for its alias."""
    steps = (
        replace(step, skipped_gates=tuple(sorted(gate for gate, alias in options.skip_gates if alias == step.alias)))
        for step in plan.steps
    )
    return replace(plan, steps=tuple(steps)) if options.skip_gates else plan


def _knows(desired: AliasSet, name: str) -> bool:
    return any(alias.name == name for alias in desired.aliases) or desired.scope.covers(name)
