"""`aliasctl export`: the live catalog as manifests."""

from __future__ import annotations

from typing import Any

import click

from reconciler.catalog import Catalogs, connect
from reconciler.catalog.read import read_all
from reconciler.cli import inputs, options, output
from reconciler.core.errors import Problem
from reconciler.core.model import Origin
from reconciler.manifest.export import exportable, exported


@click.command(short_help="Print a database's live aliases as manifests.")
@options.optional_manifest_option
@options.target_options
@options.log_options
def export(paths: tuple[str, ...], **values: Any) -> None:
    """Print a database's live aliases as manifests that plan to no change.

    The server comes from --uri, or from a MilvusConnection in the manifests of -f.

    \b
      aliasctl export --uri http://localhost:19530 --database default
      aliasctl export -f connections.yaml --connection prod
    """
    connection, database = inputs.one_connection(paths, options.overrides(values))
    with Catalogs(connect) as catalogs:
        pointing, unnameable = exportable(read_all(catalogs.open(connection, database)))
    for name in unnameable:
        output.warn(Problem(f'alias "{name}" is left out: no manifest can name it'))
    for text in exported(pointing, connection, database, with_connection=connection.origin is not Origin.MANIFEST):
        click.echo(text, nl=False)
