"""Persist moves that are pending verification in the status, so that a crash loses none.

    a run begins ─▶ all moves that it may make are written ─▶ it ends: verified, reverted and unmade moves are removed

A run that crashed leaves too many entries, which costs little: only aliases at the desired collection are verified
again. Aliases with the same move share an entry, so that the cut-over of a large set fits beside its spec; if the names
do not fit, the entry stands for every alias that it may be about.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias, cast

from reconciler.core.json_strict import without_none
from reconciler.core.model import AliasSet, OnFailure, Target
from reconciler.core.pending_verification import PendingVerifications, needs_proof
from reconciler.core.plan import PendingVerification, Step
from reconciler.core.report import NO_RECORDED_END, Report, missing_proof
from reconciler.manifest.specs.status import MAX_PENDING_VERIFICATION
from reconciler.operator.finding import Finding
from reconciler.operator.objects import Body, number_in

MAX_REASON = 200
"""Characters."""
EVERY = "*"
"""Instead of names: every alias that the set lists with the entry's collection, or, without one, with any."""

Group: TypeAlias = dict[str, object]
"""An entry of the list."""
Known: TypeAlias = Mapping[str, PendingVerification]
"""By alias."""


def read(status: Body, desired: AliasSet, target: Target) -> PendingVerifications:
    """Return the moves that are pending verification by the status of a set, and still match its spec."""
    found: dict[tuple[Target, str, str], PendingVerification] = {}
    for group in sorted(cast("Sequence[Body]", status.get("pendingVerification") or ()), key=_stands_for_every):
        names = cast("Sequence[str]", group.get("aliases") or ())
        for alias in desired.aliases:
            collection = group.get("collection", alias.collection)
            meant = alias.name in names or EVERY in names
            if meant and alias.collection and alias.collection == collection:
                found.setdefault(
                    (target, alias.name, alias.collection),
                    _pending_verification(desired, alias.name, alias.collection, group),
                )
    return found


def moves_of(status: Body, desired: AliasSet, run: str) -> Iterator[Step]:
    """Return the moves of a run that are pending verification; not those of an entry that stands for every alias."""
    for group in cast("Sequence[Body]", status.get("pendingVerification") or ()):
        if group.get("run") == run and not _stands_for_every(group):
            for alias in cast("Sequence[str]", group["aliases"]):
                yield _pending_verification(desired, alias, _text(group, "collection"), group).step


def written(known: Known) -> list[Group] | None:
    """Return the list in the most precise form that fits; None if it is empty."""
    groups = _grouped(known.values())
    anything: Group = {"aliases": [EVERY]}
    forms = (groups, _for_every(groups), [anything])
    return next(form for form in forms if len(json.dumps(form)) <= MAX_PENDING_VERIFICATION) or None


def after(status: Body, finding: Finding) -> list[Group] | None:
    """Return the list for the next status, after a set was reconciled."""
    desired, plan, report = finding.desired, finding.plan, finding.report
    if desired is None or plan is None or not plan.targets:
        return None
    if not needs_proof(desired.verify) and desired.on_failure is OnFailure.STOP:
        return None
    known = {alias: pending for (_, alias, _), pending in read(status, desired, plan.targets[0].target).items()}
    if report:
        return written(_ended(known, report))
    if finding.run:
        moves = (step for step in plan.runnable if step.desired)
        return written(known | {step.alias: PendingVerification(step, finding.run, NO_RECORDED_END) for step in moves})
    # An alias that the plan does not name is verified, or at a new collection of the same name.
    planned = {step.alias for step in (*plan.steps, *plan.earlier_moves)}
    return written({alias: pending for alias, pending in known.items() if alias in planned})


def _ended(known: Known, report: Report) -> Known:
    """Return what is pending after a run; what the run did not try stays."""
    left = dict(known)
    for result in report.results:
        left.pop(result.step.alias, None)
        if reason := missing_proof(result):
            left[result.step.alias] = PendingVerification(result.step, report.run, reason)
    return left


def _pending_verification(desired: AliasSet, alias: str, collection: str, group: Body) -> PendingVerification:
    step = Step(
        set=desired.key,
        alias=alias,
        current=_text(group, "from") or None,
        desired=collection,
        current_id=number_in(group, "fromId"),
        desired_id=number_in(group, "collectionId"),
    )
    return PendingVerification(step, _text(group, "run"), _text(group, "reason"))


def _grouped(known: Iterable[PendingVerification]) -> list[Group]:
    names: dict[str, list[str]] = defaultdict(list)
    for pending in known:
        names[json.dumps(_move(pending), sort_keys=True)].append(pending.step.alias)
    return [json.loads(move) | {"aliases": sorted(aliases)} for move, aliases in sorted(names.items())]


def _move(pending: PendingVerification) -> Group:
    step = pending.step
    content = {
        "collection": step.desired,
        "collectionId": step.desired_id,
        "from": step.current,
        "fromId": step.current_id,
        "run": pending.run or None,
        "reason": pending.reason[:MAX_REASON] or None,
    }
    return without_none(**content)


def _for_every(groups: Iterable[Group]) -> list[Group]:
    """Return one entry for each collection, without names."""
    first: dict[object, Group] = {}
    for group in groups:
        first.setdefault(group.get("collection"), group | {"aliases": [EVERY]})
    return list(first.values())


def _stands_for_every(group: Body) -> bool:
    return EVERY in cast("Sequence[str]", group.get("aliases") or ())


def _text(group: Body, name: str) -> str:
    return str(group.get(name) or "")
