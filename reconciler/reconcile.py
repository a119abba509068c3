"""The story on one page: the functions that every front door calls.

    sets   = load("aliases/")     what is wanted            manifest
    plan   = make_plan(sets)      what would change         catalog.read, diff, guards, gates
    report = apply_plan(plan)     what became of it         execute, journal

`make_plan` only reads. `apply_plan` writes nothing at all if any guard refused, and otherwise works on one database
after the other. Where a plan was saved, `ensure_fresh` (to apply it as it is) or `ensure_reviewed` (to apply a new one
only if it is the same) stands before `apply_plan`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from enum import Enum, auto
from itertools import groupby
from threading import Event

from reconciler.catalog import Catalogs, connect
from reconciler.catalog.read import read_live
from reconciler.clock import now
from reconciler.diff import diff
from reconciler.errors import InvalidInput, Problem, StalePlan
from reconciler.execute import Conduct, execute
from reconciler.gates import ALL, CHEAP, gated_sets
from reconciler.guards import guarded
from reconciler.journal import Journal, NoRun, Origins
from reconciler.lossy_drops import block_lossy_drops
from reconciler.model import Alias, AliasSet, Connection, LiveCatalog, Target
from reconciler.plan import Plan, SetPlan, TargetPlan, block_companions, block_later_waves, staleness
from reconciler.rejections import Rejected, block_rejected
from reconciler.report import ACHIEVED, Outcome, Report, StepResult, TargetReport
from reconciler.version import __version__

LiveCatalogs = Mapping[Target, LiveCatalog]


@dataclass(frozen=True, slots=True)
class Options:
    """What one run may do beyond the manifests.

    Args:
        only: plan these aliases and no others; empty for all.
        allow_protected: protected aliases that may be altered.
        max_drops: in place of every set's `limits.maxDrops`.
        include_suspended: work on suspended sets too.
        skip_gates: gates that are not asked, each with the alias for which it is not.
        retry_rejected: move aliases again to collections that an earlier run had to move them back from.
    """

    only: Collection[str] = ()
    allow_protected: Collection[str] = ()
    max_drops: int | None = None
    include_suspended: bool = False
    skip_gates: Collection[tuple[str, str]] = ()
    retry_rejected: bool = False


class GatesAsked(Enum):
    """Which gates a plan asks. `CHEAP`: those without searches and exact counts. `SHOWN`: all; a failing one is shown
    and blocks nothing yet, because the run will wait for it."""

    CHEAP = auto()
    ALL = auto()
    SHOWN = auto()


def make_plan(
    sets: Sequence[AliasSet],
    options: Options = Options(),
    *,
    catalogs: Catalogs | None = None,
    against: LiveCatalogs | None = None,
    ask: GatesAsked = GatesAsked.CHEAP,
    journal: Journal | None = None,
) -> Plan:
    """Read the live catalogs and say what would change. Changes nothing.

    Args:
        sets: what is wanted; each with its connection, and checked against each other (`load` does both).
        options: see `Options`.
        catalogs: open connections to use and to leave open; by default they are opened, and closed at the end.
        against: live catalogs known beforehand, such as from an export; then no server is asked.
        ask: which gates are asked already now; `apply_plan` asks all of them, right before each wave.
        journal: earlier runs; what they had to move back is refused until the manifest changes.

    Raises:
        InvalidInput: `options` name an alias that no set of this run lists or covers, or a gate that it does not have.
        CatalogError: a catalog cannot be read.
        JournalError: the journal cannot be read.
    """
    _insist_on_known(options, sets)
    rejected = journal.rejected() if journal and not options.retry_rejected else {}
    by_target = groupby(sorted(sets, key=lambda one: (target_of(one), one.key)), key=target_of)
    with _opened(catalogs) as opened:
        return Plan(
            tuple(
                _plan_target(target, list(members), options, opened, against, ask, rejected)
                for target, members in by_target
            ),
            created=now(),
            tool_version=__version__,
        )


def ensure_fresh(plan: Plan, *, catalogs: Catalogs) -> bool:
    """Refuse a plan whose aliases have moved on since it was made.

    Returns:
        Whether any of its steps is still to be made; False where all aliases are where they should be.

    Raises:
        StalePlan: with every reason.
        InvalidInput: the plan was made against an export, and has never seen the server.
        CatalogError: a catalog cannot be read.
    """
    reasons, pending = [], False
    for target in plan.targets:
        if target.offline:
            raise InvalidInput(
                Problem("the plan was made against an export and cannot be applied by itself; use apply -f … --plan")
            )
        if not target.steps:
            continue
        catalog = catalogs.open(target.connection, target.target.database)
        live = read_live(catalog, target.target, [_as_set(set_plan, target) for set_plan in target.sets])
        reasons += staleness(target, live)
        pending |= any(live.pointing.get(step.alias) != step.wanted for step in target.runnable)
    if reasons:
        raise StalePlan("the plan is stale: " + "; ".join(reasons))
    return pending


def ensure_reviewed(plan: Plan, reviewed: Plan) -> None:
    """Refuse a fresh plan that is not the one that was reviewed.

    It must be the same work on the same collections, and do nothing that the review saw as blocked or refused: a flag,
    or a collection that was loaded since, may have lifted that, but nobody has agreed to it.

    Raises:
        StalePlan: with what differs.
    """
    if reviewed.refusals:
        raise StalePlan(f"the reviewed plan was refused: {reviewed.refusals[0]}; plan and review again")
    if plan.digest != reviewed.digest:
        raise StalePlan(
            f"the reviewed plan is stale: its digest is {reviewed.digest}, planning now gives {plan.digest}; the "
            "manifests, --only, --include-suspended or the live aliases changed since; plan and review again"
        )
    seen, found = _wanted_ids(reviewed), _wanted_ids(plan)
    replaced = sorted(
        f"{name} in {target}"
        for target, name in seen.keys() & found.keys()
        if seen[target, name] != found[target, name]
    )
    if replaced:
        raise StalePlan(f"the reviewed plan is stale: another collection has the name now: {', '.join(replaced)}")
    was_blocked = {(step.set, step.alias) for step in reviewed.steps if step.blocked}
    if freed := sorted(step.alias for step in plan.runnable if (step.set, step.alias) in was_blocked):
        raise StalePlan(f"blocked when the plan was reviewed, and not now: {', '.join(freed)}; plan and review again")


def apply_plan(
    plan: Plan,
    *,
    catalogs: Catalogs | None = None,
    keep_going: bool = False,
    stop: Event | None = None,
    wait: float = 0.0,
    journal: Journal | None = None,
    origins: Origins | None = None,
    on_result: Callable[[StepResult], None] = lambda _: None,
    tell: Callable[[str], None] = lambda _: None,
) -> Report:
    """Carry out a plan and say what became of every step. Repeating it is safe: what is done is not done again.

    Args:
        plan: from `make_plan`; one that was saved goes through `ensure_fresh` first.
        catalogs: as for `make_plan`.
        keep_going: work on the later databases even if one failed.
        stop: set it to end after the calls in flight.
        wait: seconds that each wave may wait for gates that do not pass yet.
        journal: where each call is written down before it is made, and its outcome after.
        origins: who runs this and from what, for the journal.
        on_result: told of each step's result as it happens.
        tell: told, in a sentence, what takes long.

    Raises:
        CatalogError: a database cannot be opened; nothing was written.
        JournalError: the journal cannot be written; nothing was written to Milvus.
    """
    started, stop = now(), stop or Event()
    reports: list[TargetReport] = []
    with _opened(catalogs) as opened:
        # Every database is opened before the first write: a wrong token for the last one must not cost the first.
        runnable = [] if plan.refusals else [target for target in plan.targets if target.runnable]
        for target in runnable:
            opened.open(target.connection, target.target.database)
        run = journal.begin(plan, origins or Origins.of_this_process()) if journal and runnable else NoRun()
        conduct = Conduct(stop, run, wait, opened.open, tell)
        for target in plan.targets:
            if target in runnable and not stop.is_set():
                report = _apply_target(target, opened, conduct, on_result)
            else:
                report = TargetReport(target, _untouched(target, refused=bool(plan.refusals)))
            reports.append(report)
            if not keep_going and any(result.outcome not in SETTLED for result in report.results):
                runnable = []
    report_of_run = Report(plan, tuple(reports), started, now(), interrupted=stop.is_set(), run=run.id)
    run.end(report_of_run)
    return report_of_run


SETTLED = ACHIEVED | {Outcome.BLOCKED}


def target_of(wanted: AliasSet) -> Target:
    """The database that a set is about."""
    return Target(_connection(wanted).address, wanted.database)


def _plan_target(
    target: Target,
    sets: list[AliasSet],
    options: Options,
    catalogs: Catalogs,
    against: LiveCatalogs | None,
    ask: GatesAsked,
    rejected: Rejected,
) -> TargetPlan:
    """One database: read, compare, guard, ask the gates."""
    active = [_limited(one, options) for one in sets if options.include_suspended or not one.suspend]
    connection = _common_connection(active or sets)
    catalog = catalogs.open(connection, target.database) if active and against is None else None
    if catalog:
        live = read_live(catalog, target, active)
    else:
        live = (against or {}).get(target) or LiveCatalog(target, "", frozenset(), {}, frozenset(), {})

    changes = [diff(one, live, only=options.only, allow_protected=options.allow_protected) for one in active]
    changes = block_lossy_drops(changes, live)
    changes = [block_rejected(_with_skipped(change, options), target, rejected) for change in changes]
    if catalog:
        which = CHEAP if ask is GatesAsked.CHEAP else ALL
        changes = gated_sets(changes, catalog, which=which, blocking=ask is not GatesAsked.SHOWN)
    plans = {one.key: SetPlan(one.key, suspended=True, source=one.source) for one in sets}
    for one, change in zip(active, changes, strict=True):
        steps = block_companions(block_later_waves(change.steps), change.on_failure)
        plans[one.key] = guarded(replace(change, steps=steps), one)
    return TargetPlan(
        target=target,
        connection=connection,
        sets=tuple(plans.values()),
        server_version=live.server_version,
        alias_count=len(live.aliases),
        calls=catalog.calls if catalog else 0,
        offline=against is not None,
    )


def _apply_target(
    plan: TargetPlan, catalogs: Catalogs, conduct: Conduct, on_result: Callable[[StepResult], None]
) -> TargetReport:
    """One database: the last result of each step counts."""
    catalog = catalogs.open(plan.connection, plan.target.database)
    last: dict[tuple[str, str], StepResult] = {}
    with closing(execute(plan, catalog, conduct)) as results:
        for result in results:
            on_result(result)
            last[result.step.set, result.step.alias] = result
    return TargetReport(plan, tuple(last[step.set, step.alias] for step in plan.steps))


def _untouched(plan: TargetPlan, *, refused: bool) -> tuple[StepResult, ...]:
    """The results of a database that was not worked on."""
    return tuple(
        StepResult(step, Outcome.BLOCKED, step.blocked.reason, step.blocked.message)
        if step.blocked and not refused
        else StepResult(step, Outcome.NOT_ATTEMPTED)
        for step in plan.steps
    )


def _wanted_ids(plan: Plan) -> dict[tuple[Target, str], int]:
    """The ids of the collections that a plan moves aliases to."""
    return {
        (target.target, step.wanted): step.wanted_id
        for target in plan.targets
        for step in target.steps
        if step.wanted and step.wanted_id
    }


def _limited(wanted: AliasSet, options: Options) -> AliasSet:
    if options.max_drops is None:
        return wanted
    return replace(wanted, limits=replace(wanted.limits, max_drops=options.max_drops))


def _with_skipped(plan: SetPlan, options: Options) -> SetPlan:
    """The plan, each step with the gates that this run skips for its alias."""
    steps = (
        replace(step, skipped_gates=tuple(sorted(gate for gate, alias in options.skip_gates if alias == step.alias)))
        for step in plan.steps
    )
    return replace(plan, steps=tuple(steps)) if options.skip_gates else plan


def _as_set(plan: SetPlan, target: TargetPlan) -> AliasSet:
    """A plan's steps as the wish they came from, so that the same reading serves both."""
    aliases = tuple(Alias(step.alias, step.wanted) for step in plan.steps)
    return AliasSet(plan.set, "", "", target.connection, target.target.database, aliases)


