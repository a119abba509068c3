"""A Kubernetes API server in memory: kmock's emulator, and what it leaves out of that which the operator relies on.

That is uid, generation, creationTimestamp and resourceVersion of objects, conflicts, PUT, and a status that is written
through its subresource only. Still left out: schemas (nothing is pruned or refused), patches that change nothing (they
count as a change here), field managers, and permissions.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Thread
from typing import Any, TypeVar
from uuid import uuid4

import aiohttp.web
import httpx2 as httpx
import kmock

T = TypeVar("T")
Object = dict[str, Any]

API_VERSION = "aliasctl.dev/v1alpha1"
NAMESPACE = "team"
PATHS = {
    "AliasSet": f"/apis/{API_VERSION}/namespaces/{{}}/aliassets",
    "MilvusConnection": f"/apis/{API_VERSION}/namespaces/{{}}/milvusconnections",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "Event": "/api/v1/namespaces/{}/events",
    "Lease": "/apis/coordination.k8s.io/v1/namespaces/{}/leases",
}
BIRTH = datetime(2026, 1, 1, tzinfo=UTC)


async def _at_once(request: kmock.Request) -> None:
    pass


def forbid_secrets(request: kmock.Request) -> None:
    """For `Emulator.refuse`: a role that does not let the operator read Secrets."""
    if request.resource is not None and request.resource.plural == "secrets":
        raise kmock.KubernetesError(403, "Forbidden", "not for you")


class Conflict(kmock.KubernetesError):
    """Somebody else changed the object first."""

    def __init__(self) -> None:
        super().__init__(409, "Conflict", "the object has been modified")


class Emulator(kmock.KubernetesEmulator):
    """See above. `refuse` is asked before each request, and may raise; `hold` is awaited before each answer."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.refuse: Callable[[kmock.Request], None] = lambda request: None
        self.hold: Callable[[kmock.Request], Coroutine[Any, Any, None]] = _at_once
        self._admission = asyncio.Lock()
        self._versions = count(1)
        self._born = count()
        for kind in ("AliasSet", "MilvusConnection"):
            self.resources[f"{API_VERSION}/{kind.lower()}s"] = kmock.ResourceInfo(
                namespaced=True, kind=kind, verbs={"get", "list", "watch", "patch"}, subresources={"status"}
            )
        # kopf does nothing before it has seen that there are these, though it asks for none of them.
        self.resources["v1/namespaces"] = kmock.ResourceInfo(namespaced=False, kind="Namespace")
        self.fallback["put"] << self._serve_replace

    async def _handle(self, request: kmock.Request) -> aiohttp.web.StreamResponse:
        self.refuse(request)
        if request.resource is None or request.method == kmock.method.GET:
            return await super()._handle(request)
        async with self._admission:
            if request.method == kmock.method.POST:
                self._prepare_creation(request)
            elif request.method in (kmock.method.PATCH, kmock.method.PUT):
                self._prepare_change(request)
            answer = await super()._handle(request)
        await self.hold(request)
        return answer

    async def _render_error(self, exc: Exception) -> aiohttp.web.StreamResponse:
        """As Kubernetes words it; its content type has no charset, by which lightkube knows its errors."""
        code = exc.status if isinstance(exc, kmock.KubernetesError) else 500
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": str(exc)}
        return aiohttp.web.Response(status=code, body=json.dumps(status).encode(), content_type="application/json")

    def _prepare_creation(self, request: kmock.Request) -> None:
        """Objects are a second apart in age, as the API server would tell it of people who are slow."""
        request.data["metadata"] |= {
            "namespace": request.namespace,
            "uid": str(uuid4()),
            "generation": 1,
            "creationTimestamp": (BIRTH + timedelta(seconds=next(self._born))).isoformat(),
            "resourceVersion": str(next(self._versions)),
        }
        if "spec" in request.data and _place(request)[0].plural == "aliassets":
            request.data["status"] = {"observedGeneration": -1}  # the default of our schema

    def _prepare_change(self, request: kmock.Request) -> None:
        stored = self._stored(request)
        version = (request.data.get("metadata") or {}).get("resourceVersion")
        if version and version != stored["metadata"]["resourceVersion"]:
            raise Conflict
        if request.subresource == "status":
            status = request.data.get("status")
            request.data.clear()
            request.data["status"] = status
        else:
            request.data.pop("status", None)
        spec = request.data.get("spec")
        if spec is not None:
            request.data.setdefault("metadata", {})
            changed = stored["spec"] | spec != stored["spec"]
            request.data["metadata"]["generation"] = stored["metadata"]["generation"] + changed
        request.data.setdefault("metadata", {})["resourceVersion"] = str(next(self._versions))

    def _stored(self, request: kmock.Request) -> Object:
        key = _place(request)
        if key not in self.objects or self.objects[key].deleted:
            raise kmock.KubernetesObjectNotFoundError
        found: Object = self.objects[key].raw
        return found

    async def _serve_replace(self, request: kmock.Request) -> Object:
        """Only Leases are replaced."""
        stored = self._stored(request)
        replaced: Object = copy.deepcopy(request.data)
        replaced["metadata"] = stored["metadata"] | replaced["metadata"]
        self.objects[_place(request)].create(replaced)
        return replaced

    async def _serve_watch(self, request: kmock.Request) -> AsyncIterator[Object | bytes]:
        """As kmock's, but nothing is lost that happens between its list and its watch."""
        yield b""
        bus = self._buses[_place(request)[0]]
        since = await bus.mark()
        for (resource, namespace, _), found in list(self.objects.items()):
            if resource == request.resource and request.namespace in (None, namespace) and not found.deleted:
                yield {"type": "ADDED", "object": found.raw}
        async for event in bus.stream(since):
            if request.namespace in (None, event["object"]["metadata"].get("namespace")):
                yield event


