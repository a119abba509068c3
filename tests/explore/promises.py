"""The promises. In every execution, whatever happens:

1. An alias is at its old place, at its desired place, or where someone else put it.
2. A change of someone else that the run has seen is never overwritten: each call is made for the place where the run
   saw the alias last, and none for an alias that the run saw at a third place.
3. Each call has an intent in the journal before it.
4. The report is true: what it calls done is there, what it calls reverted is back, what it calls not written was not
   written; and a call that may still take effect is not passed over in silence.
5. Report and journal agree.
6. The exit code is 0 only if all is as desired, 5 only if a call may have taken effect, and 1 or 3 only if none has.
7. What a run rejected is not moved there again by a run with the same spec; the decision is in the journal before the
   first call of the revert. With `onFailure: Revert`, a run that fails moves back what it may have moved, or says that
   it did not.
8. Nothing that no plan names is written.
9. What was moved and not watched for as long as the soak says is watched before a later wave starts. The journal says
   so until then, and no run that ends with 0 leaves it so. No later wave starts while readers are known to be stale.
   Stale readers are healed where the server permits it.
10. After a failure or a signal, no further move starts.
11. Once faults end, `SETTLING_RUNS` runs later nothing is left to do, nothing is written, and no alias is at a
    collection that a run rejected, unless someone else put it there, or another run moved the alias in the meantime.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from reconciler.core.errors import ExitCode
from reconciler.core.model import OnFailure
from reconciler.core.plan import Step
from reconciler.core.report import ACHIEVED, PROPAGATION_STUCK, Outcome, Report, StepResult
from reconciler.execute.attempt import MAY_STILL_ACT
from reconciler.journal import Act
from reconciler.journal.entries import Entry, Intent, Result, RevertDecided, step_of
from tests.explore.world import ANOTHER_RUN, Judge, View, World

SETTLING_RUNS = 2
"""Runs without a fault after which nothing is left to do."""

FAILURES = (Outcome.FAILED, Outcome.UNKNOWN)

CLAIM = re.compile(rf'the alias is (?:at "(?P<at>[^"]+)"|absent) now(?:; {MAY_STILL_ACT})?$')
"""Where a message says at its end that an alias is."""


class Promises(Judge):
    """Checks the promises as things happen, and at the end of a run."""

    def before_write(self, world: World, method: str, alias: str, collection: str | None) -> None:
        """Check the promises about a call that is about to be sent."""
        view = world.view(alias)
        intent = last_intent(world, alias)
        about = f"{method} {alias} to {collection}"
        if intent is None:
            world.broken.append(f"3: {about}: no intent")
            return
        step, expected = intent.step, place_before(intent)
        if view.third:
            world.broken.append(f"2: {about}: the run saw it at {view.third}")
        if view.last != expected:
            world.broken.append(f"2: {about}: the run saw it at {view.last} last, not at {expected}")
        if collection not in (step.current, step.desired):
            world.broken.append(f"1: {about}: neither end of its step")
        if intent.act is Act.MOVE and not step.reverting and (alias, collection) in world.rejected:
            world.broken.append(f"7: {about}: an earlier run rejected it")
        if intent.act is Act.REVERT and (alias, step.desired) not in decided(world):
            world.broken.append(f"7: {about}: the decision is not recorded")
        if intent.act is Act.MOVE:
            failed = [result for result in last_results(world).values() if result.outcome in FAILURES]
            if failed or world.stop.is_set():
                world.broken.append(f"10: {about}: after {failed or 'a signal'}")
        if intent.act is Act.MOVE and not step.reverting:
            for other, wave in ((name, entry.wave) for name, entry in world.entries.items() if entry.wave < step.wave):
                if world.soak and other in world.unverified:
                    world.broken.append(f"9: {about}: {other} of wave {wave} is not verified")
                if world.view(other).stale:
                    world.broken.append(f"9: {about}: readers of {other} of wave {wave} are stale")
        if view.ends is None:
            world.broken.append(f"8: {about}: no plan names it")

    def before_entries(self, world: World, added: Sequence[Entry]) -> None:
        """Note what is rejected from here on."""
        steps = [entry.step for entry in added if isinstance(entry, RevertDecided)]
        world.rejected |= {(step.alias, step.desired) for step in steps if step.desired}

    def at_end(self, world: World, report: Report) -> None:
        """Check the promises about a run that ended with a report."""
        for result in report.results:
            view = world.view(result.step.alias)
            for broken in (*_report(result, view, world), *_journal(result, world, report)):
                world.broken.append(f"{broken}: {result.step.alias} is {world.at(result.step.alias)}; {view}; {result}")
        for broken in _reverted(report, world):
            world.broken.append(f"{broken}: {report.results}")
        for broken in _exit_code(report, world):
            world.broken.append(f"{broken}: exit code {report.exit_code}: {report.results}")

    def settled(self, world: World) -> None:
        """Check the promise about a run that should have found nothing to do."""
        if any(view.sent for view in world.views.values()):
            world.broken.append("11: not settled: it writes")
        if world.plan is None or world.plan.writes or world.plan.earlier_moves:
            world.broken.append(f"11: not settled: {world.plan}")
        for alias, collection in world.rejected - world.by_others:
            # A call that takes effect after another run settled the alias belongs to nobody: no record names it.
            if world.at(alias) == collection and (alias, ANOTHER_RUN) not in world.by_others:
                world.broken.append(f"11: {alias} stays at {collection}, which was rejected")

    def always(self, world: World) -> None:
        """Check the promises about the server, after any end."""
        if world.soak:
            known = world.ledger.decisions()
            pending = {alias for _, alias, _ in known.pending_verification} | {
                alias for _, alias in known.pending_reverts
            }
            for alias in world.unverified - pending:
                world.broken.append(f"9: {alias} is not verified, and the journal does not say so")
        steps = {step.alias: step for step in (*world.plan.steps, *world.plan.earlier_moves)} if world.plan else {}
        before = dict(world.start.aliases)
        for alias in {*before, *world.views}:
            at, step = world.at(alias), steps.get(alias)
            allowed = {before.get(alias), *((step.current, step.desired) if step else ())}
            allowed |= {place for name, place in world.by_others if name == alias}
            allowed |= {item.collection for item in world.start.late if item.alias == alias}
            if at not in allowed:
                world.broken.append(f"1: {alias} is at {at}, not at any of {allowed}")


def _report(result: StepResult, view: View, world: World) -> list[str]:
    """Return what the result of a step says that is not true."""
    step, outcome, message = result.step, result.outcome, result.message or ""
    at = world.at(step.alias)
    broken = []
    if view.effects and not result.wrote:
        broken.append("4: written, and not said")
    if outcome in (Outcome.NOT_ATTEMPTED, Outcome.BLOCKED) and view.sent:
        broken.append("4: a call was made, and not said")
    if outcome in ACHIEVED and not result.code:
        if view.last != step.desired:
            broken.append(f"4: {outcome}, and last seen elsewhere")
        if not view.blind and at != step.desired:
            broken.append(f"4: {outcome}, and elsewhere")
    if outcome is Outcome.REVERTED:
        if view.last != step.current or (not view.blind and at != step.current):
            broken.append("4: reverted, and not back")
        if view.third:
            broken.append("4: reverted, and seen elsewhere")
    if outcome is Outcome.UNKNOWN and not (view.unanswered or view.blind or world.choices.told):
        broken.append("4: unknown, and nothing went wrong")
    claim = CLAIM.search(message)
    announced = MAY_STILL_ACT in message and view.last == step.desired  # read later, for what a revert leaves
    if claim and outcome is Outcome.FAILED and claim["at"] != view.last and not announced:
        broken.append("4: said to be where it was not seen last")
    late = {item.collection for item in world.late if item.alias == step.alias and item.run == world.number}
    unseen = late - {view.last}  # a call seems to have acted where the alias is found at its place
    if unseen and MAY_STILL_ACT not in message and not result.code:
        broken.append("4: a call may still take effect, and that is not said")
    if outcome in ACHIEVED and result.propagation and view.stale:
        broken.append("9: readers are known to be stale, and that is no failure")
    heals = {entry.step.alias for entry in own_entries(world) if isinstance(entry, Intent) and entry.act is Act.HEAL}
    if result.code == PROPAGATION_STUCK and step.alias not in heals and "journal" not in message:
        broken.append("9: stale readers, and no attempt to heal them")
    if (
        view.third
        and outcome not in (*ACHIEVED, Outcome.UNKNOWN)
        and result.wrote
        and not any(_words(place) in message for place in view.third)
    ):
        broken.append("4: seen at a third place, and not said")
    return broken


def _reverted(report: Report, world: World) -> list[str]:
    """Return which aliases of a set with `onFailure: Revert` a failed run moved, and said nothing about moving back."""
    reverting = {plan.set for plan in report.plan.set_plans if plan.on_failure is OnFailure.REVERT}
    failed = any(result.outcome in (*FAILURES, Outcome.REVERTED) for result in report.results)
    intents = {
        entry.step.alias for entry in own_entries(world) if isinstance(entry, Intent) and entry.act is Act.REVERT
    }
    return [
        f"7: {result.step.alias} was not moved back"
        for result in report.results
        if failed and result.wrote and result.step.set in reverting
        if result.step.alias not in intents and "moved back" not in (result.message or "")
    ]


def _words(place: str | None) -> str:
    return f'"{place}"' if place else "absent"


def _journal(result: StepResult, world: World, report: Report) -> list[str]:
    """Return where the journal does not agree with the report."""
    if report.journal_error or result.code == "JournalError" or "journal" in (result.message or ""):
        return []
    recorded = last_results(world).get(result.step.alias)
    if recorded is None:
        return [] if result.outcome is Outcome.NOT_ATTEMPTED or not report.run else ["5: no result in the journal"]
    same = (recorded.outcome, recorded.code, recorded.wrote) == (result.outcome, result.code, result.wrote)
    return [] if same else [f"5: the journal has {recorded.outcome} {recorded.code}"]


def _exit_code(report: Report, world: World) -> list[str]:
    """Return what is wrong about the exit code."""
    views = [world.view(step.alias) for step in (*report.plan.steps, *report.plan.earlier_moves)]
    may_have_acted = any(view.effects or view.unanswered for view in views)
    complete = all(view.last == step.desired for view, step in zip(views, report.plan.steps, strict=False))
    broken = []
    if report.exit_code is ExitCode.DONE and not complete:
        broken.append("6: complete, and something is not as desired")
    if report.exit_code is ExitCode.DONE and world.soak and world.unverified & set(world.entries):
        broken.append("9: complete, and something is not verified")
    if report.exit_code is ExitCode.INCOMPLETE and not may_have_acted:
        broken.append("6: incomplete, and nothing was written")
    if report.exit_code in (ExitCode.ERROR, ExitCode.REFUSED) and may_have_acted:
        broken.append("6: no write, and something may have been written")
    return broken


def last_intent(world: World, alias: str) -> Intent | None:
    """Return the last entry of the present run about an alias, if it is an intent."""
    for entry in reversed(own_entries(world)):
        step = step_of(entry)
        if step and step.alias == alias:
            return entry if isinstance(entry, Intent) else None
    return None


def last_results(world: World) -> dict[str, StepResult]:
    """Return the last recorded result of the present run about each alias."""
    mine = [entry for entry in own_entries(world) if isinstance(entry, Result)]
    return {entry.result.step.alias: entry.result for entry in mine}


def own_entries(world: World) -> list[Entry]:
    """Return what the present run has recorded."""
    return [entry for entry in world.ledger.entries if entry.run == run_id(world)]


def decided(world: World) -> set[tuple[str, str | None]]:
    """Return the aliases that the present run has decided to move back, each with the collection."""
    found = [entry.step for entry in own_entries(world) if isinstance(entry, RevertDecided)]
    return {(step.alias, step.desired) for step in found}


def run_id(world: World) -> str:
    return f"run{world.number}"


def place_before(intent: Intent) -> str | None:
    """Return where a run has to have seen an alias before it makes a call."""
    step: Step = intent.step
    return step.current if intent.act is Act.MOVE else step.desired
