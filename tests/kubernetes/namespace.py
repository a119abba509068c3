"""A test's own namespace, and the AliasSet that it is mostly about."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tests.cli.shop import alias_set, connection
from tests.kubernetes.cluster import WAIT_TIMEOUT, Cluster, Explain, Object, Refused, path_of, wait_until


@dataclass(frozen=True)
class StoredSet:
    """An AliasSet as the API server has it."""

    document: Object

    @property
    def spec(self) -> Object:
        spec: Object = self.document["spec"]
        return spec

    @property
    def status(self) -> Object:
        return self.document.get("status") or {}

    @property
    def metadata(self) -> Object:
        metadata: Object = self.document["metadata"]
        return metadata

    @property
    def seen(self) -> bool:
        """The status is about the spec as it is now."""
        return bool(self.status.get("observedGeneration") == self.metadata["generation"])

    def condition(self, kind: str) -> Object:
        """The condition of a type; empty if there is none."""
        conditions: Iterable[Object] = self.status.get("conditions") or ()
        return next((condition for condition in conditions if condition["type"] == kind), {})

    @property
    def ready(self) -> str:
        """`True`, `False` or `Unknown`, as Kubernetes writes them; empty before the first reconcile."""
        return str(self.condition("Ready").get("status", ""))

    @property
    def reason(self) -> str:
        """Why it is ready or not."""
        return str(self.condition("Ready").get("reason", ""))

    @property
    def message(self) -> str:
        return str(self.condition("Ready").get("message", ""))


class Namespace:
    """A namespace that only one test uses.

    `witnesses` tell how things stand when a wait fails: the log of an operator, for one.
    """

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self.witnesses: list[Explain] = []

    @property
    def system(self) -> str:
        """The namespace of its operator and their lease."""
        return f"{self.name}-system"

    def create(self, document: Mapping[str, Any]) -> Object:
        return self.cluster.create(document, self.name)

    def create_connection(self, uri: str, name: str = "main", **spec: Any) -> None:
        self.create(connection(uri, name, **spec))

    def create_secret(self, name: str, **values: str) -> None:
        self.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values})

    def create_set(
        self, aliases: Mapping[str, Any], name: str = "shop", annotations: Mapping[str, str] | None = None, **spec: Any
    ) -> StoredSet:
        """Create an AliasSet of alias → collection; None for Absent, a mapping for an entry with more to it."""
        document = dict(alias_set(aliases, name, **spec))
        document["metadata"] = {"name": name, "annotations": dict(annotations or {})}
        return StoredSet(self.create(document))

    def edit_set(self, aliases: Mapping[str, Any] | None = None, name: str = "shop", **spec: Any) -> StoredSet:
        """Replace the set's aliases, if they are given, and merge the rest into its spec."""
        change = {**spec, **({} if aliases is None else {"aliases": alias_set(aliases)["spec"]["aliases"]})}
        return StoredSet(self.patch("AliasSet", name, {"spec": change}))

    def annotate_set(self, name: str = "shop", **annotations: str | None) -> StoredSet:
        """Set annotations under aliasctl.dev/, by their short names; None takes one away."""
        change = {f"aliasctl.dev/{key}": value for key, value in annotations.items()}
        return StoredSet(self.patch("AliasSet", name, {"metadata": {"annotations": change}}))

    def patch(self, kind: str, name: str, change: Mapping[str, Any], subresource: str = "") -> Object:
        return self.cluster.patch(kind, name, change, self.name, subresource)

    def delete(self, kind: str, name: str) -> None:
        """Ask for its deletion; it stays for as long as it has finalizers."""
        self.cluster.delete(kind, name, self.name)

    def exists(self, kind: str, name: str) -> bool:
        try:
            self.cluster.get(kind, name, self.name)
        except Refused as refused:
            if refused.code != 404:
                raise
            return False
        return True

    def read_set(self, name: str = "shop") -> StoredSet:
        return StoredSet(self.cluster.get("AliasSet", name, self.name))

    def lease(self, name: str = "aliasctl-operator") -> Object:
        """The spec of a lease; `holderIdentity` is who has it."""
        spec: Object = self.cluster.get("Lease", name, self.system)["spec"]
        return spec

    def events(self, name: str = "shop") -> Sequence[tuple[str, str]]:
        """Reason and message of each Event about an object, oldest first."""
        fields = urlencode({"fieldSelector": f"involvedObject.name={name}"})
        items = self.cluster.call("GET", f"{path_of('Event', self.name)}?{fields}")["items"]
        ordered = sorted(items, key=lambda item: int(item["metadata"]["resourceVersion"]))
        return [(item["reason"], item["message"]) for item in ordered]

    def wait_for_set(
        self,
        what: str,
        condition: Callable[[StoredSet], bool],
        name: str = "shop",
        timeout: float = WAIT_TIMEOUT,
    ) -> StoredSet:
        """Until the set's status is about its present spec and `condition` holds of it; that set."""

        def probe() -> StoredSet | None:
            stored = self.read_set(name)
            return stored if stored.seen and condition(stored) else None

        return wait_until(f"{self.name}/{name} {what}", probe, timeout, lambda: self.explain(name))

    def wait_until_ready(self, name: str = "shop", timeout: float = WAIT_TIMEOUT) -> StoredSet:
        return self.wait_for_set("ready", lambda stored: stored.ready == "True", name, timeout)

    def wait_for_reason(self, reason: str, name: str = "shop", timeout: float = WAIT_TIMEOUT) -> StoredSet:
        return self.wait_for_set(f"with reason {reason}", lambda stored: stored.reason == reason, name, timeout)

    def wait_until_gone(self, kind: str, name: str, timeout: float = WAIT_TIMEOUT) -> None:
        def explain() -> str:
            return f"{json.dumps(self.cluster.get(kind, name, self.name), indent=2)}\n{self._testimony()}"

        wait_until(f"{kind} {name} gone", lambda: not self.exists(kind, name), timeout, explain)

    def explain(self, name: str = "shop") -> str:
        """How an AliasSet stands: what is stored of it, its events, and what the witnesses say."""
        stored = json.dumps(self.read_set(name).document, indent=2)
        events = "\n".join(f"  {reason}: {message}" for reason, message in self.events(name))
        return f"{stored}\nevents:\n{events}\n{self._testimony()}"

    def clear(self) -> None:
        """Delete our objects here, whatever finalizer they have: operators of later tests may see all namespaces."""
        for kind in ("AliasSet", "MilvusConnection"):
            for object_ in self.cluster.objects(kind, self.name):
                name = object_["metadata"]["name"]
                if object_["metadata"].get("finalizers"):
                    self.patch(kind, name, {"metadata": {"finalizers": None}})
                if self.exists(kind, name):  # it was only waiting for the finalizer
                    self.delete(kind, name)

    def _testimony(self) -> str:
        return "\n".join(witness() for witness in self.witnesses)
