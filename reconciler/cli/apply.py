"""`aliasctl apply`: plan, ask, apply, verify."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any

import click
import structlog
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from reconciler.catalog import Catalogs, connect
from reconciler.cli import inputs, options, output
from reconciler.cli.plan import plan_result
from reconciler.errors import Interrupted, InvalidInput
from reconciler.manifest.targets import reconnected
from reconciler.plan import Plan
from reconciler.planfile import load_plan
from reconciler.reconcile import Options, apply_plan, ensure_fresh, ensure_reviewed, make_plan
from reconciler.render.documents import report_document
from reconciler.render.text import counted, plan_lines, report_lines, report_summary
from reconciler.report import ExitCode, Report, StepResult

LONG_WORK_STEPS = 20

log = structlog.get_logger()


@click.command()
@click.argument("planfile", type=options.file_path, required=False)
@options.optional_manifest_option
@click.option(
    "--plan",
    "reviewed",
    type=options.file_path,
    metavar="PLANFILE",
    help="Apply only what this reviewed plan says.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--keep-going", is_flag=True, help="Work on the later databases even if writing to one failed.")
@options.plan_options
@options.target_options
@options.format_option
@options.output_option
@options.color_option
@options.log_options
def apply(
    planfile: Path | None,
    paths: tuple[str, ...],
    reviewed: Path | None,
    yes: bool,
    keep_going: bool,
    output_format: str,
    outputs: tuple[tuple[str, Path], ...],
    **values: Any,
) -> int:
    """Make the live aliases what the manifests say.

    Plans, shows the plan, asks, applies, and reads back. Safe to repeat. With --plan it plans anew and refuses if that
    is not the plan that was reviewed. With a PLANFILE alone it applies that file, if nothing it touches has moved.

    \b
      aliasctl apply -f aliases/
      aliasctl apply -f aliases/ --plan plan.json --yes
      aliasctl apply plan.json
    """
    if bool(planfile) is bool(paths) or (planfile and reviewed):
        raise click.UsageError("apply takes either -f PATH (with or without --plan PLANFILE) or one PLANFILE")
    output.ensure_writable(path for _, path in outputs)
    with Catalogs(connect, create=True) as catalogs:
        if planfile:
            plan, pending = _saved_plan(planfile, values, catalogs)
        else:
            plan = _fresh_plan(paths, reviewed, values, catalogs)
            pending = bool(plan.runnable)
        if output_format == output.TEXT:
            output.emit(plan_result(plan), output.TEXT)
        if pending and not plan.refusals and not yes:
            _ask(plan, output_format)
        with _stopping_on_signals() as stop:
            with _progress(plan) as on_result:
                report = apply_plan(plan, catalogs=catalogs, keep_going=keep_going, stop=stop, on_result=on_result)
            return _tell(report, outputs, output_format)


def _fresh_plan(paths: tuple[str, ...], reviewed: Path | None, values: dict[str, Any], catalogs: Catalogs) -> Plan:
    """Plan now; with a reviewed plan, insist that it is the same."""
    expected = load_plan(reviewed) if reviewed else None
    sets = inputs.wanted_sets(inputs.read_manifests(paths), options.overrides(values))
    run = options.run_options(values)
    inputs.announce_new_files(
        [one.connection for one in sets if one.connection and (run.include_suspended or not one.suspend)]
    )
    with output.busy("Reading the catalog"):
        plan = make_plan(sets, run, catalogs=catalogs)
    if expected:
        ensure_reviewed(plan, expected)
    return plan


def _saved_plan(planfile: Path, values: dict[str, Any], catalogs: Catalogs) -> tuple[Plan, bool]:
    """The plan of a file, with this call's credentials if it names any, and whether anything is left to do.

    Nothing else about it can be changed.
    """
    flags = options.overrides(values)
    plan = reconnected(load_plan(planfile), flags, Path.cwd())
    if options.run_options(values) != Options():
        raise click.UsageError("--only, --allow-protected, --max-drops and --include-suspended are for planning")
    inputs.announce_new_files([target.connection for target in plan.targets if target.steps])
    return plan, ensure_fresh(plan, catalogs=catalogs)


def _tell(report: Report, outputs: tuple[tuple[str, Path], ...], output_format: str) -> int:
    """Give the report to whoever wants it. After a write, a report that cannot be written is not an error of 1."""
    result = output.Result(lambda: report_lines(report), lambda: report_document(report))
    try:
        output.emit_files(result, outputs)
        if report.plan.refusals or not report.plan.runnable:
            result = output.Result(lambda: [report_summary(report)] if report.plan.steps else [], result.document)
        output.emit(result, output_format)
    except InvalidInput as error:
        output.complain(error)
    except OSError as error:
        output.give_up_stdout(error)
    else:
        return report.exit_code
    return ExitCode.INCOMPLETE if report.wrote else ExitCode.ERROR


def _ask(plan: Plan, output_format: str) -> None:
    """Ask at the terminal, where the plan must be seen even if the result goes elsewhere."""
    inputs.insist_on_terminal()
    if output_format == output.JSON:
        for line in plan_lines(plan):
            output.say(line.plain)
    targets = [target for target in plan.targets if target.runnable]
    places = ", ".join(f"{target.connection.name} / {target.target.database}" for target in targets)
    if not click.confirm(f"Apply {counted(len(plan.runnable), 'change')} to {places}?", err=True):
        raise Interrupted("not applied")


@contextmanager
def _stopping_on_signals() -> Iterator[Event]:
    """The first SIGINT or SIGTERM lets the calls in flight finish and starts no further one; a second one kills."""
    stop = Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        for each in previous:
            signal.signal(each, signal.SIG_DFL)
        output.say("Stopping: finishing the calls in flight; once more to quit at once")

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _progress(plan: Plan) -> Iterator[Callable[[StepResult], None]]:
    """Logs each result; for long work at a terminal also moves a bar."""
    if len(plan.runnable) < LONG_WORK_STEPS or not sys.stderr.isatty():
        yield _log
        return
    columns = (TextColumn("Applying"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=output.console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=len(plan.steps))
        seen: set[tuple[str, str]] = set()

        def on_result(result: StepResult) -> None:
            seen.add((result.step.set, result.step.alias))
            bar.update(task, completed=len(seen))
            _log(result)

        yield on_result


def _log(result: StepResult) -> None:
    step = result.step
    details = {"message": result.message} if result.message else {}
    with suppress(OSError):  # a log that nobody reads must not end the run
        log.info(
            "step",
            set=step.set,
            alias=step.alias,
            action=str(step.action),
            current=step.current,
            wanted=step.wanted,
            outcome=str(result.outcome),
            **details,
        )
