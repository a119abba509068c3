"""The plan: what one run would do, in order, and what it saw when it decided so.

    Plan ── TargetPlan (a database) ── SetPlan (an AliasSet) ── Step (one call that changes one alias)

Records only: no clock, no I/O. `diff` makes the steps, `guards` the refusals, `gates` the gate results; `planfile`
writes a plan down; `execute` carries it out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby

from reconciler.core.gates import Gates
from reconciler.core.json_strict import digest_of, without_none
from reconciler.core.model import (
    AliasSet,
    Connection,
    LiveCatalog,
    OnFailure,
    Source,
    Target,
    Verify,
)


class Action(StrEnum):
    CREATE = "create"
    ALTER = "alter"
    DROP = "drop"


class BlockReason(StrEnum):
    """Why a wanted change cannot be made now."""

    COLLECTION_MISSING = "collectionMissing"
    COLLECTION_IS_ALIAS = "collectionIsAlias"
    NAME_TAKEN = "nameTakenByCollection"
    PROTECTED = "protected"
    LOSES_OTHERS = "dropLosesOthers"
    GATE_FAILED = "gateFailed"
    REJECTED = "rejected"
    EARLIER_WAVE = "earlierWave"
    COMPANION = "companion"
    MOVED = "aliasMoved"


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


Figure = str | int | float | tuple[float, ...]


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate's verdict on one step: a few words for a person, the measured figures for programs."""

    gate: str
    verdict: Verdict
    detail: str
    figures: Mapping[str, Figure]


@dataclass(frozen=True, slots=True)
class Step:
    """One change of one alias: from the collection `current` to the collection `wanted`; None stands for no alias.

    The two differ, and they alone say which call makes the change.
    `prune` marks a drop of an alias that the set's scope covers and the set does not list. It has a wave of its own,
    after the last one. A step with `blocked` is not executed.

    `skipped_gates` were not asked because whoever ran this said so. `way_back` marks a step of a rollback or a revert:
    only the gate `loaded` can hold it up, the others are for information. `wish` stands for what the set wanted (see
    `wish_of`).
    """

    set: str
    alias: str
    current: str | None
    desired: str | None
    wave: int = 0
    prune: bool = False
    current_id: int | None = None
    desired_id: int | None = None
    gates: Gates = Gates()
    gate_results: tuple[GateResult, ...] = ()
    skipped_gates: tuple[str, ...] = ()
    reverting: bool = False
    spec_hash: str = ""
    blocked: Block | None = None

    @property
    def action(self) -> Action:
        if self.desired is None:
            return Action.DROP
        return Action.CREATE if self.current is None else Action.ALTER

    @property
    def order(self) -> tuple[int, bool, str]:
        """Waves ascending; within a wave creates and alters before drops; then by name."""
        return (self.wave, self.action is Action.DROP, self.alias)


@dataclass(frozen=True, slots=True)
class PendingVerification:
    """An alias that is in place and was not found good there.

    `step` moved it, in the run `run`; `reason` says in a few words what is missing.
    """

    step: Step
    run: str
    reason: str


@dataclass(frozen=True, slots=True)
class SetPlan:
    """What one set would change.

    `covered` counts the live aliases in the set's scope; `governed` also those it lists: the base of
    `maxChangePercent`. `refusals` are the guards' sentences; any of them keeps the whole run from writing. What is
    `unverified` changes nothing: it is verified before a later wave starts, and at the latest at the end.
    """

    set: str
    steps: tuple[Step, ...] = ()
    unchanged: int = 0
    covered: int = 0
    governed: int = 0
    suspended: bool = False
    refusals: tuple[str, ...] = ()
    verify: Verify = Verify()
    on_failure: OnFailure = OnFailure.STOP
    source: Source | None = None
    pending_verification: tuple[PendingVerification, ...] = ()


@dataclass(frozen=True, slots=True)
class TargetPlan:
    """What would change in one database.

    `alias_count` and `calls` are figures of the read. `offline` says that the live side came from an export. `notices`
    are known problems of the server that affect this run.
    """

    target: Target
    connection: Connection
    sets: tuple[SetPlan, ...]
    server_version: str = ""
    alias_count: int = 0
    calls: int = 0
    offline: bool = False
    notices: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(step for set_plan in self.sets for step in set_plan.steps)

    @property
    def runnable(self) -> tuple[Step, ...]:
        """The steps that nothing blocks."""
        return tuple(step for step in self.steps if step.blocked is None)

    @property
    def pending_verification(self) -> tuple[PendingVerification, ...]:
        return tuple(pending for set_plan in self.sets for pending in set_plan.pending_verification)


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
    def pending_verification(self) -> tuple[PendingVerification, ...]:
        return tuple(pending for target in self.targets for pending in target.pending_verification)

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
                **_digested_sets(target),
            }
            for target in sorted(self.targets, key=lambda target: target.target)
        ]
        return digest_of(content)