def _common_connection(sets: Sequence[AliasSet]) -> Connection:
    """The connection for all sets of one database. It has one, or it is not clear whose token and settings count."""
    first = sets[0]
    for other in sets[1:]:
        if replace(_connection(other), name="", namespace="") != replace(_connection(first), name="", namespace=""):
            message = (
                f'sets "{first.key}" and "{other.key}" are about one database, {target_of(first)}, with different '
                f'connections, "{first.connection_name}" and "{other.connection_name}"; use one for both'
            )
            raise InvalidInput(Problem(message, other.source))
    return _connection(first)


def _connection(wanted: AliasSet) -> Connection:
    if wanted.connection is None:
        raise InvalidInput(Problem(f'set "{wanted.key}" has no connection "{wanted.connection_name}"', wanted.source))
    return wanted.connection


def _insist_on_known(options: Options, sets: Sequence[AliasSet]) -> None:
    """A name in an option that no set of this run knows is a typing error, not a wish for nothing."""
    asleep = [] if options.include_suspended else [one for one in sets if one.suspend]
    awake = [one for one in sets if one not in asleep]
    problems = []
    flags = (
        ("--only", options.only),
        ("--allow-protected", options.allow_protected),
        *((f"--skip-gate {gate}:", [alias]) for gate, alias in options.skip_gates),
    )
    for flag, names in flags:
        for name in names:
            if any(_knows(one, name) for one in awake):
                continue
            sleeper = next((one.key for one in asleep if _knows(one, name)), None)
            why = (
                f'its set "{sleeper}" is suspended; add --include-suspended' if sleeper else "no set lists or covers it"
            )
            problems.append(Problem(f"{flag}{'' if flag.endswith(':') else ' '}{name}: {why}"))
    if problems:
        raise InvalidInput(*problems)


def _knows(wanted: AliasSet, name: str) -> bool:
    return any(alias.name == name for alias in wanted.aliases) or wanted.scope.covers(name)


@contextmanager
def _opened(catalogs: Catalogs | None) -> Iterator[Catalogs]:
    """The caller's catalogs, left open; or new ones, closed at the end."""
    if catalogs:
        yield catalogs
        return
    with Catalogs(connect) as own:
        yield own
