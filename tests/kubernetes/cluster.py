"""What a test does as the cluster's admin: write objects, read what the API server stored, and wait for it.

Plain JSON over HTTP on purpose: what is asserted is what the server has, not what a client library made of it.
"""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml

from tests.kubernetes.control_plane import ControlPlane

Found = TypeVar("Found")
Object = dict[str, Any]
Explain = Callable[[], str]

CALL_TIMEOUT = 60.0
WAIT_TIMEOUT = 120.0
"""Seconds; far more than anything needs, for machines that have other things to do."""
POLL_INTERVAL = 0.1
MERGE_PATCH = "application/merge-patch+json"
OURS = "apis/aliasctl.dev/v1alpha1"
RBAC = "apis/rbac.authorization.k8s.io/v1"
PLACES = {
    "AliasSet": (OURS, "aliassets"),
    "MilvusConnection": (OURS, "milvusconnections"),
    "Secret": ("api/v1", "secrets"),
    "ConfigMap": ("api/v1", "configmaps"),
    "Event": ("api/v1", "events"),
    "Lease": ("apis/coordination.k8s.io/v1", "leases"),
    "Namespace": ("api/v1", "namespaces"),
    "ServiceAccount": ("api/v1", "serviceaccounts"),
    "Role": (RBAC, "roles"),
    "RoleBinding": (RBAC, "rolebindings"),
    "ClusterRole": (RBAC, "clusterroles"),
    "ClusterRoleBinding": (RBAC, "clusterrolebindings"),
    "CustomResourceDefinition": ("apis/apiextensions.k8s.io/v1", "customresourcedefinitions"),
}
"""Of each kind the API's path and the plural."""


class Refused(Exception):
    """The API server's no. `code` is the HTTP status: 403 forbidden, 404 not found, 409 conflict, 422 invalid."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


def wait_until(
    what: str, probe: Callable[[], Found | None], timeout: float = WAIT_TIMEOUT, explain: Explain = lambda: ""
) -> Found:
    """Ask `probe` until it gives something true, and return that; the test fails after `timeout` seconds.

    Args:
        what: what is waited for, for the failure's message.
        explain: called on failure; how things stand, for the rest of the message.
    """
    deadline = time.monotonic() + timeout
    while not (found := probe()):
        if time.monotonic() > deadline:
            pytest.fail(f"not {what} after {timeout:g} s\n{explain()}")
        time.sleep(POLL_INTERVAL)
    return found


class Cluster:
    """The API server, asked with one token."""

    def __init__(self, url: str, token: str, ca_file: Path) -> None:
        self._url = url
        self._token = token
        self._tls = ssl.create_default_context(cafile=ca_file)

    def create(self, document: Mapping[str, Any], namespace: str = "") -> Object:
        """Create an object; what the server made of it.

        Raises:
            Refused: the server does not take it.
        """
        return self.call("POST", path_of(document["kind"], namespace), document)

    def get(self, kind: str, name: str, namespace: str = "") -> Object:
        return self.call("GET", path_of(kind, namespace, name))

    def objects(self, kind: str, namespace: str = "") -> list[Object]:
        items: list[Object] = self.call("GET", path_of(kind, namespace))["items"]
        return items

    def patch(
        self, kind: str, name: str, change: Mapping[str, Any], namespace: str = "", subresource: str = ""
    ) -> Object:
        """Merge `change` into an object, lists as a whole, null for what is to go (RFC 7396)."""
        return self.call("PATCH", path_of(kind, namespace, name, subresource), change, MERGE_PATCH)

    def delete(self, kind: str, name: str, namespace: str = "") -> None:
        self.call("DELETE", path_of(kind, namespace, name))

    def service_account_token(self, name: str, namespace: str) -> str:
        """A token with which a process is this service account, for an hour."""
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3600},
        }
        path = path_of("ServiceAccount", namespace, name, "token")
        return str(self.call("POST", path, request)["status"]["token"])

    def install_definitions(self, folder: Path) -> None:
        """Create the CustomResourceDefinitions of a folder, and wait until they are served."""
        for path in sorted(folder.glob("*.yaml")):
            for document in yaml.safe_load_all(path.read_text()):
                if document["kind"] == "CustomResourceDefinition":
                    self.create(document)
                    kind = document["spec"]["names"]["kind"]
                    wait_until(f"{kind} served", lambda kind=kind: self._is_served(kind))  # type: ignore[misc]

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, content_type: str = "application/json"
    ) -> Object:
        """One request.

        Raises:
            Refused: any answer but a success.
            OSError: no answer.
        """
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": content_type}
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{self._url}/{path}", data, headers, method=method)  # noqa: S310 - our own
        try:
            with urllib.request.urlopen(request, timeout=CALL_TIMEOUT, context=self._tls) as reply:  # noqa: S310
                answer: Object = json.load(reply)
                return answer
        except urllib.error.HTTPError as error:
            text = error.read().decode()
            raise Refused(error.code, _message(text)) from None

    def _is_served(self, kind: str) -> bool:
        try:
            self.objects(kind)
        except Refused:
            return False
        return True


def admin_of(plane: ControlPlane) -> Cluster:
    return Cluster(plane.url, plane.admin_token, plane.ca_file)


def path_of(kind: str, namespace: str = "", name: str = "", subresource: str = "") -> str:
    api, plural = PLACES[kind]
    parts = [api, *(("namespaces", namespace) if namespace else ()), plural, name, subresource]
    return "/".join(part for part in parts if part)


def _message(text: str) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError):
        return text
