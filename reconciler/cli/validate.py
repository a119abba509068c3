"""`aliasctl validate`: the manifests by themselves; no network, no Milvus client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from reconciler.cli import options, output
from reconciler.core.errors import Problem
from reconciler.core.text import counted
from reconciler.manifest import Manifests, check, read

if TYPE_CHECKING:
    from reconciler.documents.codec import Document


@click.command()
@options.manifest_option
@click.option("--strict", is_flag=True, help="A connection that no manifest has is an error, not a warning.")
@options.format_option
@options.color_option
@options.log_options
def validate(paths: tuple[str, ...], strict: bool, output_format: str, **_: Any) -> None:
    """Check manifests offline.

    \b
      aliasctl validate -f aliases/
      aliasctl validate --strict -f aliases/ -f connections.yaml
    """
    manifests = read(paths)
    warnings = (*manifests.warnings, *check(manifests, strict=strict))
    for warning in warnings:
        output.warn(warning)
    output.emit(output.Result(lambda: [_summary(manifests)], lambda: _document(manifests, warnings)), output_format)


def _document(manifests: Manifests, warnings: Sequence[Problem]) -> Document:
    from reconciler.render.documents import validation_document  # and with it all other documents

    return validation_document(manifests, warnings)


def _summary(manifests: Manifests) -> Text:
    aliases = sum(len(alias_set.aliases) for alias_set in manifests.sets)
    counts = (counted(len(manifests.sets), "set"), counted(aliases, "alias"))
    connections = counted(len(manifests.connections), "connection")
    skipped = f"; {counted(manifests.skipped, 'document')} of other API groups skipped" if manifests.skipped else ""
    return Text.assemble(("Valid: ", "bold green"), ", ".join((*counts, connections)), skipped, ".")
