"""What a person does about the sets of a cluster: look at them, and approve the plan of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

from reconciler.core.errors import AliasctlError, InvalidInput, Problem, StalePlan
from reconciler.core.reasons import Reason
from reconciler.core.text import listed
from reconciler.documents.codec import Malformed, decode
from reconciler.operator import status
from reconciler.operator.cluster import Cluster, ClusterError
from reconciler.operator.objects import APPROVE, Body, Ref, ref_of
from reconciler.render.cluster_sets import ClusterSet, PendingPlan

ATTEMPTS = 5
"""How often an approval is tried while the operator writes to the status of the same plan."""


class NothingToApprove(AliasctlError):
    """The set has no plan that an approval would start."""


def sets_in(cluster: Cluster, namespace: str, names: Sequence[str] = ()) -> list[ClusterSet]:
    """Return the sets of a namespace, or those with these names.

    `namespace`: `*` for all. Raises `ClusterError`, and `InvalidInput` for names that no set has.
    """
    with _explaining(cluster, namespace):
        everything = sorted(map(cluster_set, cluster.alias_sets(namespace)), key=str)
    if not names:
        return everything
    found = {item.name: item for item in everything}
    if missing := [name for name in names if name not in found]:
        raise InvalidInput(*(Problem(_missing(Ref(namespace, name), found)) for name in missing))
    return [found[name] for name in names]


def set_to_approve(cluster: Cluster, ref: Ref) -> tuple[ClusterSet, PendingPlan]:
    """Return a set and its pending plan.

    Raises:
        ClusterError: the cluster cannot be read.
        InvalidInput: there is no such set.
        NothingToApprove: it has no plan that an approval would start.
    """
    with _explaining(cluster, ref.namespace):
        body = cluster.alias_set(ref)
    if body is None:
        raise InvalidInput(Problem(_missing(ref, ())))
    stored = cluster_set(body)
    return stored, _approvable(stored)


def approve(cluster: Cluster, reviewed: ClusterSet, plan: PendingPlan) -> None:
    """Approve the plan that a person reviewed.

    Raises:
        ClusterError: the approval cannot be written.
        NothingToApprove: there is no pending plan any more.
        StalePlan: another plan is pending by now.
    """
    ref = Ref(reviewed.namespace, reviewed.name)
    for attempt in range(ATTEMPTS):
        patch = {"annotations": {APPROVE: plan.digest}, "resourceVersion": reviewed.resource_version}
        try:
            if cluster.patch_metadata(ref, patch) is None:
                raise InvalidInput(Problem(_missing(ref, ())))
        except ClusterError as error:
            if not error.conflict or attempt == ATTEMPTS - 1:
                raise
            reviewed, pending = set_to_approve(cluster, ref)
            ensure_digest(pending, plan.digest, reviewed)
        else:
            return


def ensure_digest(plan: PendingPlan, digest: str, owner: ClusterSet) -> None:
    """Raise `StalePlan` unless a plan has this digest."""
    if plan.digest != digest:
        raise StalePlan(
            f"the pending plan of AliasSet {owner} is {plan.digest}, not {digest}: nothing was approved; review it and "
            "run this again"
        )


def cluster_set(body: Body) -> ClusterSet:
    """Return the record of an AliasSet. Raises `ClusterError`: its status is not one of our operator's."""
    ref, metadata = ref_of(body), _mapping(body, "metadata")
    found = _mapping(body, "status")
    ready, counts = status.condition(found, "Ready"), _mapping(found, "counts")
    try:
        plan = decode(found["pendingPlan"], PendingPlan, lenient=True) if found.get("pendingPlan") else None
    except Malformed as error:
        raise ClusterError(f"the pending plan of AliasSet {ref} cannot be read: {error.path}: {error}") from error
    annotated = _mapping(metadata, "annotations").get(APPROVE)
    return ClusterSet(
        namespace=ref.namespace,
        name=ref.name,
        ready=str(ready.get("status", "Unknown")),
        reason=str(ready.get("reason", "")),
        message=str(ready.get("message", "")),
        aliases=int(str(counts.get("aliases", 0))),
        in_sync=int(str(counts.get("inSync", 0))),
        approved=bool(plan and annotated == plan.digest),
        pending_plan=plan,
        current=found.get("observedGeneration") == metadata.get("generation"),
        resource_version=str(metadata.get("resourceVersion", "")),
    )


@contextmanager
def _explaining(cluster: Cluster, namespace: str) -> Iterator[None]:
    """Name the missing CRD if that is why a call fails."""
    try:
        yield
    except ClusterError as error:
        if error.is_unknown:
            cluster.require_crds([namespace])
        raise


def _approvable(stored: ClusterSet) -> PendingPlan:
    found = f"{stored.reason}: {stored.message}" if stored.reason else "the operator has not reconciled it yet"
    if not stored.current:
        raise NothingToApprove(
            f"the operator has not planned the present spec of AliasSet {stored} yet; is it running? Try again"
        )
    if stored.pending_plan is None:
        raise NothingToApprove(f"AliasSet {stored} has no plan to approve ({found})")
    if stored.reason == Reason.READ_ONLY:
        raise NothingToApprove(f"the operator of AliasSet {stored} runs with --read-only and applies no plan")
    return stored.pending_plan


def _missing(ref: Ref, known: Sequence[str] | dict[str, ClusterSet]) -> str:
    there = f"; there {'is' if len(known) == 1 else 'are'} {listed(sorted(known))}" if known else ""
    remedy = there or "; choose another with -n NAMESPACE, or list all with: aliasctl get -A"
    return f'namespace "{ref.namespace}" has no AliasSet "{ref.name}"{remedy}'


def _mapping(body: Body, name: str) -> Body:
    return cast("Body", body.get(name) or {})
