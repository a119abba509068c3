"""The signs and words for actions, gates and outcomes, which all formats share."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from reconciler.core.model import Credential, Origin
from reconciler.core.plan import Action, PendingRevert, PendingVerification, Plan, TargetPlan, Verdict
from reconciler.core.report import NOT_VERIFIED, REVERT_FAILED, Outcome, Propagated, Report, StepResult
from reconciler.core.text import counted, listed, printable

SIGNS = {Action.CREATE: "+", Action.ALTER: "~", Action.DROP: "-"}
BLOCKED = "!"
PENDING_VERIFICATION = "?"
VERDICTS = {
    Verdict.PASS: "✓",
    Verdict.FAIL: "✗",
    Verdict.UNKNOWN: "unknown",
    Verdict.NOT_APPLICABLE: "n/a",
    Verdict.NOT_EVALUATED: "not evaluated",
}
SKIPPED = "skipped"
"""The state of a gate that `--skip-gate` leaves out; the other states are verdicts."""
GATE_SIGNS: Mapping[str, str] = {
    Verdict.FAIL: "✗",
    Verdict.UNKNOWN: "?",
    SKIPPED: "!",
    Verdict.NOT_EVALUATED: "○",
    Verdict.NOT_APPLICABLE: "-",
    Verdict.PASS: "✓",
}
"""The states of gates, the most important first."""
OUTCOMES = {Outcome.NOOP: "unchanged", Outcome.NOT_ATTEMPTED: "not attempted"}
"""Labels that differ from the value."""

LONG = 100.0
"""Seconds that are shown as minutes."""
SHOWN_NAMES = 3
"""Names that a sentence lists."""

_SAVED = {Origin.PLAN_FILE, Origin.EARLIER_RUN}


def product(version: str) -> str:
    """Return the product of a server version: `v2.3.5` is Milvus 2.3.5, `milvus_lite-3.2.2` is Milvus Lite 3.2.2."""
    if "Milvus" in version:  # as on Zilliz Cloud
        return version
    if version.startswith("milvus_lite"):
        return "Milvus Lite " + version.removeprefix("milvus_lite").lstrip("-")
    return "Milvus " + version.removeprefix("v")


def target_facts(target: TargetPlan) -> tuple[str, ...]:
    """Return the server of a database, and what was read from it."""
    place = f"at {printable(target.connection.uri)} ({target.connection.origin})"
    aliases = counted(target.alias_count, "alias")
    if target.offline:
        return place, f"{aliases}, from an export: targets and gates not checked"
    if target.server_version:
        return f"{product(printable(target.server_version))} {place}", f"{aliases}, {counted(target.calls, 'call')}"
    return (place,)


def saved_credentials(target: TargetPlan) -> Iterator[str]:
    """Return what is sent where, for connections that neither a manifest nor a flag of this call names."""
    endpoints = (endpoint for alias_set in target.sets for endpoint in alias_set.verify.endpoints)
    for connection in dict.fromkeys((target.connection, *endpoints)):
        if connection.origin in _SAVED:
            if connection.token:
                yield printable(f"the token in {_place(connection.token)} goes to {connection.address}")
            for endpoint in connection.http_endpoints:
                if endpoint.secret:
                    yield printable(f"the secret in {_place(endpoint.secret)} is for {endpoint.host}")
            for receiver in connection.notify:
                address = f"the address in {_place(receiver.uri_from)}" if receiver.uri_from else receiver.host
                yield printable(f'notifications go to receiver "{receiver.name}" at {address}')
                if receiver.secret:
                    yield printable(f'the secret in {_place(receiver.secret)} is for receiver "{receiver.name}"')


def _place(secret: Credential) -> str:
    return f"environment variable {secret.env}" if secret.env else f"file {secret.file}"


def pending_verification(pending: PendingVerification) -> str:
    """Return why an alias that is at its desired collection is in the plan."""
    return printable(f"run {pending.run} did not verify it ({pending.reason}); will be verified first")


def pending_revert(pending: PendingRevert) -> str:
    """Return why an alias is moved back to where it was."""
    return printable(f"run {pending.run} did not finish its revert ({pending.reason})")


def unfinished_reverts(plan: Plan) -> Iterator[str]:
    """Return a sentence for each set that an earlier run began to revert, with the commands to complete it."""
    for set_plan in plan.set_plans:
        by_run: dict[str, list[str]] = defaultdict(list)
        for pending in set_plan.pending_reverts:
            by_run[pending.run].append(pending.alias)
        for run, aliases in by_run.items():
            yield _unfinished(f"run {run}", set_plan.set, aliases, f"aliasctl apply, or aliasctl rollback {run}")


def failed_reverts(report: Report) -> Iterator[str]:
    """Return a sentence for each set that a run should have reverted and did not, with the commands to complete it."""
    tried = {(result.step.set, result.step.alias) for result in report.results}
    if any((pending.step.set, pending.alias) not in tried for pending in report.plan.pending_reverts):
        yield from unfinished_reverts(report.plan)
    left: dict[tuple[str, str], list[str]] = defaultdict(list)  # by set, and by the run that moved the aliases
    for result in report.results:
        if result.code == REVERT_FAILED:
            left[result.step.set, result.moved_by or report.run].append(result.step.alias)
    for (name, run), aliases in left.items():
        rollback = f", or aliasctl rollback {run}" if run else ""
        yield _unfinished(f"run {run}" if run else "this run", name, aliases, f"aliasctl apply{rollback}")


def _unfinished(run: str, name: str, aliases: Sequence[str], commands: str) -> str:
    left = f"{counted(len(aliases), 'alias')} still to be moved back ({listed(aliases, SHOWN_NAMES)})"
    return printable(f'Revert of {run} not finished: set "{name}", {left}; to finish: {commands}')


def outcome(result: StepResult) -> str:
    """Return how a step ended."""
    if result.outcome is Outcome.NOOP and result.step.desired is None:
        return "already gone"
    return OUTCOMES.get(result.outcome, result.outcome)


def readers(proofs: Sequence[Propagated]) -> str:
    """Return the results of the propagation check."""
    heals = max(proof.heals for proof in proofs)
    healed = f" after {counted(heals, 'repeated alter')}" if heals else ""
    where = f" at {len(proofs)} endpoints" if len(proofs) > 1 else ""
    return f"readers verified{where}{healed}"


def moment(time: str) -> str:
    """Return a time, RFC 3339, without fractions of a second."""
    return re.sub(r"\.\d+", "", time)


def plan_summary(plan: Plan) -> str:
    """Return one line that counts the changes by action."""
    unchanged = sum(set_plan.unchanged for set_plan in plan.set_plans)
    suspended = sum(set_plan.suspended for set_plan in plan.set_plans)
    if not plan.steps:
        skipped = f" {counted(suspended, 'set')} suspended." if suspended else ""
        pending = f" {len(plan.pending_verification)} to verify again." if plan.pending_verification else ""
        pending += f" {len(plan.pending_reverts)} to move back." if plan.pending_reverts else ""
        return f"No changes. {counted(unchanged, 'alias')} up to date.{pending}{skipped}"
    actions = Counter(step.action for step in plan.runnable)
    parts = [f"{actions[action]} to {action}" for action in Action]
    parts.append(f"{len(plan.steps) - len(plan.runnable)} blocked")
    parts.append(f"{unchanged} unchanged")
    if plan.pending_verification:
        parts.append(f"{len(plan.pending_verification)} to verify again")
    if plan.pending_reverts:
        parts.append(f"{len(plan.pending_reverts)} to move back")
    if suspended:
        parts.append(f"{counted(suspended, 'set')} suspended")
    return f"Plan: {', '.join(parts)}."


def plan_next_steps(plan: Plan) -> Iterator[str]:
    """Return which gates a plan did not evaluate, and what evaluates them."""
    results = (result for step in plan.runnable for result in step.gate_results)
    if gates := dict.fromkeys(result.gate for result in results if result.not_evaluated):
        offline = any(target.offline for target in plan.targets)
        how = "apply evaluates them" if offline else '"plan --gates all" evaluates them, and so does apply'
        yield printable(f"Not evaluated yet: {', '.join(gates)}; {how}.")


def report_summary(report: Report) -> str:
    """Return one line that counts the steps by outcome, or why none was attempted."""
    if report.plan.refusals:
        return "Nothing applied: a guard refused."
    if report.plan.steps and not report.plan.writes and not report.wrote:
        return "Nothing applied: every change is blocked."
    counts = report.counts
    parts = [f"{counts[Outcome.DONE]} done"]
    parts += [
        f"{counts[outcome]} {OUTCOMES.get(outcome, outcome)}"
        for outcome in Outcome
        if outcome is not Outcome.DONE and counts[outcome]
    ]
    what = "Rollback" if _is_rollback(report) else "Apply"
    took = duration(report.started, report.ended)
    return f"{'Interrupted' if report.interrupted else what}: {', '.join(parts)} in {took}."


def report_next_steps(report: Report) -> Iterator[str]:
    """Return what to do after a run, in sentences with the commands. What a limit refuses says so itself."""
    if report.plan.refusals:
        return
    outcomes = report.counts
    again = "roll back again" if _is_rollback(report) else "run aliasctl apply again"
    if outcomes[Outcome.REVERTED]:
        yield "Reverted moves stay blocked until the manifest changes."
        yield "To retry them anyway: aliasctl apply --retry-rejected"
    elif outcomes[Outcome.FAILED] or outcomes[Outcome.UNKNOWN]:
        yield f"To continue: fix the cause, then {again}."
    elif outcomes[Outcome.BLOCKED]:
        yield f"To continue: resolve what blocks the changes, then {again}."
    elif report.interrupted or outcomes[Outcome.NOT_ATTEMPTED]:
        yield f"To continue: {again}."
    elif any(result.code in NOT_VERIFIED for result in report.results):
        yield f"To verify again: {again}."
    if report.run and any(_left_a_change(result) for result in report.results):
        yield printable(f"To undo: aliasctl rollback {report.run}")


def _is_rollback(report: Report) -> bool:
    return bool(report.plan.steps) and all(step.reverting for step in report.plan.steps)


def _left_a_change(result: StepResult) -> bool:
    """Return whether a step of this run changed something that is still so."""
    return result.wrote and not result.moved_by and result.outcome not in {Outcome.REVERTED, Outcome.BLOCKED}


def duration(start: str, end: str) -> str:
    """Return the time between two moments, which are in RFC 3339: `3.2 s`, or `12 min 5 s`."""
    seconds = max(0.0, (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())
    if seconds < LONG:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
