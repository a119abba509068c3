"""`aliasctl check`: whether a run could do what its sets need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from reconciler.catalog import Catalogs, connect
from reconciler.cli import inputs, options, output
from reconciler.core.model import AliasSet
from reconciler.inspect.access import check_access, exit_code
from reconciler.manifest import Manifests, Overrides
from reconciler.render.check import access_lines
from reconciler.render.documents import check_document


@click.command(short_help="Ask whether a run could do what it needs, without writing.")
@options.optional_manifest_option
@click.option("--include-suspended", is_flag=True, help="Ask for suspended sets too.")
@options.target_options
@options.format_option
@options.output_option
@options.color_option
@options.log_options
def check(
    paths: tuple[str, ...],
    include_suspended: bool,
    output_format: str,
    outputs: tuple[tuple[str, Path], ...],
    **values: Any,
) -> int:
    """Ask whether a run could do what its sets need: address, TLS, token, version, database and each privilege.

    Nothing is written. A privilege counts as there only if a call was let through or a grant was read; what cannot be
    found out is said. Exit code 1 if something is missing. Without sets, what any alias of the database needs is asked.

    \b
      aliasctl check -f aliases/
      aliasctl check --uri http://localhost:19530 --database default
    """
    output.ensure_writable(path for _, path in outputs)
    sets = _sets(paths, options.overrides(values), include_suspended=include_suspended)
    with Catalogs(connect) as catalogs, output.busy("Asking the servers"):
        found = check_access(sets, catalogs)
    result = output.Result(lambda: access_lines(found), lambda: check_document(found))
    output.emit_files(result, outputs)
    output.emit(result, output_format)
    return exit_code(found)


def _sets(paths: tuple[str, ...], flags: Overrides, *, include_suspended: bool) -> list[AliasSet]:
    """The sets of this call; without any, one that stands for the database that the options name."""
    manifests = inputs.read_manifests(paths) if paths else Manifests()
    if not manifests.sets:
        connection, database = inputs.connection_of(manifests, flags)
        return [AliasSet(connection.name, "", connection.name, connection, database)]
    sets = inputs.wanted_sets(manifests, flags)
    suspended = [item for item in sets if item.suspend and not include_suspended]
    for alias_set in suspended:
        output.say(f'set "{alias_set.key}" is suspended: skipped')
    return [item for item in sets if item not in suspended]
