"""`aliasctl status`: desired and live state."""

from __future__ import annotations

from pathlib import Path

import click
from msgspec import Struct

from reconciler.catalog import Catalogs, connect
from reconciler.cli import inputs, options, values
from reconciler.cli.help_page import Command
from reconciler.cli.output import Output
from reconciler.cli.watch import Watch
from reconciler.core.errors import ExitCode
from reconciler.core.plan import Plan
from reconciler.inspect.alias_status import differing, status
from reconciler.inspect.all_databases import unmanaged
from reconciler.inspect.load_states import read_load_states
from reconciler.inspect.unreferenced import Unreferenced, unreferenced
from reconciler.journal import Journal
from reconciler.manifest import Overrides
from reconciler.reconcile import make_plan
from reconciler.render.documents import status_document
from reconciler.render.formats import CSV, TEXT, Result
from reconciler.render.progress import PlanningProgress
from reconciler.render.status import Status, alerts_of, status_lines, status_tables

INTERVAL, SHORTEST = 10.0, 1.0
"""Seconds between two reads with --watch: by default, and at least."""
BY = ("alias", "collection")


class Selected(Struct, frozen=True):
    """What is read and shown."""

    with_unreferenced: bool
    all_databases: bool
    only_problems: bool
    by: str


@click.command("status", cls=Command)
@options.manifest_option
@options.option_group(
    "selected",
    Selected,
    click.option("--problems", "only_problems", is_flag=True, help="Show only rows that need attention."),
    click.option(
        "--by", type=click.Choice(BY), default=BY[0], show_default=True, help="Show a row per alias or per collection."
    ),
    click.option(
        "--unreferenced",
        "with_unreferenced",
        is_flag=True,
        help="Show also loaded collections that no alias points at.",
    ),
    click.option(
        "--all-databases",
        is_flag=True,
        help="Show also the aliases of all other databases of these servers that the token may list.",
    ),
)
@click.option("--exit-code", "detailed", is_flag=True, help="Exit with 2 when a row needs attention.")
@click.option("--watch", "watching", is_flag=True, help="Repeat until Ctrl-C or SIGTERM.")
@click.option(
    "--interval", type=values.duration(), metavar="DURATION", help=f"With --watch: time between reads [{INTERVAL:g}s]."
)
@options.journal_option
@options.target_options
@options.result_options(tables=True)
@options.log_options()
@click.pass_obj
def command(
    output: Output,
    paths: tuple[str, ...],
    selected: Selected,
    detailed: bool,
    watching: bool,
    interval: float | None,
    journal: Path | None,
    flags: Overrides,
) -> int:
    """Show desired and live state, one row per alias.

    Pending: the change is not applied yet. Drifted: someone else changed what a run applied, which is known from the
    journal. Missing: the alias does not exist yet. PendingVerification: a run moved the alias and did not verify it.
    PendingRevert: a run decided to revert it, and did not finish. Unwanted: the alias exists and should not. Unmanaged:
    no set is for its database.

    NotLoaded: the alias is where it should be, and its collection is not loaded, so searches through it fail; or some
    of its partitions are not, and reads leave out their rows. This takes three reads per collection; aliases whose gate
    `loaded` is off are left out.

    A row needs attention unless its alias is InSync without a note, Suspended, or Unmanaged. With --unreferenced also
    the loaded collections of those databases that no alias points at, with their number of rows and, if a recorded run
    moved the last alias away, since when. Collections are never dropped.

    \b
    Examples:
      aliasctl status aliases/
      aliasctl status aliases/ --problems --exit-code
      aliasctl status aliases/ --by collection --unreferenced
      aliasctl status aliases/ --watch --interval 30s
    """
    _check(output, selected, flags)
    if watching or interval is not None:
        _check_watch(output, paths, interval, watching=watching)
    output.ensure_writable()

    progress = PlanningProgress()

    def read() -> Status:
        return _read(paths, selected, flags, journal, output, progress)

    if watching:
        seen = Watch(read, status_lines, output).run(interval or INTERVAL)
    else:
        with output.busy(progress):
            seen = read()
        output.emit(_result(seen), printed=_result(seen, output.width()))
    return _exit_code(seen, detailed=detailed)


def _check(output: Output, selected: Selected, flags: Overrides) -> None:
    """Raise a usage error for options that do not go together."""
    formats = {output.format, *dict(output.files)}
    if selected.with_unreferenced and CSV in formats:
        raise click.UsageError("csv has one table: --unreferenced goes with the other formats")
    if selected.all_databases and flags.database:
        raise click.UsageError("--all-databases does not go with --database, which is one")


def _check_watch(output: Output, paths: tuple[str, ...], interval: float | None, *, watching: bool) -> None:
    """Raise a usage error for options that do not go with --watch."""
    if not watching:
        raise click.UsageError("--interval goes with --watch")
    if interval is not None and interval < SHORTEST:
        raise click.UsageError(f"--interval is at least {SHORTEST:g}s: each read makes all calls of a plan")
    if output.format is not TEXT or output.files:
        raise click.UsageError("--watch prints text: it goes with neither --format nor --output")
    if "-" in paths:
        raise click.UsageError("--watch reads the manifests again: give files instead of -")


def _read(
    paths: tuple[str, ...],
    selected: Selected,
    flags: Overrides,
    journal: Path | None,
    output: Output,
    progress: PlanningProgress,
) -> Status:
    sets = inputs.desired_sets(inputs.read_manifests(paths, output), flags, output)
    recorded = inputs.journal_to_read(journal)
    with Catalogs(connect) as catalogs:
        plan = make_plan(sets, catalogs=catalogs, journal=recorded, on_event=progress.take)
        applied = recorded.applied(differing(plan)) if recorded else {}
        rows = list(status(sets, plan, read_load_states(sets, plan, catalogs), applied))
        others, unread = unmanaged(plan, catalogs) if selected.all_databases else ((), None)
        idle = _unreferenced(plan, catalogs, inputs.journal(journal)) if selected.with_unreferenced else None
    return Status(
        tuple(sorted([*rows, *others], key=lambda row: (row.target, row.set or "", row.alias))),
        alerts_of(plan),
        unread,
        idle,
        only_problems=selected.only_problems,
        by_collection=selected.by == "collection",
    )


def _unreferenced(plan: Plan, catalogs: Catalogs, journal: Journal) -> tuple[Unreferenced, ...]:
    """Return the unreferenced collections of every database that was read."""
    departed = journal.departures()
    return tuple(
        collection
        for target in plan.targets
        if target.server_version  # without it, all sets are suspended and nothing was read
        for collection in unreferenced(
            catalogs.open(target.connection, target.target.database), target.target, target.connection.name, departed
        )
    )


def _result(seen: Status, width: int | None = None) -> Result:
    return Result(lambda: status_lines(seen, width), lambda: status_document(seen), tables=lambda: status_tables(seen))


def _exit_code(seen: Status, *, detailed: bool) -> ExitCode:
    if seen.unread:
        return ExitCode.ERROR
    return ExitCode.CHANGES if detailed and seen.problems else ExitCode.DONE
