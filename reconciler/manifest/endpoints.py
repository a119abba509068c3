"""The further ways to a Milvus that a set is verified through: MilvusConnections of the set's namespace, by name.

Each is another proxy, or the same one with the token of another user. They are not addresses, because the author of an
AliasSet must not be able to send a connection's token somewhere else.
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
    """Yield a problem for each endpoint that adds nothing: the same address and token again, or Milvus Lite."""
    home = manifests.connections.get((desired.namespace, desired.connection_name))
    earlier = [home] if home else []
    for item in endpoints_of(desired, manifests):
        source = desired.endpoints[item.name]
        if item.uri == item.address:
            yield Problem(f'MilvusConnection "{item.name}" is a Milvus Lite file, not a proxy of a server', source)
        elif twin := next((other for other in earlier if _reads_alike(item, other)), None):
            reason = f'has the address of "{twin.name}", {twin.address}, and no other token'
            remedy = "give it the address of another proxy, or the token of another user"
            yield Problem(f'MilvusConnection "{item.name}" {reason}; {remedy}', source)
        earlier.append(item)


def _reads_alike(item: ConnectionManifest, other: ConnectionManifest) -> bool:
    """Return whether reads through an endpoint would prove no more than those through another connection."""
    return item.address == other.address and item.token in (None, other.token)


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
