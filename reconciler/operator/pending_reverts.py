"""Persist the decision to revert in the status, before the first call, so that a crash neither loses nor repeats it.

    decided ─▶ `rejected` and `pendingRevert` are written ─▶ moved back: `pendingRevert` goes, `rejected` stays

`pendingRevert` names the run; `pendingVerification` has what that run moved, and from where. An entry there that stands
for every alias does not name what was moved: such a revert cannot be completed, only its moves stay rejected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from msgspec.structs import replace

from reconciler.core.json_strict import without_none
from reconciler.core.model import AliasSet, Target
from reconciler.core.pending_reverts import PendingReverts
from reconciler.core.plan import PendingRevert, Step
from reconciler.core.rejections import Rejected, Rejection
from reconciler.core.report import ACHIEVED, REVERT_FAILED, Outcome, Report, missing_proof
from reconciler.manifest.specs.status import MAX_DROPPED, MAX_MESSAGE, MAX_ROWS
from reconciler.operator import pending_verification
from reconciler.operator.finding import Finding
from reconciler.operator.objects import Body, number_in

RETRY = "by approving this plan"


def read(status: Body, desired: AliasSet, target: Target) -> PendingReverts:
    """Return what an earlier run decided to revert, by the status of a set."""
    decision = _decision(status)
    run, reason = str(decision.get("run", "")), str(decision.get("reason", ""))
    dropped = (
        Step(desired.key, str(row["alias"]), str(row["collection"]), None, current_id=number_in(row, "collectionId"))
        for row in cast("Sequence[Body]", decision.get("dropped") or ())
    )
    steps = [*pending_verification.moves_of(status, desired, run), *dropped] if decision else []
    spec_hash = str(decision.get("specHash", ""))
    return {(target, step.alias): PendingRevert(replace(step, spec_hash=spec_hash), run, reason) for step in steps}


def rejected(status: Body, desired: AliasSet, target: Target) -> Rejected:
    """Return the moves that earlier runs of a set reverted, or decided to revert."""
    rows = cast("list[Body]", status.get("rejected") or [])
    found = {
        (target, str(row["alias"])): Rejection(
            collection=str(row["collection"]),
            collection_id=number_in(row, "collectionId"),
            spec_hash=str(row.get("specHash", "")),
            run=str(row.get("run", "")),
            time=str(row.get("time", "")),
            reason=str(row.get("reason", "")),
            retry=RETRY,
        )
        for row in rows
    }
    decision = _decision(status)
    words = {name: str(decision.get(name, "")) for name in ("run", "time", "reason")}
    for (_, alias, collection), pending in pending_verification.read(status, desired, target).items():
        if decision and pending.run == words["run"]:
            rejection = Rejection(
                collection, pending.step.desired_id, str(decision.get("specHash", "")), **words, retry=RETRY
            )
            found.setdefault((target, alias), rejection)
    return found


def rejected_after(before: Body, finding: Finding, now: str) -> list[dict[str, object]] | None:
    """Return the rejections for the next status; a later success at the same place, or a changed spec, lifts them.

    Args:
        before: the status so far.
        finding: of a reconcile, or of a run that is about to revert.
        now: RFC 3339.
    """
    rows = {str(row["alias"]): dict(row) for row in cast("list[Body]", before.get("rejected") or [])}
    for step in finding.plan.steps if finding.plan else ():
        if step.alias in rows and rows[step.alias].get("specHash", step.spec_hash) != step.spec_hash:
            del rows[step.alias]
    decided = [(step, finding.run, now, finding.revert_reason) for step in finding.reverting]
    for result in finding.report.results if finding.report else ():
        if result.outcome is Outcome.REVERTED or result.code == REVERT_FAILED:
            run = finding.report.run if finding.report else ""
            decided.append((result.step, run, result.ended or now, result.message or ""))
        elif result.outcome in ACHIEVED:
            rows.pop(result.step.alias, None)
    for step, run, time, reason in decided:
        if step.spec_hash and step.desired:
            rows[step.alias] = without_none(
                alias=step.alias,
                collection=step.desired,
                collectionId=step.desired_id,
                specHash=step.spec_hash,
                run=run,
                time=time,
                reason=reason[:MAX_MESSAGE],
            )
    listed = {alias.name for alias in finding.desired.aliases} if finding.desired else set()
    return [rows[name] for name in sorted(rows.keys() & listed)][:MAX_ROWS] or None


def after(before: Body, finding: Finding, now: str) -> Mapping[str, object] | None:
    """Return the unfinished decision for the next status; None if there is none. For arguments see `rejected_after`."""
    if finding.report:
        return _after_run(before, finding.report, now)
    if finding.plan and finding.plan.pending_reverts:
        return _decision(before) or None
    if finding.reverting:
        return _written(finding.run, now, finding.revert_reason, finding.reverting)
    return None


def _after_run(before: Body, report: Report, now: str) -> Mapping[str, object] | None:
    """Return what a run did not move back, of what it or an earlier one had decided to."""
    failed = [result for result in report.results if result.code == REVERT_FAILED]
    left = [result for result in report.results if result in failed or missing_proof(result)]
    if not left or not (failed or _decision(before)):
        return None
    reason = str(_decision(before).get("reason") or left[0].message or "")
    return _written(report.run, now, reason, [result.step for result in left])


def _written(run: str, time: str, reason: str, steps: Sequence[Step]) -> Mapping[str, object]:
    dropped = [
        without_none(alias=step.alias, collection=step.current, collectionId=step.current_id)
        for step in steps
        if step.desired is None
    ]
    return without_none(
        run=run,
        time=time,
        reason=reason[:MAX_MESSAGE],
        specHash=steps[0].spec_hash or None,
        dropped=dropped[:MAX_DROPPED] or None,
    )


def _decision(status: Body) -> Body:
    return cast("Body", status.get("pendingRevert") or {})
