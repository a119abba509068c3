"""Write the status of each MilvusConnection: whether the server responds to the sets that use it."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock

import structlog

from reconciler.core.errors import InvalidInput
from reconciler.core.reasons import Reason
from reconciler.documents.timestamps import now
from reconciler.operator.cluster import Cluster, ClusterError
from reconciler.operator.finding import Finding
from reconciler.operator.objects import ConnectionObject, Ref

log = structlog.get_logger()


class ConnectionStatuses:
    """Writes the statuses when they change. Used by several threads."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._lock = Lock()
        self._written: dict[Ref, tuple[str, Mapping[str, object]]] = {}  # with the uid: the name can be reused

    def report(self, connection_object: ConnectionObject, finding: Finding) -> None:
        """Record that a set of this connection was reconciled. A status that cannot be written is only logged."""
        condition = _condition(connection_object, finding)
        if condition is None:
            return
        with self._lock:
            if self._written.get(connection_object.ref) == (connection_object.uid, condition):
                return
            self._written[connection_object.ref] = (connection_object.uid, condition)
        try:
            conditions = [{**condition, "lastTransitionTime": now()}]
            self._cluster.patch_connection_status(
                connection_object.ref, {"observedGeneration": connection_object.generation, "conditions": conditions}
            )
        except ClusterError as error:
            with self._lock:
                self._written.pop(connection_object.ref, None)
            log.warning(
                "the status of a connection could not be written",
                connection=str(connection_object.ref),
                reason=str(error),
            )

    def forget(self, ref: Ref) -> None:
        with self._lock:
            self._written.pop(ref, None)


def _condition(connection_object: ConnectionObject, finding: Finding) -> Mapping[str, object] | None:
    """Return what a finding says about the connection, or None."""
    if isinstance(connection_object.spec, InvalidInput):
        problems = "; ".join(problem.message for problem in connection_object.spec.problems)
        status, reason, message = "False", Reason.INVALID_SPEC, problems
    elif finding.plan and finding.plan.targets:
        version = finding.plan.targets[0].server_version
        status, reason, message = "True", Reason.SUCCEEDED, f"Milvus {version} answers"
    elif finding.unreachable:
        status, reason, message = "False", Reason.CONNECTION_FAILED, finding.message
    else:
        return None
    return {
        "type": "Ready",
        "status": status,
        "reason": str(reason),
        "message": message,
        "observedGeneration": connection_object.generation,
    }
