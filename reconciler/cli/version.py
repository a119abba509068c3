"""`aliasctl version`: of the tool, the client and, where one is named, the server."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from typing import Any

import click
from rich.text import Text

from reconciler.catalog import Catalogs, connect
from reconciler.cli import inputs, options, output
from reconciler.core.text import printable
from reconciler.documents.codec import Document
from reconciler.render.documents import version_document
from reconciler.render.text import product
from reconciler.version import __version__


@click.command(short_help="Print the versions of tool, client and server.")
@options.optional_manifest_option
@options.target_options
@options.format_option
@options.log_options
def version(paths: tuple[str, ...], output_format: str, **values: Any) -> None:
    """Print versions: tool and client, and the server's when one is named.

    \b
      aliasctl version
      aliasctl version --uri http://localhost:19530
    """
    flags = options.overrides(values)
    server = None
    if paths or flags.uri or inputs.environment().uri:
        connection, database = inputs.one_connection(paths, flags)
        with Catalogs(connect) as catalogs:
            server = (connection.address, catalogs.open(connection, database).server_version())
    document = version_document(__version__, platform.python_version(), _clients(), server)
    output.emit(output.Result(lambda: _lines(document), lambda: document), output_format)


def _clients() -> dict[str, str]:
    """The Milvus clients installed, by distribution; found without importing them."""
    clients = {}
    for name in ("pymilvus", "milvus-lite"):
        try:
            clients[name] = installed(name)
        except PackageNotFoundError:
            continue
    return clients


def _lines(document: Document) -> list[Text]:
    lines = [Text(f"aliasctl     {document['aliasctl']}"), Text(f"Python       {document['python']}")]
    lines += [Text(f"{name.ljust(12)} {number}") for name, number in document["clients"].items()]
    if server := document.get("server"):
        lines.append(Text(printable(f"server       {product(server['version'])} at {server['address']}")))
    return lines
