"""`aliasctl plan`: what would change."""

from __future__ import annotations

import shlex
from inspect import signature
from pathlib import Path

import click
from click.core import ParameterSource

from reconciler.catalog import Catalogs, connect
from reconciler.cli import inputs, options, values
from reconciler.cli.help_page import Command
from reconciler.cli.output import Output
from reconciler.core.options import GatesToEvaluate, Options
from reconciler.core.plan import Plan
from reconciler.core.provenance import Provenance
from reconciler.core.report import plan_exit_code
from reconciler.manifest import Overrides
from reconciler.reconcile import make_plan
from reconciler.render.formats import HTML, JSON
from reconciler.render.progress import PlanningProgress
from reconciler.render.results import plan_result


@click.command("plan", cls=Command)
@options.manifest_option
@options.plan_options
@options.target_options
@click.option(
    "--against",
    type=values.file_name,
    metavar="EXPORT",
    help="Compare with an exported file instead of the server; no network.",
)
@click.option(
    "--gates",
    type=click.Choice(["cheap", "all"]),
    default="cheap",
    show_default=True,
    help="Evaluate only cheap gates, or also those that count rows and search.",
)
@options.journal_option
@click.option("--out", type=values.file_path, metavar="PLANFILE", help="Save the plan, to apply it later.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes.")
@options.result_options(views=True)
@options.log_options()
@click.pass_obj
def command(
    output: Output,
    paths: tuple[str, ...],
    run: Options,
    flags: Overrides,
    against: str | None,
    gates: str,
    journal: Path | None,
    out: Path | None,
    detailed_exitcode: bool,
) -> int:
    """Show what would change.

    Compares the manifests with the live aliases; changes nothing.

    \b
    Examples:
      aliasctl plan aliases/
      aliasctl plan aliases/ --out plan.json --detailed-exitcode
      aliasctl plan aliases/ --against export.yaml
    """
    if out:
        output.files.append((JSON, out))
    output.ensure_writable()
    manifests = inputs.read_manifests(paths, output)
    sets = inputs.desired_sets(manifests, flags, output)
    live = inputs.live_from_file(against, paths, sets, manifests, flags) if against else None
    progress = PlanningProgress()
    with Catalogs(connect) as catalogs, output.busy(progress):
        plan = make_plan(
            sets,
            run,
            catalogs=catalogs,
            against=live,
            evaluate=GatesToEvaluate.ALL if gates == "all" else GatesToEvaluate.CHEAP,
            journal=inputs.journal_to_read(journal),
            on_event=progress.take,
        )
    origin = inputs.provenance(paths) if output.renders(HTML) else Provenance()
    output.emit(plan_result(plan, origin))
    if out and not output.incomplete:
        output.say(f"Saved to {out}. {_how_to_apply(plan, out, paths)}")
    return plan_exit_code(plan, detailed=detailed_exitcode)


def _how_to_apply(plan: Plan, out: Path, paths: tuple[str, ...]) -> str:
    """Return the command that applies a saved plan, or why none does."""
    if plan.refusals:
        return "It cannot be applied: a guard refused the plan."
    if plan.steps and not plan.writes:
        return "It cannot be applied: every change is blocked."
    if not plan.steps and not plan.earlier_moves:
        return "There is nothing to apply."
    files = [word for path in paths for word in ("-f", path)]
    command = shlex.join(["aliasctl", "apply", *files, "--plan", str(out)])
    same = f", with the same {' '.join(flags)}" if (flags := _flags_of_both()) else ""
    return f"To apply: {command}{same}"


def _flags_of_both() -> list[str]:
    """Return the flags of this call that `apply` needs as well to plan the same again."""
    context = click.get_current_context()
    both = {*signature(Options).parameters, *signature(Overrides).parameters, "journal"}
    given = (
        parameter
        for parameter in context.command.params
        if parameter.name in both and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    )
    return [parameter.opts[-1] for parameter in given]
