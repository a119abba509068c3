"""Calls to the Kubernetes API, by lightkube. Watching is not among them: kopf does that."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import httpx2 as httpx
from lightkube import ApiError, Client, KubeConfig
from lightkube.config.client_adapter import ExecAuth
from lightkube.core.exceptions import ConfigError
from lightkube.generic_resource import create_namespaced_resource
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.coordination_v1 import Lease
from lightkube.resources.core_v1 import ConfigMap, Event, Secret
from lightkube.types import PatchType

from reconciler.core.errors import AliasctlError
from reconciler.manifest.kinds import GROUP, VERSION
from reconciler.operator.objects import Body, Ref

AliasSet = create_namespaced_resource(GROUP, VERSION, "AliasSet", "aliassets")
MilvusConnection = create_namespaced_resource(GROUP, VERSION, "MilvusConnection", "milvusconnections")

TIMEOUT_SECONDS = 10.0
PAGE = 500
FORBIDDEN, NOT_FOUND, CONFLICT = 403, 404, 409
T = TypeVar("T")


class ClusterError(AliasctlError):
    """The Kubernetes API refused a call or did not answer. `status` is the HTTP status, None without an answer."""

    def __init__(self, message: str, status: int | None = None) -> None:
        self.status = status
        super().__init__(message)

    @property
    def conflict(self) -> bool:
        """Whether the object was changed since it was read."""
        return self.status == CONFLICT

    @property
    def is_unknown(self) -> bool:
        """Whether the API server does not know the kind of object."""
        # An unknown API group is answered with plain text, which lightkube passes on.
        page = getattr(self.__cause__, "response", None)
        return NOT_FOUND in (self.status, getattr(page, "status_code", None))

    @property
    def forbidden(self) -> bool:
        """Whether the operator's service account lacks the permission."""
        return self.status == FORBIDDEN


def load_config(kubeconfig: Path | None, context: str | None = None) -> Any:
    """Return how to reach the API server: a context of a kubeconfig, or the pod's service account.

    Args:
        kubeconfig: a file; None for the first of the service account, `$KUBECONFIG` and `~/.kube/config` that exists.
        context: its name; None for the current one.

    Raises:
        ClusterError: none exists, or it cannot be used.
    """
    try:
        found = KubeConfig.from_file(kubeconfig) if kubeconfig else KubeConfig.from_env()
        return found.get(context)
    except KeyError as error:
        raise ClusterError(f"no way to reach a Kubernetes API server: the kubeconfig has no {error}") from error
    except (ConfigError, OSError, ValueError) as error:
        raise ClusterError(f"no way to reach a Kubernetes API server: {error}") from error


def bearer_token(config: Any) -> str | None:
    """Return the current token: from its file, or from the program that the kubeconfig names."""
    user = config.user
    if user is None:
        return None
    if user.token_file:
        return Path(config.abs_file(user.token_file)).read_text(encoding="utf-8").strip()
    if user.exec:
        request = next(ExecAuth(user.exec).sync_auth_flow(httpx.Request("GET", config.cluster.server)))
        return str(request.headers["Authorization"]).removeprefix("Bearer ")
    return cast("str | None", user.token)


def own_namespace(kubeconfig: Path | None) -> str:
    """Return the namespace of the pod, or of the kubeconfig's current context. Raises `ClusterError`."""
    return str(load_config(kubeconfig).namespace)


