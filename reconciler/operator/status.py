"""Build the status of a set from a finding; nothing else writes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import cast

from reconciler.core.json_strict import without_none
from reconciler.core.plan import Action, Plan, Step, Verdict, spec_digest
from reconciler.core.reasons import MEANINGS, Reason
from reconciler.core.report import ACHIEVED, Outcome, Report, at_desired
from reconciler.core.text import printable_lines, shortened
from reconciler.manifest.records import AliasSetManifest
from reconciler.manifest.specs.status import (
    MAX_CONDITION_MESSAGE,
    MAX_HISTORY,
    MAX_MESSAGE,
    MAX_NAME,
    MAX_ROWS,
)
from reconciler.operator import pending_reverts, pending_verification
from reconciler.operator.finding import Finding
from reconciler.operator.objects import Body, SetObject

OURS = (
    "conditions",
    "lastAttemptedDigest",
    "lastAppliedDigest",
    "lastAppliedSpec",
    "lastHandledReconcileAt",
    "counts",
    "aliases",
    "pendingPlan",
    "history",
    "rejected",
    "pendingVerification",
    "pendingRevert",
    "notifications",
)
"""The fields of a status that may be absent."""
ALL = frozenset({"observedGeneration", *OURS})

STATES = {
    Outcome.BLOCKED: "Blocked",
    Outcome.FAILED: "Failed",
    Outcome.UNKNOWN: "Unknown",
    Outcome.NOT_ATTEMPTED: "Pending",
    Outcome.REVERTED: "Failed",
}


def status_of(set_object: SetObject, finding: Finding, now: str) -> dict[str, object]:
    """Return the whole status. `now`: RFC 3339, for conditions that change."""
    before = set_object.status
    status: dict[str, object] = {
        "observedGeneration": set_object.generation,
        "conditions": _conditions(set_object, finding, now),
        "lastAttemptedDigest": before.get("lastAttemptedDigest"),
        "lastAppliedDigest": before.get("lastAppliedDigest"),
        "lastAppliedSpec": before.get("lastAppliedSpec"),
        "lastHandledReconcileAt": set_object.requested_at or before.get("lastHandledReconcileAt"),
        "counts": before.get("counts"),
        "aliases": before.get("aliases"),
        "pendingPlan": None,
        "history": _history(set_object),
        "rejected": before.get("rejected"),
        "pendingVerification": before.get("pendingVerification"),
        "pendingRevert": before.get("pendingRevert"),
        "notifications": _notifications(set_object, finding, now),
    }
    if finding.plan and finding.desired:
        rows = list(_rows(finding))
        status["aliases"] = rows[:MAX_ROWS] or None
        status["counts"] = _counts(set_object, finding, rows)
        status["pendingPlan"] = _pending(before, finding.plan) if finding.pending else None
        status["rejected"] = pending_reverts.rejected_after(before, finding, now)
        status["pendingVerification"] = pending_verification.after(before, finding)
        status["pendingRevert"] = pending_reverts.after(before, finding, now)
        if finding.plan.steps:
            status["lastAttemptedDigest"] = finding.plan.digest
        if _is_fully_applied(finding):
            status["lastAppliedSpec"] = spec_digest(finding.desired)
        elif _invalidates_last_applied(finding) and status["lastAppliedSpec"] != spec_digest(finding.desired):
            status["lastAppliedSpec"] = None
    if finding.report and (finding.report.wrote or finding.reason is Reason.VERIFICATION_FAILED):
        report = finding.report
        if finding.reason in (Reason.SUCCEEDED, Reason.OWNERSHIP_CONFLICT):
            status["lastAppliedDigest"] = report.plan.digest
        entry = _entry(set_object, finding, report)
        earlier = (run for run in _history(set_object) or [] if run != entry)  # it is there if only the answer was lost
        status["history"] = [entry, *earlier][:MAX_HISTORY]
    return without_none(**status)


def _notifications(set_object: SetObject, finding: Finding, now: str) -> object:
    """Return what was reported and what waits; a set that notifies nobody, and never did, has neither."""
    connection = finding.desired.connection if finding.desired else None
    if not (connection and connection.notify) and not set_object.status.get("notifications"):
        return None
    from reconciler.operator import notifications

    return notifications.after(set_object, finding, now)


def merge_patch(before: Body, after: Body) -> dict[str, object]:
    """Return the merge patch (RFC 7386) between two statuses, limited to our fields; empty if they are equal.

    Fields that we do not know, such as a newer version's, stay as they are.
    """
    gone = {key: None for key in OURS if key in before and key not in after}
    return gone | {key: _change(before.get(key), value) for key, value in after.items() if before.get(key) != value}


def _change(before: object, after: object) -> object:
    """Return the patch of one field; what a mapping does not have any more must be named, or it would stay."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return dict.fromkeys(before) | dict(after)
    return after


