"""`aliasctl history`: what earlier runs did."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import click
from msgspec import Struct
from msgspec.structs import replace

from reconciler.cli import inputs, options, values
from reconciler.cli.help_page import Command
from reconciler.cli.output import Output
from reconciler.core.report import Outcome
from reconciler.core.text import counted, printable
from reconciler.journal import Journal, PastRun, Selection
from reconciler.render.documents import history_document
from reconciler.render.formats import JSON_LINES, TEXT, Result
from reconciler.render.history import alias_lines, history_lines, run_lines
from reconciler.render.lines import Line

LIMIT = 20
PRUNE = "prune"
OUTCOMES = [str(outcome) for outcome in Outcome if outcome is not Outcome.NOT_ATTEMPTED]


class Filter(Struct, frozen=True):
    """Which runs are shown."""

    alias: str | None
    set: str | None
    result: str | None
    since: float | None
    limit: int | None
    with_unchanged: bool

    def selection(self) -> Selection:
        """Return the runs to look up: those that changed something, unless others are selected as well."""
        outcome = Outcome(self.result) if self.result else None
        changed = None if self.with_unchanged or outcome else True
        return Selection(self.alias, self.set, outcome, self.since, changed)


@click.command("history", cls=Command)
@click.argument("run", metavar="[ID|prune]", type=values.run_name, required=False)
@options.option_group(
    "shown",
    Filter,
    click.option(
        "--all", "with_unchanged", is_flag=True, help="Show also runs that changed nothing, such as blocked ones."
    ),
    click.option("--alias", type=values.word, metavar="ALIAS", help="Show only what happened to this alias."),
    click.option("--set", type=values.word, metavar="SET", help="Show only runs with steps of this AliasSet."),
    click.option("--result", type=click.Choice(OUTCOMES), help="Show only runs with a step that ended so."),
    click.option(
        "--since",
        type=values.moment,
        metavar="TIME",
        help="Show only runs since this date or time, or of the last 12h or 90d.",
    ),
    click.option(
        "--limit",
        type=click.IntRange(min=1),
        metavar="N",
        help=f"Show the newest N runs; by default {LIMIT}, as jsonl all.",
    ),
)
@click.option(
    "--older-than", type=values.age, metavar="AGE", help="With prune: remove runs older than this, such as 90d or 1y."
)
@options.journal_option
@options.result_options(records=True)
@options.log_options()
@click.pass_obj
def command(output: Output, run: str | None, shown: Filter, older_than: float | None, journal: Path | None) -> None:
    """Show what earlier runs did.

    The newest run comes first. Without --all or --result it shows the runs that changed an alias, or may have. With an
    ID, or the beginning of one, it shows the steps of that run.

    As jsonl it exports every recorded entry, oldest first, one JSON document per line; also of runs that changed
    nothing. With prune it removes old runs. What later runs need stays: of each alias the newest change, moves that are
    still rejected, and moves that are pending verification.

    \b
    Examples:
      aliasctl history
      aliasctl history 20261123-230102-4f2a9c
      aliasctl history --alias search_products --since 90d
      aliasctl history --format jsonl > journal.jsonl
      aliasctl history prune --older-than 1y
    """
    if (run == PRUNE) is (older_than is None) or (run and shown != Filter(shown.alias, None, None, None, None, False)):
        raise click.UsageError(
            "history shows runs, and --all, --set, --result, --since and --limit choose which; history ID shows one; "
            "history prune --older-than AGE removes old ones"
        )
    output.ensure_writable()
    recorded = inputs.journal(journal)
    if older_than is not None:
        _prune(recorded, older_than, output)
    elif run:
        found = [recorded.find(run)]
        output.emit(_result(recorded, found, shown.alias, Selection(prefix=found[0].id), in_full=True))
    else:
        _list(recorded, shown, output)


def _list(journal: Journal, shown: Filter, output: Output) -> None:
    """Print the runs that are selected."""
    selection = shown.selection()
    found = list(journal.newest(selection, shown.limit or LIMIT)) if _needs_runs(output) else []
    width = output.width()
    result = _result(journal, found, shown.alias, selection, limit=shown.limit)
    printed = replace(result, lines=lambda: _lines(journal, found, shown.alias, in_full=False, width=width))
    output.emit(result, printed)
    if output.format is not TEXT:
        return
    selected = journal.count(selection)
    if len(found) < selected:
        output.say(f"{counted(selected, 'run')} recorded; --limit N shows more than {len(found)}")
    if selection.changed and (more := journal.count(replace(selection, changed=None)) - selected):
        output.say(f"not shown: {counted(more, 'run')} that changed nothing; --all shows all runs")


def _needs_runs(output: Output) -> bool:
    return any(output_format is not JSON_LINES for output_format in (output.format, *dict(output.files)))


def _result(
    journal: Journal,
    runs: Sequence[PastRun],
    alias: str | None,
    selection: Selection,
    *,
    limit: int | None = None,
    in_full: bool = False,
) -> Result:
    return Result(
        lambda: _lines(journal, runs, alias, in_full=in_full),
        lambda: history_document(journal, runs, alias),
        records=lambda: journal.texts(replace(selection, changed=None), limit),
    )


def _lines(
    journal: Journal, runs: Sequence[PastRun], alias: str | None, *, in_full: bool, width: int | None = None
) -> Iterable[Line]:
    if not runs:
        return [Line(printable(_none(journal, alias)))]
    if in_full:
        return run_lines(runs[0], alias)
    return alias_lines(runs, alias) if alias else history_lines(runs, width)


def _none(journal: Journal, alias: str | None) -> str:
    if not journal.count():
        return f"No runs recorded at {journal.path}."
    about = f'touched alias "{alias}"' if alias else "is among those to show"
    return f"No run recorded at {journal.path} {about}."


def _prune(journal: Journal, age: float, output: Output) -> None:
    """Remove old runs and print how many."""
    removed = journal.prune(age)
    left = journal.count()
    line = Line((printable(f"Removed {counted(removed, 'run')} from {journal.path}; {left:,} left."), "bold"))
    document = history_document(journal, (), None, removed=removed)
    output.emit(Result(lambda: [line], lambda: document, records=lambda: ()))
