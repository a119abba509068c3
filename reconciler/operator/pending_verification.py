"""What runs of a set moved and did not see through, as its status keeps it: no process need end well for that.

    a run begins ─▶ all that it may move is written down ─▶ it ends: what is verified, undone or was never begun goes

A run that nobody heard of again so leaves too much rather than too little. What is too much costs a look: only aliases
that are in place are verified again. Aliases that went one way together share an entry, so that the cut-over of a large
set fits beside its spec; where the names do not, the entry stands for every alias that it may mean.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias, cast

from reconciler.core.model import AliasSet, Target
from reconciler.core.pending_verification import UnverifiedAliases, asks
from reconciler.core.plan import Step, Unverified
from reconciler.core.report import NO_RECORDED_END, Report, missing_proof
from reconciler.manifest.shape.status import MAX_UNVERIFIED
from reconciler.operator.finding import Finding
from reconciler.operator.objects import Body

MAX_REASON = 200
"""Characters."""
EVERY = "*"
"""Instead of names: every alias that the set wants at the entry's collection, or, without one, anywhere."""

Group: TypeAlias = dict[str, object]
"""An entry of the list."""
Known: TypeAlias = Mapping[str, Unverified]
"""By alias."""


def read(status: Body, wanted: AliasSet, target: Target) -> UnverifiedAliases:
    """What the status of a set says is not verified, as far as the set still wants it there."""
    found: dict[tuple[Target, str], Unverified] = {}
    for group in sorted(cast("Sequence[Body]", status.get("unverified") or ()), key=_stands_for_every):
        names = cast("Sequence[str]", group.get("aliases") or ())
        for alias in wanted.aliases:
            collection = group.get("collection", alias.collection)
            meant = alias.name in names or EVERY in names
            if meant and alias.collection and alias.collection == collection:
                found.setdefault((target, alias.name), _unverified(wanted, alias.name, alias.collection, group))
    return found


def written(known: Known) -> list[Group] | None:
    """The list, in one of the forms that fit; None for nothing."""
    groups = _grouped(known.values())
    anything: Group = {"aliases": [EVERY]}
    forms = (groups, _for_every(groups), [anything])
    return next(form for form in forms if len(json.dumps(form)) <= MAX_UNVERIFIED) or None


def after(status: Body, finding: Finding) -> list[Group] | None:
    """The list after a look at a set, which had something to compare."""
    wanted, plan, report = finding.wanted, finding.plan, finding.report
    if wanted is None or plan is None or not plan.targets or not asks(wanted.verify):
        return None
    known = {alias: one for (_, alias), one in read(status, wanted, plan.targets[0].target).items()}
    if report:
        return written(_ended(known, report))
    if finding.run:
        moves = (step for step in plan.runnable if step.wanted)
        return written(known | {step.alias: Unverified(step, finding.run, NO_RECORDED_END) for step in moves})
    # An alias that is in place and that the plan does not name is at another collection of the same name.
    open_ones = {step.alias for step in plan.steps} | {one.step.alias for one in plan.unverified}
    return written({alias: one for alias, one in known.items() if alias in open_ones})


def _ended(known: Known, report: Report) -> Known:
    """What is left after a run; what it did not come to is left as it was."""
    left = dict(known)
    for result in report.results:
        left.pop(result.step.alias, None)
        if reason := missing_proof(result):
            left[result.step.alias] = Unverified(result.step, report.run, reason)
    return left


def _unverified(wanted: AliasSet, alias: str, collection: str, group: Body) -> Unverified:
    step = Step(
        set=wanted.key,
        alias=alias,
        current=_text(group, "from") or None,
        wanted=collection,
        current_id=_number(group, "fromId"),
        wanted_id=_number(group, "collectionId"),
    )
    return Unverified(step, _text(group, "run"), _text(group, "reason"))


def _grouped(known: Iterable[Unverified]) -> list[Group]:
    names: dict[str, list[str]] = defaultdict(list)
    for one in known:
        names[json.dumps(_way(one), sort_keys=True)].append(one.step.alias)
    return [json.loads(way) | {"aliases": sorted(aliases)} for way, aliases in sorted(names.items())]


def _way(one: Unverified) -> Group:
    step = one.step
    content = {
        "collection": step.wanted,
        "collectionId": step.wanted_id,
        "from": step.current,
        "fromId": step.current_id,
        "run": one.run or None,
        "reason": one.reason[:MAX_REASON] or None,
    }
    return {name: value for name, value in content.items() if value is not None}


def _for_every(groups: Iterable[Group]) -> list[Group]:
    """One entry for each collection, without names."""
    first: dict[object, Group] = {}
    for group in groups:
        first.setdefault(group.get("collection"), group | {"aliases": [EVERY]})
    return list(first.values())


def _stands_for_every(group: Body) -> bool:
    return EVERY in cast("Sequence[str]", group.get("aliases") or ())


def _text(group: Body, name: str) -> str:
    return str(group.get(name) or "")


def _number(group: Body, name: str) -> int | None:
    return int(str(group[name])) if group.get(name) else None
