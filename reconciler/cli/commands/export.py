"""`aliasctl export`: the live aliases of a database, or of all, as manifests."""

from __future__ import annotations

from collections.abc import Iterator

import click

from reconciler.catalog import Catalogs, connect
from reconciler.catalog.read import read_all
from reconciler.cli import inputs, options
from reconciler.cli.help_page import Command
from reconciler.cli.output import Output
from reconciler.core.errors import AliasctlError, ExitCode, Problem
from reconciler.core.model import Connection, Origin
from reconciler.inspect.all_databases import UnreadDatabase, read_databases
from reconciler.manifest import Overrides
from reconciler.manifest.export import exportable, exported, nameable


@click.command("export", cls=Command)
@options.optional_manifest_option
@click.option("--all-databases", is_flag=True, help="Export every database that the token may list.")
@options.target_options
@options.log_options()
@click.pass_obj
def command(output: Output, paths: tuple[str, ...], all_databases: bool, flags: Overrides) -> int:
    """Print a database's live aliases as manifests.

    Planning these manifests gives no changes. The server comes from --uri, or from a MilvusConnection in the manifests
    of -f.

    With --all-databases, a database whose aliases the token may not read is left out and reported, and the exit code is
    1.

    \b
    Examples:
      aliasctl export --uri http://localhost:19530 --database default
      aliasctl export connections.yaml --connection prod
      aliasctl export connections.yaml --connection prod --all-databases
    """
    if all_databases and flags.database:
        raise click.UsageError("--all-databases does not go with --database, which is one")
    connection, database = inputs.connection_without_sets(inputs.read_manifests(paths, output), flags)
    with Catalogs(connect) as catalogs:
        if all_databases:
            found = dict(read_databases(connection, database, catalogs))
        else:
            found = {database: read_all(catalogs.open(connection, database))}
    unread = [each for each in found.values() if isinstance(each, UnreadDatabase)]
    for text in _texts(found, connection, output):
        click.echo(text, nl=False)
    for each in unread:
        output.error(AliasctlError(f'database "{each.target.database}" is left out: {each.message}'))
    return ExitCode.ERROR if unread else ExitCode.DONE


def _texts(found: dict[str, dict[str, str] | UnreadDatabase], connection: Connection, output: Output) -> Iterator[str]:
    """Return the manifests of the databases that were read; warn of aliases that no manifest can name."""
    databases: dict[str, dict[str, str]] = {}
    for database, aliases in found.items():
        if isinstance(aliases, UnreadDatabase):
            continue
        good, unnameable = exportable(aliases)
        if nameable(database):
            databases[database] = good
        else:
            output.warn(Problem(f'database "{database}" is left out: no manifest can name it'))
        for name in unnameable:
            output.warn(Problem(f'alias "{name}" is left out: no manifest can name it'))
    return exported(databases, connection, with_connection=connection.origin is not Origin.MANIFEST)
