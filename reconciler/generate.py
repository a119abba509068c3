"""`python -m reconciler.generate [FOLDER]` writes what is generated: `schemas/`, `crds/`, `docs/reference/`,
`docs/servers.md`.

A test fails while the repository differs from what this would write.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from inspect import cleandoc
from pathlib import Path
from typing import Any

import click
import yaml

from reconciler.catalog.server_behaviour import TABLE, Row, range_words
from reconciler.catalog.server_version import Product
from reconciler.cli.main import aliasctl
from reconciler.exercise.run import EXERCISES
from reconciler.manifest.kinds import KINDS
from reconciler.manifest.schema import custom_resource_definition, json_schema
from reconciler.manifest.specs.status import status
from reconciler.render.documents import SCHEMAS

LIMITS = {
    "minimum": "Minimum",
    "maximum": "Maximum",
    "maxItems": "Max items",
    "maxProperties": "Max entries",
    "maxLength": "Max length",
}
SERVERS = """
What Milvus servers do differently, and what aliasctl does about it. *Measured* means seen on Milvus 2.3.5 or Milvus
Lite 3.2.2; *read* means taken from the sources and issues of Milvus, not tested. The versions at which a behavior
begins and ends are always read, and can be off by one patch.

The version is taken from what the server reports, wherever the number stands in it (`pkg/v2.5.4`,
`release/2.4.15-0.1.1`), or else from its build tags, as on Zilliz Cloud. Only numbers from 2.0 to 3.x are Milvus
versions. For a server that reports none, or only a part such as `2.6`, set `serverVersion` in the MilvusConnection. If
the server reports another version than that, every guard assumes the worse of both; `plan` and `check` report it. While
the version is not known, every guard assumes the worst case: drops that could lose other aliases are blocked, and
altering again is tried and its effect checked. The operator reads the version again for each run, because Milvus can be
upgraded behind an open connection. `aliasctl check` lists the known problems of your server. `aliasctl check
--exercise` [verifies on your server](exercise.md) the rows that are marked *exercised*.
"""
NOTICE = "Written by `python -m reconciler.generate`; change the code instead."


def published() -> Iterator[tuple[str, str]]:
    """Every generated file: its path in the repository, and its text."""
    schemas = {kind: json_schema(kind) for kind in KINDS} | {kind: schema() for kind, schema in SCHEMAS.items()}
    for kind, schema in schemas.items():
        yield f"schemas/{kind.lower()}.schema.json", json.dumps(schema, indent=2) + "\n"
    for kind in KINDS:
        definition = yaml.safe_dump(custom_resource_definition(kind), sort_keys=False, width=120)
        yield f"crds/{kind.lower()}s.aliasctl.dev.yaml", f"# {NOTICE}\n{definition}"
    names = "\n".join(f"- {kind.lower()}s.aliasctl.dev.yaml" for kind in KINDS)
    head = f"# {NOTICE}\napiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
    yield "crds/kustomization.yaml", f"{head}resources:\n{names}\n"
    yield "docs/reference/manifests.md", "\n".join(_manifest_reference())
    yield "docs/reference/commands.md", "\n".join(_command_reference())
    yield "docs/servers.md", "\n".join(_server_reference())


def _manifest_reference() -> Iterator[str]:
    yield f"<!-- {NOTICE} -->\n# Manifests\n"
    yield "Every field, with its type, its default and its limits. `aliasctl schema KIND` prints the JSON Schema.\n"
    for kind in KINDS:
        fields: Any = json_schema(kind)["properties"]
        yield f"## {kind}\n"
        yield "| field | type | meaning |\n|---|---|---|"
        yield from _rows("spec", fields["spec"], required=True)
        yield ""
        yield f"### The status of {'an' if kind[0] in 'AEIOU' else 'a'} {kind}\n"
        yield "Written by the operator, in Kubernetes only.\n"
        yield "| field | type | meaning |\n|---|---|---|"
        yield from _rows("status", status(kind), required=False)
        yield ""


def _rows(path: str, schema: Mapping[str, Any], *, required: bool) -> Iterator[str]:
    """One row a field, depth first; a list's items come under `path[]`."""
    yield f"| `{path}` | {_type(schema)}{', required' if required else ''} | {_meaning(schema)} |"
    for name, field in schema.get("properties", {}).items():
        yield from _rows(f"{path}.{name}", field, required=name in schema.get("required", ()))
    items = schema.get("items", {})
    for name, field in items.get("properties", {}).items():
        yield from _rows(f"{path}[].{name}", field, required=name in items.get("required", ()))


def _type(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    kind = str(schema.get("type", "any"))
    if isinstance(values := schema.get("additionalProperties"), dict):
        return f"map of {_type(values)}s"
    return f"list of {_type(schema['items'])}s" if kind == "array" else kind


def _meaning(schema: Mapping[str, Any]) -> str:
    notes = [str(schema.get("description", "")).rstrip(".")]
    notes += [f"Default: `{json.dumps(schema['default'])}`"] if "default" in schema else []
    notes += [f"{words}: {schema[limit]}" for limit, words in LIMITS.items() if limit in schema]
    return ". ".join(note for note in notes if note).replace("|", "\\|") + "."


def _command_reference() -> Iterator[str]:
    yield f"<!-- {NOTICE} -->\n# Commands\n"
    yield from _command("aliasctl", aliasctl)
    context = click.Context(aliasctl)
    for name in aliasctl.list_commands(context):
        if command := aliasctl.get_command(context, name):
            yield from _command(f"aliasctl {name}", command)


def _command(name: str, command: click.Command) -> Iterator[str]:
    """Yield a command's help text and its options; click's own layout differs between its versions."""
    words = "\n".join(line for line in cleandoc(command.help or "").splitlines() if line != "\b")
    yield f"## {name}\n\n```text\n{words}\n```\n"
    arguments = [parameter for parameter in command.params if isinstance(parameter, click.Argument)]
    if arguments:
        yield f"Argument: {', '.join(f'`{argument.human_readable_name}`' for argument in arguments)}.\n"
    yield "| option | meaning |\n|---|---|"
    for option in command.params:
        if isinstance(option, click.Option):
            value = "" if option.is_flag else f" {_value(option)}"
            yield f"| `{', '.join(option.opts)}{value}` | {(option.help or '').replace('|', chr(92) + '|')} |"
    yield ""


def _value(option: click.Option) -> str:
    if isinstance(option.type, click.Choice):
        return "\\|".join(map(str, option.type.choices))
    return option.metavar or option.type.name.upper()


def _server_reference() -> Iterator[str]:
    """Yield the page about server versions: one row per behaviour, in the order of the table."""
    yield f"<!-- {NOTICE} -->\n# Server versions\n"
    yield f"{cleandoc(SERVERS)}\n"
    exercised = {exercise.row for exercise in EXERCISES}
    for product in Product:
        yield f"## {product}\n"
        yield "| version | behavior | consequence | source |\n|---|---|---|---|"
        for row in TABLE:
            if row.product is product:
                source = f"{_linked(row.source)}, {row.evidence}{', exercised' if row.name in exercised else ''}"
                cells = (_versions(row), row.behaviour, row.consequence, source)
                yield f"| {' | '.join(cells)} |"
        yield ""


def _versions(row: Row) -> str:
    return ", ".join(range_words(first, end) for first, end in row.ranges)


def _linked(source: str) -> str:
    return re.sub(r"#(\d+)", r"[#\1](https://github.com/milvus-io/milvus/issues/\1)", source)


def main(folder: Path) -> None:
    """Write every generated file under `folder`."""
    for path, text in published():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
