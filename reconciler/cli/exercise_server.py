"""`aliasctl check --exercise`: confirm, exercise the server, print the report."""

from __future__ import annotations

from reconciler.catalog import open_sandbox
from reconciler.catalog.port import SANDBOX_PREFIX
from reconciler.cli import inputs
from reconciler.cli.confirm import confirm, ensure_terminal
from reconciler.cli.output import Output
from reconciler.cli.signals import end_with, stopping_on_signals
from reconciler.manifest import Overrides
from reconciler.render.documents import exercise_document
from reconciler.render.exercise import exercise_lines
from reconciler.render.formats import Result


def exercise_server(paths: tuple[str, ...], flags: Overrides, output: Output, *, yes: bool) -> int:
    """Exercise the server that the options name, in one database; return the exit code.

    Of the manifests at `paths` only the connections are used.
    """
    from reconciler.exercise.run import run_exercises  # not needed by any other check

    connection, database = inputs.connection_without_sets(inputs.read_manifests(paths, output), flags)
    place = f"{connection.name} / {database} at {connection.uri}"
    if not yes:
        ensure_terminal("--exercise creates collections and aliases, and there is no terminal to ask at; add --yes")
        confirm(f"Create and remove collections and aliases named {SANDBOX_PREFIX}… in {place}?", "not exercised")
    sandbox = open_sandbox(connection, database)
    try:
        with stopping_on_signals(output.say, "removing what was created") as stop:
            with output.busy("Exercising the server"):
                report = run_exercises(sandbox, connection, stop)
            end_with(report.exit_code)
    finally:
        sandbox.close()
    output.emit(Result(lambda: exercise_lines(report), lambda: exercise_document(report)))
    return report.exit_code