class Cluster:
    """The Kubernetes API. Thread-safe; every call may raise `ClusterError`.

    `manager`: what the API server records as the writer of a field.
    """

    def __init__(self, config: Any, manager: str = "aliasctl") -> None:
        self._client = Client(config=config, timeout=httpx.Timeout(TIMEOUT_SECONDS), field_manager=manager)

    def require_crds(self, namespaces: Sequence[str]) -> None:
        """Fail if the CRDs are missing; kopf would wait silently. Other errors are left to the watches.

        `namespaces`: where the operator may list objects; empty for all. Raises `ClusterError`: AliasSets or
        MilvusConnections are not defined.
        """
        for kind, name in ((AliasSet, "AliasSets"), (MilvusConnection, "MilvusConnections")):
            objects = self._client.list(kind, namespace=[*namespaces, "*"][0], chunk_size=1)
            try:
                self._call(partial(next, iter(objects), None))
            except ClusterError as error:
                if error.is_unknown:
                    raise ClusterError(f"this cluster knows no {name}: kubectl apply -k crds", NOT_FOUND) from error

    def alias_set(self, ref: Ref) -> Body | None:
        """Return an AliasSet; None if it does not exist."""
        return self._found(lambda: self._client.get(AliasSet, ref.name, namespace=ref.namespace))

    def alias_sets(self, namespace: str) -> list[Body]:
        """Return the AliasSets of a namespace; `*` is all namespaces."""
        objects = self._client.list(AliasSet, namespace=namespace, chunk_size=PAGE)
        return self._call(lambda: list(cast("Iterable[Body]", objects)))

    def connection(self, ref: Ref) -> Body | None:
        """Return a MilvusConnection; None if it does not exist."""
        return self._found(lambda: self._client.get(MilvusConnection, ref.name, namespace=ref.namespace))

    def secret(self, ref: Ref) -> Mapping[str, bytes] | None:
        """Return the data of a Secret; None if it does not exist."""
        found = self._call(lambda: self._client.get(Secret, ref.name, namespace=ref.namespace), missing=None)
        if found is None:
            return None
        try:
            return {key: base64.b64decode(value, validate=True) for key, value in (found.data or {}).items()}
        except binascii.Error:
            raise ClusterError(f"Secret {ref} does not hold base64") from None

    def config_map(self, ref: Ref) -> ConfigMap | None:
        """Return a ConfigMap; None if it does not exist."""
        return self._call(lambda: self._client.get(ConfigMap, ref.name, namespace=ref.namespace), missing=None)

    def create_config_map(self, config_map: ConfigMap) -> None:
        """Create a ConfigMap; a conflict if it exists."""
        self._call(lambda: self._client.create(config_map))

    def patch_config_map(self, ref: Ref, patch: Body) -> None:
        """Merge into a ConfigMap; a `resourceVersion` in the patch must be the current one."""
        self._patch(ConfigMap, ref, patch)

    def patch_status(self, ref: Ref, patch: Body, resource_version: str = "") -> Body | None:
        """Merge into the status of an AliasSet and return the new object; None if it does not exist.

        `resource_version`: the one that the object must have; empty for any.
        """
        version = {"metadata": {"resourceVersion": resource_version}} if resource_version else {}
        return self._patch(AliasSet.Status, ref, {**version, "status": patch})

    def patch_connection_status(self, ref: Ref, patch: Body) -> Body | None:
        """Do as `patch_status` for a MilvusConnection."""
        return self._patch(MilvusConnection.Status, ref, {"status": patch})

    def patch_metadata(self, ref: Ref, patch: Body) -> Body | None:
        """Merge into the metadata of an AliasSet; a `resourceVersion` in the patch must be the current one."""
        return self._patch(AliasSet, ref, {"metadata": patch})

    def post_event(self, event: Body) -> None:
        """Create an Event in its namespace."""
        self._call(lambda: self._client.create(cast("Event", Event.from_dict(dict(event)))))

    def lease(self, ref: Ref) -> Lease | None:
        """Return a Lease; None if it does not exist."""
        return self._call(lambda: self._client.get(Lease, ref.name, namespace=ref.namespace), missing=None)

    def create_lease(self, ref: Ref, spec: Any) -> Lease:
        """Create a Lease; a conflict if it exists."""
        lease = Lease(metadata=ObjectMeta(name=ref.name, namespace=ref.namespace), spec=spec)
        return self._call(lambda: self._client.create(lease))

    def replace_lease(self, lease: Lease) -> Lease:
        """Replace a Lease; a conflict if it was changed since it was read."""
        return self._call(lambda: self._client.replace(lease))

    def _patch(self, kind: Any, ref: Ref, patch: Body) -> Body | None:
        return self._found(
            lambda: self._client.patch(kind, ref.name, patch, namespace=ref.namespace, patch_type=PatchType.MERGE)
        )

    def _found(self, call: Callable[[], Any]) -> Body | None:
        return cast("Body | None", self._call(call, missing=None))

    def _call(self, call: Callable[[], T], **default: Any) -> T:
        try:
            return call()
        except ApiError as error:
            status = error.status.code
            if status == NOT_FOUND and default:
                return cast("T", default["missing"])
            raise ClusterError(f"the Kubernetes API refused: {error.status.message}", status) from error
        except (httpx.HTTPError, ConfigError, OSError) as error:  # also when its token cannot be read
            raise ClusterError(f"the Kubernetes API did not answer: {error or type(error).__name__}") from error
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            # What lightkube raises for answers that are not from Kubernetes, such as a load balancer's.
            raise ClusterError(f"the Kubernetes API gave an answer that cannot be read: {error!r}") from error
