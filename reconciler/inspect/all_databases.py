"""Read the aliases of every database of a server that the caller may list."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Annotated

from reconciler.catalog import Catalogs
from reconciler.catalog.grants import ALL_DATABASES, GLOBAL, grant_call
from reconciler.catalog.read import read_all
from reconciler.core.errors import CatalogError, NotSupported, PermissionDenied
from reconciler.core.model import Connection, Target
from reconciler.core.plan import Plan
from reconciler.core.record import INLINE, INTERNAL, Record
from reconciler.inspect.alias_status import State, StatusRow


class UnreadDatabase(Record, frozen=True):
    """A database whose aliases cannot be read. `connection` is the name of its connection."""

    target: Annotated[Target, INLINE]
    connection: Annotated[str, INTERNAL]
    code: str
    message: str


def read_databases(
    connection: Connection, database: str, catalogs: Catalogs, *, known: Collection[str] = ()
) -> Iterator[tuple[str, dict[str, str] | UnreadDatabase]]:
    """Yield every database that the caller may list, by name, with its aliases or why they cannot be read.

    It takes one call, and those of `read_all` per database.

    Args:
        connection: the server.
        database: one of its databases, to list the others from.
        catalogs: open connections.
        known: databases to leave out.

    Raises:
        CatalogError: the databases cannot be listed; or a transient error.
    """
    for name in sorted(_names(connection, database, catalogs) - set(known)):
        try:
            yield name, read_all(catalogs.open(connection, name))
        except CatalogError as error:
            if error.transient:
                raise
            yield name, UnreadDatabase(Target(connection.address, name), connection.name, error.code, str(error))


def _names(connection: Connection, database: str, catalogs: Catalogs) -> frozenset[str]:
    catalog = catalogs.open(connection, database)
    try:
        return catalog.databases()
    except PermissionDenied as error:
        privilege = error.privilege or "ListDatabases"
        grant = grant_call(catalog.behaviour, ALL_DATABASES, privilege, "*", kind=GLOBAL)
        message = f"cannot list the databases: {error}; grant it with {grant}, or name a database with --database"
        raise PermissionDenied(message, server_code=error.server_code, privilege=privilege) from error
    except NotSupported as error:
        message = f"cannot list the databases: {error}; leave out --all-databases: all aliases are in one database"
        raise NotSupported(message, server_code=error.server_code) from error


def unmanaged(plan: Plan, catalogs: Catalogs) -> tuple[tuple[StatusRow, ...], tuple[UnreadDatabase, ...]]:
    """Return the aliases of all databases without a set, on the servers of a plan; and the databases not read.

    Raises `CatalogError` as `read_databases` does.
    """
    planned: dict[str, set[str]] = {}
    for target in plan.targets:
        planned.setdefault(target.target.address, set()).add(target.target.database)
    servers = {(target.target.address, target.connection.token): target for target in reversed(plan.targets)}
    rows: list[StatusRow] = []
    unread: list[UnreadDatabase] = []
    for target in reversed(servers.values()):
        known = planned[target.target.address]
        for name, found in read_databases(target.connection, target.target.database, catalogs, known=known):
            if isinstance(found, UnreadDatabase):
                unread.append(found)
                continue
            known.add(name)
            place = Target(target.target.address, name)
            rows += [
                StatusRow(place, target.connection.name, None, alias, None, live, State.UNMANAGED)
                for alias, live in found.items()
            ]
    return tuple(rows), tuple(each for each in unread if each.target.database not in planned[each.target.address])
