"""`aliasctl operator`: waits for the Lease, works, and ends when it is told to or the Lease is lost."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from threading import Event, Thread

import structlog

from reconciler.catalog import Catalog, connect
from reconciler.core.model import Connection
from reconciler.operator.clients import Clients, Secrets
from reconciler.operator.cluster import Cluster, load_config
from reconciler.operator.events import Events
from reconciler.operator.examine import Examiner
from reconciler.operator.handlers import Watcher, registry
from reconciler.operator.lease import Elector
from reconciler.operator.metrics import Metrics
from reconciler.operator.objects import Ref
from reconciler.operator.outages import Outages
from reconciler.operator.queue import Queue, Trigger
from reconciler.operator.reads import SharedReads
from reconciler.operator.reconciler import Reconciler
from reconciler.operator.watching import watch
from reconciler.operator.world import World
from reconciler.service.web import Answer, Web, metrics, verdict
from reconciler.version import __version__

STOP_SECONDS = 20.0
"""How long calls in flight may take to end; less than the Deployment's terminationGracePeriodSeconds."""
SILENT_SECONDS = 60.0
OVERDUE_SECONDS = 120.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says.

    Args:
        namespaces: whose objects are worked on; empty for all.
        read_only: change nothing, but tell what would change.
        lease: the Lease that the one who writes holds.
        listen: `host:port` for probes and metrics.
        kubeconfig: a file; None for what `cluster.load_config` finds.
        alias_info: a metric series for each alias.
    """

    namespaces: Sequence[str]
    read_only: bool
    lease: Ref
    listen: str
    kubeconfig: Path | None
    alias_info: bool = False


def run(settings: Settings) -> int:
    """Work until told to stop; the exit code.

    Raises:
        InvalidInput: it cannot listen where it should.
        ClusterError: no way to reach a Kubernetes API server, or one that knows no AliasSets.
    """
    return _Operator(settings, Event()).run()


class _Operator:
    """All parts of one process."""

    def __init__(self, settings: Settings, stop: Event) -> None:
        self._settings = settings
        self._stop = stop
        self._config = load_config(settings.kubeconfig)
        self._cluster = Cluster(self._config)
        self._identity = f"{socket.gethostname()}_{os.getpid()}_{token_hex(4)}"
        self._metrics = Metrics(alias_info=settings.alias_info)
        self._elector = Elector(self._cluster, settings.lease, self._identity, self._on_lost)
        self._metrics.leader.set_function(lambda: self._elector.held)
        self._world = World()
        secrets = Secrets(self._cluster)

        def open_database(connection: Connection, database: str) -> Catalog:
            return connect(connection, database, secrets=secrets.value, observe=self._metrics.call)

        self._clients = Clients(secrets, open_database)
        self._events = Events(self._cluster, self._identity)
        examiner = Examiner(
            self._clients,
            secrets,
            SharedReads(),
            Outages(lambda ref: self._queue.wake(ref, Trigger.LISTED)),
            lambda: self._elector.held,
            read_only=settings.read_only,
        )
        self._reconciler = Reconciler(
            self._cluster,
            self._world,
            examiner,
            self._clients,
            self._events,
            self._metrics,
            lambda ref: self._queue.step_aside(ref),
        )
        self._queue = Queue(self._reconciler.work, self._reconciler.lane_of)
        self._watcher = Watcher(self._world, self._queue, self._reconciler)

    def run(self) -> int:
        """See `run`."""
        pages = {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": lambda: metrics(self._metrics.text()),
        }
        web = Web(self._settings.listen, pages)
        log.info("started", version=__version__, identity=self._identity, port=web.port)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self._stop.set())
        try:
            well = not self._elector.acquire(self._stop) or self._work()
        finally:
            self._finish(web)
        return 0 if well else 1

    def _work(self) -> bool:
        """Watch and work, until told to stop; False if it ended by itself."""
        self._cluster.require_crds(self._settings.namespaces)
        Thread(target=self._drain_on_stop, name="stop", daemon=True).start()
        handlers = registry(self._world, self._watcher, self._config)
        return watch(handlers, self._settings.namespaces, self._stop)

    def _drain_on_stop(self) -> None:
        """Stop the looks as soon as the process is told to, not only after kopf has ended."""
        self._stop.wait()
        self._reconciler.stop()

    def _finish(self, web: Web) -> None:
        self._reconciler.stop()
        ended = self._queue.stop(STOP_SECONDS)
        self._events.close(2.0)
        self._clients.close()
        if ended:
            self._elector.release()
        else:  # whoever comes next waits until the Lease has run out, as after a death
            log.warning("calls in flight did not end in time; the lease is kept", seconds=STOP_SECONDS)
        web.close()
        log.info("stopped")

    def _on_lost(self, reason: str) -> None:
        """The Lease is lost: another process may write now, so this one must not even finish what it has begun."""
        if self._stop.is_set():
            return
        log.error("the lease is lost; ending", reason=reason)
        self._reconciler.stop()
        time.sleep(1.0)  # for calls in flight: nobody else starts before the Lease has run out
        sys.stderr.flush()
        os._exit(1)

    def _healthz(self) -> Answer:
        silent = self._queue.silent if self._watcher.complete else 0.0
        return verdict(f"no sign of life for {silent:.0f} s" if silent > SILENT_SECONDS else None)

    def _readyz(self) -> Answer:
        if not self._elector.held:
            return verdict(None, "standing by")
        overdue = self._queue.overdue
        return verdict(f"a set is {overdue:.0f} s overdue" if overdue > OVERDUE_SECONDS else None)
