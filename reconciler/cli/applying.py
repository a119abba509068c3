"""Carrying out a plan at the terminal: show it, ask, apply, tell. What `apply` and `rollback` share."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from types import FrameType

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from reconciler.catalog import Catalogs
from reconciler.cli import inputs, output
from reconciler.cli.plan import plan_result
from reconciler.core.errors import Interrupted, InvalidInput
from reconciler.core.plan import Plan
from reconciler.core.report import ExitCode, Report, StepResult
from reconciler.core.text import counted, printable
from reconciler.journal import Journal, Origins
from reconciler.reconcile import apply_plan
from reconciler.render.documents import report_document
from reconciler.render.html import report_html
from reconciler.render.markdown import report_markdown
from reconciler.render.text import plan_lines, report_lines, report_summary

LONG_WORK_STEPS = 20

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """How this call wants its plan carried out, and told.

    Args:
        yes: do not ask.
        keep_going: work on the later databases even if one failed.
        wait: seconds that each wave may wait for its gates.
        journal: where it is written down.
        origins: who runs it, and from what.
        output_format: of the result on standard output.
        outputs: files that the result goes to as well.
    """

    yes: bool
    journal: Journal
    origins: Origins
    output_format: str
    outputs: tuple[tuple[str, Path], ...]
    keep_going: bool = False
    wait: float = 0.0


def carry_out(plan: Plan, catalogs: Catalogs, manner: ApplyOptions, *, pending: bool) -> int:
    """Show a plan, ask, apply it and tell what became of it; the exit code.

    Args:
        plan: what to do.
        catalogs: where.
        manner: how.
        pending: whether any of its steps is still to be made.
    """
    if manner.output_format == output.TEXT:
        output.emit(plan_result(plan), output.TEXT)
    if pending and not plan.refusals and not manner.yes:
        _ask(plan, manner.output_format)
    with _stopping_on_signals() as stop:
        with _progress(plan) as on_result:
            report = apply_plan(
                plan,
                catalogs=catalogs,
                keep_going=manner.keep_going,
                stop=stop,
                wait=manner.wait,
                journal=manner.journal,
                origins=manner.origins,
                on_result=on_result,
                progress=output.say,
            )
        return _tell(report, manner.outputs, manner.output_format)


def _tell(report: Report, outputs: tuple[tuple[str, Path], ...], output_format: str) -> int:
    """Give the report to whoever wants it. After a write, a report that cannot be written is not an error of 1."""
    pages = {output.MARKDOWN: lambda: report_markdown(report), output.HTML: lambda: report_html(report)}
    result = output.Result(lambda: report_lines(report), lambda: report_document(report), pages)
    try:
        output.emit_files(result, outputs)
        if report.plan.refusals or not (report.plan.runnable or report.plan.pending_verification):
            result = replace(result, text=lambda: [report_summary(report)] if report.plan.steps else [])
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
    if output_format != output.TEXT:
        for line in plan_lines(plan):
            output.say(line.plain)
    targets = [target for target in plan.targets if target.runnable]
    places = ", ".join(f"{target.connection.name} / {target.target.database}" for target in targets)
    if not click.confirm(printable(f"Apply {counted(len(plan.runnable), 'change')} to {places}?"), err=True):
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
    details = {"reason": result.message} if result.message else {}
    with suppress(OSError):  # a log that nobody reads must not end the run
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
