"""`aliasctl validate`: check manifests by themselves; no network, no Milvus client."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli import options
from reconciler.cli.help_page import Command
from reconciler.cli.output import Output
from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.text import counted
from reconciler.files import git_work_tree
from reconciler.manifest import Manifests, check, read
from reconciler.render.formats import Result
from reconciler.render.lines import Line

if TYPE_CHECKING:
    from reconciler.documents.codec import Document


@click.command("validate", cls=Command)
@options.manifest_option
@click.option(
    "--strict",
    is_flag=True,
    help="Treat connections that no manifest defines, and what aliasctl sync would refuse or miss, as errors.",
)
@click.option(
    "--exclude",
    metavar="GLOB",
    multiple=True,
    help="Leave out files and folders below the folders of -f, such as 'charts/*/templates'. Can be repeated.",
)
@options.format_option(problems=True)
@options.color_option
@options.log_options()
@click.pass_obj
def command(output: Output, paths: tuple[str, ...], strict: bool, exclude: tuple[str, ...]) -> None:
    """Check manifests offline.

    The format github is for GitHub Actions, which shows errors and warnings beside the lines of a pull request.

    \b
    Examples:
      aliasctl validate aliases/
      aliasctl validate aliases/ connections.yaml --strict
      aliasctl validate . --exclude charts
      aliasctl validate aliases/ --format github
    """
    manifests = read(paths, exclude=exclude)
    refused = _refused_by_sync(paths, manifests)
    errors = refused if strict else ()
    try:
        absent = check(manifests, strict=strict)
    except InvalidInput as error:
        raise InvalidInput(*error.problems, *errors) from None
    if errors:
        raise InvalidInput(*errors)
    warnings = (*manifests.warnings, *absent, *refused)
    for warning in warnings:
        output.warn(warning)
    output.emit(
        Result(lambda: [_summary(manifests)], lambda: _document(manifests, warnings), warnings=lambda: warnings)
    )


def _refused_by_sync(paths: Sequence[str], manifests: Manifests) -> Sequence[Problem]:
    folders = [path for path in paths if Path(path).is_dir() and git_work_tree(Path(path))]
    if not folders:
        return ()
    from reconciler.sync.work_tree import refused_by_sync  # takes 25 ms

    return [problem for folder in folders for problem in refused_by_sync(folder, manifests.sets)]


def _document(manifests: Manifests, warnings: Sequence[Problem]) -> Document:
    from reconciler.render.documents import validation_document  # imports all other documents too

    return validation_document(manifests, warnings)


def _summary(manifests: Manifests) -> Line:
    aliases = sum(len(alias_set.aliases) for alias_set in manifests.sets)
    counts = (counted(len(manifests.sets), "set"), counted(aliases, "alias"))
    connections = counted(len(manifests.connections), "connection")
    skipped = f"; {counted(manifests.skipped, 'document')} of other API groups skipped" if manifests.skipped else ""
    return Line(("Valid: ", "bold green"), ", ".join((*counts, connections)), skipped, ".")
