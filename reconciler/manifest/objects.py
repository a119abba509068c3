"""Kubernetes objects → records: what the operator reads manifests from.

An object has no file, line and column, so every problem names the field's path: `spec.aliases[3].collection: …`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from msgspec.structs import replace

from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.model import AliasSet
from reconciler.manifest import documents
from reconciler.manifest.endpoints import wrong_endpoints
from reconciler.manifest.hooks import missing_hooks
from reconciler.manifest.records import AliasSetManifest, ConnectionManifest, Manifests
from reconciler.manifest.rules import conflicts
from reconciler.manifest.targets import as_written
from reconciler.manifest.validation import problems_of
from reconciler.manifest.yaml_marks import Document, Node, Value


def read_alias_set(body: Mapping[str, object]) -> AliasSetManifest:
    """Read an AliasSet as the API server returns it.

    `body`: the object; its status, and of its metadata all but name and namespace, are not looked at. Raises
    `InvalidInput`: everything that is wrong with it by itself. Files, which the command line takes, are wrong.
    """
    manifest = documents.alias_set(_checked("AliasSet", body), {})
    if problems := conflicts(as_written(Manifests(sets=(manifest,)))):
        raise _refused(problems)
    return manifest


def read_connection(body: Mapping[str, object]) -> ConnectionManifest:
    """Read a MilvusConnection as the API server returns it.

    Raises `InvalidInput`: everything that is wrong with it by itself. Milvus Lite, files and environment variables,
    which the command line takes, are wrong. Nothing that may be a token is repeated.
    """
    return documents.connection(_checked("MilvusConnection", body), Path("/"))


def missing_connections(manifest: AliasSetManifest, connections: Mapping[str, ConnectionManifest]) -> tuple[str, ...]:
    """Return the names of the MilvusConnections of a set, its endpoints included, that do not exist; sorted."""
    return tuple(sorted({manifest.connection_name, *manifest.endpoints} - connections.keys()))


def connect(manifest: AliasSetManifest, connections: Mapping[str, ConnectionManifest]) -> AliasSet:
    """Return the set with its connection and its endpoints.

    `connections`: the MilvusConnections of the set's namespace, by name. Raises `InvalidInput`: a MilvusConnection that
    the set names does not exist (`missing_connections` tells these cases from the others), or an endpoint adds
    nothing: it has the address and token of another one; or its connection lacks a hook that a gate names.
    """
    known = {(manifest.namespace, name): connection for name, connection in connections.items()}
    manifests = Manifests(known, (manifest,))
    problems = [*_missing(manifest, connections), *wrong_endpoints(manifest, manifests)]
    problems += missing_hooks(manifest, manifests)
    if problems:
        raise _refused(problems)
    [bound] = as_written(manifests)
    # Messages that name a set name its place, too; a field's path says nothing there. Runs of the operator have one
    # set: what it depends on is in the status of other objects.
    return replace(bound, source=None, depends_on=())


def _checked(kind: str, body: Mapping[str, object]) -> Node:
    """Return the fields of an object that manifests have, as a valid document. Raises `InvalidInput`."""
    ours: dict[str, object] = {name: body[name] for name in ("apiVersion", "kind", "spec") if name in body}
    metadata = body.get("metadata")
    if isinstance(metadata, Mapping):
        ours["metadata"] = {name: metadata[name] for name in ("name", "namespace") if name in metadata}
    root = _node(ours, "")
    try:
        problems = problems_of(kind, Document(root, []), operator=True)
    except UnicodeEncodeError as error:
        raise InvalidInput(Problem("half a character is no text")) from error
    if problems:
        raise _refused(problems)
    return root


def _node(value: object, path: str) -> Node:
    """Return a value as the YAML reader does, with its path as its place."""
    if isinstance(value, Mapping):
        fields = {name: _node(below, f"{path}.{name}" if path else str(name)) for name, below in value.items()}
        # A key's own place is its mapping: under `token`, what stands as a key may be the token.
        marks = dict.fromkeys(fields)
        return Node({name: child.value for name, child in fields.items()}, path, fields=fields, marks=marks)
    if isinstance(value, list | tuple):
        items = [_node(below, f"{path}[{index}]") for index, below in enumerate(value)]
        return Node([child.value for child in items], path, items=items)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return Node(cast("Value", value), path, text=text)


def _missing(manifest: AliasSetManifest, connections: Mapping[str, ConnectionManifest]) -> Iterator[Problem]:
    places = {**manifest.endpoints, manifest.connection_name: manifest.connection_source}
    for name in missing_connections(manifest, connections):
        yield Problem(f'there is no MilvusConnection "{name}" in namespace "{manifest.namespace}"', places[name])


def _refused(problems: list[Problem]) -> InvalidInput:
    """Return all problems, sorted by path; the path goes into the message, since it is no place in a file."""

    def place(problem: Problem) -> list[str | int]:
        # The tenth alias comes after the second one.
        return [int(part) if part.isdigit() else part for part in re.split("([0-9]+)", _path(problem))]

    ordered = sorted(dict.fromkeys(problems), key=place)
    return InvalidInput(
        *(Problem(f"{path}: {item.message}" if (path := _path(item)) else item.message) for item in ordered)
    )


def _path(problem: Problem) -> str:
    return problem.source.file if problem.source else ""
