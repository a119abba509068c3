"""Gate `access`: every role that may read through the alias today may do so after the move.

Why: from Milvus 2.6.12 on a read through an alias requires the privilege on its collection (on 2.6.11 only a search
does), so a move to a collection on which nothing was granted revokes every reader's access. Before, the privilege on
the alias's name counts, which a move does not change (measured on 2.3.5).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciler.catalog.grants import ALL_DATABASES, GLOBAL, grant_call
from reconciler.catalog.port import DataRead, ReadGrant
from reconciler.core.errors import CatalogError, PermissionDenied
from reconciler.core.gates import GateSettings
from reconciler.core.plan import Figure, GateResult, Step, Verdict
from reconciler.core.text import counted, listed
from reconciler.gates.gate import Gate
from reconciler.gates.probe import CannotTell, Probe, of_desired

PUBLIC = "public"
"""The role that every user has."""
ROLES_SHOWN = 10
GRANTS_SHOWN = 4

Grants = Mapping[str, frozenset[ReadGrant]]


class AccessGate(GateSettings, frozen=True):
    """Every role that may query or search through the alias today may do so after the move."""

    gate = "access"


def _check(gate: AccessGate, step: Step, probe: Probe) -> GateResult:
    """Compare the names on which the privileges count before and after the move.

    An alias that does not exist yet has no readers. But a grant on its very name shows who is to read through it.
    """
    behaviour = probe.behaviour
    if behaviour.has_no_privileges:
        raise CannotTell(Verdict.NOT_APPLICABLE, "Milvus Lite has no privileges")
    by_collection = [read for read in DataRead if behaviour.checks_collection(read)]
    if not by_collection:
        detail = "privileges count on the name of the alias, which a move does not change"
        return GateResult(gate.gate, Verdict.PASS, detail, {})
    grants = _grants(probe)
    before = dict.fromkeys(by_collection, step.current or step.alias)
    readers = [role for role in grants if any(_may(role, read, name, grants) for read, name in before.items())]
    lost = dict(_lost(before, step.desired or "", grants))
    if lost and not _requires_token(probe):
        raise CannotTell(Verdict.NOT_APPLICABLE, "authorization is off: the server accepts callers without a token")
    if lost:
        return _failed(step, len(readers), lost, probe)
    detail = f"{counted(len(readers), 'role')} with access before and after"
    return GateResult(gate.gate, Verdict.PASS, detail, {"roles": len(readers), "losing": 0})


def _failed(step: Step, readers: int, lost: Mapping[str, list[DataRead]], probe: Probe) -> GateResult:
    from reconciler.catalog.server_behaviour import STATE_VERSION, Rights  # the table is not needed offline

    calls = [
        grant_call(probe.behaviour, probe.database, read, step.desired or "", role=role)
        for role, reads in lost.items()
        for read in reads
    ]
    roles = listed([f"{_name(role)} ({', '.join(reads)})" for role, reads in lost.items()], ROLES_SHOWN)
    found = f"{len(lost)} of {counted(readers, 'role')} would lose access to {step.alias}, need 0: {roles}"
    on = f"granted on {step.current or step.alias}, not on {step.desired}"
    unknown = probe.behaviour.rights_by is Rights.UNKNOWN
    reading = f"; assumed because the server's version is not known: {STATE_VERSION}" if unknown else ""
    detail = f"{found}; {on}{reading}; grant it first: {listed(calls, GRANTS_SHOWN, '; ')}"
    figures: dict[str, Figure] = {"roles": readers, "losing": len(lost), "grants": "; ".join(calls)}
    return GateResult(AccessGate.gate, Verdict.FAIL, detail, figures)


def _lost(before: Mapping[DataRead, str], desired: str, grants: Grants) -> Iterator[tuple[str, list[DataRead]]]:
    """Yield each role that loses a read, with the reads; only `public` where it is the role that loses them."""
    for role in sorted(grants):
        reads = [
            read
            for read, name in before.items()
            if ReadGrant(read, name) in grants[role] and not _may(role, read, desired, grants)
        ]
        if reads:
            yield role, reads


def _may(role: str, read: DataRead, name: str, grants: Grants) -> bool:
    granted = grants[role] | grants.get(PUBLIC, frozenset())
    return ReadGrant(read, name) in granted or ReadGrant(read, "*") in granted


def _name(role: str) -> str:
    return f"{role}, which every user has," if role == PUBLIC else role


def _grants(probe: Probe) -> Grants:
    """Return what each role may read. Raises `CannotTell` with the privilege that is missing for that."""
    with of_desired("the grants of roles cannot be read"):
        try:
            return probe.read_grants()
        except PermissionDenied as error:
            call = grant_call(probe.behaviour, ALL_DATABASES, error.privilege or "SelectOwnership", "*", kind=GLOBAL)
            message = f"the grants of roles cannot be read: {error}; grant it: {call}"
            raise CannotTell(Verdict.UNKNOWN, message) from error


def _requires_token(probe: Probe) -> bool:
    """Return whether privileges count; also if that cannot be determined."""
    try:
        return probe.requires_token()
    except CatalogError as error:
        if error.transient:
            raise
        return True


GATE = Gate(
    settings=AccessGate,
    about="Every role that may query or search through the alias can do so after the move.",
    check=_check,
    reads_grants=True,
)
