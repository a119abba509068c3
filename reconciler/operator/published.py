"""The ConfigMap of `spec.publish`, which belongs to one AliasSet and is left alone if it does not."""

from __future__ import annotations

from collections.abc import Sequence

from lightkube.models.meta_v1 import ObjectMeta, OwnerReference
from lightkube.resources.core_v1 import ConfigMap
from msgspec import Struct

from reconciler.core.errors import AliasctlError, InvalidInput
from reconciler.core.model import Target
from reconciler.documents.resolution_file import ResolvedAlias, resolution_of
from reconciler.journal import Applied
from reconciler.manifest.kinds import API_VERSION
from reconciler.operator.cluster import Cluster
from reconciler.operator.objects import Ref, SetObject
from reconciler.resolution import content_of

KEY = "resolution.json"
LABELS = {"app.kubernetes.io/managed-by": "aliasctl"}


class PublishedConfigMap:
    """A ConfigMap with the owner reference of a set, in its namespace. Errors are `ClusterError`s but for `read`."""

    def __init__(self, cluster: Cluster, set_object: SetObject, name: str) -> None:
        self._cluster = cluster
        self._set = set_object
        self._ref = Ref(set_object.ref.namespace, name)

    def read(self) -> tuple[ResolvedAlias, ...]:
        """Return what is published. Raises `AliasctlError` as well if the ConfigMap is not of this set."""
        found = self._own()
        text = (found.data or {}).get(KEY, "") if found else ""
        try:
            return resolution_of(text.encode(), str(self._ref)) if text else ()
        except InvalidInput:
            return ()  # someone edited it: it is replaced

    def write(self, aliases: Sequence[ResolvedAlias]) -> None:
        """Create or change the ConfigMap, unless another one has its name by now."""
        data, found = {KEY: content_of(aliases)}, self._own()
        if found is None:
            metadata = ObjectMeta(
                name=self._ref.name, namespace=self._ref.namespace, labels=LABELS, ownerReferences=[self._owner()]
            )
            self._cluster.create_config_map(ConfigMap(metadata=metadata, data=data))
        else:
            version = found.metadata.resourceVersion if found.metadata else None
            self._cluster.patch_config_map(self._ref, {"metadata": {"resourceVersion": version}, "data": data})

    def _own(self) -> ConfigMap | None:
        """Return the ConfigMap; None if there is none. Raises `AliasctlError` if it does not belong to the set."""
        found = self._cluster.config_map(self._ref)
        owners = (found.metadata.ownerReferences or ()) if found and found.metadata else ()
        if found and not any(owner.uid == self._set.uid for owner in owners):
            reason = f"it does not belong to AliasSet {self._set.ref} and is left alone"
            raise AliasctlError(f"ConfigMap {self._ref}: {reason}; delete it, or name another one in spec.publish")
        return found

    def _owner(self) -> OwnerReference:
        return OwnerReference(API_VERSION, "AliasSet", self._set.ref.name, self._set.uid, controller=True)


class OneRun(Struct, frozen=True):
    """The run that may follow. What earlier ones did is in the ConfigMap."""

    run: str

    def applied(self, _: tuple[Target, str], /) -> Applied | None:
        return None
