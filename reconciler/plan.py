"""The plan: what one run would do, in order, and what it saw when it decided so.

    Plan ── TargetPlan (a database) ── SetPlan (an AliasSet) ── Step (one call that changes one alias)

Records only: no clock, no I/O. `diff` makes the steps, `guards` the refusals, `gates` the gate results; `planfile`
writes a plan down; `execute` carries it out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby

from reconciler.model import Connection, Gates, LiveCatalog, OnUnknown, Source, Target


class Action(StrEnum):
    CREATE = "create"
    ALTER = "alter"
    DROP = "drop"


class BlockReason(StrEnum):
    """Why a wanted change cannot be made now."""

    TARGET_MISSING = "targetMissing"
    TARGET_IS_ALIAS = "targetIsAlias"
    NAME_TAKEN = "nameTakenByCollection"
    PROTECTED = "protected"
    LOSES_OTHERS = "dropLosesOthers"
    GATE_FAILED = "gateFailed"
    EARLIER_WAVE = "earlierWave"


@dataclass(frozen=True, slots=True)
class Block:
    reason: BlockReason
    message: str


class Verdict(StrEnum):
    """What a gate found. `unknown`: the server cannot tell; `notApplicable`: the current side gives nothing to ask."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "notApplicable"


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate's verdict on one step: a few words for a person, the measured figures for programs."""

    gate: str
    verdict: Verdict
    detail: str
    figures: Mapping[str, str | int | float]


@dataclass(frozen=True, slots=True)
class Step:
    """One change of one alias: from the collection `current` to the collection `wanted`; None stands for no alias.

    The two differ, and they alone say which call makes the change.
    `prune` marks a drop of an alias that the set's scope covers and the set does not list. It has a wave of its own,
    after the last one. A step with `blocked` is not executed.
    """

    set: str
    alias: str
    current: str | None
    wanted: str | None
    wave: int = 0
    prune: bool = False
    current_id: int | None = None
    wanted_id: int | None = None
    gates: Gates = Gates()
    gate_results: tuple[GateResult, ...] = ()
    blocked: Block | None = None

    @property
    def action(self) -> Action:
        if self.wanted is None:
            return Action.DROP
        return Action.CREATE if self.current is None else Action.ALTER

    @property
    def order(self) -> tuple[int, bool, str]:
        """Waves ascending; within a wave creates and alters before drops; then by name."""
        return (self.wave, self.action is Action.DROP, self.alias)


@dataclass(frozen=True, slots=True)
class SetPlan:
    """What one set would change.

    `covered` counts the live aliases in the set's scope; `governed` also those it lists: the base of
    `maxChangePercent`. `refusals` are the guards' sentences; any of them keeps the whole run from writing.
    """

    set: str
    steps: tuple[Step, ...] = ()
    unchanged: int = 0
    covered: int = 0
    governed: int = 0
    suspended: bool = False
    refusals: tuple[str, ...] = ()
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class TargetPlan:
    """What would change in one database.

    `alias_count` and `calls` are figures of the read. `offline` says that the live side came from an export.
    """

    target: Target
    connection: Connection
    sets: tuple[SetPlan, ...]
    server_version: str = ""
    alias_count: int = 0
    calls: int = 0
    offline: bool = False

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(step for set_plan in self.sets for step in set_plan.steps)

    @property
    def runnable(self) -> tuple[Step, ...]:
        """The steps that nothing blocks."""
        return tuple(step for step in self.steps if step.blocked is None)


@dataclass(frozen=True, slots=True)
class Plan:
    """What one run would do. `created` is an RFC 3339 time."""

    targets: tuple[TargetPlan, ...]
    created: str
    tool_version: str

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(step for target in self.targets for step in target.steps)

    @property
    def set_plans(self) -> tuple[SetPlan, ...]:
        return tuple(set_plan for target in self.targets for set_plan in target.sets)

    @property
    def refusals(self) -> tuple[str, ...]:
        return tuple(refusal for set_plan in self.set_plans for refusal in set_plan.refusals)

    @property
    def runnable(self) -> tuple[Step, ...]:
        """The steps that nothing blocks."""
        return tuple(step for target in self.targets for step in target.runnable)

    @property
    def digest(self) -> str:
        """What is to be done, as SHA-256: the same wish on the same live state has the same digest.

        Not in it: times, measured figures, versions, collection ids, and whether a step is blocked at the moment.
        """
        content = [
            {
                "address": target.target.address,
                "database": target.target.database,
                "steps": [_digested(step) for step in sorted(target.steps, key=lambda step: (step.set, step.order))],
            }
            for target in sorted(self.targets, key=lambda target: target.target)
        ]
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def _digested(step: Step) -> dict[str, object]:
    return {
        "set": step.set,
        "action": step.action,
        "alias": step.alias,
        "from": step.current,
        "to": step.wanted,
        "wave": step.wave,
        "gates": gate_specification(step.gates),
    }


def gate_specification(gates: Gates) -> dict[str, object]:
    """The gates of a step as a manifest would write them; nothing for the defaults."""
    specification: dict[str, object] = {}
    if gates.loaded is not None:
        loaded: dict[str, object] = {"enabled": gates.loaded.enabled}
        if gates.loaded.replicas is not None:
            loaded["replicas"] = gates.loaded.replicas
        specification["loaded"] = loaded
    if gates.on_unknown is not OnUnknown.FAIL:
        specification["onUnknown"] = gates.on_unknown
    return specification


def waves(steps: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    """The steps of one set, wave by wave."""
    for _, wave in groupby(sorted(steps, key=lambda step: step.order), key=lambda step: step.wave):
        yield tuple(wave)


def block_later_waves(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """A blocked step blocks every later wave of its set: say so on each step of those waves."""
    first = min((step.wave for step in steps if step.blocked), default=None)
    if first is None:
        return steps
    culprit = next(step for step in steps if step.blocked and step.wave == first)
    block = Block(BlockReason.EARLIER_WAVE, f'it waits for "{culprit.alias}" in an earlier wave, which is blocked')
    return tuple(replace(step, blocked=block) if step.wave > first and step.blocked is None else step for step in steps)


def staleness(plan: TargetPlan, live: LiveCatalog) -> list[str]:
    """Why a plan no longer fits a database, one sentence a reason; none if it does.

    A step is stale when its alias is neither where the plan found it nor where it should go, or when the wanted name
    now belongs to another collection. What else has changed does not matter, so a half-applied plan can be resumed.
    """
    reasons = []
    for step in plan.steps:
        now = live.pointing.get(step.alias)
        if now == step.wanted:
            continue
        if now != step.current:
            reasons.append(f'alias "{step.alias}" is {place(now)} now; the plan saw it {place(step.current)}')
        if step.wanted in live.aliases:
            reasons.append(f'"{step.wanted}" is an alias now; the plan saw a collection')
        wanted = live.described.get(step.wanted) if step.wanted else None
        if wanted and step.wanted_id and wanted.id and wanted.id != step.wanted_id:
            reasons.append(
                f'collection "{step.wanted}" is another one now (id {wanted.id}; the plan saw {step.wanted_id})'
            )
    return reasons


def place(collection: str | None) -> str:
    """Where an alias is, in words."""
    return f'at "{collection}"' if collection else "absent"
