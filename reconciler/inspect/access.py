"""Check up front whether a run could do what its sets need, without writing.

    sets ─▶ for each database:   server: address, TLS, token, version, database
                                 hooks: a test event to each that gates name
                                 privileges: each call that planning and applying need, tried or looked up
                                 Prometheus, if the connection names one or a set has metrics
         ─▶ for each endpoint:   server, and reads through the aliases

A condition is `ok` only if a call was permitted, or a grant was read. If one fails, later ones that were not checked
are `unknown`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

from msgspec.structs import replace

from reconciler.catalog import Catalog, Catalogs
from reconciler.catalog.read import locate
from reconciler.core.errors import CatalogError
from reconciler.core.model import AliasSet, Connection, Target
from reconciler.inspect.conditions import SERVER, Condition, Result, Subject, TargetAccess
from reconciler.inspect.hooks import hook_conditions
from reconciler.inspect.needs import Needs, needs_of, needs_of_endpoint
from reconciler.inspect.privileges import PrivilegeChecks
from reconciler.inspect.prometheus import prometheus_conditions
from reconciler.inspect.server import database_condition, failed_at, known_problems, server_conditions
from reconciler.reconcile import common_connection, target_of

__all__ = ["Condition", "Result", "Subject", "TargetAccess", "check_access", "exit_code"]


def check_access(sets: Sequence[AliasSet], catalogs: Catalogs) -> tuple[TargetAccess, ...]:
    """Return the conditions of each database of some sets, and of each endpoint that they name, sorted by address.

    It takes five calls per database; at most one per alias that its sets list; and for each privilege on collections
    one call per current or desired collection of an alias. `sets`: the desired state, each set with its connection,
    including suspended sets. A set without aliases and scope stands for its database: everything that aliases need is
    checked, and nothing about collections. Raises `InvalidInput`: a token or TLS setting cannot be read, or the sets of
    one database have different connections.
    """
    found = []
    for target, members in groupby(
        sorted(sets, key=lambda alias_set: (target_of(alias_set), alias_set.key)), key=target_of
    ):
        of_desired = list(members)
        access = _check_target(target, of_desired, catalogs)
        hooks = hook_conditions(access.connection, target, of_desired, catalogs.secrets)
        metrics = prometheus_conditions(access.connection, target, of_desired, catalogs.secrets)
        found.append(replace(access, conditions=(*access.conditions, *hooks, *metrics)))
        found += _check_endpoints(target, of_desired, catalogs)
    return tuple(found)


def exit_code(found: Sequence[TargetAccess]) -> int:
    """Return 0 if nothing is known to be missing; otherwise 1: a run would fail, before any write or after some."""
    return 0 if all(access.holds for access in found) else 1


def _check_target(target: Target, sets: Sequence[AliasSet], catalogs: Catalogs) -> TargetAccess:
    connection = common_connection(sets)
    catalog = _opened(connection, target.database, catalogs)
    if isinstance(catalog, CatalogError):
        return _unreached(target, connection, catalog, SERVER)
    reported = catalog.server_version()
    conditions = [*server_conditions(connection, catalog), database_condition(catalog)]
    if conditions[-1].result is Result.MISSING:
        conditions += _not_checked(conditions[-1].subject)
    else:
        conditions += _privileges(catalog, needs_of(sets, _locate_readable(catalog, sets)))
    problems = tuple(known_problems(catalog.behaviour))
    return TargetAccess(target, connection, reported, tuple(conditions), known_problems=problems)


def _check_endpoints(target: Target, sets: Sequence[AliasSet], catalogs: Catalogs) -> Iterator[TargetAccess]:
    """Check the further proxies through which propagation is verified."""
    for connection in sorted(
        {endpoint for each in sets for endpoint in each.verify.endpoints},
        key=lambda endpoint: (endpoint.address, endpoint.name),
    ):
        place = Target(connection.address, target.database)
        catalog = _opened(connection, target.database, catalogs)
        if isinstance(catalog, CatalogError):
            yield _unreached(place, connection, catalog, [*SERVER[:-1], Subject.QUERY], endpoint=True)
            continue
        reported = catalog.server_version()
        conditions = list(server_conditions(connection, catalog))
        concerned = [alias_set for alias_set in sets if connection in alias_set.verify.endpoints]
        needs = needs_of_endpoint(concerned, catalog.behaviour)
        conditions += [privilege for privilege in _privileges(catalog, needs) if privilege.subject is Subject.QUERY]
        yield TargetAccess(place, connection, reported, tuple(conditions), endpoint=True)


def _opened(connection: Connection, database: str, catalogs: Catalogs) -> Catalog | CatalogError:
    """Return the open catalog, or the error why it cannot be opened."""
    try:
        catalog = catalogs.open(connection, database)
        catalog.server_version()
    except CatalogError as error:
        return error
    return catalog


def _unreached(
    target: Target, connection: Connection, error: CatalogError, subjects: Sequence[Subject], *, endpoint: bool = False
) -> TargetAccess:
    conditions = failed_at(error, connection, subjects)
    failed = next(condition.subject for condition in conditions if condition.result is Result.MISSING)
    if not endpoint:
        conditions += _not_checked(failed)
    return TargetAccess(target, connection, "", tuple(conditions), endpoint=endpoint)


def _not_checked(failed: Subject) -> list[Condition]:
    rest = [subject for subject in Subject if subject not in (*SERVER, Subject.HOOKS, Subject.PROMETHEUS)]
    return [Condition(subject, Result.UNKNOWN, f"not checked, because of the {failed.words}") for subject in rest]


def _locate_readable(catalog: Catalog, sets: Sequence[AliasSet]) -> dict[str, str | None]:
    """Return where the listed aliases point now, if that can be read: those collections are read, too."""
    try:
        return locate(catalog, {alias.name: alias.collection for alias_set in sets for alias in alias_set.aliases})
    except CatalogError:
        return {}


def _privileges(catalog: Catalog, needs: Needs) -> list[Condition]:
    with ThreadPoolExecutor(catalog.concurrency, thread_name_prefix="check") as pool:
        return PrivilegeChecks(catalog, pool).conditions(needs)
