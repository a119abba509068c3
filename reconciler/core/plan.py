"""The plan: what a run would do, in order, and the live state that it is based on.

    Plan ── TargetPlan (a database) ── SetPlan (an AliasSet) ── Step (one call that changes one alias)

Records only: no clock, no I/O. `diff` makes the steps, `limits` the refusals, `gates` the gate results;
`documents.plan_file` writes a plan down; `execute` carries it out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import groupby
from typing import Annotated

from msgspec import Meta, Struct, field, to_builtins
from msgspec.structs import replace

from reconciler.core.gates import Gates
from reconciler.core.grouping import grouped, subject
from reconciler.core.json_strict import digest_of, without_none
from reconciler.core.metrics import GATE_PREFIX, Metric
from reconciler.core.model import AliasSet, Connection, LiveCatalog, OnFailure, Source, Target, Verify
from reconciler.core.record import ALWAYS, INLINE, INTERNAL, NOT_READ, Count, Digest, Record, Time
from reconciler.core.text import listed


class Action(StrEnum):
    """The one call that makes a change."""

    CREATE = "create"
    ALTER = "alter"
    DROP = "drop"


class BlockReason(StrEnum):
    """Why a desired change cannot be made now."""

    COLLECTION_MISSING = "collectionMissing"
    COLLECTION_IS_ALIAS = "collectionIsAlias"
    NAME_TAKEN = "nameTakenByCollection"
    PROTECTED = "protected"
    LOSES_OTHERS = "dropLosesOthers"
    GATE_FAILED = "gateFailed"
    REJECTED = "rejected"
    EARLIER_WAVE = "earlierWave"
    COMPANION = "companion"
    DEPENDENCY = "dependencyNotReady"
    MOVED = "aliasMoved"


class Block(Record, frozen=True):
    """Why a step is not executed."""

    reason: BlockReason
    message: str


class Verdict(StrEnum):
    """The result of a gate.

    `unknown`: the server cannot tell. `notApplicable`: the current collection gives nothing to evaluate.
    `notEvaluated`: this plan left the gate out; `apply` evaluates it.
    """

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "notApplicable"
    NOT_EVALUATED = "notEvaluated"


Figure = str | int | float | tuple[float, ...]


class GateResult(Record, frozen=True):
    """One gate's verdict on one step: a few words for a person, the measured figures for programs."""

    gate: str
    verdict: Verdict = field(name="result")
    detail: str
    figures: Mapping[str, Figure]

    @property
    def not_evaluated(self) -> bool:
        return self.verdict is Verdict.NOT_EVALUATED


class Step(Record, frozen=True):
    """One change of one alias: from one collection to another.

    The two differ, and they alone determine which call makes the change. Only a `dangling` alias, which no read shows,
    is dropped although both are None. A step with `blocked` is not executed. `prune` steps have a wave of their own,
    after the last one.
    """

    derived = ("action",)

    set: Annotated[str, Meta(description="The AliasSet: name, or namespace/name.")]
    alias: str
    current: Annotated[str | None, Meta(description="The collection that the alias points at; null for no alias.")] = (
        field(name="from")
    )
    desired: Annotated[str | None, Meta(description="The collection that it should point at; null for no alias.")] = (
        field(name="to")
    )
    wave: Annotated[Count, Meta(description="Waves are done in ascending order."), ALWAYS] = 0
    prune: Annotated[
        bool, Meta(description="A drop because the set's scope covers the alias and its list does not.")
    ] = False
    dangling: Annotated[
        bool, Meta(description="A drop of an alias whose collection is gone, and which still holds its name.")
    ] = False
    current_id: Annotated[int | None, Meta(description="Collection id, where the server has one.")] = field(
        default=None, name="fromId"
    )
    desired_id: Annotated[int | None, Meta(description="Collection id, where the server has one.")] = field(
        default=None, name="toId"
    )
    gates: Gates = field(default=Gates(), name="gateSpecification")
    gate_results: Annotated[tuple[GateResult, ...], ALWAYS] = field(default=(), name="gates")
    metrics: Annotated[tuple[Metric, ...], Meta(description="What Prometheus must show during the soak.")] = field(
        default=(), name="metricSpecification"
    )
    skipped_gates: Annotated[
        tuple[str, ...], Meta(description="Gates that were not evaluated because of --skip-gate.")
    ] = ()
    reverting: Annotated[
        bool, Meta(description="A step of a rollback or a revert: only the gate `loaded` can block it.")
    ] = False
    spec_hash: Annotated[Digest, Meta(description="SHA-256 of the aliases, gates and verification of the set.")] = ""
    blocked: Block | None = None

    @property
    def action(self) -> Action:
        """The call that makes the change."""
        if self.desired is None:
            return Action.DROP
        return Action.CREATE if self.current is None else Action.ALTER

    @property
    def location(self) -> str:
        """Return where the alias is, in words."""
        return "dangling" if self.dangling else describe_location(self.current)

    @property
    def order(self) -> tuple[int, bool, str]:
        """Return the sort key: waves ascending; within a wave creates and alters before drops; then by name."""
        return (self.wave, self.action is Action.DROP, self.alias)


