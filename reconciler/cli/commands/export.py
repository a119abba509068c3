"""`aliasctl export`: the live aliases of a database as manifests."""

from __future__ import annotations

import click

from reconciler.catalog import Catalogs, connect
from reconciler.catalog.read import read_all
from reconciler.cli import inputs, options
from reconciler.cli.output import Output
from reconciler.core.errors import Problem
from reconciler.core.model import Origin
from reconciler.manifest import Overrides
from reconciler.manifest.export import exportable, exported


@click.command("export")
@options.optional_manifest_option
@options.target_options
@options.log_options()
@click.pass_obj
def command(output: Output, paths: tuple[str, ...], flags: Overrides) -> None:
    """Print a database's live aliases as manifests.

    Planning these manifests gives no changes. The server comes from --uri, or from a MilvusConnection in the manifests
    of -f.

    \b
      aliasctl export --uri http://localhost:19530 --database default
      aliasctl export -f connections.yaml --connection prod
    """
    connection, database = inputs.connection_without_sets(inputs.read_manifests(paths, output), flags)
    with Catalogs(connect) as catalogs:
        pointing, unnameable = exportable(read_all(catalogs.open(connection, database)))
    for name in unnameable:
        output.warn(Problem(f'alias "{name}" is left out: no manifest can name it'))
    for text in exported(pointing, connection, database, with_connection=connection.origin is not Origin.MANIFEST):
        click.echo(text, nl=False)
