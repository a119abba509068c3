"""`aliasctl plan` and `aliasctl show`: what would change, now or when a plan was saved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from reconciler.catalog import Catalogs, connect
from reconciler.cli import inputs, options, output
from reconciler.core.options import GatesToEvaluate
from reconciler.core.plan import Plan
from reconciler.core.report import plan_exit_code
from reconciler.documents.plan_file import load_plan
from reconciler.reconcile import make_plan
from reconciler.render.documents import plan_document
from reconciler.render.text import plan_lines, saved_plan_lines


@click.command()
@options.manifest_option
@options.plan_options
@options.target_options
@click.option(
    "--against",
    type=options.word,
    metavar="EXPORT",
    help="Compare with an exported file instead of the server; no network.",
)
@click.option(
    "--gates",
    type=click.Choice(["cheap", "all"]),
    default="cheap",
    show_default=True,
    help="Ask only cheap gates, or also those that count rows and search.",
)
@options.journal_option
@click.option("--out", type=options.file_path, metavar="PLANFILE", help="Save the plan, to apply it later.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes.")
@options.page_format_option
@options.page_output_option
@options.color_option
@options.log_options
def plan(
    paths: tuple[str, ...],
    against: str | None,
    gates: str,
    journal: Path | None,
    out: Path | None,
    detailed_exitcode: bool,
    output_format: str,
    outputs: tuple[tuple[str, Path], ...],
    **values: Any,
) -> int:
    """Show what would change, and change nothing.

    \b
      aliasctl plan -f aliases/
      aliasctl plan -f aliases/ --out plan.json --detailed-exitcode
      aliasctl plan -f aliases/ --against export.yaml
    """
    output.ensure_writable([path for _, path in outputs] + ([out] if out else []))
    flags = options.overrides(values)
    manifests = inputs.read_manifests(paths)
    sets = inputs.wanted_sets(manifests, flags)
    live = inputs.live_side(against, paths, sets, manifests, flags)
    with Catalogs(connect) as catalogs, output.busy("Reading the catalog"):
        made = make_plan(
            sets,
            options.run_options(values),
            catalogs=catalogs,
            against=live,
            evaluate=GatesToEvaluate.ALL if gates == "all" else GatesToEvaluate.CHEAP,
            journal=inputs.journal(journal),
        )
    result = plan_result(made)
    output.emit_files(result, outputs)
    if out:
        output.write_file(out, output.to_json(plan_document(made)) + "\n")
    output.emit(result, output_format)
    if out:
        output.say(f"Saved as {out}, digest {made.digest}")
    return plan_exit_code(made, detailed=detailed_exitcode)


@click.command()
@click.argument("planfile", type=options.file_path)
@options.page_format_option
@options.page_output_option
@options.color_option
@options.log_options
def show(planfile: Path, output_format: str, outputs: tuple[tuple[str, Path], ...], **_: Any) -> None:
    """Print a saved plan, a stale one too.

    \b
      aliasctl show plan.json
      aliasctl show plan.json --output html=plan.html
    """
    output.ensure_writable(path for _, path in outputs)
    saved = load_plan(planfile)
    result = replace(plan_result(saved), text=lambda: saved_plan_lines(saved))
    output.emit_files(result, outputs)
    output.emit(result, output_format)


def plan_result(made: Plan) -> output.Result:
    """A plan in every format."""
    pages = {output.MARKDOWN: lambda: _markdown(made), output.HTML: lambda: _html(made)}
    return output.Result(lambda: plan_lines(made), lambda: plan_document(made), pages)


def _markdown(made: Plan) -> str:
    from reconciler.render.markdown import plan_markdown  # takes long to import, and is asked for now and then

    return plan_markdown(made)


def _html(made: Plan) -> str:
    from reconciler.render.html import plan_html  # as above

    return plan_html(made)