class PendingVerification(Record, frozen=True):
    """An alias that was moved but whose verification did not pass."""

    derived = ("alias", "collection")

    step: Annotated[Step, INTERNAL]
    run: Annotated[str, Meta(description="The run that moved it and did not verify it.")]
    reason: Annotated[str, Meta(description="What is missing, in a few words.")]

    @property
    def alias(self) -> str:
        """The alias."""
        return self.step.alias

    @property
    def collection(self) -> str:
        """Where the alias is, and should be."""
        return self.step.desired or ""


class PendingRevert(Record, frozen=True):
    """An alias that an earlier run decided to revert, and that is still where that run put it."""

    derived = ("alias", "current", "previous")

    step: Annotated[Step, INTERNAL]
    run: Annotated[str, Meta(description="The run that decided to revert it and did not finish.")]
    reason: Annotated[str, Meta(description="Why it is reverted.")]

    @property
    def alias(self) -> str:
        """The alias."""
        return self.step.alias

    @property
    def current(self) -> str | None:
        """The collection that the alias points at; null for no alias."""
        return self.step.desired

    @property
    def previous(self) -> str | None:
        """The collection that it is moved back to; null for no alias."""
        return self.step.current


class SetPlan(Record, frozen=True):
    """What one set would change.

    `governed` is the base of `maxChangePercent`. Any refusal keeps the whole run from writing. What is pending
    verification changes nothing: it is verified before a later wave starts, and at the latest at the end. A set with
    pending reverts is only moved back: all of its steps are blocked.
    """

    set: str = field(name="name")
    steps: Annotated[tuple[Step, ...], INTERNAL] = ()
    unchanged: Annotated[Count, Meta(description="Listed aliases that are up to date."), ALWAYS] = 0
    covered: Annotated[Count, Meta(description="Live aliases in the set's scope."), ALWAYS] = 0
    governed: Annotated[Count, Meta(description="Live aliases that the set lists or covers."), ALWAYS] = 0
    suspended: Annotated[bool, ALWAYS] = False
    undetermined: Annotated[
        tuple[str, ...],
        Meta(description="Absent aliases of which the server does not say whether a dangling one holds the name."),
    ] = ()
    refusals: Annotated[
        tuple[str, ...],
        Meta(description="Limits that the set exceeds: nothing is written while there are any."),
        ALWAYS,
    ] = ()
    verify: Annotated[Verify, INTERNAL] = Verify()
    on_failure: OnFailure = OnFailure.STOP
    source: Source | None = None
    depends_on: Annotated[
        tuple[str, ...], Meta(description="The AliasSets that must be applied and verified before any of its changes.")
    ] = ()
    pending_verification: Annotated[tuple[PendingVerification, ...], NOT_READ] = ()
    pending_reverts: Annotated[tuple[PendingRevert, ...], NOT_READ] = ()


class TargetPlan(Record, frozen=True):
    """What would change in one database."""

    target: Annotated[Target, INLINE]
    connection: Connection
    sets: Annotated[tuple[SetPlan, ...], INTERNAL] = ()
    server_version: Annotated[str, ALWAYS] = ""
    alias_count: Annotated[Count, Meta(description="Aliases in the database."), ALWAYS] = field(
        default=0, name="aliases"
    )
    calls: Annotated[Count, Meta(description="Calls to the server that planning took."), ALWAYS] = 0
    offline: Annotated[bool, Meta(description="The live side came from an export."), ALWAYS] = False
    notices: Annotated[
        tuple[str, ...], Meta(description="What affects this run: problems of the server, and of a rollback.")
    ] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(step for set_plan in self.sets for step in set_plan.steps)

    @property
    def runnable(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.blocked is None)

    @property
    def pending_verification(self) -> tuple[PendingVerification, ...]:
        return tuple(pending for set_plan in self.sets for pending in set_plan.pending_verification)

    @property
    def pending_reverts(self) -> tuple[PendingRevert, ...]:
        return tuple(pending for set_plan in self.sets for pending in set_plan.pending_reverts)

    @property
    def earlier_moves(self) -> tuple[Step, ...]:
        """Return the moves of earlier runs that are to be reverted or verified."""
        reverts = (pending.step for pending in self.pending_reverts)
        return (*reverts, *(pending.step for pending in self.pending_verification))


