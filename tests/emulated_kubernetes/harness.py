"""The whole operator, but for the Lease, in this process: against an emulated API server and a Milvus in memory."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event, Thread
from typing import Any

from reconciler.operator import wiring
from reconciler.operator.cluster import Cluster, load_config
from reconciler.render.status_page import StatusPage
from tests.emulated_kubernetes.emulator import NAMESPACE, ApiServer, Object
from tests.emulated_kubernetes.milvus import Milvus

TIMEOUT = 60.0
"""Seconds, of which a machine that is busy with other tests may need many."""


def wait_until(what: str, holds: Callable[[], object], explain: Callable[[], object] = lambda: "") -> None:
    """Until something holds; fails if it does not for a long time."""
    end = time.monotonic() + TIMEOUT
    while not holds():
        assert time.monotonic() < end, f"not {what} within {TIMEOUT} s: {explain()}"
        time.sleep(0.01)


class Operator:
    """A running operator.

    Args:
        api: its API server.
        milvus: whatever address a connection has, this one is meant.
        folder: for a kubeconfig.
        read_only: as the flag.
    """

    def __init__(self, api: ApiServer, milvus: Milvus, folder: Path, *, read_only: bool = False) -> None:
        self.held = True
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(json.dumps(api.kubeconfig()))
        config = load_config(kubeconfig)
        self._cluster = Cluster(config)
        self._parts = wiring.Operator(
            config,
            self._cluster,
            "operator-1",
            lambda: self.held,
            read_only=read_only,
            alias_info=True,
            connect=milvus.connect,
        )
        self.metrics, self.world = self._parts.metrics, self._parts.world
        self.queue, self.watcher = self._parts.queue, self._parts.watcher
        self._stop, ready = Event(), Event()
        self._thread = Thread(target=self._parts.watch, args=([NAMESPACE], self._stop, ready), name="kopf", daemon=True)
        self._thread.start()
        assert ready.wait(TIMEOUT)

    def stop(self) -> None:
        """End it as a signal does; once is enough."""
        if not self._thread.is_alive():
            return
        self._parts.stop()
        self._stop.set()
        self._thread.join(TIMEOUT)
        assert not self._thread.is_alive()
        assert self._parts.close(TIMEOUT)
        self._cluster._client.close()  # the process would just end

    def status_page(self) -> StatusPage:
        """What it shows at / while it holds the Lease."""
        return self._parts.status_pages.page((), held=True, complete=self.watcher.complete)

    def metric(self, sample: str, **labels: str) -> float | None:
        """One figure of what it tells Prometheus; None if it tells none."""
        return self.metrics.registry.get_sample_value(sample, labels)


class Kube:
    """What people do with kubectl."""

    def __init__(self, api: ApiServer) -> None:
        self.api = api

    def connection(self, name: str = "main", **spec: Any) -> None:
        self.api.create("MilvusConnection", name, spec={"uri": "http://milvus:19530", **spec})

    def create(self, aliases: Mapping[str, Any], name: str = "shop", **spec: Any) -> None:
        """Create an AliasSet; aliases as for `entries`."""
        desired = {"connectionRef": {"name": "main"}, "interval": "5m", **spec, "aliases": entries(aliases)}
        self.api.create("AliasSet", name, spec=desired)

    def edit(self, aliases: Mapping[str, Any] | None = None, name: str = "shop", **spec: Any) -> None:
        change = spec if aliases is None else {**spec, "aliases": entries(aliases)}
        self.api.patch("AliasSet", name, {"spec": change})

    def annotate(self, name: str = "shop", **annotations: str | None) -> None:
        """Set annotations, by their names without our prefix."""
        change = {f"aliasctl.dev/{key}": value for key, value in annotations.items()}
        self.api.patch("AliasSet", name, {"metadata": {"annotations": change}})

    def delete(self, name: str = "shop") -> None:
        self.api.delete("AliasSet", name)

    def stored(self, name: str = "shop") -> Object:
        found = self.api.get("AliasSet", name)
        assert found is not None, f"there is no AliasSet {name}"
        return found

    def status(self, name: str = "shop") -> Object:
        return dict(self.stored(name).get("status") or {})

    def condition(self, kind: str = "Ready", name: str = "shop") -> Object:
        conditions = self.status(name).get("conditions") or []
        return next((dict(condition) for condition in conditions if condition["type"] == kind), {})

    def events(self, name: str = "shop") -> list[tuple[str, str]]:
        """Reason and message of each Event about a set, the oldest first."""
        about = [item for item in self.api.list("Event") if item["involvedObject"]["name"] == name]
        return [(item["reason"], item["message"]) for item in about]

    def reasons(self, name: str = "shop") -> list[str]:
        return [reason for reason, _ in self.events(name)]

    def wait(self, reason: str, name: str = "shop") -> Object:
        """Until a set's present spec is found to be so; its status."""

        def holds() -> bool:
            stored = self.stored(name)
            ready: Object = next(
                (item for item in (stored.get("status") or {}).get("conditions") or [] if item["type"] == "Ready"), {}
            )
            return (ready.get("reason"), ready.get("observedGeneration")) == (reason, stored["metadata"]["generation"])

        wait_until(f"{name} {reason}", holds, lambda: json.dumps(self.api.get("AliasSet", name), indent=1))
        return self.status(name)

    def wait_for_event(self, reason: str, name: str = "shop", times: int = 1) -> str:
        """Until an Event was posted; its message, of the last one."""
        wait_until(f"told {reason}", lambda: self.reasons(name).count(reason) >= times, lambda: self.events(name))
        return [message for event, message in self.events(name) if event == reason][-1]

    def wait_until_gone(self, name: str = "shop") -> None:
        wait_until(f"{name} gone", lambda: self.api.get("AliasSet", name) is None, lambda: self.stored(name))

    def digest(self, name: str = "shop") -> str:
        """Of the plan that waits."""
        return str(self.status(name)["pendingPlan"]["digest"])


def entries(aliases: Mapping[str, Any]) -> list[Object]:
    """Alias → collection; None for Absent, a mapping for an entry with more to it."""

    def entry(name: str, desired: Any) -> Object:
        if isinstance(desired, Mapping):
            return {"name": name, **desired}
        return {"name": name, "collection": desired} if desired else {"name": name, "state": "Absent"}

    return [entry(*alias) for alias in aliases.items()]
