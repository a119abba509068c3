"""The status page of the operator, from what the process has in memory: objects, their statuses and last findings."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from itertools import chain
from typing import cast

from reconciler.core.errors import InvalidInput
from reconciler.core.reasons import MEANINGS, Ready, Reason
from reconciler.core.text import printable
from reconciler.documents.timestamps import now
from reconciler.manifest.records import AliasSetManifest
from reconciler.operator.findings import Latest
from reconciler.operator.objects import APPROVE, Body, Ref, SetObject
from reconciler.operator.publisher import Publisher
from reconciler.operator.world import World
from reconciler.render import wording
from reconciler.render.status_page import (
    UNKNOWN,
    AliasState,
    PendingPlan,
    Run,
    SetState,
    StatusPage,
    alias_states,
    groups_by_set,
    overall,
)

MAX_RUNS = 20
MADE = {"creates": "created", "alters": "altered", "drops": "dropped", "failed": "failed", "reverted": "reverted"}
"""The counts of a run in the history, in words."""


class StatusPages:
    """Makes the page anew for each reader."""

    def __init__(self, world: World, publisher: Publisher) -> None:
        self._world = world
        self._publisher = publisher

    def page(self, facts: tuple[tuple[str, str], ...], *, held: bool, complete: bool) -> StatusPage:
        """Return the page.

        Args:
            facts: names and values for its end.
            held: whether this process holds the Lease. One that does not knows nothing of the sets.
            complete: whether all sets are known.
        """
        if not held:
            return _without_sets("standing by", "Another process holds the Lease. Its page shows the sets.", facts)
        if not complete:
            return _without_sets("starting", "The AliasSets are being read.", facts)
        objects = [self._publisher.newest(each) for _, each in sorted(self._world.view().sets.items())]
        sets = tuple(_set_state(each, self._publisher.findings.latest(each)) for each in objects)
        verdict, mood = overall(sets)
        runs = sorted(chain.from_iterable(map(_runs, objects)), key=lambda run: run.when, reverse=True)
        return StatusPage("operator", verdict, mood, "", now(), facts=facts, sets=sets, runs=tuple(runs[:MAX_RUNS]))


def _without_sets(verdict: str, summary: str, facts: tuple[tuple[str, str], ...]) -> StatusPage:
    return StatusPage("operator", verdict, "quiet", summary, now(), facts=facts)


def _set_state(set_object: SetObject, latest: Latest | None) -> SetState:
    ref, spec = set_object.ref, set_object.spec
    if latest is None:
        return SetState(str(ref), _place(set_object), "not reconciled yet", "quiet", aliases=_not_read(set_object))
    finding, compared = latest.finding, latest.compared
    aliases = _not_read(set_object)
    if compared and (desired := compared.desired):
        aliases = alias_states(desired.aliases, desired.key, compared.plan, compared.report)
        contested = {contest.name for contest in compared.contests}
        left = [state for state in _not_read(set_object) if state.name in contested]
        aliases = (*(AliasState(each.name, UNKNOWN, each.desired, "contested", "blocked") for each in left), *aliases)
    return SetState(
        name=str(ref),
        place=_place(set_object),
        label=str(finding.reason),
        mood=_mood(finding.reason),
        message=printable(finding.message),
        since=latest.compared_at if compared else "",
        aliases=aliases if not isinstance(spec, InvalidInput) else (),
        groups=tuple(chain.from_iterable(groups_by_set(compared.plan, compared.report).values())) if compared else (),
        pending=_pending(ref, latest),
    )


def _place(set_object: SetObject) -> str:
    """Return the connection and database of a set."""
    spec = set_object.spec
    return f"{spec.connection_name} / {spec.database or 'default'}" if isinstance(spec, AliasSetManifest) else ""


def _not_read(set_object: SetObject) -> tuple[AliasState, ...]:
    spec = set_object.spec
    return alias_states(spec.aliases, "", None) if isinstance(spec, AliasSetManifest) else ()


def _mood(reason: Reason) -> str:
    meaning = MEANINGS[reason]
    if meaning.ready is Ready.TRUE:
        return "good"
    if reason is Reason.SUSPENDED:
        return "quiet"
    return "bad" if meaning.warning else "changes"


def _pending(ref: Ref, latest: Latest) -> PendingPlan | None:
    plan = latest.finding.plan
    if plan is None or not latest.finding.pending or latest.finding.reason is Reason.READ_ONLY:
        return None
    command = ["aliasctl", "approve", ref.name, "-n", ref.namespace, "--digest", plan.digest]
    annotation = f"{APPROVE}={plan.digest}"
    kubectl = ["kubectl", "-n", ref.namespace, "annotate", "--overwrite", "aliasset", ref.name, annotation]
    return PendingPlan(wording.plan_summary(plan), shlex.join(command), shlex.join(kubectl))


def _runs(set_object: SetObject) -> Iterator[Run]:
    """Yield the runs in the history of a set."""
    for run in cast("list[Body]", set_object.status.get("history") or []):
        provenance = cast("Body", run.get("provenance") or {})
        commit = str(provenance.get("commit") or "")[:7]
        made = ", ".join(f"{run[name]} {word}" for name, word in MADE.items() if run.get(name))
        approved = f"approved by {run['approvedBy']}" if run.get("approvedBy") else ""
        started, ended, result = str(run.get("started")), str(run.get("ended")), str(run.get("result"))
        what = f"{set_object.ref}{f' @{commit}' if commit else ''}"
        yield Run(
            when=started,
            took=wording.duration(started, ended),
            what=printable(what),
            who=printable(", ".join(filter(None, (str(provenance.get("author") or ""), approved)))),
            result=printable(f"{result}: {made or 'nothing changed'}"),
            mood="good" if result == Reason.SUCCEEDED else "bad",
        )
