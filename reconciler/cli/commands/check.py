"""`aliasctl check`: whether a run could do what its sets need, and whether the server behaves as guards expect."""

from __future__ import annotations

import click

from reconciler.catalog import Catalogs, connect
from reconciler.cli import inputs, options
from reconciler.cli.exercise_server import exercise_server
from reconciler.cli.help_page import Command
from reconciler.cli.output import Output
from reconciler.core.model import AliasSet
from reconciler.inspect.access import check_access, exit_code
from reconciler.manifest import Overrides
from reconciler.render.check import access_lines
from reconciler.render.documents import check_document
from reconciler.render.formats import Result


@click.command("check", cls=Command)
@options.optional_manifest_option
@options.include_suspended_option
@click.option(
    "--exercise",
    is_flag=True,
    help="Verify the server's behavior in one database, with collections and aliases of its own (aliasctl_check_…).",
)
@options.yes_option
@options.target_options
@options.result_options()
@options.log_options()
@click.pass_obj
def command(
    output: Output, paths: tuple[str, ...], include_suspended: bool, exercise: bool, yes: bool, flags: Overrides
) -> int:
    """Check connectivity, privileges and server behavior.

    Checks address, TLS, token, version, database and each privilege that the sets need, without writing. A privilege is
    ok only if a call was permitted or a grant was read; otherwise it is missing or unknown. Each hook that a gate names
    gets a test event. Exits with 1 if something is missing. Without sets, it checks what any alias of the database
    needs.

    With --exercise it writes: it asks for confirmation, creates tiny collections and aliases whose names begin with
    aliasctl_check_ in one database, verifies each behavior of the server that guards rely on, and removes them. Exits
    with 1 if the server contradicts what aliasctl expects of its version, and with 5 if something could not be removed.

    \b
    Examples:
      aliasctl check aliases/
      aliasctl check --uri http://localhost:19530 --database default
      aliasctl check --exercise --uri http://localhost:19530 --database scratch
    """
    if yes and not exercise:
        raise click.UsageError("--yes goes with --exercise: check writes nothing without it")
    if exercise and include_suspended:
        raise click.UsageError("--include-suspended does not go with --exercise, which uses no sets")
    output.ensure_writable()
    if exercise:
        return exercise_server(paths, flags, output, yes=yes)
    sets = _sets(paths, flags, output, include_suspended=include_suspended)
    with Catalogs(connect) as catalogs, output.busy("Checking the servers"):
        targets = check_access(sets, catalogs)
    output.emit(Result(lambda: access_lines(targets), lambda: check_document(targets)))
    return exit_code(targets)


def _sets(paths: tuple[str, ...], flags: Overrides, output: Output, *, include_suspended: bool) -> list[AliasSet]:
    """Return the active sets; without any set, an empty one for the database that the options name."""
    manifests = inputs.read_manifests(paths, output)
    if not manifests.sets:
        connection, database = inputs.connection_without_sets(manifests, flags)
        return [AliasSet(connection.name, "", connection.name, connection, database)]
    active = []
    for alias_set in inputs.desired_sets(manifests, flags, output):
        if alias_set.suspend and not include_suspended:
            output.say(f'set "{alias_set.key}" is suspended: skipped')
        else:
            active.append(alias_set)
    return active
