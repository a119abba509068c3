"""`aliasctl version`: the versions of the tool, the client and, if one is given, the server."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

import click

from reconciler.catalog import Catalogs, connect
from reconciler.cli import inputs, options
from reconciler.cli.help_page import Command
from reconciler.cli.output import Output
from reconciler.core.text import printable
from reconciler.documents.codec import Document
from reconciler.manifest import Overrides
from reconciler.render.documents import version_document
from reconciler.render.formats import Result
from reconciler.render.lines import Line
from reconciler.render.wording import product
from reconciler.version import __version__


@click.command("version", cls=Command)
@options.optional_manifest_option
@options.target_options
@options.format_option()
@options.log_options()
@click.pass_obj
def command(output: Output, paths: tuple[str, ...], flags: Overrides) -> None:
    """Print the versions of tool, client and server.

    That of the server is printed if the options or the environment name one.

    \b
    Examples:
      aliasctl version
      aliasctl version --uri http://localhost:19530
    """
    server = None
    if paths or flags.uri or inputs.environment().uri:
        connection, database = inputs.connection_without_sets(inputs.read_manifests(paths, output), flags)
        with Catalogs(connect) as catalogs:
            server = (connection.address, catalogs.open(connection, database).server_version())
    document = version_document(__version__, platform.python_version(), _clients(), server)
    output.emit(Result(lambda: _lines(document), lambda: document))


def _clients() -> dict[str, str]:
    """Return the versions of the installed Milvus clients, without importing them."""
    clients = {}
    for name in ("pymilvus", "milvus-lite"):
        try:
            clients[name] = installed(name)
        except PackageNotFoundError:
            continue
    return clients


def _lines(document: Document) -> list[Line]:
    lines = [Line(f"aliasctl     {document['aliasctl']}"), Line(f"Python       {document['python']}")]
    lines += [Line(f"{name.ljust(12)} {number}") for name, number in document["clients"].items()]
    if server := document.get("server"):
        lines.append(Line(printable(f"server       {product(server['version'])} at {server['address']}")))
    return lines
