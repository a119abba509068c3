"""Keep all AliasSets and MilvusConnections as they were last seen.

The threads of kopf put objects in. The threads that reconcile use a `View`: a snapshot, with what follows only from all
objects together, such as which sets share a database, and which set has authority over a name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from threading import RLock

from msgspec import Struct

from reconciler.core.errors import InvalidInput
from reconciler.core.model import AliasSet, Connection, Target
from reconciler.manifest.objects import connect
from reconciler.manifest.records import AliasSetManifest, ConnectionManifest
from reconciler.operator.claims import Claims
from reconciler.operator.dependencies import dependents_by_set
from reconciler.operator.objects import Body, ConnectionObject, Ref, SetObject, ref_of, set_object
from reconciler.reconcile import target_of


class View(Struct, frozen=True, dict=True):
    """A snapshot of all objects."""

    sets: Mapping[Ref, SetObject]
    connections: Mapping[Ref, ConnectionObject]

    @cached_property
    def desired(self) -> Mapping[Ref, AliasSet | InvalidInput]:
        """Return each set with a valid spec and its connection, or why it has no connection."""
        by_namespace: dict[str, dict[str, ConnectionManifest]] = defaultdict(dict)
        for ref, connection in self.connections.items():
            if isinstance(connection.spec, ConnectionManifest):
                by_namespace[ref.namespace][ref.name] = connection.spec
        found: dict[Ref, AliasSet | InvalidInput] = {}
        for ref, alias_set in self.sets.items():
            if isinstance(alias_set.spec, AliasSetManifest):
                try:
                    found[ref] = connect(alias_set.spec, by_namespace[ref.namespace])
                except InvalidInput as error:
                    found[ref] = error
        return found

    def missing(self, ref: Ref) -> str:
        """Return which connections of a set are missing or cannot be used; empty if none are."""
        spec = self.sets[ref].spec
        if not isinstance(spec, AliasSetManifest):
            return ""
        reasons = []
        for name in sorted({spec.connection_name, *spec.endpoints}):
            found = self.connections.get(Ref(ref.namespace, name))
            if found is None:
                reasons.append(f'there is no MilvusConnection "{name}" in namespace {ref.namespace}')
            elif isinstance(found.spec, InvalidInput):
                reasons.append(f'MilvusConnection "{name}" cannot be used: {found.spec.in_one_line}')
        return "; ".join(reasons)

    @cached_property
    def by_target(self) -> Mapping[Target, Mapping[Ref, AliasSet]]:
        """Return the sets of each database, the oldest first."""
        targets: dict[Target, dict[Ref, AliasSet]] = defaultdict(dict)
        for ref in sorted(self.desired, key=lambda ref: self.sets[ref].age):
            desired = self.desired[ref]
            if isinstance(desired, AliasSet):
                targets[target_of(desired)][ref] = desired
        return targets

    @cached_property
    def claims(self) -> Mapping[Target, Claims]:
        return {target: Claims(sets) for target, sets in self.by_target.items()}

    @cached_property
    def dependents(self) -> Mapping[Ref, Sequence[Ref]]:
        """Return, for each set that others depend on, those others."""
        return dependents_by_set(self.sets)

    def dependents_of(self, ref: Ref) -> set[Ref]:
        """Return the sets that depend on a set, also through others."""
        found: set[Ref] = set()
        left = [ref]
        while left:
            new = set(self.dependents.get(left.pop(), ())) - found
            found |= new
            left += new
        return found

    @cached_property
    def connections_in_use(self) -> frozenset[Connection]:
        """Return the connections of all sets, including their endpoints."""
        sets = [alias_set for alias_set in self.desired.values() if isinstance(alias_set, AliasSet)]
        return frozenset(
            connection
            for alias_set in sets
            for connection in (alias_set.connection, *alias_set.verify.endpoints)
            if connection
        )


class World:
    """The objects, by name. Used by several threads."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._sets: dict[Ref, SetObject] = {}
        self._observed: dict[Ref, SetObject] = {}  # as last reconciled, or queued for it
        self._connections: dict[Ref, ConnectionObject] = {}
        self._view: View | None = None

    def view(self) -> View:
        """Return a snapshot; the same one as before while nothing but a status has changed."""
        with self._lock:
            if self._view is None:
                self._view = View(dict(self._sets), dict(self._connections))
            return self._view

    def get(self, ref: Ref) -> SetObject | None:
        with self._lock:
            return self._sets.get(ref)

    def get_connection(self, ref: Ref) -> ConnectionObject | None:
        with self._lock:
            return self._connections.get(ref)

    def put(self, set_object: SetObject) -> bool:
        """Store a set from the watch. Return whether it changed, status apart, since it was last reconciled."""
        with self._lock:
            observed = self._observed.get(set_object.ref)
            self._observed[set_object.ref] = set_object
            self._keep(set_object)
            return observed is None or not set_object.asks_as(observed)

    def take(self, body: Body, *, observed: bool) -> SetObject:
        """Store a set from a response of the API server, unless the watch has delivered a newer one. Return the newest.

        `observed`: whether the caller reconciles it. If not, as after a write of the status, a change of the spec that
        the response contains is still news when the watch delivers it.
        """
        received = set_object(body, self.get(ref_of(body)))
        with self._lock:
            known = self._sets.get(received.ref)
            if known and known.uid == received.uid and known.version > received.version:
                return known
            if observed:
                self._observed[received.ref] = received
            self._keep(received)
        return received

    def _keep(self, set_object: SetObject) -> None:
        earlier = self._sets.get(set_object.ref)
        self._sets[set_object.ref] = set_object
        if earlier is None or not set_object.asks_as(earlier):
            self._view = None

    def put_connection(self, connection_object: ConnectionObject) -> bool:
        """Store a connection. Return whether it has changed."""
        with self._lock:
            changed = self._connections.get(connection_object.ref) != connection_object
            self._connections[connection_object.ref] = connection_object
            if changed:
                self._view = None
            return changed

    def remove(self, set_object: SetObject) -> bool:
        """Remove a deleted set. Return whether no set has its name now; there may be a new one."""
        with self._lock:
            known = self._sets.get(set_object.ref)
            if known and known.uid == set_object.uid:
                del self._sets[set_object.ref]
                self._observed.pop(set_object.ref, None)
                self._view = None
            return set_object.ref not in self._sets

    def remove_connection(self, ref: Ref) -> None:
        with self._lock:
            if self._connections.pop(ref, None):
                self._view = None

    def using(self, connection: Ref) -> list[Ref]:
        """Return the sets that name a connection, as their own or as an endpoint."""
        with self._lock:
            return [
                ref
                for ref, alias_set in self._sets.items()
                if ref.namespace == connection.namespace
                and isinstance(alias_set.spec, AliasSetManifest)
                and connection.name in (alias_set.spec.connection_name, *alias_set.spec.endpoints)
            ]
