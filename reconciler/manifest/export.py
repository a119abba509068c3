"""A live catalog written down as AliasSets that plan to no change; and read back as the live side of a plan.

What `export` writes has a scope that includes nothing: taking it over drops nothing until someone writes a pattern
there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, count

import yaml

from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.fields import NAME_PATTERN
from reconciler.core.model import (
    Alias,
    AliasSet,
    Collection,
    Connection,
    Credential,
    Limits,
    LiveCatalog,
    OnFailure,
    Scope,
    Target,
    Verify,
)
from reconciler.manifest.kinds import API_VERSION

ALIASES_A_SET = 1000
MAX_NAME = 240
"""Characters of an object's name, with room for a number behind it."""


class _Flow(dict[str, object]):
    """A mapping to be written on one line."""


class _Dumper(yaml.SafeDumper):
    """Block style, keys in the order given, lists indented; `_Flow` on one line however long it is."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - PyYAML's name
        super().increase_indent(flow, indentless=False)


_Dumper.add_representer(
    _Flow, lambda dumper, data: dumper.represent_mapping("tag:yaml.org,2002:map", data, flow_style=True)
)


def exported(
    databases: Mapping[str, Mapping[str, str]], connection: Connection, *, with_connection: bool
) -> Iterator[str]:
    """Yield the manifest's text in pieces: a MilvusConnection if requested, then an AliasSet per 1,000 aliases.

    `databases`: every alias of each database, and its collection. `with_connection`: whether to write the connection
    too: when no manifest has it.
    """
    if with_connection:
        yield _document("MilvusConnection", connection.name, "", _connection(connection))
    taken: set[str] = set()
    for database, pointing in databases.items():
        names = sorted(pointing)
        parts = [names[start : start + ALIASES_A_SET] for start in range(0, len(names), ALIASES_A_SET)] or [[]]
        for number, part in enumerate(parts, 1):
            name = _free_name(_object_name(database) + (f"-{number}" if len(parts) > 1 else ""), taken)
            spec = {
                "connectionRef": _Flow(name=connection.name),
                "database": database,
                "scope": _Flow(include=[]),
                "aliases": [_Flow(name=alias, collection=pointing[alias]) for alias in part],
            }
            yield _document("AliasSet", name, connection.namespace, spec)


def live_from_export(sets: Iterable[AliasSet], targets: Iterable[Target]) -> dict[Target, LiveCatalog]:
    """Return the live side of a plan, from exported sets.

    An export does not have everything: which other collections exist, and whether they are loaded. `sets`: from an
    export, with their connections. Raises `InvalidInput`: this is no export, or it has nothing about one of the
    databases.
    """
    sets = list(sets)
    _check_exports(sets)
    pointing: dict[Target, dict[str, str | None]] = {}
    for alias_set in sets:
        if alias_set.connection:
            here = pointing.setdefault(Target(alias_set.connection.address, alias_set.database), {})
            here.update((alias.name, alias.collection) for alias in alias_set.aliases if alias.collection)
    missing = [
        Problem(f"the export has nothing about {target}; aliasctl export --database {target.database} writes it")
        for target in targets
        if target not in pointing
    ]
    if missing:
        raise InvalidInput(*missing)
    return {target: _live(target, here) for target, here in pointing.items()}


def _check_exports(sets: Iterable[AliasSet]) -> None:
    """Refuse what `export` never writes: a desired state read as the live side would never show a change."""
    problems = [
        Problem(
            "this is no export: it has a scope, limits, waves, gates, verification, protection or Absent aliases",
            alias_set.source,
        )
        for alias_set in sets
        if alias_set.scope != Scope()
        or alias_set.limits != Limits()
        or alias_set.verify != Verify()
        or alias_set.on_failure != OnFailure.STOP
        or alias_set.suspend
        or any(alias != Alias(alias.name, alias.collection) or not alias.collection for alias in alias_set.aliases)
    ]
    if problems:
        raise InvalidInput(*problems)


def _live(target: Target, pointing: Mapping[str, str | None]) -> LiveCatalog:
    described = {name: Collection(name) for name in pointing.values() if name}
    return LiveCatalog(target, "", frozenset(pointing), pointing, frozenset(described), described)


def _document(kind: str, name: str, namespace: str, spec: Mapping[str, object]) -> str:
    metadata = _Flow(name=name, namespace=namespace) if namespace else _Flow(name=name)
    document = {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}
    return "---\n" + yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=10_000, allow_unicode=True)


def _connection(connection: Connection) -> dict[str, object]:
    spec: dict[str, object] = {"uri": connection.uri}
    if connection.token:
        spec["token"] = _place(connection.token)
    tls = connection.tls
    if tls:
        files = {"caFile": tls.ca, "certFile": tls.cert, "keyFile": tls.key}
        spec["tls"] = _Flow(
            {key: credential.file for key, credential in files.items() if credential}
            | ({"serverName": tls.server_name} if tls.server_name else {})
        )
    return spec


def _place(token: Credential) -> _Flow:
    return _Flow(env=token.env) if token.env else _Flow(file=token.file)


def _object_name(database: str) -> str:
    """Return a Kubernetes object name for a database name."""
    return re.sub(r"[^a-z0-9]+", "-", database.lower())[:MAX_NAME].strip("-") or "aliases"


def _free_name(name: str, taken: set[str]) -> str:
    """Return a name that is not taken yet, and take it: the names of two databases may differ in `_` only."""
    free = next(each for each in chain([name], (f"{name}-{number}" for number in count(2))) if each not in taken)
    taken.add(free)
    return free


def nameable(name: str) -> bool:
    """Return whether a manifest can have this name of an alias, a collection or a database."""
    return re.fullmatch(NAME_PATTERN, name, re.ASCII) is not None


def exportable(pointing: Mapping[str, str]) -> tuple[dict[str, str], Sequence[str]]:
    """Split aliases into those that a manifest can name and those that none can (Milvus Lite accepts any string)."""
    good = {alias: target for alias, target in pointing.items() if nameable(alias) and nameable(target)}
    return good, sorted(pointing.keys() - good.keys())
