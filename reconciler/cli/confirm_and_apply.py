"""Show a plan, ask for confirmation, apply it and print the report: what `apply` and `rollback` share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from msgspec import Struct

from reconciler.catalog import Catalogs
from reconciler.cli.confirm import confirm, ensure_terminal
from reconciler.cli.notifying import delivering
from reconciler.cli.output import Output
from reconciler.cli.progress import ProgressDisplay
from reconciler.cli.signals import end_with, stopping_on_signals
from reconciler.core.errors import AliasctlError, JournalError
from reconciler.core.model import AliasSet
from reconciler.core.plan import Plan
from reconciler.core.report import StepResult
from reconciler.core.run_events import RunEvent
from reconciler.core.text import counted
from reconciler.journal import Journal, Ledger, Origins
from reconciler.reconcile import apply_plan
from reconciler.render.formats import TEXT
from reconciler.render.results import plan_result, report_below_plan, report_result

log = logging.getLogger(__name__)


class ApplyOptions(Struct, frozen=True):
    """How a plan is applied. `wait`: seconds that each wave may wait for its gates. `publish`: see `resolution`."""

    yes: bool
    keep_going: bool = False
    wait: float | None = None
    publish: Path | None = None


def confirm_and_apply(
    plan: Plan,
    catalogs: Catalogs,
    output: Output,
    options: ApplyOptions,
    *,
    journal: Journal,
    origins: Origins,
    pending: bool,
    sets: Sequence[AliasSet] | None = None,
    whole: Sequence[AliasSet] = (),
) -> int:
    """Show a plan, ask for confirmation, apply it and print the report.

    Args:
        pending: whether any step is still to be made; otherwise there is nothing to confirm.
        sets: what is desired, to be published; None for a plan without manifests.
        whole: those that were planned as a whole, for notifications.

    Returns:
        The exit code.
    """
    if output.format is TEXT:
        output.print(plan_result(plan))
    if pending and not plan.refusals and not options.yes:
        _confirm(plan, output)
    journal.notify(plan, origins, sets=whole)
    with delivering(plan, journal, output) as news:
        return _apply(plan, catalogs, output, options, journal=journal, origins=origins, sets=sets, news=news)


def _apply(
    plan: Plan,
    catalogs: Catalogs,
    output: Output,
    options: ApplyOptions,
    *,
    journal: Journal,
    origins: Origins,
    sets: Sequence[AliasSet] | None,
    news: Callable[[], None],
) -> int:
    """Apply a plan and print the report. `news`: called when something was recorded."""
    ledger: Ledger = journal
    published = None
    if options.publish:
        from reconciler.resolution import NamedRuns, Publication, PublishedFile  # few runs need it

        ledger = runs = NamedRuns(journal)
        published = Publication(PublishedFile(options.publish), plan, catalogs, runs, sets=sets)
        published.begin()
    with ProgressDisplay(output) as display, stopping_on_signals(display.say) as stop:
        take = partial(_take, display, news)
        report = apply_plan(
            plan,
            catalogs=catalogs,
            keep_going=options.keep_going,
            stop=stop,
            wait=options.wait or 0.0,
            journal=ledger,
            origins=origins,
            on_event=published.beside(take) if published else take,
        )
    if published:
        published.flush()
    end_with(report.exit_code)
    output.emit(report_result(report, origins.provenance), report_below_plan(report))
    if report.journal_error:
        output.error(JournalError(f"the end of the run is not recorded: {report.journal_error}"))
    if published and published.problem:
        output.incomplete = True
        output.error(AliasctlError(published.problem))
    return report.exit_code


def _confirm(plan: Plan, output: Output) -> None:
    """Ask at the terminal, where the plan must be visible even if the result goes elsewhere."""
    ensure_terminal("there are changes to apply and no terminal to ask at; run with --yes to apply them")
    if output.format is not TEXT:
        for line in plan_result(plan).lines():
            output.say(line.plain)
    targets = [target for target in plan.targets if target.runnable or target.pending_reverts]
    places = ", ".join(f"{target.connection.name} / {target.target.database}" for target in targets)
    changes = counted(len(plan.runnable) + len(plan.pending_reverts), "change")
    confirm(f"Apply {changes} to {places}?", "not applied")


def _take(display: ProgressDisplay, news: Callable[[], None], event: RunEvent) -> None:
    display.on_event(event)
    if isinstance(event, StepResult):
        _log(event)
        news()


def _log(result: StepResult) -> None:
    step = result.step
    details = {"reason": result.message} if result.message else {}
    with suppress(OSError):  # a broken log must not end the run
        log.info(
            "step",
            extra={
                "set": step.set,
                "alias": step.alias,
                "action": str(step.action),
                "current": step.current,
                "desired": step.desired,
                "outcome": str(result.outcome),
                **details,
            },
        )
