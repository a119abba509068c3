"""Which server and database each set is for: flag over manifest over environment.

The environment only fills what the manifests leave open, so it never points one at another server. `--uri` is another
server: token, TLS settings, endpoints, hooks, receivers and Prometheus of the manifest, and the environment's, are not
for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from reconciler.catalog.address import normalise
from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.model import DEFAULT_DATABASE, AliasSet, Connection, Credential, Origin, Source, Tls
from reconciler.manifest.endpoints import absent_endpoints, elsewhere, endpoints_of, wrong_endpoints
from reconciler.manifest.hooks import missing_hooks
from reconciler.manifest.overrides import Overrides
from reconciler.manifest.records import AliasSetManifest, ConnectionManifest, Manifests
from reconciler.manifest.rules import TargetKey, in_order, target_key

if TYPE_CHECKING:
    from reconciler.core.plan import Plan, SetPlan

__all__ = ["Overrides", "absent_connections", "as_written", "reconnected", "retarget", "single_connection"]


def as_written(manifests: Manifests) -> tuple[AliasSet, ...]:
    """Return the sets by the manifests alone; without a connection where the manifests have none of that name."""
    resolver = _ConnectionResolver(manifests, Overrides(), Overrides(), Path())
    return tuple(
        _bound(
            alias_set,
            resolver.connection(alias_set.namespace, alias_set.connection_name),
            alias_set.database,
            resolver.endpoints(alias_set),
        )
        for alias_set in manifests.sets
    )


def absent_connections(manifests: Manifests) -> list[Problem]:
    """Return a problem for each connection and endpoint of a set that the manifests do not have."""
    problems: list[Problem] = []
    for alias_set in manifests.sets:
        if (alias_set.namespace, alias_set.connection_name) not in manifests.connections:
            problems.append(_absent(alias_set, manifests))
        problems += absent_endpoints(alias_set, manifests)
    return problems


def retarget(
    manifests: Manifests, flags: Overrides, environment: Overrides, working_directory: Path
) -> tuple[AliasSet, ...]:
    """Return the sets with the connection and database that this run uses.

    Args:
        environment: fills what flags and manifests leave open.
        working_directory: where relative paths on flags and in the environment start.

    Raises:
        InvalidInput: a setting is wrong by itself, a connection is found nowhere, or two targets would become one.
    """
    resolver = _ConnectionResolver(manifests, flags, environment, working_directory)
    problems: list[Problem] = []
    sets = []
    for alias_set in manifests.sets:
        connection = resolver.connection(alias_set.namespace, alias_set.connection_name)
        if connection is None:
            problems.append(_absent(alias_set, manifests))
        endpoints: tuple[Connection, ...] = ()
        if connection and connection.address == resolver.written_address(alias_set):
            problems += [*absent_endpoints(alias_set, manifests), *wrong_endpoints(alias_set, manifests)]
            problems += missing_hooks(alias_set, manifests)
            endpoints = resolver.endpoints(alias_set)
        sets.append(
            _bound(alias_set, connection, flags.database or alias_set.database or environment.database, endpoints)
        )
    problems += _merged(as_written(manifests), sets, _choosing(flags) + _choosing(environment))
    if problems:
        raise InvalidInput(*in_order(problems))
    return tuple(sets)


def single_connection(
    manifests: Manifests | None, flags: Overrides, environment: Overrides, working_directory: Path
) -> Connection:
    """Return the server of a command without AliasSets.

    It is that of `--uri`, of `--connection`, of the only MilvusConnection given, or of the environment. Raises
    `InvalidInput`: a setting is wrong by itself, or it is not clear which server is meant.
    """
    manifests = manifests or Manifests()
    resolver = _ConnectionResolver(manifests, flags, environment, working_directory)
    known = manifests.connections
    namespace, name = next(iter(known)) if len(known) == 1 else ("", flags.connection or "milvus")
    if len(known) > 1 and not flags.uri and not flags.connection:
        raise InvalidInput(Problem(f"several servers are given; choose one with --connection: {_names(manifests)}"))
    connection = resolver.connection(namespace, name)
    if connection is None:
        raise InvalidInput(Problem("no server is named; give --uri, or -f with a MilvusConnection"))
    return connection


def reconnected(plan: Plan, flags: Overrides, working_directory: Path) -> Plan:
    """Return a saved plan with this run's token, TLS settings, timeout and concurrency, where flags set them.

    Raises `InvalidInput`: a flag is wrong by itself, or would send the plan somewhere else.
    """
    problems = list(flags.problems(working_directory))
    problems += [
        Problem("a saved plan says by itself where it applies", Source(setting)) for setting in _choosing(flags)
    ]
    if problems:
        raise InvalidInput(*in_order(problems))
    return replace(
        plan,
        targets=tuple(
            replace(
                target,
                connection=_with_settings(target.connection, flags, working_directory),
                sets=tuple(_with_timeouts(alias_set, flags) for alias_set in target.sets),
            )
            for target in plan.targets
        ),
    )


def _with_timeouts(plan: SetPlan, flags: Overrides) -> SetPlan:
    """Return the plan with the flags that apply to endpoints too."""
    endpoints = (
        _override(endpoint, None, None, flags.timeout, flags.concurrency) for endpoint in plan.verify.endpoints
    )
    return replace(plan, verify=replace(plan.verify, endpoints=tuple(endpoints)))


class _ConnectionResolver:
    """Finds connections; refuses settings that are wrong by themselves."""

    def __init__(self, manifests: Manifests, flags: Overrides, environment: Overrides, working_directory: Path) -> None:
        self._manifests = manifests
        self._flags = flags
        self._environment = environment
        self._directory = working_directory
        problems = [*flags.problems(working_directory), *environment.problems(working_directory)]
        if flags.connection and not any(name == flags.connection for _, name in manifests.connections):
            known = f"known are {_names(manifests)}" if manifests.connections else "the manifests have none"
            message = f'no MilvusConnection "{flags.connection}"; {known}'
            problems.append(Problem(message, Source("--connection")))
        if problems:
            raise InvalidInput(*problems)

    def connection(self, namespace: str, name: str) -> Connection | None:
        """Return the connection to use for this name; None where its server is not set anywhere."""
        flags, environment, directory = self._flags, self._environment, self._directory
        name = flags.connection or name
        manifest = self._manifest(namespace, name)
        if flags.uri:
            connection = Connection(name, *normalise(flags.uri, directory), Origin.FLAG)
        elif manifest:
            served = {"hooks": manifest.hooks, "prometheus": manifest.prometheus, "notify": manifest.notify}
            connection = replace(_written(manifest, name), **served)
        elif environment.uri:
            connection = Connection(name, *normalise(environment.uri, directory), Origin.ENVIRONMENT)
        else:
            return None
        connection = _filled(connection, environment, directory)
        if manifest:
            secrets = (None, None) if flags.uri else (manifest.token, manifest.tls)
            connection = _override(connection, *secrets, manifest.timeout, manifest.concurrency)
        return _with_settings(connection, flags, directory)

    def written_address(self, desired: AliasSetManifest) -> str | None:
        """Return the address of the connection that a set names; None where no manifest has it."""
        manifest = self._manifests.connections.get((desired.namespace, desired.connection_name))
        return manifest.address if manifest else None

    def endpoints(self, desired: AliasSetManifest) -> tuple[Connection, ...]:
        """Return those further proxies of a set that the manifests have.

        Credentials come from the manifest of each; flags and the environment only set timeout and concurrency.
        """
        flags, environment = self._flags, self._environment
        return tuple(
            _override(
                _written(item, item.name),
                item.token,
                item.tls,
                flags.timeout or item.timeout or environment.timeout,
                flags.concurrency or item.concurrency or environment.concurrency,
            )
            for item in endpoints_of(desired, self._manifests)
        )

    def _manifest(self, namespace: str, name: str) -> ConnectionManifest | None:
        """Return the manifest of this name in this namespace; one that `--connection` names may be in another."""
        known = self._manifests.connections
        if (namespace, name) in known or not self._flags.connection:
            return known.get((namespace, name))
        of_that_name = [item for item in known.values() if item.name == name]
        if len(of_that_name) > 1:
            places = " and ".join(str(item.source) for item in of_that_name)
            raise InvalidInput(
                Problem(f'"{name}" is the name of several connections, at {places}', Source("--connection"))
            )
        return of_that_name[0]


def _written(manifest: ConnectionManifest, name: str) -> Connection:
    """Return the server of a manifest, under a name, without its settings."""
    return Connection(
        name,
        manifest.uri,
        manifest.address,
        Origin.MANIFEST,
        namespace=manifest.namespace,
        server_version=manifest.server_version,
    )


def _filled(connection: Connection, environment: Overrides, directory: Path) -> Connection:
    """Return the connection with those settings of the environment that are meant for this server."""
    token, tls = environment.token(directory), environment.tls(directory)
    if connection.origin is Origin.FLAG:
        token, tls = None, Tls()
    elif not connection.uri.startswith("https://"):
        tls = Tls()
    return _override(connection, token, tls, environment.timeout, environment.concurrency)


def _with_settings(connection: Connection, flags: Overrides, directory: Path) -> Connection:
    return _override(connection, flags.token(directory), flags.tls(directory), flags.timeout, flags.concurrency)


def _override(
    connection: Connection, token: Credential | None, tls: Tls | None, timeout: float | None, concurrency: int | None
) -> Connection:
    """Return the connection with those of the settings that are given."""
    if tls and tls != Tls():
        under = connection.tls or Tls()
        # Certificate and key are always given together, so this never pairs one's certificate with another's key.
        tls = Tls(
            tls.ca or under.ca, tls.cert or under.cert, tls.key or under.key, tls.server_name or under.server_name
        )
    else:
        tls = connection.tls
    return replace(
        connection,
        token=token or connection.token,
        tls=tls,
        timeout=timeout or connection.timeout,
        concurrency=concurrency or connection.concurrency,
    )


def _bound(
    manifest: AliasSetManifest,
    connection: Connection | None,
    database: str | None,
    endpoints: tuple[Connection, ...],
) -> AliasSet:
    return AliasSet(
        name=manifest.name,
        namespace=manifest.namespace,
        connection_name=connection.name if connection else manifest.connection_name,
        connection=connection,
        database=database or DEFAULT_DATABASE,
        aliases=manifest.aliases,
        scope=manifest.scope,
        limits=manifest.limits,
        verify=replace(manifest.verify, endpoints=endpoints),
        on_failure=manifest.on_failure,
        suspend=manifest.suspend,
        source=manifest.source,
        depends_on=tuple(
            f"{manifest.namespace}/{name}" if manifest.namespace else name for name in manifest.depends_on
        ),
    )


def _absent(desired: AliasSetManifest, manifests: Manifests) -> Problem:
    hint = elsewhere(desired, desired.connection_name, manifests)
    name = desired.connection_name
    message = f'MilvusConnection "{name}" is not among the manifests{hint}; give its file with -f, or --uri'
    return Problem(message, desired.connection_source)


def _merged(before: Iterable[AliasSet], after: Iterable[AliasSet], settings: list[str]) -> Iterator[Problem]:
    """Yield a problem for sets that had different targets and now share one: changes would reach another server."""
    first: dict[TargetKey, tuple[TargetKey, AliasSet]] = {}
    for old, new in zip(before, after, strict=True):
        old_key, other = first.setdefault(target_key(new), (target_key(old), new))
        if old_key != target_key(old):
            place = f'AliasSet "{other.key}" at {other.source}'
            reason = f"give this set and {place} one target, where they name two; run them one by one"
            yield Problem(f"{' and '.join(settings)} would {reason}", new.source)


def _choosing(overrides: Overrides) -> list[str]:
    """Return the settings that choose a target, as the user writes them."""
    return [overrides.named(item) for item in ("uri", "connection", "database") if getattr(overrides, item)]


def _names(manifests: Manifests) -> str:
    return ", ".join(sorted({name for _, name in manifests.connections}))
