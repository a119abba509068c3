"""`aliasctl history`: what earlier runs did."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from reconciler.cli import inputs, options, output
from reconciler.core.errors import Problem
from reconciler.core.text import counted, printable
from reconciler.journal import Journal, PastRun, Recorded
from reconciler.journal.runs import find_run, newest
from reconciler.render.history import alias_lines, history_document, history_lines, run_lines

LIMIT = 20


@click.command(short_help="Show what earlier runs did.")
@click.argument("run", metavar="[ID]", type=options.word, required=False)
@click.option("--alias", type=options.word, metavar="ALIAS", help="Show what happened to this alias.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=LIMIT,
    show_default=True,
    metavar="N",
    help="Show the newest N runs.",
)
@options.journal_option
@options.format_option
@options.output_option
@options.color_option
@options.log_options
def history(
    run: str | None,
    alias: str | None,
    limit: int,
    journal: Path | None,
    output_format: str,
    outputs: tuple[tuple[str, Path], ...],
    **_: Any,
) -> None:
    """Show what earlier runs did, newest first; with an ID, or the beginning of one, the steps of that run.

    \b
      aliasctl history
      aliasctl history 20261123-230102-4f2a9c
      aliasctl history --alias search_products
    """
    output.ensure_writable(path for _, path in outputs)
    past = inputs.journal(journal)
    recorded = past.read()
    _warn(past, recorded)
    runs = [find_run(recorded.runs, run)] if run else recorded.runs
    found = list(islice(newest(runs, alias), limit))
    result = output.Result(
        lambda: _lines(past, found, alias, in_full=run is not None),
        lambda: history_document(past.path, recorded, found, alias),
    )
    output.emit_files(result, outputs)
    output.emit(result, output_format)
    if len(found) == limit < len(runs) and output_format == output.TEXT:
        output.say(f"{counted(len(runs), 'run')} recorded; --limit N shows more than {limit}")


def _lines(journal: Journal, found: Sequence[PastRun], alias: str | None, *, in_full: bool) -> Iterable[Text]:
    if not found:
        nothing = f'No run recorded at {journal.path} touched alias "{alias}".'
        return [Text(printable(nothing if alias else f"No runs recorded at {journal.path}."))]
    if in_full:
        return run_lines(found[0], alias)
    return alias_lines(found, alias) if alias else history_lines(found)


def _warn(journal: Journal, recorded: Recorded) -> None:
    """Say what of the journal could not be shown."""
    if recorded.unreadable:
        lines = counted(recorded.unreadable, "line")
        output.warn(Problem(f"{journal.path}: left out {lines}, not readable, as a crash may leave them"))
    if recorded.newer:
        lines = counted(recorded.newer, "line")
        output.warn(Problem(f"{journal.path}: left out {lines} of a newer format; upgrade aliasctl"))
