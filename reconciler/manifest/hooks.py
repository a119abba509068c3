"""The hooks that gates of a set name: they are those of its MilvusConnection, which has their addresses and secrets."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.errors import Problem
from reconciler.core.text import did_you_mean
from reconciler.manifest.records import AliasSetManifest, Manifests


def missing_hooks(desired: AliasSetManifest, manifests: Manifests) -> Iterator[Problem]:
    """Yield a problem for each hook that gates of a set name, and its connection does not have."""
    connection = manifests.connections.get((desired.namespace, desired.connection_name))
    if connection is None:  # which has a problem of its own
        return
    known = {hook.name for hook in connection.hooks}
    for name, source in desired.hooks:
        if name not in known:
            message = f'MilvusConnection "{connection.name}" has no hook "{name}"{did_you_mean(name, known)}'
            yield Problem(f"{message}; define it under spec.hooks there", source)
