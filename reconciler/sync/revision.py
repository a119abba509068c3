"""Read the AliasSets of a commit, or find out why it cannot be used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from reconciler.core.errors import AliasctlError, InvalidInput, Problem
from reconciler.core.model import AliasSet, Connection, Source
from reconciler.core.provenance import Provenance
from reconciler.git import Commit, Repository, Signature
from reconciler.manifest import Manifests, Overrides, endpoints_left_out, read, read_tree, resolve
from reconciler.manifest.records import ConnectionManifest
from reconciler.manifest.specs.alias_set import Approval, DriftPolicy
from reconciler.sync.settings import Settings
from reconciler.sync.tree import CommitTree


class SignatureRejected(AliasctlError):
    """A commit without an accepted signature."""


class ConnectionsUnusable(AliasctlError):
    """The connections of the agent cannot be used; the commit is not to blame."""


class Revision(Struct, frozen=True):
    """A commit that can be used.

    Args:
        sets: its sets, without those with `approval: Manual`.
        reported: the sets whose drift is only reported.
        remarks: warnings, such as sets that are left out and connections that are not used.
        copies: the files of the commit that are needed on disk.
    """

    commit: Commit
    provenance: Provenance
    sets: tuple[AliasSet, ...]
    reported: tuple[AliasSet, ...]
    remarks: tuple[Problem, ...]
    copies: frozenset[Path] = frozenset()


def read_connections(path: Path) -> Mapping[tuple[str, str], ConnectionManifest]:
    """Return the MilvusConnections of the agent, by namespace and name.

    Raises `InvalidInput`: they cannot be used, or there is an AliasSet among them.
    """
    manifests = read([path])
    if manifests.sets:
        message = "an AliasSet among the connections; AliasSets are read from the repository"
        raise InvalidInput(*(Problem(message, alias_set.source) for alias_set in manifests.sets))
    return manifests.connections


def connections_of(settings: Settings) -> tuple[Connection, ...]:
    """Return the servers of the agent's MilvusConnections, with their receivers; none of them is meant by `--uri`.

    Raises `InvalidInput`: they cannot be read.
    """
    if settings.overrides.uri:
        return ()
    manifests = read_connections(settings.connections).values()
    return tuple(
        Connection(each.name, each.uri, each.address, namespace=each.namespace, notify=each.notify)
        for each in manifests
    )


def read_revision(repository: Repository, commit: Commit, settings: Settings) -> Revision:
    """Return the AliasSets of a commit, with the connections of the agent.

    Raises:
        SignatureRejected: it has no accepted signature.
        ConnectionsUnusable: the connections cannot be read.
        InvalidInput: all errors in it.
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
    operations = {alias_set.key: alias_set.operation for alias_set in found.sets}
    desired = tuple(alias_set for alias_set in sets if operations[alias_set.key].approval is Approval.AUTO)
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
        tuple(alias_set for alias_set in desired if operations[alias_set.key].drift is DriftPolicy.REPORT),
        (*found.warnings, *_unused(found), *_manual(found), *endpoints_left_out(known, sets)),
        copies=frozenset(tree.copied),
    )


def _unused(found: Manifests) -> list[Problem]:
    """Warn about connections in the repository, which must not decide where credentials are sent."""
    message = "this MilvusConnection is not used: the agent's own come from --connections"
    return [Problem(message, connection.source) for connection in found.connections.values()]


def _manual(found: Manifests) -> list[Problem]:
    return [
        Problem(
            f'AliasSet "{alias_set.name}" has approval: Manual and is left alone: the agent cannot ask for an '
            "approval; use the operator, or a pipeline with a reviewed plan",
            alias_set.source,
        )
        for alias_set in found.sets
        if alias_set.operation.approval is Approval.MANUAL
    ]
