"""`aliasctl schema`: the JSON Schema of every file format."""

from __future__ import annotations

import json

import click

from reconciler.cli.help_page import Command
from reconciler.manifest.kinds import KINDS
from reconciler.manifest.schema import json_schema
from reconciler.render.documents import SCHEMAS


@click.command("schema", cls=Command)
@click.argument("kind", metavar="KIND", type=click.Choice([*KINDS, *SCHEMAS], case_sensitive=False))
def command(kind: str) -> None:
    """Print the JSON Schema of a kind.

    KIND is a manifest (AliasSet, MilvusConnection) or a document that aliasctl prints: Plan, Report, Error, Validation,
    Edit, Status, Check, Exercise, Notify, Version, Sets, Approval, Resolution, Journal or
    History.

    \b
    Examples:
      aliasctl schema AliasSet > aliasset.schema.json
      aliasctl schema Plan
    """
    click.echo(json.dumps(SCHEMAS[kind]() if kind in SCHEMAS else json_schema(kind), indent=2))
