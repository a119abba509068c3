"""All AliasSets and MilvusConnections that we know of, as they were last seen.

The threads of kopf put objects in, the threads that reconcile look at a `View`: a picture of one moment, which holds
what only all objects together tell: which sets share a database, and whose claim on a name is older.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from threading import RLock

from reconciler.core.errors import InvalidInput
from reconciler.core.model import AliasSet, Connection, Target
from reconciler.manifest.objects import connect
from reconciler.manifest.records import AliasSetManifest, ConnectionManifest
from reconciler.operator.claims import Claims
from reconciler.operator.objects import Body, ConnectionObject, Ref, SetObject, ref_of, set_object
from reconciler.reconcile import target_of


@dataclass(frozen=True)
class View:
    """What was known at one moment."""

    sets: Mapping[Ref, SetObject]
    connections: Mapping[Ref, ConnectionObject]

    @cached_property
    def desired(self) -> Mapping[Ref, AliasSet | InvalidInput]:
        """Each set whose spec can be used, with its connection, or why that is not there."""
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
        """Which connections a set names that are not there or cannot be used; empty if it lacks none."""
        spec = self.sets[ref].spec
        if not isinstance(spec, AliasSetManifest):
            return ""
        reasons = []
        for name in sorted({spec.connection_name, *spec.endpoints}):
            found = self.connections.get(Ref(ref.namespace, name))
            if found is None:
                reasons.append(f'there is no MilvusConnection "{name}" in namespace {ref.namespace}')
            elif isinstance(found.spec, InvalidInput):
                problems = "; ".join(problem.message for problem in found.spec.problems)
                reasons.append(f'MilvusConnection "{name}" cannot be used: {problems}')
        return "; ".join(reasons)

    @cached_property
    def by_target(self) -> Mapping[Target, Mapping[Ref, AliasSet]]:
        """The sets of each database, the oldest first."""
        targets: dict[Target, dict[Ref, AliasSet]] = defaultdict(dict)
        for ref in sorted(self.desired, key=lambda ref: self.sets[ref].age):
            desired = self.desired[ref]
            if isinstance(desired, AliasSet):
                targets[target_of(desired)][ref] = desired
        return targets

    @cached_property
    def claims(self) -> Mapping[Target, Claims]:
        """Who has authority over which names, by database."""
        return {target: Claims(sets) for target, sets in self.by_target.items()}

    @cached_property
    def connections_in_use(self) -> frozenset[Connection]:
        """Of all sets, their endpoints included."""
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
        self._heeded: dict[Ref, SetObject] = {}  # what a look was made at, or was asked for
        self._connections: dict[Ref, ConnectionObject] = {}
        self._view: View | None = None

    def view(self) -> View:
        """The present moment; the same view as before while nothing has changed that it shows, status apart."""
        with self._lock:
            if self._view is None:
                self._view = View(dict(self._sets), dict(self._connections))
            return self._view

    def get(self, ref: Ref) -> SetObject | None:
        """A set as it was last seen, with its newest status."""
        with self._lock:
            return self._sets.get(ref)

    def get_connection(self, ref: Ref) -> ConnectionObject | None:
        with self._lock:
            return self._connections.get(ref)

    def put(self, set_object: SetObject) -> bool:
        """The watch told of a set; whether it asks for anything that was not heeded yet."""
        with self._lock:
            observed = self._heeded.get(set_object.ref)
            self._heeded[set_object.ref] = set_object
            self._keep(set_object)
            return observed is None or not set_object.asks_as(observed)

    def take(self, body: Body, *, observed: bool) -> SetObject:
        """A set as the API server has just given it; if the watch has told of a newer one meanwhile, that one.

        Args:
            body: the whole object.
            heeded: whether the caller acts on all that it asks for. If not, as with the answer to a write of the
                status, a wish that it brings is still news when the watch tells of it.
        """
        item = set_object(body, self.get(ref_of(body)))
        with self._lock:
            known = self._sets.get(item.ref)
            if known and known.uid == item.uid and known.version > item.version:
                return known
            if observed:
                self._heeded[item.ref] = item
            self._keep(item)
        return item

    def _keep(self, set_object: SetObject) -> None:
        earlier = self._sets.get(set_object.ref)
        self._sets[set_object.ref] = set_object
        if earlier is None or not set_object.asks_as(earlier):
            self._view = None

    def put_connection(self, connection_object: ConnectionObject) -> bool:
        """A connection was seen; whether it differs from before."""
        with self._lock:
            changed = self._connections.get(connection_object.ref) != connection_object
            self._connections[connection_object.ref] = connection_object
            if changed:
                self._view = None
            return changed

    def remove(self, set_object: SetObject) -> bool:
        """A set is gone; whether there is none of its name now, as somebody may have made a new one meanwhile."""
        with self._lock:
            known = self._sets.get(set_object.ref)
            if known and known.uid == set_object.uid:
                del self._sets[set_object.ref]
                self._heeded.pop(set_object.ref, None)
                self._view = None
            return set_object.ref not in self._sets

    def remove_connection(self, ref: Ref) -> None:
        with self._lock:
            if self._connections.pop(ref, None):
                self._view = None

    def using(self, connection: Ref) -> list[Ref]:
        """The sets that name a connection, as their own or as an endpoint."""
        with self._lock:
            return [
                ref
                for ref, alias_set in self._sets.items()
                if ref.namespace == connection.namespace
                and isinstance(alias_set.spec, AliasSetManifest)
                and connection.name in (alias_set.spec.connection_name, *alias_set.spec.endpoints)
            ]