class Plan(Struct, frozen=True):
    """What one run would do. With `retry_rejected` it ignores what other runs reject; that is not saved."""

    targets: tuple[TargetPlan, ...]
    created: Time
    tool_version: str
    retry_rejected: bool = False

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(step for target in self.targets for step in target.steps)

    @property
    def set_plans(self) -> tuple[SetPlan, ...]:
        return tuple(set_plan for target in self.targets for set_plan in target.sets)

    @property
    def undetermined(self) -> tuple[str, ...]:
        return tuple(alias for set_plan in self.set_plans for alias in set_plan.undetermined)

    @property
    def refusals(self) -> tuple[str, ...]:
        return tuple(refusal for set_plan in self.set_plans for refusal in set_plan.refusals)

    @property
    def runnable(self) -> tuple[Step, ...]:
        return tuple(step for target in self.targets for step in target.runnable)

    @property
    def pending_verification(self) -> tuple[PendingVerification, ...]:
        return tuple(pending for target in self.targets for pending in target.pending_verification)

    def with_sets(self, change: Callable[[TargetPlan, SetPlan], SetPlan]) -> Plan:
        """Return the plan with `change` made to the plan of each set."""
        targets = (replace(each, sets=tuple(change(each, plan) for plan in each.sets)) for each in self.targets)
        return replace(self, targets=tuple(targets))

    @property
    def pending_reverts(self) -> tuple[PendingRevert, ...]:
        return tuple(pending for target in self.targets for pending in target.pending_reverts)

    @property
    def earlier_moves(self) -> tuple[Step, ...]:
        """Return the moves of earlier runs that are to be reverted or verified."""
        return tuple(step for target in self.targets for step in target.earlier_moves)

    @property
    def writes(self) -> bool:
        """Return whether a run would change any alias."""
        return bool(self.runnable or self.pending_reverts)

    @property
    def digest(self) -> str:
        """Return the SHA-256 of what is to be done: the same spec on the same live state has the same digest.

        It does not depend on times, measured figures, versions, collection ids, and whether a step is blocked.
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
    if step.metrics:
        content["metrics"] = metrics_specification(step.metrics)
    if step.dangling:
        content["dangling"] = True
    if step.skipped_gates:
        content["skippedGates"] = sorted(step.skipped_gates)
    if step.reverting:
        content["wayBack"] = True  # the name that digests have always had
    return content


def _digested_sets(target: TargetPlan) -> dict[str, object]:
    """Return what comes before and after the changes of each set; empty if all of them have the defaults."""
    after = {
        alias_set.set: verify_specification(alias_set.verify)
        | _on_failure_specification(alias_set.on_failure)
        | without_none(dependsOn=sorted(alias_set.depends_on) or None)
        for alias_set in target.sets
        if alias_set.steps
    }
    after = {name: content for name, content in sorted(after.items()) if content}
    return {"after": after} if after else {}


def metrics_specification(metrics: Sequence[Metric]) -> list[dict[str, object]]:
    """Return the metrics of an alias as digests have them."""
    return [to_builtins(metric, order="deterministic") for metric in metrics]


def verify_specification(verify: Verify) -> dict[str, object]:
    """Return what is checked after a change, much as a manifest has it, times in seconds; empty for the defaults."""
    return without_none(
        propagation={"timeoutSeconds": verify.propagation.timeout} if verify.propagation else None,
        endpoints=[endpoint.address for endpoint in verify.endpoints] or None,
        endpointTimeouts=dict(sorted(verify.endpoint_timeouts.items())) or None,
        soakSeconds=verify.soak,
    )


def _on_failure_specification(on_failure: OnFailure) -> dict[str, object]:
    return {} if on_failure is OnFailure.STOP else {"onFailure": on_failure}


def set_spec_hash(desired: AliasSet) -> str:
    """Return a SHA-256 of the aliases, gates and verification of a set; empty for a set that is never reverted."""
    if desired.on_failure is not OnFailure.REVERT:
        return ""
    aliases = sorted(desired.aliases, key=lambda alias: alias.name)
    return digest_of(
        {
            "aliases": [
                [
                    *(alias.name, alias.collection, alias.wave, alias.gates.specification(paths=False)),
                    *([metrics_specification(alias.metrics)] if alias.metrics else []),
                ]
                for alias in aliases
            ],
            **verify_specification(desired.verify),
        }
    )


def spec_digest(desired: AliasSet) -> str:
    """Return a SHA-256 of the desired places of a set's aliases: distinguishes drift from a change of the spec.

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
    """Yield the steps of one set, wave by wave."""
    for _, wave in groupby(sorted(steps, key=lambda step: step.order), key=lambda step: step.wave):
        yield tuple(wave)