def condition(status: Body, kind: str) -> Mapping[str, object]:
    """Return one of the conditions; empty if it is not there."""
    conditions = cast("list[Mapping[str, object]]", status.get("conditions") or [])
    return next((condition for condition in conditions if condition.get("type") == kind), {})


def newest_run(set_object: SetObject) -> Body:
    """Return the newest run of the history; empty if there is none."""
    return next(iter(cast("list[Body]", set_object.status.get("history") or [])), {})


def run_requested(set_object: SetObject) -> bool:
    """Return whether a reconciliation is requested that no status has acknowledged yet."""
    return bool(set_object.requested_at) and set_object.requested_at != set_object.status.get("lastHandledReconcileAt")


def _is_fully_applied(finding: Finding) -> bool:
    """Return whether the spec is fully applied, verified or not, so that later differences are drift."""
    if finding.reason is Reason.VERIFICATION_FAILED and finding.report:
        return all(map(at_desired, finding.report.results))
    return finding.reason in (Reason.SUCCEEDED, Reason.OWNERSHIP_CONFLICT)


def _invalidates_last_applied(finding: Finding) -> bool:
    """Return True once a run started: differences from an earlier spec are no longer drift."""
    return finding.reason is Reason.PROGRESSING or bool(finding.report and finding.report.wrote)


def _conditions(set_object: SetObject, finding: Finding, now: str) -> list[dict[str, object]]:
    """Return `Ready`, and `Reconciling` or `Stalled` while they are true."""
    meaning = MEANINGS[finding.reason]
    stalled = meaning.stalled or finding.stalled
    desired = {"Ready": str(meaning.ready)}
    if meaning.reconciling and not stalled:
        desired["Reconciling"] = "True"
    if stalled:
        desired["Stalled"] = "True"
    conditions = []
    for kind, value in desired.items():
        earlier = condition(set_object.status, kind)
        since = earlier.get("lastTransitionTime") if earlier.get("status") == value else None
        conditions.append(
            {
                "type": kind,
                "status": value,
                "reason": str(finding.reason),
                "message": printable_lines(finding.message)[:MAX_CONDITION_MESSAGE],
                "observedGeneration": set_object.generation,
                "lastTransitionTime": since or now,
            }
        )
    return conditions


def _rows(finding: Finding) -> Iterator[dict[str, object]]:
    """Return the aliases that are not where they should be, and why."""
    for contest in finding.contests:
        yield {
            "name": contest.name,
            "state": "Contested",
            "message": f"AliasSet {contest.owner} is older and has authority over it",
        }
    results = finding.report.results if finding.report else ()
    for result in results:
        if result.outcome not in ACHIEVED or result.code:
            state = STATES.get(result.outcome, "Unknown")
            yield _row(result.step, state, result.message, moved=at_desired(result))
    if not results and finding.plan:
        for pending in finding.plan.pending_reverts:
            message = f"{pending.reason}; run {pending.run} did not move it back"
            yield _row(pending.step, "Failed", message, moved=True)
    for step in finding.drift or (finding.plan.steps if finding.plan and not results else ()):
        if step.blocked:
            yield _row(step, "Blocked", step.blocked.message)
        else:
            yield _row(step, "Drifted" if finding.drift else "Pending", None)


