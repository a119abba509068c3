"""From a command's options to what the core works on."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from reconciler.catalog import lite_file
from reconciler.cli import output
from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.model import DEFAULT_DATABASE, AliasSet, Connection
from reconciler.journal import Journal, Origins, Provenance, default_path
from reconciler.manifest import Manifests, Overrides, endpoints_left_out, read, resolve
from reconciler.manifest.export import live_from_export
from reconciler.manifest.targets import single_connection
from reconciler.reconcile import LiveCatalogs, target_of


def read_manifests(paths: Sequence[str]) -> Manifests:
    """The documents at the paths of `-f`, with their warnings told."""
    manifests = read(paths)
    for warning in manifests.warnings:
        output.warn(warning)
    return manifests


def wanted_sets(manifests: Manifests, flags: Overrides) -> tuple[AliasSet, ...]:
    """The sets with the connections and databases of this call, checked against each other; warnings are told."""
    sets = resolve(manifests, flags, environment())
    for warning in endpoints_left_out(manifests, sets):
        output.warn(warning)
    return sets


def environment() -> Overrides:
    """What the `ALIASCTL_…` variables say."""
    return Overrides.from_environment(os.environ)


def one_connection(paths: Sequence[str], flags: Overrides) -> tuple[Connection, str]:
    """The server and database that a command without AliasSets is about."""
    return connection_of(read_manifests(paths) if paths else None, flags)


def connection_of(manifests: Manifests | None, flags: Overrides) -> tuple[Connection, str]:
    """The same, of manifests that were read."""
    connection = single_connection(manifests, flags, environment(), Path.cwd())
    return connection, flags.database or environment().database or DEFAULT_DATABASE


def live_side(
    export: str | None, paths: Sequence[str], sets: Sequence[AliasSet], manifests: Manifests, flags: Overrides
) -> LiveCatalogs | None:
    """The live side of `plan --against`, None where the server is to be asked."""
    if export is None:
        return None
    if Path(export).exists() and any(Path(path).exists() and Path(export).samefile(path) for path in paths):
        raise InvalidInput(Problem(f"--against {export} is what is wanted, too: it must be an export of the server"))
    exported = read([export])
    # The manifests say where a connection of this name is; the export may be older.
    known = Manifests({**exported.connections, **manifests.connections}, exported.sets)
    return live_from_export(resolve(known, flags, environment()), sorted({target_of(alias_set) for alias_set in sets}))


def announce_new_files(connections: Sequence[Connection]) -> None:
    """Say which Milvus Lite files this call will create."""
    for path in sorted({path for connection in connections if (path := lite_file(connection))}):
        if not path.exists():
            output.say(f"Creating Milvus Lite file {path}")


def journal(path: Path | None) -> Journal:
    """The journal of this call, at the path it gives or in the user's state folder."""
    return Journal(path or default_path())


def origins(command: str, sources: Sequence[str]) -> Origins:
    """Who runs this, and from what: the paths given, the commit that the first of them is at, and the pipeline."""
    from reconciler.git.provenance import of_checkout, of_pipeline  # not needed to plan

    places = [Path(source) for source in sources if source != "-"]
    checkout = of_checkout(places[0]) if places else Provenance()
    pipeline = of_pipeline(os.environ)
    provenance = replace(checkout, ref=pipeline.ref or checkout.ref, pipeline=pipeline.pipeline)
    return Origins.of_this_process(command=command, source=tuple(sources), provenance=provenance)


def insist_on_terminal() -> None:
    """Raise `InvalidInput` where nobody can be asked."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        message = "there are changes to apply and no terminal to ask at; run with --yes to apply them"
        raise InvalidInput(Problem(message))