def block_later_waves(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Block every step of the waves after the first one with a blocked step."""
    first = min((step.wave for step in steps if step.blocked), default=None)
    if first is None:
        return steps
    blocking_step = next(step for step in steps if step.blocked and step.wave == first)
    block = Block(BlockReason.EARLIER_WAVE, f"waiting: an earlier wave is blocked ({blocking_step.alias})")
    return tuple(replace(step, blocked=block) if step.wave > first and step.blocked is None else step for step in steps)


def block_whole_set(steps: tuple[Step, ...], on_failure: OnFailure) -> tuple[Step, ...]:
    """Block all steps of a set with `onFailure: Revert` if one is blocked: its changes go together."""
    blocking_step = next((step for step in steps if step.blocked), None)
    if blocking_step is None or on_failure is not OnFailure.REVERT:
        return steps
    message = f'it moves together with "{blocking_step.alias}" (onFailure: Revert), which is blocked'
    block = Block(BlockReason.COMPANION, message)
    return tuple(step if step.blocked else replace(step, blocked=block) for step in steps)


def staleness(plan: TargetPlan, live: LiveCatalog) -> list[str]:
    """Return why a plan no longer fits a database, one sentence per reason; none if it does.

    A step is stale when its alias is neither where the plan found it nor where it should go, or when the desired name
    now belongs to another collection. What else has changed does not matter, so a half-applied plan can be resumed.
    """
    differing = [step for step in plan.steps if live.pointing.get(step.alias) != step.desired]
    elsewhere = (step for step in differing if live.pointing.get(step.alias) != step.current)
    moved = grouped(elsewhere, lambda step: (describe_location(live.pointing.get(step.alias)), step.location))
    replaced = grouped(
        ((reason, step.alias) for step in differing for reason in _replaced(step, live)), lambda pair: pair[0]
    )
    return [
        *(_moved([step.alias for step in steps], *ends) for ends, steps in moved.items()),
        *(f"{reason}: desired by {listed([alias for _, alias in pairs])}" for reason, pairs in replaced.items()),
    ]


def _moved(aliases: Sequence[str], now: str, planned: str) -> str:
    are, them = ("is", "it") if len(aliases) == 1 else ("are", "them")
    return f"{subject(aliases)} {are} {now} now; the plan saw {them} {planned}"


def _replaced(step: Step, live: LiveCatalog) -> Iterator[str]:
    """Yield what else has the name of the desired collection now."""
    if step.desired in live.aliases:
        yield f'"{step.desired}" is an alias now; the plan saw a collection'
    found = live.id_of(step.desired)
    if found and step.desired_id and found != step.desired_id:
        yield f'collection "{step.desired}" is another one now (id {found}; the plan saw {step.desired_id})'


def describe_undetermined(aliases: Collection[str]) -> str:
    """Return what cannot be determined about absent aliases, and the remedy; empty if there are none."""
    if not aliases:
        return ""
    names = listed([f'"{alias}"' for alias in aliases], 3)
    remedy = "grant the privilege ShowPartitions on the name, or call drop_alias"
    return f"cannot determine whether a dangling alias still holds {names}: the server does not say; {remedy}"


def inverse(step: Step) -> Step:
    """Return the step that reverts another one."""
    return replace(
        step,
        current=step.desired,
        desired=step.current,
        current_id=step.desired_id,
        desired_id=step.current_id,
        gate_results=(),
        metrics=(),
        skipped_gates=(),
        blocked=None,
        reverting=True,
    )


def baselines(step: Step) -> tuple[GateResult, ...]:
    """Return the values of the metrics of a step before its move, among the results of its gates."""
    return tuple(result for result in step.gate_results if result.gate.startswith(GATE_PREFIX))


def is_where_moved(step: Step, live: LiveCatalog) -> bool:
    """Return whether an alias is at the very collection that a step moved it to, or absent after a drop."""
    if step.desired is None:
        return step.alias not in live.aliases
    if live.pointing.get(step.alias) != step.desired:
        return False
    found = live.id_of(step.desired)
    return not (found and step.desired_id) or found == step.desired_id


def describe_location(collection: str | None) -> str:
    """Return where an alias is, in words."""
    return f'at "{collection}"' if collection else "absent"
