"""`aliasctl apply`: plan, confirm, apply, verify."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from msgspec import Struct
from msgspec.structs import replace

from reconciler.catalog import Catalogs, connect
from reconciler.cli import inputs, options, values
from reconciler.cli.confirm_and_apply import ApplyOptions, confirm_and_apply
from reconciler.cli.help_page import Command
from reconciler.cli.output import Output
from reconciler.core.decisions import saved_with_decisions
from reconciler.core.model import AliasSet
from reconciler.core.options import GatesToEvaluate, Options
from reconciler.core.plan import Plan
from reconciler.documents.plan_file import is_plan_file, load_plan
from reconciler.execute.saved_plan import ensure_fresh, ensure_reviewed
from reconciler.journal import Journal
from reconciler.manifest import Overrides
from reconciler.manifest.targets import reconnected
from reconciler.reconcile import make_plan
from reconciler.render.progress import PlanningProgress

apply_options = options.option_group(
    "execution",
    ApplyOptions,
    options.yes_option,
    click.option("--keep-going", is_flag=True, help="Continue with other databases after a failure."),
    click.option(
        "--wait",
        type=values.duration(hours=24),
        metavar="DURATION",
        help="Wait up to DURATION for gates to pass before each wave.",
    ),
    options.publish_option,
)


class Given(Struct, frozen=True):
    """What is applied: manifests, or a saved plan."""

    paths: tuple[str, ...]
    planfile: Path | None = None


def given_paths(filenames: tuple[str, ...], arguments: tuple[str, ...]) -> Given:
    """Return what `-f` and the arguments name: a plan file, if it is the only one and an argument, or manifests.

    A pipe, such as that of `<(command)` in a shell, can be read only once; as an argument, it is taken for a plan file.
    """
    paths = options.required_paths(filenames, arguments)
    if not filenames and len(paths) == 1 and (is_plan_file(Path(paths[0])) or Path(paths[0]).is_fifo()):
        return Given((), Path(paths[0]))
    return Given(paths)


@click.command("apply", cls=Command)
@options.manifest_options(given_paths, "given", "[PATH]... | PLANFILE")
@click.option(
    "--plan",
    "reviewed",
    type=values.file_path,
    metavar="PLANFILE",
    help="Apply only if planning again gives this reviewed plan.",
)
@apply_options
@options.journal_option
@options.plan_options
@options.target_options
@options.result_options(views=True)
@options.log_options()
@click.pass_obj
def command(
    output: Output,
    given: Given,
    reviewed: Path | None,
    execution: ApplyOptions,
    journal: Path | None,
    run: Options,
    flags: Overrides,
) -> int:
    """Apply the manifests to Milvus.

    Plans, shows the plan, asks for confirmation, applies it and reads back. Safe to repeat. With --plan it plans again
    and refuses if the result is not the reviewed plan. If the only argument is a file that "plan --out" saved, which is
    recognized by its content, it applies that plan, unless one of its aliases was moved since.

    \b
    Examples:
      aliasctl apply aliases/
      aliasctl apply aliases/ --plan plan.json --yes
      aliasctl apply plan.json
    """
    paths, planfile = given.paths, given.planfile
    if planfile and reviewed:
        raise click.UsageError("give either a PLANFILE, or manifests with --plan PLANFILE")
    output.ensure_writable()
    recorded = inputs.journal(journal)
    origins = inputs.origins("apply", (str(planfile),) if planfile else paths)
    with Catalogs(connect, create=True) as catalogs:
        sets = None
        if planfile:
            plan, pending = _saved_plan(planfile, run, flags, catalogs, recorded, output)
            whole: Sequence[AliasSet] = ()
        else:
            evaluated = GatesToEvaluate.SHOWN if execution.wait else GatesToEvaluate.ALL
            expected = load_plan(reviewed) if reviewed else None
            sets = inputs.desired_sets(inputs.read_manifests(paths, output), flags, output)
            active = [alias_set for alias_set in sets if run.include_suspended or not alias_set.suspend]
            inputs.announce_new_files([alias_set.connection for alias_set in active], output)
            progress = PlanningProgress()
            with output.busy(progress):
                plan = make_plan(
                    sets, run, catalogs=catalogs, evaluate=evaluated, journal=recorded, on_event=progress.take
                )
            if expected:
                ensure_reviewed(plan, expected)
            pending, whole = plan.writes, () if run.only else active
            sets = None if run.only else sets
        return confirm_and_apply(
            plan,
            catalogs,
            output,
            execution,
            journal=recorded,
            origins=origins,
            pending=pending,
            sets=sets,
            whole=whole,
        )


def _saved_plan(
    planfile: Path, run: Options, flags: Overrides, catalogs: Catalogs, journal: Journal, output: Output
) -> tuple[Plan, bool]:
    """Return the plan of a file, and whether any of its steps is still to be made.

    Its credentials are those of this call, if it names any. Moves that were reverted since are not repeated.
    """
    plan = reconnected(load_plan(planfile), flags, Path.cwd())
    if run != Options(retry_rejected=run.retry_rejected):
        raise click.UsageError(
            "--only, --allow-protected, --max-drops, --include-suspended and --skip-gate are for planning"
        )
    plan = replace(plan, retry_rejected=True) if run.retry_rejected else saved_with_decisions(plan, journal.decisions())
    inputs.announce_new_files([target.connection for target in plan.targets if target.steps], output)
    return plan, ensure_fresh(plan, catalogs=catalogs)