class ApiServer:
    """The emulator behind a port of its own, in a thread of its own, and a client for it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="api server", daemon=True)
        self._thread.start()
        self.emulator, self._server = self._do(self._open())
        self.url = str(self._server.url).rstrip("/")
        self._client = httpx.Client(base_url=self.url, timeout=60)

    async def _open(self) -> tuple[Emulator, kmock.Server]:
        emulator = await Emulator().__aenter__()
        return emulator, await kmock.Server(emulator).__aenter__()

    def close(self) -> None:
        self._client.close()
        self._do(self._server.__aexit__(None, None, None))
        self._do(self.emulator.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def kubeconfig(self, token: str = "of-the-operator") -> Object:  # noqa: S107 - of no server
        """For clients of this server."""
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "it",
            "clusters": [{"name": "it", "cluster": {"server": self.url}}],
            "users": [{"name": "it", "user": {"token": token}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it", "namespace": NAMESPACE}}],
        }

    def create(self, kind: str, name: str, **content: Any) -> Object:
        """Create an object; `annotations` go to its metadata."""
        metadata = {"name": name, "annotations": content.pop("annotations", {})}
        version = API_VERSION if kind in ("AliasSet", "MilvusConnection") else "v1"
        document = {"apiVersion": version, "kind": kind, "metadata": metadata, **content}
        return self._call("POST", PATHS[kind].format(NAMESPACE), document)

    def patch(self, kind: str, name: str, change: Mapping[str, Any], subresource: str = "") -> Object:
        path = f"{PATHS[kind].format(NAMESPACE)}/{name}"
        return self._call("PATCH", f"{path}/{subresource}" if subresource else path, change)

    def delete(self, kind: str, name: str) -> None:
        self._call("DELETE", f"{PATHS[kind].format(NAMESPACE)}/{name}", None)

    def get(self, kind: str, name: str) -> Object | None:
        """An object as it is stored; None if there is none."""
        answer = self._client.get(f"{PATHS[kind].format(NAMESPACE)}/{name}")
        return None if answer.status_code == 404 else dict(answer.raise_for_status().json())

    def list(self, kind: str) -> list[Object]:
        answer = self._client.get(PATHS[kind].format(NAMESPACE))
        return [] if answer.status_code == 404 else list(answer.raise_for_status().json()["items"])

    def requests(self, method: str, path_end: str) -> int:
        """How many requests of a kind have come."""
        known = list(self.emulator._requests)
        return sum(str(item.method.value) == method and item.url.path.endswith(path_end) for item in known)

    def _call(self, method: str, path: str, content: Mapping[str, Any] | None) -> Object:
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        answer = self._client.request(method, path, json=content, headers={"Content-Type": kind})
        return dict(answer.raise_for_status().json())

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)


def _place(request: kmock.Request) -> tuple[kmock.resource, str | None, str]:
    """Which object a request is about."""
    assert request.resource is not None
    return request.resource, request.namespace, request.name or ""
