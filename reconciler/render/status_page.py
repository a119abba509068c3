"""The status page of the operator and the sync agent: every set with its aliases, what is blocked or waits, and runs.

    StatusPage ── SetState ── AliasState, Group (a move, as on the page of a plan)

It has no script, loads nothing and refreshes itself. As in `html`, everything variable is escaped, and the
Content-Security-Policy allows the page's own style only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from reconciler.core.model import Alias
from reconciler.core.plan import Plan, Step
from reconciler.core.report import Outcome, Report, StepResult, at_desired
from reconciler.core.text import counted, printable
from reconciler.render.groups import Group, groups_of
from reconciler.render.html import content_policy, page_environment
from reconciler.render.view import View, Weight, plan_view, report_view

REFRESH_SECONDS = 30
"""How often a browser reads the page again."""
MAX_LISTED = 5_000
"""Aliases that one page lists; of the others only those are listed that are not up to date."""
OPEN_UP_TO = 50
"""Sets with more aliases are folded."""
UP_TO_DATE = "up to date"
UNKNOWN = "unknown"
_MOODS = ("bad", "changes", "quiet", "good")
"""The order of the sets."""


class AliasState(Struct, frozen=True):
    """Where an alias is and where it should be, both empty for no collection. `kind`: as of `view.Row`."""

    name: str
    current: str
    desired: str
    label: str = UP_TO_DATE
    kind: str = "noop"


class PendingPlan(Struct, frozen=True):
    """A plan that waits for a person, and the command that approves it; `kubectl` does so without `aliasctl`."""

    summary: str
    command: str
    kubectl: str


class Run(Struct, frozen=True):
    """A run, in printable words. `mood`: as of `View`."""

    when: str
    took: str
    what: str
    who: str
    result: str
    mood: str


class SetState(Struct, frozen=True):
    """A set. `message` says why it is in its state; `groups` are the changes that the last reconciliation found."""

    name: str
    place: str
    label: str
    mood: str
    message: str = ""
    since: str = ""
    aliases: tuple[AliasState, ...] = ()
    unlisted: int = 0
    groups: tuple[Group, ...] = ()
    pending: PendingPlan | None = None


class StatusPage(Struct, frozen=True):
    """The whole page. `alerts` concern all sets; `facts` are names and values."""

    program: str
    verdict: str
    mood: str
    summary: str
    made: str
    alerts: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    sets: tuple[SetState, ...] = ()
    runs: tuple[Run, ...] = ()


def status_page(page: StatusPage, *, problems: bool = False) -> tuple[str, str]:
    """Return the page as HTML, and its Content-Security-Policy.

    Args:
        page: what it shows.
        problems: show only sets, aliases and runs that need attention, and count the others.
    """
    environment = page_environment()
    allowed = content_policy(environment, style="page.css")
    sets = sorted(page.sets, key=lambda item: _MOODS.index(item.mood))
    shown = [item for item in sets if _needs_attention(item)] if problems else sets
    runs = tuple(run for run in page.runs if run.mood != "good") if problems else page.runs
    text = environment.get_template("status.html").render(
        page=replace(page, sets=_shortened(shown, 0 if problems else MAX_LISTED), runs=runs),
        policy=allowed,
        problems=problems,
        left_out=len(sets) - len(shown),
        refresh=REFRESH_SECONDS,
        open_up_to=OPEN_UP_TO,
        up_to_date=UP_TO_DATE,
    )
    return text, allowed


def alias_states(
    aliases: Iterable[Alias], set_key: str, plan: Plan | None, report: Report | None = None
) -> tuple[AliasState, ...]:
    """Return the aliases of a set, those first that are not up to date.

    Args:
        aliases: the desired ones.
        set_key: the name of the set in plans.
        plan: what was found when they were last compared with the server; None if they were not yet.
        report: what was done about it then, if anything.
    """
    found = {alias.name: _state(alias, known=plan is not None) for alias in aliases}
    changes = _of_report(report, set_key) if report else _of_plan(plan, set_key) if plan else ()
    found |= {state.name: state for state in changes}
    return tuple(_printable(state) for state in sorted(found.values(), key=_order))


def groups_by_set(plan: Plan | None, report: Report | None = None) -> dict[str, tuple[Group, ...]]:
    """Return the changes of a plan, or their results, by set."""
    view = _view(plan, report)
    found: dict[str, tuple[Group, ...]] = {}
    for section in view.sections if view else ():
        for group in groups_of(section):
            found[group.set] = (*found.get(group.set, ()), group)
    return found


def mood_of(groups: Sequence[Group]) -> str:
    """Return the mood of a set with these changes."""
    if any(group.weight <= Weight.BLOCKED for group in groups):
        return "bad"
    done = {str(Outcome.DONE), str(Outcome.NOOP)}
    return "good" if {batch.kind for group in groups for batch in group.batches} <= done else "changes"


def overall(sets: Sequence[SetState]) -> tuple[str, str]:
    """Return a verdict on all sets, and the mood of the page."""
    good = sum(item.mood == "good" for item in sets)
    moods = {item.mood for item in sets}
    mood = next((mood for mood in _MOODS if mood in moods), "quiet")
    verdict = f"{good} of {counted(len(sets), 'set')} up to date" if sets else "no sets"
    return verdict, mood


def _view(plan: Plan | None, report: Report | None) -> View | None:
    if report:
        return report_view(report)
    return plan_view(plan) if plan else None


def _state(alias: Alias, *, known: bool) -> AliasState:
    desired = alias.collection or ""
    if not known:
        return AliasState(alias.name, UNKNOWN, desired, "not read yet", "notAttempted")
    return AliasState(alias.name, desired, desired)


def _of_report(report: Report, set_key: str) -> Iterator[AliasState]:
    return (_of_result(result) for result in report.results if result.step.set == set_key)


def _of_plan(plan: Plan, set_key: str) -> Iterator[AliasState]:
    set_plans = [set_plan for set_plan in plan.set_plans if set_plan.set == set_key]
    yield from (_of_step(step) for set_plan in set_plans for step in set_plan.steps)
    for pending in (pending for set_plan in set_plans for pending in set_plan.pending_verification):
        at = pending.collection
        yield AliasState(pending.alias, at, at, "not verified", "pendingVerification")
    for revert in (revert for set_plan in set_plans for revert in set_plan.pending_reverts):
        current, previous = revert.current or "", revert.previous or ""
        yield AliasState(revert.alias, current, previous, "to be moved back", "pendingRevert")


def _of_step(step: Step) -> AliasState:
    kind = "blocked" if step.blocked else str(step.action)
    label = "blocked" if step.blocked else "pending"
    return AliasState(step.alias, step.current or "", step.desired or "", label, kind)


def _of_result(result: StepResult) -> AliasState:
    step, desired = result.step, result.step.desired or ""
    if result.outcome is Outcome.UNKNOWN:
        return AliasState(step.alias, UNKNOWN, desired, UNKNOWN, str(result.outcome))
    if not at_desired(result):
        label = {Outcome.NOT_ATTEMPTED: "pending"}.get(result.outcome, str(result.outcome))
        return AliasState(step.alias, step.current or "", desired, label, str(result.outcome))
    if result.code:
        return AliasState(step.alias, desired, desired, "not verified", str(Outcome.FAILED))
    return AliasState(step.alias, desired, desired)


def _order(state: AliasState) -> tuple[bool, str]:
    return state.label == UP_TO_DATE, state.name


def _printable(state: AliasState) -> AliasState:
    name, current, desired = map(printable, (state.name, state.current, state.desired))
    return replace(state, name=name, current=current, desired=desired)


def _needs_attention(item: SetState) -> bool:
    return item.mood != "quiet" and (item.mood != "good" or any(state.label != UP_TO_DATE for state in item.aliases))


def _shortened(sets: Iterable[SetState], most: int) -> tuple[SetState, ...]:
    """Return the sets without aliases that are up to date where a page would list more than `most`."""

    def shortened() -> Iterator[SetState]:
        left = most
        for item in sets:
            urgent = sum(state.label != UP_TO_DATE for state in item.aliases)
            shown = max(urgent, min(len(item.aliases), left))
            left = max(0, left - shown)
            yield replace(item, aliases=item.aliases[:shown], unlisted=len(item.aliases) - shown)

    return tuple(shortened())
