"""`aliasctl history`: what earlier runs did."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import click

from reconciler.cli import inputs, options, values
from reconciler.cli.output import Output
from reconciler.core.errors import Problem
from reconciler.core.text import counted, printable
from reconciler.journal import Journal, PastRun, Recorded
from reconciler.journal.runs import find_run, newest
from reconciler.render.documents import history_document
from reconciler.render.formats import TEXT, Result
from reconciler.render.history import alias_lines, history_lines, run_lines
from reconciler.render.lines import Line

LIMIT = 20


@click.command("history")
@click.argument("run", metavar="[ID]", type=values.word, required=False)
@click.option("--alias", type=values.word, metavar="ALIAS", help="Show only what happened to this alias.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=LIMIT,
    show_default=True,
    metavar="N",
    help="Show the newest N runs.",
)
@options.journal_option
@options.result_options()
@options.log_options()
@click.pass_obj
def command(output: Output, run: str | None, alias: str | None, limit: int, journal: Path | None) -> None:
    """Show what earlier runs did.

    The newest run comes first. With an ID, or the beginning of one, it shows the steps of that run.

    \b
      aliasctl history
      aliasctl history 20261123-230102-4f2a9c
      aliasctl history --alias search_products
    """
    output.ensure_writable()
    recorded_in = inputs.journal(journal)
    recorded = recorded_in.read()
    _warn(recorded_in, recorded, output)
    runs = [find_run(recorded.runs, run)] if run else recorded.runs
    shown = list(islice(newest(runs, alias), limit))
    output.emit(
        Result(
            lambda: _lines(recorded_in, shown, alias, in_full=run is not None),
            lambda: history_document(recorded_in.path, recorded, shown, alias),
        )
    )
    if len(shown) == limit < len(runs) and output.format is TEXT:
        output.say(f"{counted(len(runs), 'run')} recorded; --limit N shows more than {limit}")


def _lines(journal: Journal, runs: Sequence[PastRun], alias: str | None, *, in_full: bool) -> Iterable[Line]:
    if not runs:
        nothing = f'No run recorded at {journal.path} touched alias "{alias}".'
        return [Line(printable(nothing if alias else f"No runs recorded at {journal.path}."))]
    if in_full:
        return run_lines(runs[0], alias)
    return alias_lines(runs, alias) if alias else history_lines(runs)


def _warn(journal: Journal, recorded: Recorded, output: Output) -> None:
    """Print how many lines of the journal are left out."""
    if recorded.unreadable:
        lines = counted(recorded.unreadable, "line")
        output.warn(Problem(f"{journal.path}: left out {lines}, not readable, as a crash may leave them"))
    if recorded.newer:
        lines = counted(recorded.newer, "line")
        output.warn(Problem(f"{journal.path}: left out {lines} of a newer format; upgrade aliasctl"))
