"""`aliasctl status`: desired against live."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from reconciler.catalog import Catalogs, connect
from reconciler.cli import inputs, options, output
from reconciler.reconcile import make_plan
from reconciler.render.documents import status_document
from reconciler.render.text import status_lines
from reconciler.status import status as compared


@click.command()
@options.manifest_option
@options.target_options
@options.format_option
@options.output_option
@options.color_option
@options.log_options
def status(paths: tuple[str, ...], output_format: str, outputs: tuple[tuple[str, Path], ...], **values: Any) -> None:
    """Show desired against live, one row an alias.

    \b
      aliasctl status -f aliases/
    """
    output.ensure_writable(path for _, path in outputs)
    sets = inputs.wanted_sets(inputs.read_manifests(paths), options.overrides(values))
    with Catalogs(connect) as catalogs, output.busy("Reading the catalog"):
        rows = list(compared(sets, make_plan(sets, catalogs=catalogs)))
    result = output.Result(lambda: status_lines(rows), lambda: status_document(rows))
    output.emit_files(result, outputs)
    output.emit(result, output_format)
