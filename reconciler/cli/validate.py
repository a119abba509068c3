"""`aliasctl validate`: the manifests by themselves; no network, no Milvus client."""

from __future__ import annotations

import click
from rich.text import Text

from reconciler.cli import options, output
from reconciler.errors import InvalidInput
from reconciler.formats import Document
from reconciler.manifest import Manifests, check, read
from reconciler.render.documents import validation_document


@click.command()
@options.manifest_option()
@click.option("--strict", is_flag=True, help="A connection that no manifest has is an error, not a warning.")
@options.format_option
@options.color_option
@options.log_options
def validate(paths: tuple[str, ...], strict: bool, output_format: str, color: bool, **_: object) -> None:
    """Check manifests offline.

    \b
      aliasctl validate -f aliases/
      aliasctl validate --strict -f aliases/ -f connections.yaml
    """
    manifests = read(paths, stdin=click.get_binary_stream("stdin"))
    warnings = (*manifests.warnings, *check(manifests, strict=strict))
    for warning in warnings:
        output.warn(warning)
    output.emit(
        output.Result(lambda: [_summary(manifests)], lambda: validation_document(manifests, warnings)),
        output_format,
        color=color,
    )


def _summary(manifests: Manifests) -> Text:
    aliases = sum(len(one.aliases) for one in manifests.sets)
    counts = f"{len(manifests.sets)} sets, {aliases} aliases, {len(manifests.connections)} connections"
    skipped = f"; {manifests.skipped} documents of other API groups skipped" if manifests.skipped else ""
    return Text.assemble(("Valid: ", "bold green"), counts, skipped, ".")
