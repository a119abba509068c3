"""The main use case on one page: the functions that every front door calls.

    sets   = load("aliases/")     what is desired           manifest
    plan   = make_plan(sets)      what would change         catalog.read, core.diff, core.limits, gates
    report = apply_plan(plan)     what was done             execute, journal

`make_plan` only reads. `apply_plan` writes nothing if any limit refused the plan, and otherwise works on one database
after the other. A saved plan goes through `ensure_fresh` (to apply it as it is) or `ensure_reviewed` (to apply a new
plan only if it is the same) before `apply_plan`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import count
from threading import Event
from typing import TYPE_CHECKING

from msgspec.structs import replace

from reconciler.catalog import Catalog, Catalogs, connect
from reconciler.catalog.read import read_live
from reconciler.catalog.server_behaviour import notices
from reconciler.core.decisions import Decisions, with_decisions
from reconciler.core.dependencies import block_dependents, in_order, incomplete, waiting
from reconciler.core.diff import diff
from reconciler.core.errors import InvalidInput, JournalError, Problem
from reconciler.core.limits import check_limits
from reconciler.core.model import AliasSet, Connection, LiveCatalog, Target
from reconciler.core.options import GatesToEvaluate, Options, check_names, limited, with_skipped_gates
from reconciler.core.plan import Plan, SetPlan, TargetPlan, block_later_waves, block_whole_set
from reconciler.core.prefix_drops import block_prefix_drops
from reconciler.core.report import ACHIEVED, Outcome, Report, StepResult, TargetReport, not_applied, not_attempted
from reconciler.core.run_events import Planning, RunEvent
from reconciler.documents.timestamps import now
from reconciler.gates import GATES, cheap_gates, evaluate_sets, without_evaluation
from reconciler.integrations.hooks import Hooks, RunFacts
from reconciler.journal import Ledger, NoRun, Origins, RecordedRun
from reconciler.version import __version__

if TYPE_CHECKING:
    from reconciler.execute import RunContext

LiveCatalogs = Mapping[Target, LiveCatalog]
Read = Callable[[Catalog, Target, Sequence[AliasSet]], LiveCatalog]
"""How the live side of one database is read for some sets."""


def make_plan(
    sets: Sequence[AliasSet],
    options: Options = Options(),
    *,
    catalogs: Catalogs | None = None,
    against: LiveCatalogs | None = None,
    evaluate: GatesToEvaluate = GatesToEvaluate.CHEAP,
    journal: Ledger | None = None,
    read: Read = read_live,
    on_event: Callable[[Planning], None] = lambda _: None,
    apart: Collection[str] = (),
) -> Plan:
    """Read the live catalogs and return what would change. Changes nothing.

    A set comes after those that it depends on. Otherwise databases are in the order of address and name.

    Args:
        sets: the desired state; each set with its connection, and checked against each other (`load` does both).
        catalogs: open connections to use and to leave open; by default they are opened, and closed at the end.
        against: live catalogs known beforehand, for example from an export; then no server is contacted.
        evaluate: which gates are evaluated now; `apply_plan` evaluates all of them right before each wave.
        journal: earlier runs; moves that they reverted are blocked until the manifest changes, reverts that they did
            not finish are completed, and moves that they did not verify are verified before later waves.
        read: how the live catalogs are read; callers may share one read among many plans.
        on_event: called, in any thread, when a database is read and when the gates of a change were evaluated.
        apart: keys of sets that are planned apart from the others of their database.

    Raises:
        InvalidInput: sets depend on each other, or `options` name an alias that no set of this run lists or covers, or
            a gate that it does not have.
        CatalogError: a catalog cannot be read.
        JournalError: the journal cannot be read.
    """
    check_names(options, sets, GATES)
    known = journal.decisions() if journal else Decisions()
    groups = in_order(sets, lambda alias_set: (target_of(alias_set), alias_set.key in apart))
    with _opened(catalogs) as opened:
        plan = Plan(
            tuple(
                _plan_target(
                    target, members, options, opened, against, evaluate, known, read, (number, len(groups)), on_event
                )
                for number, ((target, _), members) in enumerate(groups, start=1)
            ),
            created=now(),
            tool_version=__version__,
            retry_rejected=options.retry_rejected,
        )
    return block_dependents(plan)


def apply_plan(
    plan: Plan,
    *,
    catalogs: Catalogs | None = None,
    keep_going: bool = False,
    stop: Event | None = None,
    wait: float = 0.0,
    journal: Ledger | None = None,
    origins: Origins | None = None,
    on_event: Callable[[RunEvent], None] = lambda _: None,
) -> Report:
    """Carry out a plan and report the outcome of every step. Repeating it is safe: what is done is not done again.

    Sets that depend on one that was not completed are not started.

    Args:
        plan: from `make_plan`; a saved plan goes through `ensure_fresh` first.
        catalogs: as for `make_plan`.
        keep_going: continue with other databases after a failure.
        stop: set it to end after the calls in flight.
        wait: seconds that each wave may wait for gates to pass.
        journal: records the intent of each call before it is made, and its outcome after; what other runs record in it
            is read before each wave.
        origins: who runs this and from what, for the journal.
        on_event: called in this thread with what happens, as it happens: waves, results of steps, probes, reverts.

    Raises:
        CatalogError: a database cannot be opened; nothing was written.
        JournalError: the journal cannot be written; nothing was written to Milvus.
    """
    from reconciler.execute import RunContext  # not needed to plan

    started, stop = now(), stop or Event()
    reports: list[TargetReport] = []
    unready: dict[str, str] = {}
    with _opened(catalogs) as opened:
        # Open and query every database before the first write: an error in the last one must not affect the first.
        targets = () if plan.refusals else plan.targets
        runnable = [target for target in targets if target.runnable or target.earlier_moves]
        for target in runnable:
            opened.open(target.connection, target.target.database).server_version()
        run = journal.begin(plan, origins or Origins.of_this_process()) if journal and runnable else NoRun()
        facts = _facts(plan, run, origins)
        context = RunContext(stop, run, wait, opened.open, plan.retry_rejected, opened.secrets, facts)
        for target in plan.targets:
            waits = {} if plan.refusals else waiting(target, unready)
            if target in runnable and not stop.is_set():
                report = _apply_target(target, waits, opened, context, on_event)
            else:
                report = not_applied(target, refused=bool(plan.refusals), waiting=waits)
            reports.append(report)
            unready |= incomplete(target, report.results, unready)
            failed = (result.outcome not in SETTLED and result.step.set not in waits for result in report.results)
            if not keep_going and any(failed):
                runnable = []
    return _recorded(Report(plan, tuple(reports), started, now(), interrupted=stop.is_set(), run=run.id), run)


def _facts(plan: Plan, run: RecordedRun, origins: Origins | None) -> RunFacts:
    """Return what hooks are told of a run. A digest of many steps takes time, so it is made only for hooks."""
    if not any(target.connection.hooks for target in plan.targets):
        return RunFacts()
    return RunFacts(run.id, plan.digest, origins.provenance.commit if origins else "")


SETTLED = ACHIEVED | {Outcome.BLOCKED}


def target_of(desired: AliasSet) -> Target:
    """Return the database that a set manages."""
    return Target(_connection(desired).address, desired.database)


def _plan_target(
    target: Target,
    sets: list[AliasSet],
    options: Options,
    catalogs: Catalogs,
    against: LiveCatalogs | None,
    evaluate: GatesToEvaluate,
    known: Decisions,
    read: Read,
    position: tuple[int, int],
    on_event: Callable[[Planning], None],
) -> TargetPlan:
    """Plan one database: read it, compare, evaluate the gates, apply the limits. `position`: number, of how many."""
    active = [limited(alias_set, options) for alias_set in sets if options.include_suspended or not alias_set.suspend]
    connection = common_connection(active or sets)
    catalog = catalogs.open(connection, target.database) if active and against is None else None
    if catalog:
        planning = Planning(connection.name, target.database, *position, lambda: catalog.calls)
        on_event(planning)
        live = read(catalog, target, active)
    else:
        live = (against or {}).get(target) or LiveCatalog(target, "", frozenset(), {}, frozenset(), {})

    changes = [
        diff(alias_set, live, only=options.only, allow_protected=options.allow_protected) for alias_set in active
    ]
    changes = block_prefix_drops(changes, live)
    changes = [
        with_decisions(with_skipped_gates(change, options), alias_set, live, known, options)
        for alias_set, change in zip(active, changes, strict=True)
    ]
    if catalog:
        hooks = Hooks(connection, target, catalogs.secrets)
        changes = _evaluated(changes, catalog, evaluate, planning, on_event, hooks)
    else:
        changes = [without_evaluation(change) for change in changes]
    if any(step.metrics for change in changes for step in change.steps):
        changes = _with_metrics(changes, connection, target, catalogs, offline=catalog is None, evaluate=evaluate)
    plans = {alias_set.key: SetPlan(alias_set.key, suspended=True, source=alias_set.source) for alias_set in sets}
    for alias_set, change in zip(active, changes, strict=True):
        steps = block_whole_set(block_later_waves(change.steps), change.on_failure)
        change = replace(change, steps=steps)
        plans[alias_set.key] = change if change.pending_reverts else check_limits(change, alias_set)
    actions = {step.action for change in plans.values() for step in change.steps}
    return TargetPlan(
        target=target,
        connection=connection,
        sets=tuple(plans.values()),
        server_version=live.server_version,
        alias_count=len(live.aliases),
        calls=catalog.calls if catalog else 0,
        offline=against is not None,
        notices=tuple(notices(target.address, catalog.behaviour, actions)) if catalog else (),
    )


def _evaluated(
    changes: Sequence[SetPlan],
    catalog: Catalog,
    evaluate: GatesToEvaluate,
    planning: Planning,
    on_event: Callable[[Planning], None],
    hooks: Hooks,
) -> list[SetPlan]:
    """Evaluate the gates of the changes of one database, and report after each how many are evaluated."""
    which = cheap_gates() if evaluate is GatesToEvaluate.CHEAP else None
    numbers, planning = count(1), replace(planning, changes=sum(len(change.steps) for change in changes))
    on_event(planning)
    return evaluate_sets(
        changes,
        catalog,
        which=which,
        blocking=evaluate is not GatesToEvaluate.SHOWN,
        on_step=lambda: on_event(replace(planning, evaluated=next(numbers))),
        hooks=hooks,
    )


def _with_metrics(
    plans: Sequence[SetPlan],
    connection: Connection,
    target: Target,
    catalogs: Catalogs,
    *,
    offline: bool,
    evaluate: GatesToEvaluate,
) -> list[SetPlan]:
    """Return the plans with what Prometheus shows of the readers now."""
    from reconciler.execute import live_metrics  # only loaded by runs that use it

    if offline:
        return [live_metrics.without_values_before(plan) for plan in plans]
    live = live_metrics.LiveMetrics.of(connection, target, catalogs.secrets)
    return live_metrics.plans_with_values_before(plans, live, blocking=evaluate is not GatesToEvaluate.SHOWN)


def _apply_target(
    plan: TargetPlan,
    waits: Mapping[str, str],
    catalogs: Catalogs,
    context: RunContext,
    on_event: Callable[[RunEvent], None],
) -> TargetReport:
    """Carry out the plan of one database; return the last result of each step, pending verification and revert.

    `waits`: the sets that are not started, and what they wait for.
    """
    from reconciler.execute import execute

    catalog = catalogs.open(plan.connection, plan.target.database)
    started = replace(plan, sets=tuple(each for each in plan.sets if each.set not in waits))
    last = {(step.set, step.alias): not_attempted(step, waits) for step in plan.steps if step.set in waits}
    with closing(execute(started, catalog, context)) as events:
        for event in events:
            on_event(event)
            if isinstance(event, StepResult):
                last[event.step.set, event.step.alias] = event
    pending = [(step.set, step.alias) for step in plan.earlier_moves]
    steps = [(step.set, step.alias) for step in plan.steps]
    return TargetReport(plan, tuple(last[key] for key in (*(key for key in pending if key in last), *steps)))


def _recorded(report: Report, run: RecordedRun) -> Report:
    """Record the end of a run; return its report with the ID of the record, or why the end is not recorded."""
    try:
        return replace(report, run=run.end(report))
    except JournalError as error:
        return replace(report, journal_error=str(error))


def common_connection(sets: Sequence[AliasSet]) -> Connection:
    """Return the connection for all sets of one database.

    Raises `InvalidInput`: two sets name connections with different settings, so it is not clear whose token to use.
    """
    first = sets[0]
    for other in sets[1:]:
        if replace(_connection(other), name="", namespace="") != replace(_connection(first), name="", namespace=""):
            message = (
                f'sets "{first.key}" and "{other.key}" use different '
                f'connections for the database {target_of(first)}, "{first.connection_name}" and '
                f'"{other.connection_name}"; use one for both'
            )
            raise InvalidInput(Problem(message, other.source))
    return _connection(first)


def _connection(desired: AliasSet) -> Connection:
    if desired.connection is None:
        raise InvalidInput(
            Problem(f'set "{desired.key}" has no connection "{desired.connection_name}"', desired.source)
        )
    return desired.connection


@contextmanager
def _opened(catalogs: Catalogs | None) -> Iterator[Catalogs]:
    """Yield the caller's catalogs, left open, or new ones, closed at the end."""
    if catalogs:
        yield catalogs
        return
    with Catalogs(connect) as own:
        yield own
