"""From the options of a command to the records that the core works on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from reconciler.catalog import lite_file
from reconciler.cli.output import Output
from reconciler.cli.values import variable
from reconciler.core.durations import parse_age
from reconciler.core.errors import AliasctlError, InvalidInput, Problem
from reconciler.core.model import DEFAULT_DATABASE, AliasSet, Connection, Source
from reconciler.core.provenance import Provenance
from reconciler.core.text import counted
from reconciler.journal import RETENTION, Journal, Origins, default_path
from reconciler.manifest import Manifests, Overrides, endpoints_left_out, read, resolve
from reconciler.manifest.export import live_from_export
from reconciler.manifest.targets import single_connection
from reconciler.reconcile import LiveCatalogs, target_of

RETENTION_VARIABLE = "ALIASCTL_JOURNAL_RETENTION"
FOREVER = "forever"


def read_manifests(paths: Sequence[str], output: Output) -> Manifests:
    """Return the documents at the paths of `-f`, and print their warnings."""
    manifests = read(paths)
    for warning in manifests.warnings:
        output.warn(warning)
    return manifests


def desired_sets(manifests: Manifests, flags: Overrides, output: Output) -> tuple[AliasSet, ...]:
    """Return the sets with the connections and databases of this call, checked against each other.

    Raises `InvalidInput`: there is no set, so that every run would succeed without comparing anything.
    """
    if not manifests.sets:
        skipped = f" ({counted(manifests.skipped, 'document')} of other kinds skipped)" if manifests.skipped else ""
        raise InvalidInput(
            Problem(
                f"no AliasSet in the files of -f{skipped}; check the paths, and that files end in .yaml, .yml or .json"
            )
        )
    sets = resolve(manifests, flags, environment())
    for warning in endpoints_left_out(manifests, sets):
        output.warn(warning)
    return sets


def environment() -> Overrides:
    """Return the settings of the `ALIASCTL_…` variables."""
    settings = Overrides.from_environment(os.environ)
    if settings.token_env:
        variable("ALIASCTL_TOKEN_ENV")(settings.token_env)
    return settings


def connection_without_sets(manifests: Manifests, flags: Overrides) -> tuple[Connection, str]:
    """Return the server and database of a command that works without AliasSets."""
    connection = single_connection(manifests, flags, environment(), Path.cwd())
    return connection, flags.database or environment().database or DEFAULT_DATABASE


def live_from_file(
    export: str, paths: Sequence[str], sets: Sequence[AliasSet], manifests: Manifests, flags: Overrides
) -> LiveCatalogs:
    """Return the live state that `plan --against` reads from an export.

    `paths`: of the manifests, none of which can be the export. `manifests`: whose connections take precedence over
    those of the export, which may be older.
    """
    if Path(export).exists() and any(Path(path).exists() and Path(export).samefile(path) for path in paths):
        raise InvalidInput(Problem(f"--against {export} is also given with -f: it must be an export of the server"))
    exported = read([export])
    known = Manifests({**exported.connections, **manifests.connections}, exported.sets)
    return live_from_export(resolve(known, flags, environment()), sorted({target_of(alias_set) for alias_set in sets}))


def announce_new_files(connections: Iterable[Connection | None], output: Output) -> None:
    """Print which Milvus Lite files this call will create."""
    for path in sorted({path for connection in connections if connection and (path := lite_file(connection))}):
        if not path.exists():
            output.say(f"Creating Milvus Lite file {path}")


def journal(path: Path | None) -> Journal:
    """Return the journal at a path, or in the user's state folder, with the retention of the environment."""
    path = path or in_state_folder(default_path, "the journal with --journal or ALIASCTL_JOURNAL")
    return Journal(path, _retention(os.environ.get(RETENTION_VARIABLE) or ""))


def _retention(text: str) -> float | None:
    """Return the retention of the journal in seconds; None for `forever`. Raises `InvalidInput`."""
    if text in {"", FOREVER}:
        return None if text else RETENTION
    try:
        return parse_age(text)
    except ValueError as error:
        raise InvalidInput(Problem(f"{text}: {error}, or {FOREVER}", Source(RETENTION_VARIABLE))) from None


def journal_to_read(path: Path | None) -> Journal | None:
    """Return the journal as `journal` does; None where there is no state folder, and so nothing was recorded."""
    try:
        return journal(path)
    except UnknownHome:
        return None


class UnknownHome(AliasctlError):
    """Raised where the user has no home folder, and so no state folder."""


def in_state_folder(default: Callable[[], Path], instead: str) -> Path:
    """Return a path in the user's state folder.

    Args:
        default: returns it. Where there is no home folder platformdirs raises `RuntimeError`, or before 4.4 returns a
            path that begins with "~", which would be a folder of that name.
        instead: what the user can name instead, and how.

    Raises:
        UnknownHome: there is no home folder.
    """
    with suppress(RuntimeError):
        if (path := default()).is_absolute():
            return path
    user = f"HOME is not set, and user {os.getuid()} has no entry in passwd"
    raise UnknownHome(f"no home folder is known: {user}; name {instead}, or set HOME or XDG_STATE_HOME")


def origins(command: str, sources: Sequence[str]) -> Origins:
    """Return who runs this, and from which paths."""
    return Origins.of_this_process(command=command, source=tuple(sources), provenance=provenance(sources))


def provenance(sources: Sequence[str]) -> Provenance:
    """Return the commit of the first path, and the pipeline that runs this."""
    from reconciler.git.provenance import of_checkout, of_pipeline  # not needed to plan

    places = [Path(source) for source in sources if source != "-"]
    checkout = of_checkout(places[0]) if places else Provenance()
    pipeline = of_pipeline(os.environ)
    return replace(checkout, ref=pipeline.ref or checkout.ref, pipeline=pipeline.pipeline)
