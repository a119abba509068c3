"""`aliasctl status`: desired and live state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from reconciler.catalog import Catalogs, connect
from reconciler.cli import inputs, options
from reconciler.cli.output import Output
from reconciler.core.plan import Plan
from reconciler.inspect.alias_status import StatusRow, differing, status
from reconciler.inspect.load_states import read_load_states
from reconciler.inspect.unreferenced import Unreferenced, unreferenced
from reconciler.journal import Journal
from reconciler.manifest import Overrides
from reconciler.reconcile import make_plan
from reconciler.render.documents import status_document
from reconciler.render.formats import Result
from reconciler.render.lines import Line
from reconciler.render.status import alert_lines, status_lines, unreferenced_lines


@click.command("status")
@options.manifest_option
@click.option(
    "--unreferenced",
    "with_unreferenced",
    is_flag=True,
    help="Show also loaded collections that no alias points at.",
)
@options.journal_option
@options.target_options
@options.result_options()
@options.log_options()
@click.pass_obj
def command(
    output: Output, paths: tuple[str, ...], with_unreferenced: bool, journal: Path | None, flags: Overrides
) -> None:
    """Show desired and live state, one row per alias.

    Pending: the change is not applied yet. Drifted: someone else changed what a run applied, which is known from the
    journal. Missing: the alias does not exist yet. PendingVerification: a run moved the alias and did not verify it.
    PendingRevert: a run decided to revert it, and did not finish. Unwanted: the alias exists and should not.

    NotLoaded: the alias is where it should be, and its collection is not loaded, so searches through it fail; or some
    of its partitions are not, and reads leave out their rows. This takes three reads per collection; aliases whose gate
    `loaded` is off are left out.

    With --unreferenced also the loaded collections of those databases that no alias points at, with their number of
    rows and, if a recorded run moved the last alias away, since when. Collections are never dropped.
    \b
      aliasctl status -f aliases/
      aliasctl status -f aliases/ --unreferenced
    """
    output.ensure_writable()
    sets = inputs.desired_sets(inputs.read_manifests(paths, output), flags, output)
    with Catalogs(connect) as catalogs, output.busy("Reading the catalog"):
        recorded = inputs.journal_to_read(journal)
        plan = make_plan(sets, catalogs=catalogs, journal=recorded)
        applied = recorded.applied(differing(plan)) if recorded else {}
        rows = list(status(sets, plan, read_load_states(sets, plan, catalogs), applied))
        collections = _unreferenced(plan, catalogs, inputs.journal(journal)) if with_unreferenced else None
    output.emit(Result(lambda: _lines(plan, rows, collections), lambda: status_document(rows, collections)))


def _unreferenced(plan: Plan, catalogs: Catalogs, journal: Journal) -> list[Unreferenced]:
    """Return the unreferenced collections of every database that was read."""
    departed = journal.departures()
    return [
        collection
        for target in plan.targets
        if target.server_version  # without it, all sets are suspended and nothing was read
        for collection in unreferenced(
            catalogs.open(target.connection, target.target.database), target.target, target.connection.name, departed
        )
    ]


def _lines(plan: Plan, rows: Sequence[StatusRow], collections: Sequence[Unreferenced] | None) -> Iterator[Line]:
    yield from alert_lines(plan)
    yield from status_lines(rows)
    if collections is not None:
        yield Line()
        yield from unreferenced_lines(collections)