def _digested(step: Step) -> dict[str, object]:
    content: dict[str, object] = {
        "set": step.set,
        "action": step.action,
        "alias": step.alias,
        "from": step.current,
        "to": step.desired,
        "wave": step.wave,
        "gates": step.gates.specification(paths=False),
    }
    if step.skipped_gates:
        content["skippedGates"] = sorted(step.skipped_gates)
    if step.reverting:
        content["wayBack"] = True  # the name that digests have always had
    return content


def _digested_sets(target: TargetPlan) -> dict[str, object]:
    """What follows the changes of each set: nothing where all of them have the defaults."""
    after = {
        alias_set.set: verify_specification(alias_set.verify) | _on_failure_specification(alias_set.on_failure)
        for alias_set in target.sets
        if alias_set.steps
    }
    after = {name: content for name, content in sorted(after.items()) if content}
    return {"after": after} if after else {}


def verify_specification(verify: Verify) -> dict[str, object]:
    """What is checked after a change, much as a manifest would write it, times in seconds; nothing for the defaults."""
    return without_none(
        propagation={"timeoutSeconds": verify.propagation.timeout} if verify.propagation else None,
        endpoints=[endpoint.address for endpoint in verify.endpoints] or None,
        soakSeconds=verify.soak,
    )


def _on_failure_specification(on_failure: OnFailure) -> dict[str, object]:
    return {} if on_failure is OnFailure.STOP else {"onFailure": on_failure}


def set_spec_hash(desired: AliasSet) -> str:
    """A SHA-256 of what a set wants and how; another one when any of it changes. Empty where nothing is ever undone."""
    if desired.on_failure is not OnFailure.REVERT:
        return ""
    aliases = sorted(desired.aliases, key=lambda alias: alias.name)
    return digest_of(
        {
            "aliases": [
                [alias.name, alias.collection, alias.wave, alias.gates.specification(paths=False)] for alias in aliases
            ],
            **verify_specification(desired.verify),
        }
    )


def spec_digest(desired: AliasSet) -> str:
    """A SHA-256 of what a set wants to be where: tells drift from a new wish, without a copy of the set.

    It is kept in statuses and files, so it must stay the same from version to version.
    """
    target = Target(desired.connection.address if desired.connection else "", desired.database)
    scope = desired.scope
    content = [
        str(target),
        sorted((alias.name, alias.collection) for alias in desired.aliases),
        [sorted(scope.include), sorted(scope.exclude), sorted(scope.protect)],
    ]
    return digest_of(content, separators=(", ", ": "))


def waves(steps: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    """The steps of one set, wave by wave."""
    for _, wave in groupby(sorted(steps, key=lambda step: step.order), key=lambda step: step.wave):
        yield tuple(wave)


def block_later_waves(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """A blocked step blocks every later wave of its set: say so on each step of those waves."""
    first = min((step.wave for step in steps if step.blocked), default=None)
    if first is None:
        return steps
    blocking_step = next(step for step in steps if step.blocked and step.wave == first)
    block = Block(
        BlockReason.EARLIER_WAVE, f'it waits for "{blocking_step.alias}" in an earlier wave, which is blocked'
    )
    return tuple(replace(step, blocked=block) if step.wave > first and step.blocked is None else step for step in steps)


def block_whole_set(steps: tuple[Step, ...], on_failure: OnFailure) -> tuple[Step, ...]:
    """With `onFailure: Revert` the changes of a set go together: a blocked one keeps the others from starting."""
    blocking_step = next((step for step in steps if step.blocked), None)
    if blocking_step is None or on_failure is not OnFailure.REVERT:
        return steps
    message = f'it moves together with "{blocking_step.alias}" (onFailure: Revert), which is blocked'
    block = Block(BlockReason.COMPANION, message)
    return tuple(step if step.blocked else replace(step, blocked=block) for step in steps)


def staleness(plan: TargetPlan, live: LiveCatalog) -> list[str]:
    """Why a plan no longer fits a database, one sentence a reason; none if it does.

    A step is stale when its alias is neither where the plan found it nor where it should go, or when the wanted name
    now belongs to another collection. What else has changed does not matter, so a half-applied plan can be resumed.
    """
    reasons = []
    for step in plan.steps:
        now = live.pointing.get(step.alias)
        if now == step.desired:
            continue
        if now != step.current:
            reasons.append(
                f'alias "{step.alias}" is {describe_location(now)} now; '
                f"the plan saw it {describe_location(step.current)}"
            )
        if step.desired in live.aliases:
            reasons.append(f'"{step.desired}" is an alias now; the plan saw a collection')
        desired = live.described.get(step.desired) if step.desired else None
        if desired and step.desired_id and desired.id and desired.id != step.desired_id:
            reasons.append(
                f'collection "{step.desired}" is another one now (id {desired.id}; the plan saw {step.desired_id})'
            )
    return reasons


def describe_location(collection: str | None) -> str:
    """Where an alias is, in words."""
    return f'at "{collection}"' if collection else "absent"
