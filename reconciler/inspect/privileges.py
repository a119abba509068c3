"""Check whether each call is permitted: reads by making them, writes by `Catalog.permits`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor

from reconciler.catalog.grants import ALL_DATABASES, COLLECTION, GLOBAL, grant_call
from reconciler.catalog.port import IMPOSSIBLE_NAME, AliasWrite, Catalog, DataRead
from reconciler.catalog.single_reads import read_one
from reconciler.core.errors import (
    AliasNotFound,
    CatalogError,
    CollectionNotFound,
    InvalidName,
    NotLoaded,
    NotPrimary,
    PermissionDenied,
)
from reconciler.core.model import Schema
from reconciler.core.text import listed
from reconciler.gates.gate import Call
from reconciler.inspect.conditions import Condition, Result, Subject
from reconciler.inspect.needs import Needs

LET_THROUGH = (AliasNotFound, CollectionNotFound, InvalidName, NotLoaded)
"""Errors that a server only reports after it has checked the privilege."""


class PrivilegeChecks:
    """Checks of the privileges in one database. `pool`: for as many calls as may be in flight."""

    def __init__(self, catalog: Catalog, pool: Executor) -> None:
        self._catalog = catalog
        self._pool = pool

    def conditions(self, needs: Needs) -> list[Condition]:
        """Return a condition for each call, in the order of `Subject`."""
        catalog = self._catalog
        return [
            self._read(Subject.LIST_ALIASES, [""], lambda _: catalog.alias_names()),
            self._read(Subject.DESCRIBE_COLLECTION, [_one_of(needs.collections)], catalog.describe),
            self._describe_alias(_one_of(needs.aliases)),
            *(self._by_collection(call, needs) for call in Call),
            self._grants(needed=needs.grants),
            self._write(AliasWrite.CREATE, Subject.CREATE_ALIAS, needed=needs.points),
            self._write(AliasWrite.ALTER, Subject.ALTER_ALIAS, needed=needs.points),
            self._write(AliasWrite.DROP, Subject.DROP_ALIAS, needed=needs.drops),
        ]

    def _describe_alias(self, alias: str) -> Condition:
        if not self._catalog.behaviour.describes_aliases:
            detail = "DescribeCollection is used on this version"
            return Condition(Subject.DESCRIBE_ALIAS, Result.NOT_NEEDED, detail)
        return self._read(Subject.DESCRIBE_ALIAS, [alias], self._catalog.resolve)

    def _by_collection(self, call: Call, needs: Needs) -> Condition:
        subject, names = Subject(call), needs.by_collection.get(call, ())
        if not needs.named:
            return Condition(subject, Result.UNKNOWN, "granted per collection; pass -f to check them")
        if not names:
            return Condition(subject, Result.NOT_NEEDED, "no gate or verification of these sets needs it")
        make: Mapping[Call, Callable[[str], object]] = {
            Call.GET_LOAD_STATE: self._catalog.load_state,
            Call.SHOW_PARTITIONS: self._catalog.partitions,
            Call.DESCRIBE_INDEX: self._catalog.indexes,
            Call.QUERY: lambda name: read_one(DataRead.QUERY, self._catalog, name, self._schema(name)),
            Call.SEARCH: lambda name: read_one(DataRead.SEARCH, self._catalog, name, self._schema(name)),
        }
        return self._read(subject, names, make[call], object_type=COLLECTION)

    def _grants(self, *, needed: bool) -> Condition:
        subject, behaviour = Subject.SELECT_OWNERSHIP, self._catalog.behaviour
        if not needed:
            return Condition(subject, Result.NOT_NEEDED, "no gate of these sets reads grants")
        if not any(behaviour.checks_collection(read) for read in DataRead):
            return Condition(subject, Result.NOT_NEEDED, "this version checks reads on the name of the alias")
        return self._read(subject, ["*"], lambda _: self._catalog.read_grants(), database=ALL_DATABASES)

    def _read(
        self,
        subject: Subject,
        names: Sequence[str],
        call: Callable[[str], object],
        *,
        object_type: str = GLOBAL,
        database: str | None = None,
    ) -> Condition:
        """Check a privilege by making the call for each name."""
        errors = dict(zip(names, self._pool.map(lambda name: _error(call, name), names), strict=True))
        refused = {name: error for name, error in errors.items() if isinstance(error, PermissionDenied)}
        let_through = {name for name, error in errors.items() if error is None or isinstance(error, LET_THROUGH)}
        unclear = [name for name in names if name not in refused and name not in let_through]
        on = f" on {listed(list(refused) or unclear or names, 3)}" if object_type == COLLECTION else ""
        if refused:
            first, error = next(iter(refused.items()))
            privilege = error.privilege or str(subject)
            remedy = self._grant(object_type, privilege, first if object_type == COLLECTION else "*", database)
            each = ", and so on for each of them" if len(refused) > 1 else ""
            return Condition(subject, Result.MISSING, f"the privilege {privilege} is missing{on}", remedy + each)
        if unclear:
            return Condition(subject, Result.UNKNOWN, f"no clear answer{on}: {errors[unclear[0]]}")
        return Condition(subject, Result.OK, f"ok{on}")

    def _write(self, write: AliasWrite, subject: Subject, *, needed: bool) -> Condition:
        if not needed:
            return Condition(subject, Result.NOT_NEEDED, "these sets do not need it; a rollback may")
        try:
            permitted = self._catalog.permits(write)
        except NotPrimary as error:
            return Condition(subject, Result.MISSING, str(error))
        except CatalogError as error:
            return Condition(subject, Result.UNKNOWN, f"no clear answer: {error}")
        if permitted is None:
            detail = "cannot be tried without writing, and whether it was granted cannot be read either"
            return Condition(subject, Result.UNKNOWN, detail)
        if permitted:
            return Condition(subject, Result.OK, "permitted; nothing was written")
        remedy = self._grant(GLOBAL, write.privilege, "*")
        return Condition(subject, Result.MISSING, f"the privilege {write.privilege} is missing", remedy)

    def _grant(self, object_type: str, privilege: str, name: str, database: str | None = None) -> str:
        catalog = self._catalog
        return grant_call(catalog.behaviour, database or catalog.database, privilege, name, kind=object_type)

    def _schema(self, name: str) -> Schema:
        try:
            return self._catalog.schema(name)
        except (CollectionNotFound, PermissionDenied):
            return Schema(())


def _error(call: Callable[[str], object], name: str) -> CatalogError | None:
    try:
        call(name)
    except CatalogError as error:
        return error
    return None


def _one_of(names: Sequence[str]) -> str:
    """Return one name that stands for all; it need not exist."""
    return names[0] if names else IMPOSSIBLE_NAME
