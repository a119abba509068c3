"""`aliasctl show`: a saved plan."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli import options, values
from reconciler.cli.help_page import Command
from reconciler.cli.output import Output
from reconciler.documents.plan_file import load_plan
from reconciler.render.results import plan_result


@click.command("show", cls=Command)
@click.argument("planfile", type=values.file_path)
@options.result_options(views=True)
@options.log_options()
@click.pass_obj
def command(output: Output, planfile: Path) -> None:
    """Show a saved plan.

    Whether it is stale is not checked.

    \b
    Examples:
      aliasctl show plan.json
      aliasctl show plan.json --output html=plan.html
    """
    output.ensure_writable()
    output.emit(plan_result(load_plan(planfile), saved=True))
