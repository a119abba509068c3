"""Exercises of the calls about aliases: create, alter and drop in all cases, and the reads that decisions are based on.

The cases are those of the table in `docs/servers.md` and `tests/catalog/test_contract.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from msgspec.structs import replace

from reconciler.catalog.port import AliasWrite
from reconciler.core.errors import (
    AliasAlreadyExists,
    AliasNotFound,
    CollectionNotFound,
    InvalidName,
    NameTakenByCollection,
    UnexpectedAnswer,
)
from reconciler.core.model import DEFAULT_DATABASE
from reconciler.exercise.exercise import DONE, Exercise, NotObserved, Observation
from reconciler.exercise.guards import Guard
from reconciler.exercise.names import LONGER, MISSING, NEW, OLD, PREFIX, A, B
from reconciler.exercise.session import Session

if TYPE_CHECKING:
    from reconciler.catalog.sandbox import Sandbox

CREATE, ALTER, DROP = AliasWrite.CREATE, AliasWrite.ALTER, AliasWrite.DROP

EXISTS, NO_ALIAS = AliasAlreadyExists.__name__, AliasNotFound.__name__
TAKEN, NO_COLLECTION = NameTakenByCollection.__name__, CollectionNotFound.__name__
BAD_NAME = InvalidName.__name__
NOTHING, NOT_FOUND, ITS_OWN, OF_DEFAULT = "nothing", "not found", "its own", "of default"
LONGEST_NAME = 255


def write(
    call: AliasWrite, alias: str = A, to: str = "", *, given: Mapping[str, str] | None = None
) -> Callable[[Session], Observation]:
    """Return an observation of one call, and of where the alias points afterwards.

    Args:
        call: the call.
        alias: its alias.
        to: the collection, or an alias in its place; none for a drop.
        given: aliases that exist before, with their collections.
    """

    def observe(session: Session) -> Observation:
        sandbox, start = session.sandbox, given or {}
        make: Mapping[AliasWrite, Callable[[], None]] = {
            CREATE: lambda: sandbox.create_alias(alias, to),
            ALTER: lambda: sandbox.alter_alias(alias, to),
            DROP: lambda: sandbox.drop_alias(alias),
        }
        with session.aliases(start):
            ended = session.outcome(make[call])
            expected = start.get(to, to) or None if ended.result == DONE else start.get(alias)
            at = session.where(alias)
        return ended if at == expected else replace(ended, result=f"{ended.result}, but at {at}")

    return observe


def _drop_collection_name(session: Session) -> Observation:
    ended = session.outcome(lambda: session.sandbox.drop_alias(OLD))
    return ended if session.sandbox.describe(OLD) else replace(ended, result="collection dropped")


def _effects_of_drop(session: Session) -> Observation:
    """Drop an alias that is being read; afterwards no read finds it."""
    sandbox = session.sandbox
    with session.aliases({A: OLD}):
        session.keys(A)
        sandbox.drop_alias(A)
        if A in sandbox.alias_names() or A in (sandbox.aliases_of(OLD) or ()):
            return Observation("still listed")
        read = session.outcome(lambda: session.keys(A))
    return Observation("gone", read.code) if read.result in (NO_ALIAS, NO_COLLECTION) else read


def _longer_names_after_drop(session: Session) -> Observation:
    """Drop an alias whose name another one begins with; that one works, at least until the server restarts."""
    with session.aliases({A: OLD, LONGER: NEW}):
        session.sandbox.drop_alias(A)
        at = session.where(LONGER)
    return Observation("kept" if at == NEW else "lost")


def _resolve(name: str) -> Callable[[Session], Observation]:
    return lambda session: Observation(session.where(name) or NOTHING)


def _list_all(session: Session) -> Observation:
    with session.aliases({A: OLD, B: NEW}):
        listed = session.sandbox.alias_names() & {A, B}
    return Observation("all" if listed == {A, B} else f"{len(listed)} of 2")


def _list_of_collection(session: Session) -> Observation:
    with session.aliases({A: OLD, B: NEW}):
        listed = session.sandbox.aliases_of(OLD) or frozenset()
    return Observation(ITS_OWN if set(listed) == {A} else "others")


def _list_of_missing(session: Session) -> Observation:
    listed = session.sandbox.aliases_of(MISSING)
    return Observation(NOT_FOUND if listed is None else "others" if listed else NOTHING)


def _list_of_alias(session: Session) -> Observation:
    with session.aliases({A: OLD}):
        listed = session.sandbox.aliases_of(A)
    return Observation(NOT_FOUND if listed is None else "its collection's")


def _without_database(finds: Callable[[Sandbox], bool]) -> Callable[[Session], Observation]:
    """Return an observation of whether a call that does not name the database finds an alias of this one."""

    def observe(session: Session) -> Observation:
        if session.sandbox.database == DEFAULT_DATABASE:
            raise NotObserved(f'seen in a database other than "{DEFAULT_DATABASE}": --database NAME')
        with session.aliases({A: OLD}):
            return Observation(ITS_OWN if finds(session.sandbox) else OF_DEFAULT)

    return observe


def _lists(sandbox: Sandbox) -> bool:
    return A in sandbox.listed_without_database()


def _describes(sandbox: Sandbox) -> bool:
    try:
        return sandbox.described_without_database(A) == OLD
    except AliasNotFound:
        return False


def _create_named(name: str) -> Callable[[Session], Observation]:
    def observe(session: Session) -> Observation:
        ended = session.outcome(lambda: session.sandbox.create_unchecked(name, OLD))
        if ended.result == DONE:
            session.sandbox.drop_alias(name)
        return ended

    return observe


def _permits(session: Session) -> Observation:
    """Compare the answers of `check` about privileges with what this run did."""
    answers = {write: session.sandbox.permits(write) for write in AliasWrite}
    if denied := [write for write, permitted in answers.items() if permitted is False]:
        return Observation("missing", detail=f"{denied[0]} was permitted, and is reported as missing")
    if unknown := [write for write, permitted in answers.items() if permitted is None]:
        raise NotObserved(f"whether {unknown[0]} is permitted cannot be read")
    return Observation("permitted")


AT_OLD, OTHER_AT_OLD = {A: OLD}, {B: OLD}

ALIAS_CALLS = (
    Exercise("create", write(CREATE, A, OLD), Guard.READ_BACK, (DONE,)),
    Exercise("create, same collection", write(CREATE, A, OLD, given=AT_OLD), Guard.RE_READ, (DONE,), lite=(EXISTS,)),
    Exercise("create, other collection", write(CREATE, A, NEW, given=AT_OLD), Guard.RE_READ, (EXISTS,)),
    Exercise("create, name of a collection", write(CREATE, NEW, OLD), Guard.NAMES, (TAKEN,)),
    Exercise("create, collection missing", write(CREATE, A, MISSING), Guard.NAMES, (NO_COLLECTION,)),
    Exercise(
        "create, an alias as collection",
        write(CREATE, A, B, given=OTHER_AT_OLD),
        Guard.NAMES,
        (DONE,),
        row="resolves_alias_targets",
        no=(NO_COLLECTION,),
        lite=(DONE,),
    ),
    Exercise("create, 255 characters", _create_named(PREFIX.ljust(LONGEST_NAME, "x")), Guard.NAMES, (DONE,)),
    Exercise(
        "create, 256 characters",
        _create_named(PREFIX.ljust(LONGEST_NAME + 1, "x")),
        Guard.NAMES,
        (BAD_NAME,),
        lite=(UnexpectedAnswer.__name__,),
    ),
    Exercise("create, name with a hyphen", _create_named(f"{A}-b"), Guard.NAMES, (BAD_NAME,), lite=(DONE,)),
    Exercise("alter", write(ALTER, A, NEW, given=AT_OLD), Guard.READ_BACK, (DONE,)),
    Exercise("alter, same collection", write(ALTER, A, OLD, given=AT_OLD), Guard.PROPAGATION, (DONE,)),
    Exercise("alter, alias missing", write(ALTER, A, OLD), Guard.READ_AFTER_ERROR, (NO_ALIAS,)),
    Exercise("alter, name of a collection", write(ALTER, NEW, OLD), Guard.NAMES, (TAKEN,), lite=(NO_ALIAS,)),
    Exercise("alter, collection missing", write(ALTER, A, MISSING, given=AT_OLD), Guard.NAMES, (NO_COLLECTION,)),
    Exercise(
        "alter, an alias as collection",
        write(ALTER, A, B, given={A: NEW, B: OLD}),
        Guard.NAMES,
        (DONE,),
        row="resolves_alias_targets",
        no=(NO_COLLECTION,),
        lite=(DONE,),
    ),
    Exercise("drop", write(DROP, A, given=AT_OLD), Guard.READ_BACK, (DONE,)),
    Exercise("drop, alias missing", write(DROP), Guard.READ_AFTER_ERROR, (DONE,)),
    Exercise("drop, name of a collection", _drop_collection_name, Guard.RE_READ, (DONE,)),
    Exercise("drop, then read", _effects_of_drop, Guard.READ_BACK, ("gone",)),
    Exercise("drop, longer names", _longer_names_after_drop, Guard.PREFIX_DROPS, ("kept",)),
    Exercise("resolve, alias missing", _resolve(MISSING), Guard.RE_READ, (NOTHING,)),
    Exercise("resolve, name of a collection", _resolve(OLD), Guard.RE_READ, (NOTHING,)),
    Exercise("list, all aliases", _list_all, Guard.SCOPE, ("all",)),
    Exercise("list, of a collection", _list_of_collection, Guard.RE_READ, (ITS_OWN,)),
    Exercise("list, of a missing collection", _list_of_missing, Guard.RE_READ, (NOT_FOUND,), lite=(NOTHING,)),
    Exercise("list, of an alias", _list_of_alias, Guard.RE_READ, (NOT_FOUND,)),
    Exercise(
        "describe, no database in the call",
        _without_database(_describes),
        Guard.RE_READ,
        (OF_DEFAULT,),
        row="reads_default_database",
        no=(ITS_OWN,),
    ),
    Exercise(
        "list, no database in the call",
        _without_database(_lists),
        Guard.SCOPE,
        (OF_DEFAULT,),
        row="reads_default_database",
        no=(ITS_OWN,),
    ),
    Exercise("check of privileges", _permits, Guard.PRIVILEGES, ("permitted",)),
)
