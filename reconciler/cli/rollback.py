"""`aliasctl rollback`: undo an earlier run, or move one alias back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from reconciler.catalog import Catalogs, connect
from reconciler.cli import inputs, options, output
from reconciler.cli.applying import ApplyOptions, carry_out
from reconciler.cli.plan import plan_result
from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.model import Origin, Target
from reconciler.core.plan import Plan, TargetPlan
from reconciler.core.report import ExitCode, plan_exit_code
from reconciler.core.text import listed, printable
from reconciler.documents.report_file import load_report
from reconciler.journal import Journal, Origins, PastStep, PastTarget
from reconciler.journal.runs import find_run
from reconciler.manifest import Overrides
from reconciler.manifest.targets import reconnected
from reconciler.reconcile import apply_plan
from reconciler.render.documents import plan_document, report_document
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

"""Aliases that the closing remark names."""


@click.command(short_help="Undo an earlier run, or move one alias back.")
@click.argument("run", metavar="[ID|REPORT]", type=options.word, required=False)
@click.option("--alias", type=options.word, metavar="ALIAS", help="Move back this alias and no other.")
@click.option(
    "--to",
    "collection",
    type=options.word,
    metavar="COLLECTION",
    help="With --alias: move it to this collection, wherever it was before.",
)
@click.option("--dry-run", is_flag=True, help="Show the way back, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--max-drops",
    type=click.IntRange(min=0),
    default=DEFAULT_MAX_DROPS,
    show_default=True,
    metavar="N",
    help="Aliases of one set that may be dropped.",
)
@options.journal_option
@options.optional_manifest_option
@options.target_options
@options.format_option
@options.output_option
@options.color_option
@options.log_options
def rollback(
    run: str | None,
    alias: str | None,
    collection: str | None,
    dry_run: bool,
    yes: bool,
    max_drops: int,
    journal: Path | None,
    paths: tuple[str, ...],
    output_format: str,
    outputs: tuple[tuple[str, Path], ...],
    **values: Any,
) -> int:
    """Undo an earlier run: every alias that is still where the run left it goes back to where it was.

    Without an ID it is the newest run that changed something and was not undone. In place of an ID, or of the
    beginning of one, a JSON report of the apply will do. The way back is planned, shown and asked about as in apply; of
    the gates only `loaded` can hold it up. Servers and databases are those of the run; flags may give other
    credentials.

    With --alias it is about one alias: of that run, or of the newest one that changed it. With --to it goes to any
    collection. Where recorded runs knew several aliases of that name, --connection and --database choose one, and so do
    --uri or -f.

    \b
      aliasctl rollback
      aliasctl rollback 20261123-230102-4f2a9c --dry-run
      aliasctl rollback report.json --yes
      aliasctl rollback --alias search_products --to products_v6
    """
    flags = options.overrides(values)
    _insist_on_sense(run, alias, collection, choosing=bool(paths or flags.uri or flags.connection or flags.database))
    output.ensure_writable(path for _, path in outputs)
    past = inputs.journal(journal)
    with Catalogs(connect) as catalogs:
        if alias and collection:
            source = f"{alias} to {collection}"
            where, last = _one_place(past, alias, paths, flags)
            with output.busy("Reading the catalog"):
                plan = plan_move(alias, collection, where, last, catalogs)
            nothing = f'alias "{alias}" is at "{collection}" already'
        else:
            made = _made(run, alias, past, paths, flags)
            source = made.run
            with output.busy("Reading the catalog"):
                plan = plan_rollback(made, catalogs, max_drops=max_drops)
            back = f"what {made.about} changed is back already; for an older run give its ID"
            nothing = back if made.steps else made.about
            if plan.steps:
                output.say(f"Undoing {made.about}")
        if not plan.steps:
            sentence = f"Nothing to undo: {nothing}."
            document = plan_document(plan) if dry_run else report_document(apply_plan(plan))
            return _tell(
                output.Result(lambda: [Text(printable(sentence), "bold")], lambda: document),
                plan,
                outputs,
                output_format,
            )
        if dry_run:
            return _tell(plan_result(plan), plan, outputs, output_format)
        origins = Origins.of_this_process(command=ROLLBACK, source=(source,))
        code = carry_out(
            plan, catalogs, ApplyOptions(yes, past, origins, output_format, outputs), pending=bool(plan.runnable)
        )
    if code in {ExitCode.DONE, ExitCode.INCOMPLETE}:
        _remind(plan)
    return code


def _insist_on_sense(run: str | None, alias: str | None, collection: str | None, *, choosing: bool) -> None:
    if collection and not alias:
        raise click.UsageError("--to says where one alias goes: name it with --alias")
    if collection and run:
        raise click.UsageError("give either --to COLLECTION or a run, which says by itself where the alias was")
    if choosing and (run or not alias):
        raise click.UsageError(
            "a run says by itself where it was made; -f, --uri, --connection and --database go with --alias alone"
        )


def _made(run: str | None, alias: str | None, past: Journal, paths: tuple[str, ...], flags: Overrides) -> Changes:
    """What is to be undone."""
    place, given = _place(paths, flags)
    if run is None:
        runs = past.runs()
        if alias:
            _insist_on_one_place(locations_of(runs, alias, place), alias)
        made = newest_changes(runs, alias, place)
        if made is None:
            about = f'alias "{alias}"' if alias else "anything"
            return Changes("", f"no run recorded at {past.path} changed {about}, or it was rolled back", (), ())
    elif _is_file(run):
        made = changes_in(load_report(Path(run)), run).only(alias)
    else:
        made = changes_of(find_run(past.runs(), run), alias)
    if not made.steps:
        return replace(made, about=f"{made.about} changed nothing" + (f' about alias "{alias}"' if alias else ""))
    return replace(made, targets=_reached(made.targets, flags, given))


def _is_file(run: str) -> bool:
    return run.endswith(".json") or "/" in run or Path(run).is_file()


def _one_place(
    past: Journal, alias: str, paths: tuple[str, ...], flags: Overrides
) -> tuple[PastTarget, PastStep | None]:
    """The one database in which an alias is meant, and what a recorded run last did with it there."""
    place, given = _place(paths, flags)
    known = locations_of(past.runs(), alias, place)
    _insist_on_one_place(known, alias)
    for where, last in known.values():
        return _reached((where,), flags, given)[0], last
    if given is None:
        message = f'no run recorded at {past.path} knows alias "{alias}"'
        raise InvalidInput(Problem(f"{message}; name its server with --uri or -f, and its --database"))
    return given, None


def _place(paths: tuple[str, ...], flags: Overrides) -> tuple[Selector, PastTarget | None]:
    """Which recorded databases are meant; and the database itself where the call names its server."""
    if not paths and not flags.uri:
        return (
            lambda item: (
                flags.database in {None, item.target.database} and flags.connection in {None, item.connection.name}
            )
        ), None
    connection, database = inputs.one_connection(paths, flags)
    target = Target(connection.address, database)
    return lambda item: item.target == target, PastTarget(target, connection, {})


def _insist_on_one_place(known: Mapping[Target, tuple[PastTarget, PastStep]], alias: str) -> None:
    if len(known) > 1:
        places = ", ".join(sorted(f"{where.connection.name} / {where.target.database}" for where, _ in known.values()))
        message = f'recorded runs know alias "{alias}" in several places: {places}'
        raise InvalidInput(Problem(f"{message}; choose one with --connection and --database"))


def _reached(targets: Sequence[PastTarget], flags: Overrides, given: PastTarget | None) -> tuple[PastTarget, ...]:
    """Recorded databases, with the connection that this call names or at least its credentials."""
    if given:
        return tuple(replace(target, connection=given.connection) for target in targets)
    skeleton = Plan(tuple(TargetPlan(target.target, target.connection, ()) for target in targets), "", "")
    plan = reconnected(skeleton, replace(flags, connection=None, database=None), Path.cwd())
    return tuple(
        replace(item, connection=replace(target.connection, origin=Origin.EARLIER_RUN))
        for item, target in zip(targets, plan.targets, strict=True)
    )


def _tell(result: output.Result, plan: Plan, outputs: tuple[tuple[str, Path], ...], output_format: str) -> int:
    """Show what would be done, or that there is nothing to do."""
    output.emit_files(result, outputs)
    output.emit(result, output_format)
    return plan_exit_code(plan)


def _remind(plan: Plan) -> None:
    """A manifest that still wants what was undone undoes the rollback."""
    moves = [f"{step.alias} {'→ ' + step.current if step.current else 'absent'}" for step in plan.runnable]
    output.say(
        f"Manifests that still want {listed(moves, 3)} will have it so at the next apply: "
        "change them, or set suspend: true"
    )
