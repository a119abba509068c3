"""The parts of the operator, wired: everything but the Lease, the web server and the process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event
from typing import Any, Protocol

from reconciler.catalog import Catalog, Observe, connect
from reconciler.catalog import Secrets as ReadSecret
from reconciler.core.model import Connection
from reconciler.operator.clients import Clients, Secrets
from reconciler.operator.cluster import Cluster
from reconciler.operator.events import Events
from reconciler.operator.handlers import Watcher, registry
from reconciler.operator.metrics import Metrics
from reconciler.operator.notifying import Notifier
from reconciler.operator.outages import Outages
from reconciler.operator.publisher import Publisher
from reconciler.operator.queue import Queue, Trigger
from reconciler.operator.reads import SharedReads
from reconciler.operator.reconcile_set import SetReconciler
from reconciler.operator.reconciler import Reconciler
from reconciler.operator.status_page import StatusPages
from reconciler.operator.watching import watch
from reconciler.operator.world import World

EVENTS_SECONDS = 2.0
"""How long Events that are not posted yet may take at the end."""

NOTIFICATIONS_SECONDS = 2.0
"""How long notifications that are not delivered yet may take at the end; the next process delivers the rest."""


class Connect(Protocol):
    """Opens a database, as `catalog.connect` does."""

    def __call__(self, connection: Connection, database: str, *, secrets: ReadSecret, observe: Observe) -> Catalog: ...


class Operator:
    """Watches AliasSets and MilvusConnections, and reconciles them.

    `config`: how to reach the API server, from `cluster.load_config`. `may_write`: whether this process may change
    anything in Milvus.
    """

    def __init__(
        self,
        config: Any,
        cluster: Cluster,
        identity: str,
        may_write: Callable[[], bool],
        *,
        read_only: bool = False,
        alias_info: bool = False,
        connect: Connect = connect,
    ) -> None:
        self.metrics = Metrics(alias_info=alias_info)
        self.world = World()
        secrets = Secrets(cluster)

        def open_database(connection: Connection, database: str) -> Catalog:
            return connect(connection, database, secrets=secrets.value, observe=self.metrics.call)

        self._clients = Clients(secrets, open_database)
        self._events = Events(cluster, identity)
        outages = Outages(lambda ref: self.queue.wake(ref, Trigger.LISTED))
        set_reconciler = SetReconciler(
            self._clients, secrets, SharedReads(), outages, may_write, read_only=read_only, cluster=cluster
        )
        publisher = Publisher(cluster, self.world, self._events)
        self._notifier = Notifier(self.world, publisher, secrets, may_write)
        self.status_pages = StatusPages(self.world, publisher)
        self._reconciler = Reconciler(
            cluster,
            self.world,
            set_reconciler,
            self._clients,
            self._events,
            self.metrics,
            lambda ref: self.queue.step_aside(ref),
            publisher,
            self._notifier.reconciled,
        )
        self.queue = Queue(self._reconciler.work, self._reconciler.lane_of)
        self.watcher = Watcher(self.world, self.queue, self._reconciler)
        self._handlers = registry(self.world, self.watcher, config)

    def watch(self, namespaces: Sequence[str], stop: Event, ready: Event | None = None) -> bool:
        """Watch and reconcile until stopped; see `watching.watch`."""
        return watch(self._handlers, namespaces, stop, ready)

    def stop(self) -> None:
        """End every reconcile early: calls in flight are finished, and nothing further is started."""
        self._reconciler.stop()

    def close(self, seconds: float) -> bool:
        """Stop, post the waiting Events and close all connections; return whether calls ended within `seconds`."""
        self.stop()
        ended = self.queue.stop(seconds)
        self._events.close(EVENTS_SECONDS)
        self._notifier.close(NOTIFICATIONS_SECONDS)
        self._clients.close()
        return ended
