"""kopf handlers: store the objects that the API server sends, and wake the sets that they concern. Nothing else.

kopf puts its finalizer on objects with timers, daemons or deletion handlers. So there are only indexes, which kopf
fills before it calls any other handler, and event handlers. The queue starts with the first event, when every object is
known: no set is reconciled while one with an older claim on its names may still be missing.
"""

from __future__ import annotations

from typing import Any, cast

import kopf

from reconciler.core.reasons import Reason
from reconciler.manifest.kinds import GROUP, VERSION
from reconciler.operator.cluster import bearer_token
from reconciler.operator.dependencies import why_not_ready
from reconciler.operator.objects import Body, ConnectionObject, Ref, SetObject, connection_object, ref_of, set_object
from reconciler.operator.queue import Queue, Trigger
from reconciler.operator.reconciler import Reconciler
from reconciler.operator.status import condition
from reconciler.operator.world import World

SETS = (GROUP, VERSION, "aliassets")
CONNECTIONS = (GROUP, VERSION, "milvusconnections")
DELETED = "DELETED"


class Watcher:
    """Handles objects that were created, changed or deleted."""

    def __init__(self, world: World, queue: Queue, reconciler: Reconciler) -> None:
        self._world = world
        self._queue = queue
        self._reconciler = reconciler
        self.complete = False

    def listed(self) -> None:
        """Start the queue once, after the first listing."""
        if not self.complete:
            self.complete = True
            self._queue.start()

    def set_changed(self, set_object: SetObject) -> None:
        changed = self._world.put(set_object)
        if changed:
            self._reconciler.changed(set_object)
            self._queue.wake(set_object.ref, Trigger.CHANGED if self.complete else Trigger.LISTED)
            self._wake_contested(set_object.ref)
        if self.complete:
            self._wake_dependents(set_object.ref, all_of_them=changed or not why_not_ready(set_object))

    def set_deleted(self, ref: Ref, uid: str) -> None:
        """Forget a set; kopf may report its deletion after the creation of another one with the same name."""
        known = self._world.get(ref)
        if known and known.uid != uid:
            return
        self._queue.forget(ref)
        self._reconciler.deleted(ref)
        self._wake_contested(ref)
        self._wake_dependents(ref, all_of_them=True)

    def connection_changed(self, connection_object: ConnectionObject) -> None:
        if self._world.put_connection(connection_object):
            self._wake_users(connection_object.ref)

    def connection_deleted(self, ref: Ref) -> None:
        self._world.remove_connection(ref)
        self._wake_users(ref)

    def _wake_users(self, connection: Ref) -> None:
        for ref in self._world.using(connection):
            self._queue.wake(ref, Trigger.LISTED)

    def _wake_dependents(self, changed: Ref, *, all_of_them: bool) -> None:
        """Wake the sets that depend on another one, or only those that wait, whose message says what for."""
        for ref in self._world.view().dependents_of(changed) - {changed}:
            dependent = self._world.get(ref)
            if all_of_them or (dependent and _reason(dependent) == Reason.DEPENDENCY_NOT_READY):
                self._queue.wake(ref, Trigger.CHANGED)

    def _wake_contested(self, changed: Ref) -> None:
        """Wake the sets that left names to older ones: they may have them now."""
        for ref, alias_set in self._world.view().sets.items():
            if ref != changed and _reason(alias_set) == Reason.OWNERSHIP_CONFLICT:
                self._queue.wake(ref, Trigger.CHANGED)


def _reason(set_object: SetObject) -> object:
    return condition(set_object.status, "Ready").get("reason")


def registry(world: World, watcher: Watcher, config: Any) -> kopf.OperatorRegistry:
    """Return the handlers for kopf. `config`: how to reach the API server, from `cluster.load_config`."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    def login(**_: object) -> kopf.ConnectionInfo:
        return connection_info(config)

    @kopf.on.startup(registry=handlers)
    def startup(settings: kopf.OperatorSettings, **_: object) -> None:
        settings.posting.enabled = False  # Events are ours
        settings.scanning.disabled = True  # it would need permission to list namespaces and CRDs
        settings.watching.server_timeout = 300
        settings.networking.request_timeout = 30
        settings.networking.error_backoffs = (0.5, 1, 2, 4, 8, 10)

    @kopf.index(*SETS, registry=handlers)
    async def sets(body: kopf.Body, **_: object) -> None:
        watcher.set_changed(set_object(_plain(body), world.get(ref_of(_plain(body)))))

    @kopf.index(*CONNECTIONS, registry=handlers)
    async def connections(body: kopf.Body, **_: object) -> None:
        watcher.connection_changed(connection_object(_plain(body), world.get_connection(ref_of(_plain(body)))))

    @kopf.on.event(*SETS, registry=handlers)
    async def on_set(type: str | None, body: kopf.Body, **_: object) -> None:  # noqa: A002 - kopf's name
        watcher.listed()
        if type == DELETED:
            watcher.set_deleted(ref_of(_plain(body)), str(body.metadata.uid))

    @kopf.on.event(*CONNECTIONS, registry=handlers)
    async def on_connection(type: str | None, body: kopf.Body, **_: object) -> None:  # noqa: A002
        watcher.listed()
        if type == DELETED:
            watcher.connection_deleted(ref_of(_plain(body)))

    return handlers


def connection_info(config: Any) -> kopf.ConnectionInfo:
    """Return how to reach the API server, for kopf, which asks again when the server rejects the token."""
    cluster, user = config.cluster, config.user
    return kopf.ConnectionInfo(
        server=cluster.server,
        ca_path=str(config.abs_file(cluster.certificate_auth)) if cluster.certificate_auth else None,
        ca_data=cluster.certificate_auth_data,
        insecure=cluster.insecure,
        username=user.username if user else None,
        password=user.password if user else None,
        token=bearer_token(config),
        certificate_path=str(config.abs_file(user.client_cert)) if user and user.client_cert else None,
        certificate_data=user.client_cert_data if user else None,
        private_key_path=str(config.abs_file(user.client_key)) if user and user.client_key else None,
        private_key_data=user.client_key_data if user else None,
    )


def _plain(body: kopf.Body) -> Body:
    return cast("Body", body)
