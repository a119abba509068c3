"""Drop the aliases of a deleted set whose `deletionPolicy` is Delete.

Only listed aliases that still point where the spec says, or that dangle, are dropped, and no protected ones. This needs
no approval, and `maxDrops` does not apply; it waits while the set is suspended. If it cannot be done, or has taken
longer than `deletionTimeout`, the aliases stay, and an Event says so: the deletion of a namespace must not hang.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from threading import Event

from msgspec import Struct
from msgspec.structs import replace

from reconciler.catalog.read import read_live
from reconciler.core.decisions import Decisions
from reconciler.core.errors import CatalogError, ExitCode, InvalidInput
from reconciler.core.gates import Gates
from reconciler.core.model import Alias, AliasSet, Limits, OnFailure, Scope, Verify
from reconciler.core.plan import describe_undetermined
from reconciler.core.reasons import Reason
from reconciler.core.report import Outcome, Report
from reconciler.core.text import counted, listed
from reconciler.gates.loaded import LoadedGate
from reconciler.journal import Origins, new_run_id
from reconciler.manifest.records import AliasSetManifest
from reconciler.manifest.specs.alias_set import DeletionPolicy
from reconciler.operator.clients import Clients, SecretForbidden
from reconciler.operator.cluster import ClusterError
from reconciler.operator.finding import Finding
from reconciler.operator.ledger import OperatorLedger
from reconciler.operator.objects import SetObject
from reconciler.operator.world import View
from reconciler.reconcile import apply_plan, make_plan, target_of


class DeletionResult(Struct, frozen=True):
    """What to do with an object that is being deleted.

    Args:
        release: whether to remove the finalizer.
        finding: the result to publish; None for none.
        orphaned: why aliases stay; empty if none do.
    """

    release: bool
    finding: Finding | None = None
    orphaned: str = ""


def finalize(
    set_object: SetObject,
    view: View,
    clients: Clients,
    *,
    may_write: Callable[[], bool],
    read_only: bool,
    stop: Event,
) -> DeletionResult:
    """Drop the aliases of a deleted set, if its `deletionPolicy` says so and it can be done."""
    if not isinstance(set_object.spec, AliasSetManifest):
        return DeletionResult(release=True, orphaned="its spec cannot be used")
    operation = set_object.spec.operation
    if operation.deletion_policy is DeletionPolicy.ORPHAN:
        return DeletionResult(release=True)
    if set_object.spec.suspend:
        return DeletionResult(
            False, Finding(Reason.SUSPENDED, "deleted, and suspended: its aliases are dropped once it is not")
        )
    if read_only:
        return _later(set_object, "the operator runs with --read-only", None)
    desired = view.desired[set_object.ref]
    if isinstance(desired, InvalidInput):
        return DeletionResult(release=True, orphaned=desired.in_one_line)
    try:
        report = _drop(set_object, desired, view, clients, may_write=may_write, stop=stop)
    except (CatalogError, ClusterError, SecretForbidden) as error:
        return _later(set_object, str(error), None)
    except InvalidInput as error:
        return DeletionResult(release=True, orphaned=error.in_one_line)
    if report is None or report.exit_code is ExitCode.DONE:
        unsure = describe_undetermined(report.plan.undetermined) if report else ""
        message = "; ".join(filter(None, ("its aliases are dropped", unsure)))
        return DeletionResult(True, Finding(Reason.SUCCEEDED, message, report=report))
    left = [result for result in report.results if result.outcome not in (Outcome.DONE, Outcome.NOOP)]
    message = listed([f'"{result.step.alias}": {result.message}' for result in left], 3, "; ")
    if all(result.outcome is Outcome.BLOCKED for result in left):
        return DeletionResult(True, Finding(Reason.BLOCKED, message, report=report), orphaned=message)
    return _later(set_object, message, report)


def seconds_left(set_object: SetObject) -> float:
    """Return the seconds until the `deletionTimeout` of a set is over; infinite while it is not being deleted."""
    if not set_object.deleting or not isinstance(set_object.spec, AliasSetManifest):
        return math.inf
    waited = (datetime.now(UTC) - datetime.fromisoformat(set_object.deleting)).total_seconds()
    return set_object.spec.operation.deletion_timeout - waited


def _later(set_object: SetObject, message: str, report: Report | None) -> DeletionResult:
    """Retry, unless the `deletionTimeout` is over."""
    if seconds_left(set_object) <= 0:
        return DeletionResult(release=True, orphaned=f"not done within the deletionTimeout: {message}")
    return DeletionResult(False, Finding(Reason.PROGRESSING_WITH_RETRY, message, report=report))


def _drop(
    set_object: SetObject,
    desired: AliasSet,
    view: View,
    clients: Clients,
    *,
    may_write: Callable[[], bool],
    stop: Event,
) -> Report | None:
    """Drop the aliases that are still where the spec says, or dangle; return None if there are none.

    Raises:
        CatalogError: Milvus cannot be read.
        ClusterError: a Secret cannot be read now.
        InvalidInput: a Secret is gone; `SecretForbidden` if it may not be read.
    """
    resolved, _ = view.claims[target_of(desired)].resolved(set_object.ref)
    if resolved.connection is None:
        return None
    placed = {
        alias.name: alias.collection
        for alias in resolved.aliases
        if alias.collection and not alias.protect and not resolved.scope.protects(alias.name)
    }
    with clients.session() as catalogs:
        catalog = catalogs.open(resolved.connection, resolved.database)
        live = read_live(catalog, target_of(resolved), [_without(resolved, placed)])
        own = [
            alias
            for alias, collection in placed.items()
            if live.pointing.get(alias) == collection or live.dangling.get(alias, False) is not False
        ]
        if not own:
            return None
        ledger = OperatorLedger(Decisions(), new_run_id(), may_write)
        plan = make_plan([_without(resolved, own)], catalogs=catalogs, journal=ledger, read=lambda *_: live)
        origins = Origins.of_this_process(command="operator", source=(f"deletion of AliasSet {set_object.ref}",))
        return apply_plan(plan, catalogs=catalogs, stop=stop, journal=ledger, origins=origins)


def _without(desired: AliasSet, aliases: Collection[str]) -> AliasSet:
    """Return a set that drops these aliases and nothing else."""
    return replace(
        desired,
        aliases=tuple(Alias(alias, None, gates=Gates(LoadedGate(enabled=False))) for alias in aliases),
        scope=Scope(),
        limits=Limits(max_drops=len(aliases)),
        verify=Verify(),
        on_failure=OnFailure.STOP,
    )


def orphaned_note(set_object: SetObject, why: str) -> str:
    """Return the note of the Event about aliases that stay."""
    number = len(set_object.spec.aliases) if isinstance(set_object.spec, AliasSetManifest) else 0
    return f"{counted(number, 'alias')} stay in Milvus: {why}"
