"""`aliasctl rollback`: undo an earlier run, or move one alias back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from msgspec import Struct
from msgspec.structs import replace

from reconciler.catalog import Catalogs, connect
from reconciler.cli import inputs, options, values
from reconciler.cli.confirm_and_apply import ApplyOptions, confirm_and_apply
from reconciler.cli.help_page import Command
from reconciler.cli.output import Output
from reconciler.core.errors import ExitCode, InvalidInput, Problem
from reconciler.core.model import Origin, Target
from reconciler.core.plan import Plan, TargetPlan
from reconciler.core.report import plan_exit_code
from reconciler.core.text import listed, printable
from reconciler.documents.plan_file import plan_document
from reconciler.documents.report_file import load_report, report_document
from reconciler.journal import Journal, Origins, PastStep, PastTarget, Selection
from reconciler.manifest import Overrides
from reconciler.manifest.targets import reconnected
from reconciler.reconcile import apply_plan
from reconciler.render.formats import Result
from reconciler.render.lines import Line
from reconciler.render.results import plan_result
from reconciler.rollback import (
    DEFAULT_MAX_DROPS,
    ROLLBACK,
    Changes,
    Selector,
    changes_in,
    changes_of,
    locations_of,
    newest_changes,
    plan_move,
    plan_rollback,
)

SHOWN = 3
"""Aliases that the closing remark names."""


class Subject(Struct, frozen=True):
    """What is rolled back: a run (its ID, the beginning of one, or a report), or an alias, to a collection if given."""

    run: str | None
    alias: str | None
    collection: str | None


class Databases(Struct, frozen=True):
    """Where recorded runs are looked up, and how their databases are reached.

    Args:
        selects: whether a recorded database is meant.
        given: the database that this call names, if it does.
    """

    flags: Overrides
    selects: Selector
    given: PastTarget | None = None

    @classmethod
    def of(cls, paths: tuple[str, ...], flags: Overrides, output: Output) -> Databases:
        """Return the databases that `-f` and the target options select."""
        if not paths and not flags.uri:
            return cls(
                flags,
                lambda past: (
                    flags.database in {None, past.target.database} and flags.connection in {None, past.connection.name}
                ),
            )
        connection, database = inputs.connection_without_sets(inputs.read_manifests(paths, output), flags)
        target = Target(connection.address, database)
        return cls(flags, lambda past: past.target == target, PastTarget(target, connection, {}))

    def reached(self, targets: Sequence[PastTarget]) -> tuple[PastTarget, ...]:
        """Return recorded databases with the connection that this call names, or at least with its credentials."""
        if self.given:
            return tuple(replace(target, connection=self.given.connection) for target in targets)
        skeleton = Plan(tuple(TargetPlan(target.target, target.connection, ()) for target in targets), "", "")
        plan = reconnected(skeleton, replace(self.flags, connection=None, database=None), Path.cwd())
        return tuple(
            replace(past, connection=replace(target.connection, origin=Origin.EARLIER_RUN))
            for past, target in zip(targets, plan.targets, strict=True)
        )


@click.command("rollback", cls=Command)
@options.option_group(
    "subject",
    Subject,
    click.argument("run", metavar="[ID|REPORT]", type=values.rollback_subject, required=False),
    click.option("--alias", type=values.alias_name, metavar="ALIAS", help="Move back only this alias."),
    click.option(
        "--to",
        "collection",
        type=values.word,
        metavar="COLLECTION",
        help="With --alias: move it to this collection, wherever it was before.",
    ),
)
@click.option("--dry-run", is_flag=True, help="Show the plan of the rollback, and change nothing.")
@options.yes_option
@click.option(
    "--max-drops",
    type=click.IntRange(min=0),
    default=DEFAULT_MAX_DROPS,
    show_default=True,
    metavar="N",
    help="Maximum number of aliases to drop per set.",
)
@options.publish_option
@options.journal_option
@options.filename_option
@options.target_options
@options.result_options()
@options.log_options()
@click.pass_obj
def command(
    output: Output,
    subject: Subject,
    dry_run: bool,
    yes: bool,
    max_drops: int,
    publish: Path | None,
    journal: Path | None,
    paths: tuple[str, ...],
    flags: Overrides,
) -> int:
    """Undo an earlier run, or move one alias back.

    Every alias that is still where the run left it goes back to where it was. Without an ID it is the newest run that
    changed something and was not rolled back; if nothing can be done about that one, the run before it is named. A JSON
    report of the apply can be given in place of an ID. The rollback is planned, shown and confirmed as in apply; of the
    gates only `loaded` can block it. Servers and databases are those of the run; flags can give other credentials.

    With --alias only one alias moves back: of that run, or of the newest run that changed it. With --to it moves to any
    collection. If recorded runs know several aliases of that name, choose one with --connection and --database, or with
    --uri or -f.

    \b
    Examples:
      aliasctl rollback
      aliasctl rollback 20261123-230102-4f2a9c --dry-run
      aliasctl rollback report.json --yes
      aliasctl rollback --alias search_products --to products_v6
    """
    _check_combination(subject, chooses=bool(paths or flags.uri or flags.connection or flags.database))
    output.ensure_writable()
    recorded = inputs.journal(journal)
    databases = Databases.of(paths, flags, output)
    with Catalogs(connect) as catalogs:
        if subject.alias and subject.collection:
            source = f"{subject.alias} to {subject.collection}"
            nothing = f'alias "{subject.alias}" is at "{subject.collection}" already'
            target, last = _location(recorded, subject.alias, databases)
            with output.busy("Reading the catalog"):
                plan = plan_move(subject.alias, subject.collection, target, last, catalogs)
        else:
            changes = _changes(subject, recorded, databases)
            source, nothing = changes.run, changes.about
            with output.busy("Reading the catalog"):
                plan = plan_rollback(changes, catalogs, max_drops=max_drops)
            earlier = "" if plan.runnable else _earlier(subject, recorded, databases, changes)
            if changes.steps:
                nothing = f"what {changes.about} changed is back already{earlier}"
            if plan.steps:
                cannot = f"Cannot roll back {changes.about}: every change is blocked{earlier}"
                output.say(f"Rolling back {changes.about}" if plan.runnable else cannot)
        if not plan.steps:
            line = Line((printable(f"Nothing to roll back: {nothing}."), "bold"))
            document = plan_document(plan) if dry_run else report_document(apply_plan(plan))
            output.emit(Result(lambda: [line], lambda: document))
            return plan_exit_code(plan)
        if dry_run:
            output.emit(plan_result(plan))
            return plan_exit_code(plan)
        origins = Origins.of_this_process(command=ROLLBACK, source=(source,))
        code = confirm_and_apply(
            plan,
            catalogs,
            output,
            ApplyOptions(yes, publish=publish),
            journal=recorded,
            origins=origins,
            pending=bool(plan.runnable),
        )
    if code in {ExitCode.DONE, ExitCode.INCOMPLETE}:
        _remind(plan, output)
    return code


def _check_combination(subject: Subject, *, chooses: bool) -> None:
    """Raise a usage error for options that contradict each other. `chooses`: whether options choose a database."""
    if subject.collection and not subject.alias:
        raise click.UsageError("--to says where one alias goes: name it with --alias")
    if subject.collection and subject.run:
        raise click.UsageError("give either --to COLLECTION or a run, which says by itself where the alias was")
    if chooses and (subject.run or not subject.alias):
        raise click.UsageError(
            "a run says by itself where it was made; -f, --uri, --connection and --database go with --alias alone"
        )


def _changes(subject: Subject, journal: Journal, databases: Databases) -> Changes:
    alias = subject.alias
    if subject.run is None:
        if alias:
            _check_unique(locations_of(journal.newest_by_database(alias), alias, databases.selects), alias)
        newest = newest_changes(journal.newest(Selection(alias=alias, changed=True)), alias, databases.selects)
        if newest is None:
            about = f'alias "{alias}"' if alias else "anything"
            return Changes("", f"no run recorded at {journal.path} changed {about}, or it was rolled back", (), ())
        changes = newest
    elif _is_file(subject.run):
        changes = changes_in(load_report(Path(subject.run)), subject.run).only(alias)
    else:
        changes = changes_of(journal.find(subject.run), alias)
    if not changes.steps:
        return replace(changes, about=f"{changes.about} changed nothing" + (f' about alias "{alias}"' if alias else ""))
    return replace(changes, targets=databases.reached(changes.targets))


def _earlier(subject: Subject, journal: Journal, databases: Databases, changes: Changes) -> str:
    """Return how to roll back a run before one that nothing can be done about."""
    if subject.run or not changes.run:
        return "; for an older run give its ID"
    runs = journal.newest(Selection(alias=subject.alias, changed=True))
    earlier = newest_changes(runs, subject.alias, databases.selects, before=changes.run)
    alias = f" --alias {subject.alias}" if subject.alias else ""
    if earlier is None:
        return "; no earlier run is left to roll back"
    return f"; before it there is {earlier.about}: aliasctl rollback {earlier.run}{alias}"


def _is_file(run: str) -> bool:
    return run.endswith(".json") or "/" in run or Path(run).is_file()


def _location(journal: Journal, alias: str, databases: Databases) -> tuple[PastTarget, PastStep | None]:
    """Return the database of an alias, and what a recorded run last did with the alias there."""
    known = locations_of(journal.newest_by_database(alias), alias, databases.selects)
    _check_unique(known, alias)
    for target, last in known.values():
        return databases.reached((target,))[0], last
    if databases.given is None:
        message = f'no run recorded at {journal.path} knows alias "{alias}"'
        raise InvalidInput(Problem(f"{message}; name its server with --uri or -f, and its --database"))
    return databases.given, None


def _check_unique(known: Mapping[Target, tuple[PastTarget, PastStep]], alias: str) -> None:
    if len(known) > 1:
        places = ", ".join(sorted(f"{past.connection.name} / {past.target.database}" for past, _ in known.values()))
        message = f'recorded runs know alias "{alias}" in several places: {places}'
        raise InvalidInput(Problem(f"{message}; choose one with --connection and --database"))


def _remind(plan: Plan, output: Output) -> None:
    """Print that the next apply reverts this rollback, unless the manifests are changed too."""
    moves = [f"{step.alias} to {step.current or 'nothing'}" for step in plan.runnable]
    moved = "it" if len(moves) == 1 else "them"
    risk = f"The manifests still point {listed(moves, SHOWN)}; the next apply will move {moved} back."
    output.say(f"{risk} Update the manifests or set suspend: true.")  # noqa: S608 - English, not SQL
