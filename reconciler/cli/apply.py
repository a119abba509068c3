"""`aliasctl apply`: plan, ask, apply, verify."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from reconciler.catalog import Catalogs, connect
from reconciler.cli import inputs, options, output
from reconciler.cli.applying import ApplyOptions, carry_out
from reconciler.core.options import GatesToEvaluate, Options
from reconciler.core.pending_verification import saved_with_pending_verification
from reconciler.core.plan import Plan
from reconciler.documents.plan_file import load_plan
from reconciler.execute.saved_plan import ensure_fresh, ensure_reviewed, without_rejected
from reconciler.journal import Journal
from reconciler.manifest.targets import reconnected
from reconciler.reconcile import make_plan


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
@click.option(
    "--wait",
    type=options.long_duration,
    metavar="DURATION",
    help="Wait so long, before each wave, for gates that do not pass yet.",
)
@options.journal_option
@options.plan_options
@options.target_options
@options.page_format_option
@options.page_output_option
@options.color_option
@options.log_options
def apply(
    planfile: Path | None,
    paths: tuple[str, ...],
    reviewed: Path | None,
    yes: bool,
    keep_going: bool,
    wait: float | None,
    journal: Path | None,
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
    manner = ApplyOptions(
        yes=yes,
        journal=inputs.journal(journal),
        origins=inputs.origins("apply", (str(planfile),) if planfile else paths),
        output_format=output_format,
        outputs=outputs,
        keep_going=keep_going,
        wait=wait or 0.0,
    )
    with Catalogs(connect, create=True) as catalogs:
        if planfile:
            plan, pending = _saved_plan(planfile, values, catalogs, manner.journal)
        else:
            ask = GatesToEvaluate.SHOWN if wait else GatesToEvaluate.ALL
            plan = _fresh_plan(paths, reviewed, values, catalogs, ask, manner.journal)
            pending = bool(plan.runnable)
        return carry_out(plan, catalogs, manner, pending=pending)


def _fresh_plan(
    paths: tuple[str, ...],
    reviewed: Path | None,
    values: dict[str, Any],
    catalogs: Catalogs,
    ask: GatesToEvaluate,
    journal: Journal,
) -> Plan:
    """Plan now; with a reviewed plan, insist that it is the same."""
    expected = load_plan(reviewed) if reviewed else None
    sets = inputs.wanted_sets(inputs.read_manifests(paths), options.overrides(values))
    run = options.run_options(values)
    inputs.announce_new_files(
        [
            alias_set.connection
            for alias_set in sets
            if alias_set.connection and (run.include_suspended or not alias_set.suspend)
        ]
    )
    with output.busy("Reading the catalog"):
        plan = make_plan(sets, run, catalogs=catalogs, evaluate=ask, journal=journal)
    if expected:
        ensure_reviewed(plan, expected)
    return plan


def _saved_plan(planfile: Path, values: dict[str, Any], catalogs: Catalogs, journal: Journal) -> tuple[Plan, bool]:
    """The plan of a file, with this call's credentials if it names any, and whether anything is left to do.

    Nothing else about it can be changed; but what had to be undone since is not done again.
    """
    flags = options.overrides(values)
    plan = reconnected(load_plan(planfile), flags, Path.cwd())
    run = options.run_options(values)
    if run != Options(retry_rejected=run.retry_rejected):
        raise click.UsageError(
            "--only, --allow-protected, --max-drops, --include-suspended and --skip-gate are for planning"
        )
    if not run.retry_rejected:
        plan = saved_with_pending_verification(
            without_rejected(plan, journal.rejected()), journal.pending_verification()
        )
    inputs.announce_new_files([target.connection for target in plan.targets if target.steps])
    return plan, ensure_fresh(plan, catalogs=catalogs)
