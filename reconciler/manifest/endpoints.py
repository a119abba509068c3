"""The further proxies of a Milvus that a set is verified through: MilvusConnections of the set's namespace, by name.

They are not addresses, because the author of an AliasSet must not be able to send a connection's token somewhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.core.errors import Problem
from reconciler.core.model import AliasSet
from reconciler.manifest.records import AliasSetManifest, ConnectionManifest, Manifests


def absent_endpoints(desired: AliasSetManifest, manifests: Manifests) -> Iterator[Problem]:
    """Yield a problem for each endpoint of a set that the manifests do not have."""
    for name, source in desired.endpoints.items():
        if (desired.namespace, name) not in manifests.connections:
            yield Problem(
                f'MilvusConnection "{name}" is not among the manifests{elsewhere(desired, name, manifests)}; '
                "give its file with -f",
                source,
            )


def elsewhere(desired: AliasSetManifest, name: str, manifests: Manifests) -> str:
    """Say in which other namespaces there is a connection of this name; empty where there is none."""
    others = sorted(namespace or "none" for namespace, other in manifests.connections if other == name)
    return f" in namespace {desired.namespace or 'none'} (there is one in {', '.join(others)})" if others else ""


def endpoints_of(desired: AliasSetManifest, manifests: Manifests) -> list[ConnectionManifest]:
    """Return those endpoints of a set that the manifests have."""
    known = manifests.connections
    return [known[desired.namespace, name] for name in desired.endpoints if (desired.namespace, name) in known]


def wrong_endpoints(desired: AliasSetManifest, manifests: Manifests) -> Iterator[Problem]:
    """Yield a problem for each endpoint that is no further proxy: the same address again, or Milvus Lite."""
    first: dict[str, str] = {}
    if home := manifests.connections.get((desired.namespace, desired.connection_name)):
        first[home.address] = home.name
    for item in endpoints_of(desired, manifests):
        source = desired.endpoints[item.name]
        if item.uri == item.address:
            yield Problem(f'MilvusConnection "{item.name}" is a Milvus Lite file, not a proxy of a server', source)
        elif first.setdefault(item.address, item.name) != item.name:
            reason = f'has the address of "{first[item.address]}", {item.address}; each proxy has one of its own'
            yield Problem(f'MilvusConnection "{item.name}" {reason}', source)


def endpoints_left_out(manifests: Manifests, sets: Sequence[AliasSet]) -> tuple[Problem, ...]:
    """Return a warning for each set that this run sends to another server than its endpoints are proxies of."""
    return tuple(
        Problem(
            f'these endpoints are left out: they are proxies of "{before.connection_name}", '
            f"and this run goes to {after.connection.address}",
            next(iter(before.endpoints.values())),
        )
        for before, after in zip(manifests.sets, sets, strict=True)
        if before.endpoints and after.connection and not after.verify.endpoints
    )
