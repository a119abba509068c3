"""The sets that a set depends on (`spec.dependsOn`): AliasSets of its namespace, by name."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.core.dependencies import cycle_in
from reconciler.core.errors import Problem
from reconciler.manifest.records import Manifests


def absent_dependencies(manifests: Manifests) -> Iterator[Problem]:
    """Yield a problem for each dependency that the manifests do not have."""
    known = {(alias_set.namespace, alias_set.name) for alias_set in manifests.sets}
    for alias_set in manifests.sets:
        for name, source in alias_set.depends_on.items():
            if (alias_set.namespace, name) not in known:
                others = sorted(namespace or "none" for namespace, other in known if other == name)
                here = f" in namespace {alias_set.namespace or 'none'} (there is one in {', '.join(others)})"
                hint = here if others else ""
                yield Problem(f'AliasSet "{name}" is not among the manifests{hint}; give its file with -f', source)


def circular_dependencies(manifests: Manifests) -> Iterator[Problem]:
    """Yield a problem if sets depend on each other, at a place that closes the circle."""
    by_key = {(alias_set.namespace, alias_set.name): alias_set for alias_set in manifests.sets}
    graph = {
        (namespace, name): [(namespace, other) for other in alias_set.depends_on]
        for (namespace, name), alias_set in by_key.items()
    }
    if cycle := cycle_in(graph):
        *_, before, (_, last) = cycle
        path = " → ".join(by_key[key].key for key in cycle)
        yield Problem(f"AliasSets depend on each other: {path}; remove one of them", by_key[before].depends_on[last])