def _row(step: Step, state: str, message: str | None, *, moved: bool = False) -> dict[str, object]:
    row = {
        "name": step.alias,
        "collection": step.desired,
        "current": step.desired if moved else step.current,
        "state": state,
        "message": printable_lines(message)[:MAX_MESSAGE] if message else None,
    }
    return without_none(**row)


def _counts(set_object: SetObject, finding: Finding, rows: list[dict[str, object]]) -> dict[str, int]:
    """Count the aliases that the set lists; a covered alias that another set holds is not its own."""
    states = Counter(row["state"] for row in rows)
    listed = {alias.name for alias in finding.desired.aliases} if finding.desired else set()
    specified = (
        {alias.name for alias in set_object.spec.aliases} if isinstance(set_object.spec, AliasSetManifest) else set()
    )
    contested = sum(row["state"] == "Contested" and row["name"] in specified for row in rows)
    outdated = sum(row["name"] in listed for row in rows)
    return {
        "aliases": len(listed) + contested,
        "inSync": len(listed) - outdated,
        "blocked": states["Blocked"],
        "drift": len(finding.drift),
    }


def _pending(before: Body, plan: Plan) -> dict[str, object]:
    """Return the pending plan; an equal plan keeps its first time, so that it is not reported as new."""
    earlier = cast("Body", before.get("pendingPlan") or {})
    actions = Counter(step.action for step in plan.steps)
    return {
        "digest": plan.digest,
        "created": earlier.get("created") if earlier.get("digest") == plan.digest else plan.created,
        "creates": actions[Action.CREATE],
        "alters": actions[Action.ALTER],
        "drops": actions[Action.DROP],
        "blocked": sum(step.blocked is not None for step in plan.steps),
        "steps": [_pending_step(step) for step in plan.steps[:MAX_ROWS]],
    }


def _pending_step(step: Step) -> dict[str, object]:
    content = {
        "action": str(step.action),
        "alias": step.alias,
        "from": step.current,
        "to": step.desired,
        "wave": step.wave,
        "blocked": step.blocked.message[:MAX_MESSAGE] if step.blocked else None,
    }
    return without_none(**content)


def _history(set_object: SetObject) -> list[Body] | None:
    """Return the history; a requested reconciliation acknowledges a failed verification, even if Milvus is away."""
    runs = cast("list[Body]", set_object.status.get("history") or [])
    if runs and run_requested(set_object) and runs[0].get("result") == Reason.VERIFICATION_FAILED:
        runs = [{**runs[0], "acknowledged": True}, *runs[1:]]
    return runs or None


def _entry(set_object: SetObject, finding: Finding, report: Report) -> dict[str, object]:
    made = Counter(result.step.action for result in report.results if result.outcome is Outcome.DONE)
    content = {
        "digest": report.plan.digest,
        "started": report.started,
        "ended": report.ended,
        "generation": set_object.generation,
        "result": str(finding.reason),
        "message": printable_lines(finding.message)[:MAX_MESSAGE],
        "creates": made[Action.CREATE],
        "alters": made[Action.ALTER],
        "drops": made[Action.DROP],
        "failed": report.counts[Outcome.FAILED] + report.counts[Outcome.UNKNOWN],
        "reverted": report.counts[Outcome.REVERTED],
        "metrics": _metrics(report) or None,
        "approvedBy": finding.approved_by or None,
        "provenance": {name: str(text)[:MAX_MESSAGE] for name, text in set_object.provenance.known().items()} or None,
    }
    return without_none(**content)


def _metrics(report: Report) -> str:
    """Return what Prometheus showed before the moves and after, what did not pass first; empty without metrics."""
    found = [(result.step.alias, each) for result in report.results for each in result.metrics]
    found.sort(key=lambda item: item[1].verdict is Verdict.PASS)
    words = (f"{alias}: {each.in_words} ({each.verdict})" for alias, each in found)
    return shortened(printable_lines(", ".join(words)), MAX_NAME)


def interval_of(set_object: SetObject) -> float:
    """Return the seconds between two reconciles of a set when nothing happens."""
    return set_object.spec.operation.interval if isinstance(set_object.spec, AliasSetManifest) else 300.0
