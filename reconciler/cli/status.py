"""`aliasctl status`: desired against live."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from reconciler.catalog import Catalogs, connect
from reconciler.cli import inputs, options, output
from reconciler.core.plan import Plan
from reconciler.inspect.alias_status import StatusRow
from reconciler.inspect.alias_status import status as compared
from reconciler.inspect.unreferenced import Unreferenced, departures, unreferenced
from reconciler.journal import Journal
from reconciler.reconcile import make_plan
from reconciler.render.documents import status_document
from reconciler.render.text import status_lines, unreferenced_lines


@click.command()
@options.manifest_option
@click.option(
    "--unreferenced",
    "with_unreferenced",
    is_flag=True,
    help="Show also loaded collections that no alias points at.",
)
@options.journal_option
@options.target_options
@options.format_option
@options.output_option
@options.color_option
@options.log_options
def status(
    paths: tuple[str, ...],
    with_unreferenced: bool,
    journal: Path | None,
    output_format: str,
    outputs: tuple[tuple[str, Path], ...],
    **values: Any,
) -> None:
    """Show desired against live, one row an alias.

    With --unreferenced also the loaded collections of those databases that no alias points at, with their rows and, as
    far as the journal knows, since when. It is a report: no collection is ever dropped.

    \b
      aliasctl status -f aliases/
      aliasctl status -f aliases/ --unreferenced
    """
    output.ensure_writable(path for _, path in outputs)
    sets = inputs.wanted_sets(inputs.read_manifests(paths), options.overrides(values))
    with Catalogs(connect) as catalogs, output.busy("Reading the catalog"):
        plan = make_plan(sets, catalogs=catalogs)
        rows = list(compared(sets, plan))
        idle = _idle(plan, catalogs, inputs.journal(journal)) if with_unreferenced else None
    result = output.Result(lambda: _lines(rows, idle), lambda: status_document(rows, idle))
    output.emit_files(result, outputs)
    output.emit(result, output_format)


def _idle(plan: Plan, catalogs: Catalogs, journal: Journal) -> list[Unreferenced]:
    """What no alias points at, in every database of the plan."""
    left = departures(journal.runs())
    return [
        item
        for target in plan.targets
        if target.server_version  # of suspended sets only: nobody looked
        for item in unreferenced(
            catalogs.open(target.connection, target.target.database), target.target, target.connection.name, left
        )
    ]


def _lines(rows: Sequence[StatusRow], idle: Sequence[Unreferenced] | None) -> Iterator[Text]:
    yield from status_lines(rows)
    if idle is not None:
        yield Text()
        yield from unreferenced_lines(idle)
