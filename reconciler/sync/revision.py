"""A commit → what it wants, or why it cannot be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.core.errors import AliasctlError, InvalidInput, Problem
from reconciler.core.model import AliasSet, Source
from reconciler.core.provenance import Provenance
from reconciler.git import Commit, Repository, Signature
from reconciler.manifest import Manifests, Overrides, endpoints_left_out, read, read_tree, resolve
from reconciler.manifest.records import AliasSetManifest, Approval, ConnectionManifest, DriftPolicy
from reconciler.sync.settings import Settings
from reconciler.sync.tree import CommitTree


class SignatureRejected(AliasctlError):
    """A commit whose signature does not count."""


class ConnectionsUnusable(AliasctlError):
    """The agent's own connections cannot be used: no fault of the commit's."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A commit that can be used.

    Args:
        commit: which.
        provenance: where it comes from.
        sets: what it wants, without those that are refused.
        reported: those of the sets whose drift is only reported.
        remarks: what somebody should know: sets that are refused, connections that are not used.
        copies: the files that it needs on the disk.
    """

    commit: Commit
    provenance: Provenance
    sets: tuple[AliasSet, ...]
    reported: tuple[AliasSet, ...]
    remarks: tuple[Problem, ...]
    copies: frozenset[Path] = frozenset()


def read_connections(path: Path) -> Mapping[tuple[str, str], ConnectionManifest]:
    """The MilvusConnections of the agent, by namespace and name.

    Raises:
        InvalidInput: they cannot be used, or there is something else.
    """
    manifests = read([path])
    if manifests.sets:
        message = "an AliasSet among the connections; what is wanted comes from the repository"
        raise InvalidInput(*(Problem(message, alias_set.source) for alias_set in manifests.sets))
    return manifests.connections


def read_revision(repository: Repository, commit: Commit, settings: Settings) -> Revision:
    """What a commit wants, with connections that are not the commit's.

    Args:
        repository: has the commit.
        commit: which.
        settings: what is followed, and whose signature counts.

    Raises:
        Unverified: nobody signed it whose signature counts.
        ConnectionsUnusable: the connections cannot be read.
        InvalidInput: everything that is wrong with it.
        GitError: it cannot be read, or is too large.
    """
    signature = settings.signers.verify(repository, commit.id) if settings.signers else Signature()
    if settings.signers and not signature.good:
        raise SignatureRejected(f"it is by {commit.author}, and {signature.problem}")
    tree = CommitTree(repository, commit.id, settings.path, settings.state / "files")
    found = read_tree(tree.names, tree)
    if not found.sets:
        raise InvalidInput(Problem("there is no AliasSet here in this commit", Source(settings.path or "/")))
    try:
        connections = read_connections(settings.connections)
    except InvalidInput as error:
        raise ConnectionsUnusable(str(error)) from error
    known = Manifests(connections, found.sets, found.skipped, found.warnings)
    sets = resolve(known, settings.overrides, Overrides())
    manual = {
        key for alias_set in found.sets if alias_set.operation.approval is Approval.MANUAL for key in [_key(alias_set)]
    }
    reported = {
        key for alias_set in found.sets if alias_set.operation.drift is DriftPolicy.REPORT for key in [_key(alias_set)]
    }
    desired = tuple(alias_set for alias_set in sets if (alias_set.namespace, alias_set.name) not in manual)
    return Revision(
        commit,
        Provenance(
            commit=commit.id,
            author=commit.author,
            ref=settings.ref,
            repository=settings.access.url,
            signature=f"good, by {signature.by}" if signature.good else "not verified",
        ),
        desired,
        tuple(alias_set for alias_set in desired if (alias_set.namespace, alias_set.name) in reported),
        (*found.warnings, *_unused(found), *_manual(found), *endpoints_left_out(known, sets)),
        copies=frozenset(tree.copied),
    )


def _key(manifest: AliasSetManifest) -> tuple[str, str]:
    return (manifest.namespace, manifest.name)


def _unused(found: Manifests) -> list[Problem]:
    """The repository may describe servers for other front doors; here it must not say where credentials are sent."""
    message = "this MilvusConnection is not used: the agent's own come from --connections"
    return [Problem(message, connection.source) for connection in found.connections.values()]


def _manual(found: Manifests) -> list[Problem]:
    return [
        Problem(
            f'AliasSet "{alias_set.name}" has approval: Manual and is left alone: the agent can ask nobody; '
            "use the operator, or a pipeline with a reviewed plan",
            alias_set.source,
        )
        for alias_set in found.sets
        if alias_set.operation.approval is Approval.MANUAL
    ]
