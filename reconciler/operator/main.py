"""`aliasctl operator`: waits for the Lease, works, and ends when it is stopped or the Lease is lost."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from secrets import token_hex
from threading import Event, Thread

import structlog
from msgspec import Struct

from reconciler.operator.cluster import Cluster, load_config
from reconciler.operator.lease import Elector
from reconciler.operator.objects import Ref
from reconciler.operator.wiring import Operator
from reconciler.render.status_page import StatusPage, status_page
from reconciler.service.process import serving, stopping_on_signals
from reconciler.service.web import Answer, Page, liveness, page_of, probe
from reconciler.version import __version__

STOP_SECONDS = 20.0
"""How long calls in flight may take to end; less than the Deployment's terminationGracePeriodSeconds."""
SILENT_SECONDS = 60.0
OVERDUE_SECONDS = 120.0

log = structlog.get_logger()


class Settings(Struct, frozen=True):
    """What the command line sets.

    Args:
        namespaces: whose objects are reconciled; empty for all.
        listen: `host:port` for probes, metrics and the status page.
        kubeconfig: a file; None for what `cluster.load_config` finds.
        status_page: whether the status page is served.
        allow_hosts: see `Web`.
    """

    namespaces: Sequence[str]
    read_only: bool
    lease: Ref
    listen: str
    kubeconfig: Path | None
    alias_info: bool = False
    status_page: bool = True
    allow_hosts: Sequence[str] = ()


class Process:
    """An operator that works while it holds the Lease.

    Raises `ClusterError`: no way to reach a Kubernetes API server.
    """

    def __init__(self, settings: Settings, stop: Event) -> None:
        self._settings = settings
        self._stop = stop
        config = load_config(settings.kubeconfig)
        self._cluster = Cluster(config)
        self._identity = f"{socket.gethostname()}_{os.getpid()}_{token_hex(4)}"
        self.elector = Elector(self._cluster, settings.lease, self._identity, self._end_without_lease)
        self.operator = Operator(
            config,
            self._cluster,
            self._identity,
            lambda: self.elector.held,
            read_only=settings.read_only,
            alias_info=settings.alias_info,
        )
        self.operator.metrics.leader.set_function(lambda: self.elector.held)

    def run(self) -> int:
        """Work until stopped, and return the exit code.

        Raises `InvalidInput`: it cannot listen where it should. Raises `ClusterError`: the API server knows no
        AliasSets.
        """
        settings = self._settings
        with (
            stopping_on_signals(self._stop.set),
            serving(
                settings.listen,
                self.operator.metrics,
                self.pages(),
                allow_hosts=settings.allow_hosts,
                identity=self._identity,
            ),
        ):
            try:
                stopped = not self.elector.acquire(self._stop) or self._work()
            finally:
                self._finish()
        return 0 if stopped else 1

    def pages(self) -> Mapping[str, Page]:
        """Return what is served beside the metrics, by path."""
        probes: dict[str, Page] = {"/healthz": self._healthz, "/readyz": self._readyz}
        if not self._settings.status_page:
            return probes
        return {
            **probes,
            "/": page_of(lambda: status_page(self._status())),
            "/problems": page_of(lambda: status_page(self._status(), problems=True)),
        }

    def _work(self) -> bool:
        """Watch and reconcile until stopped; False if a watch failed."""
        self._cluster.require_crds(self._settings.namespaces)
        Thread(target=self._stop_early, name="stop", daemon=True).start()
        return self.operator.watch(self._settings.namespaces, self._stop)

    def _stop_early(self) -> None:
        """End the reconciles as soon as the process is stopped, not only after kopf has ended."""
        self._stop.wait()
        self.operator.stop()

    def _finish(self) -> None:
        if self.operator.close(STOP_SECONDS):
            self.elector.release()
        else:  # the next leader waits until the Lease has run out, as after a crash
            log.warning("calls in flight did not end in time; the lease is kept", seconds=STOP_SECONDS)

    def _end_without_lease(self, reason: str) -> None:
        """End at once: another process may write now, so this one must not even finish what it has begun."""
        if self._stop.is_set():
            return
        log.error("the lease is lost; ending", reason=reason)
        self.operator.stop()
        time.sleep(1.0)  # for calls in flight: no other process starts before the Lease has run out
        sys.stderr.flush()
        os._exit(1)

    def _status(self) -> StatusPage:
        namespaces = ", ".join(self._settings.namespaces) or "all"
        facts = {"process": self._identity, "namespaces": namespaces, "aliasctl": __version__}
        if self._settings.read_only:
            facts["read-only"] = "yes: nothing is changed in Milvus"
        operator = self.operator
        return operator.status_pages.page(
            tuple(facts.items()), held=self.elector.held, complete=operator.watcher.complete
        )

    def _healthz(self) -> Answer:
        return liveness(self.operator.queue.silent if self.operator.watcher.complete else 0.0, SILENT_SECONDS)

    def _readyz(self) -> Answer:
        if not self.elector.held:
            return probe(None, "standing by")
        overdue = self.operator.queue.overdue
        return probe(f"a set is {overdue:.0f} s overdue" if overdue > OVERDUE_SECONDS else None)
