"""`aliasctl notify`: receivers get a sample, or what waits for them."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli import inputs, options, values
from reconciler.cli.help_page import Command
from reconciler.cli.output import Output
from reconciler.core.errors import ExitCode, InvalidInput, Problem
from reconciler.core.model import Connection
from reconciler.manifest import Manifests
from reconciler.render.documents import notify_document
from reconciler.render.formats import Result
from reconciler.render.notify import receiver_lines


@click.command("notify", cls=Command)
@click.argument("name", metavar="[CONNECTION]", type=values.connection_name, required=False)
@options.filename_option
@click.option("--test", is_flag=True, help="Send a sample to each receiver, and deliver nothing else.")
@click.option(
    "--wait",
    type=values.duration(hours=1),
    default="30s",
    show_default=True,
    metavar="DURATION",
    help="Deliver for at most DURATION.",
)
@options.journal_option
@options.format_option()
@options.color_option
@options.log_options()
@click.pass_obj
def command(
    output: Output, name: str | None, paths: tuple[str, ...], test: bool, wait: float, journal: Path | None
) -> int:
    """Deliver notifications, or send a sample to each receiver.

    The receivers are those of the MilvusConnections in the files of -f, or of one of them. Runs deliver their
    notifications themselves; what a receiver did not accept waits in the journal for the next run, or for this command.
    With --test, each receiver gets a sample that is about no alias; for the status of a commit, only access to the
    project is tested. Exits with 1 if a receiver did not accept.

    \b
    Examples:
      aliasctl notify -f aliases/
      aliasctl notify --test main -f aliases/
    """
    connections = _connections(inputs.read_manifests(options.required_paths(paths, ()), output), name)
    from reconciler.notify.on_request import deliver_now, send_samples

    if test:
        with output.busy("Sending samples"):
            reports = list(send_samples(connections))
    else:
        with output.busy("Delivering"):
            reports = list(deliver_now(inputs.journal(journal).path, connections, wait))
    output.emit(Result(lambda: receiver_lines(reports), lambda: notify_document(reports)))
    return ExitCode.DONE if all(report.ok for report in reports) else ExitCode.ERROR


def _connections(manifests: Manifests, name: str | None) -> list[Connection]:
    """Return the connections that have receivers, or one of them. Raises `InvalidInput`: there is none."""
    known = [each for each in manifests.connections.values() if name in (None, each.name)]
    if name and not known:
        names = ", ".join(sorted({each.name for each in manifests.connections.values()})) or "none"
        raise InvalidInput(Problem(f'no MilvusConnection is called "{name}"; the files have: {names}'))
    found = [
        Connection(each.name, each.uri, each.address, namespace=each.namespace, notify=each.notify)
        for each in known
        if each.notify
    ]
    if not found:
        where = f'MilvusConnection "{name}"' if name else "no MilvusConnection in the files of -f"
        lacks = "has no receivers" if name else "has receivers"
        raise InvalidInput(Problem(f"{where} {lacks}; add spec.notify to it"))
    return found
