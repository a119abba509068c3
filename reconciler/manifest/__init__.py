"""Manifests: text → AliasSets with their connections, or every mistake in them with its line and column.

    files ─▶ yaml_marks ─▶ validation (schema, rules) ─▶ documents ─▶ Manifests ─▶ targets ─▶ rules ─▶ AliasSets

Nothing here calls a server, and nothing here imports a Milvus client.
"""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.model import AliasSet
from reconciler.manifest.dependencies import absent_dependencies, circular_dependencies
from reconciler.manifest.endpoints import endpoints_left_out, wrong_endpoints
from reconciler.manifest.files import Tree, is_manifest
from reconciler.manifest.hooks import missing_hooks
from reconciler.manifest.load import read, read_tree
from reconciler.manifest.overrides import Overrides
from reconciler.manifest.records import AliasSetManifest, ConnectionManifest, Manifests
from reconciler.manifest.rules import conflicts, in_order
from reconciler.manifest.targets import absent_connections, as_written, retarget

__all__ = [
    "AliasSetManifest",
    "ConnectionManifest",
    "Manifests",
    "Overrides",
    "Tree",
    "check",
    "endpoints_left_out",
    "is_manifest",
    "load",
    "read",
    "read_tree",
    "resolve",
]


def check(manifests: Manifests, *, strict: bool = False) -> tuple[Problem, ...]:
    """Check the documents against each other, without flags, environment or server.

    Args:
        strict: whether a connection, endpoint or dependency that no document describes is an error.

    Returns:
        Warnings: the connections, endpoints and dependencies that no document describes.

    Raises:
        InvalidInput: with every conflict.
    """
    problems = [*conflicts(as_written(manifests)), *circular_dependencies(manifests)]
    absent = [*absent_connections(manifests), *absent_dependencies(manifests)]
    for alias_set in manifests.sets:
        problems += [*wrong_endpoints(alias_set, manifests), *missing_hooks(alias_set, manifests)]
    if problems or (strict and absent):
        raise InvalidInput(*in_order([*problems, *(absent if strict else ())]))
    return tuple(in_order(absent))


def load(
    *paths: str | os.PathLike[str], flags: Overrides | None = None, environment: Overrides | None = None
) -> tuple[AliasSet, ...]:
    """Return the AliasSets of manifests with servers and databases resolved, free of conflicts.

    Args:
        paths: files, folders, `-` for standard input.
        flags: settings that override the manifests.
        environment: settings where manifests have none; by default none, whatever the process's environment has.

    Raises:
        InvalidInput: with every problem.
    """
    return resolve(read(paths), flags or Overrides(), environment or Overrides())


def resolve(manifests: Manifests, flags: Overrides, environment: Overrides) -> tuple[AliasSet, ...]:
    """Return the sets with servers and databases, checked against each other.

    Raises `InvalidInput`: with every problem.
    """
    sets = retarget(manifests, flags, environment, Path.cwd())
    problems = [*conflicts(sets), *absent_dependencies(manifests), *circular_dependencies(manifests)]
    if problems:
        raise InvalidInput(*in_order(problems))
    return sets
