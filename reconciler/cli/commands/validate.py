"""`aliasctl validate`: check manifests by themselves; no network, no Milvus client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from reconciler.cli import options
from reconciler.cli.output import Output
from reconciler.core.errors import Problem
from reconciler.core.text import counted
from reconciler.manifest import Manifests, check, read
from reconciler.render.formats import Result
from reconciler.render.lines import Line

if TYPE_CHECKING:
    from reconciler.documents.codec import Document


@click.command("validate")
@options.manifest_option
@click.option("--strict", is_flag=True, help="Treat a connection that no manifest defines as an error, not a warning.")
@click.option(
    "--exclude",
    metavar="GLOB",
    multiple=True,
    help="Leave out files and folders below the folders of -f, such as 'charts/*/templates'. Can be repeated.",
)
@options.format_option()
@options.color_option
@options.log_options()
@click.pass_obj
def command(output: Output, paths: tuple[str, ...], strict: bool, exclude: tuple[str, ...]) -> None:
    """Check manifests offline.

    \b
      aliasctl validate -f aliases/
      aliasctl validate --strict -f aliases/ -f connections.yaml
      aliasctl validate -f . --exclude charts
    """
    manifests = read(paths, exclude=exclude)
    warnings = (*manifests.warnings, *check(manifests, strict=strict))
    for warning in warnings:
        output.warn(warning)
    output.emit(Result(lambda: [_summary(manifests)], lambda: _document(manifests, warnings)))


def _document(manifests: Manifests, warnings: Sequence[Problem]) -> Document:
    from reconciler.render.documents import validation_document  # imports all other documents too

    return validation_document(manifests, warnings)


def _summary(manifests: Manifests) -> Line:
    aliases = sum(len(alias_set.aliases) for alias_set in manifests.sets)
    counts = (counted(len(manifests.sets), "set"), counted(aliases, "alias"))
    connections = counted(len(manifests.connections), "connection")
    skipped = f"; {counted(manifests.skipped, 'document')} of other API groups skipped" if manifests.skipped else ""
    return Line(("Valid: ", "bold green"), ", ".join((*counts, connections)), skipped, ".")
