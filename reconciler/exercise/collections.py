"""Exercises of what happens to aliases when collections are dropped, renamed and created."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.core.errors import AliasAlreadyExists
from reconciler.exercise.exercise import DONE, REFUSED, Exercise, NotObserved, Observation
from reconciler.exercise.guards import Guard
from reconciler.exercise.names import DANGLING, NEW, OLD, RENAMED, SPARE, A
from reconciler.exercise.session import Session

EXISTS = AliasAlreadyExists.__name__
DANGLE, DROPPED_TOO = "aliases dangle", "aliases dropped"
NONE = "none"


def _ids(session: Session) -> Observation:
    """Compare the ids in the list of collections with those of their descriptions."""
    listed = session.sandbox.collections()
    if not {OLD, NEW} <= listed.keys():
        raise NotObserved("the list of collections does not show ours")
    if any(listed[name] != session.sandbox.describe(name) for name in (OLD, NEW)):
        return Observation("contradictory")
    return Observation(_different(listed[OLD].id, listed[NEW].id))


def _id_of_replacement(session: Session) -> Observation:
    ids = []
    for _ in range(2):
        with session.spare():
            found = session.sandbox.describe(SPARE)
            ids.append(found.id if found else None)
    return Observation(_different(*ids))


def _different(first: int | None, second: int | None) -> str:
    if first is None and second is None:
        return NONE
    return "different" if first != second else "same"


def _rename(session: Session) -> Observation:
    sandbox = session.sandbox
    with session.spare():
        sandbox.create_alias(A, SPARE)
        sandbox.rename_collection(SPARE, RENAMED)
        at = session.where(A)
        sandbox.rename_collection(RENAMED, SPARE)
    return Observation("alias follows" if at == RENAMED else f"alias at {at}")


def _create_by_name_of_alias(session: Session) -> Observation:
    with session.aliases({A: OLD}):
        ended = session.refusal(lambda: session.sandbox.create_collection(A))
    if ended.result == DONE:
        session.sandbox.drop_collection(A)
    return ended


def _rename_to_name_of_alias(session: Session) -> Observation:
    with session.aliases({A: OLD}), session.spare():
        ended = session.refusal(lambda: session.sandbox.rename_collection(SPARE, A))
        if ended.result == DONE:
            session.sandbox.rename_collection(A, SPARE)
    return ended


def _drop_by_alias(session: Session) -> Observation:
    with session.spare():
        session.sandbox.create_alias(A, SPARE)
        ended = session.refusal(lambda: session.sandbox.drop_collection(A))
        if not session.sandbox.describe(SPARE):
            return Observation("collection dropped")
    return ended


def _drop_with_aliases(session: Session) -> Observation:
    with session.spare():
        session.sandbox.create_alias(DANGLING, SPARE)
        ended = session.refusal(lambda: session.sandbox.drop_collection(SPARE))
        if ended.result != DONE:
            return ended
        if session.where(DANGLING) or DANGLING in session.sandbox.alias_names():
            return Observation("aliases stay")
        again = session.outcome(lambda: session.sandbox.create_alias(DANGLING, OLD))
    return Observation(DANGLE if again.result == EXISTS else DROPPED_TOO)


def _on_dangling(name: str, call: Callable[[Session], object], expected: str) -> Exercise:
    """Return the exercise of a call on an alias that dangles, where one can."""

    def observe(session: Session) -> Observation:
        with session.dangling_alias():
            return session.outcome(lambda: call(session))

    return Exercise(name, observe, Guard.DANGLING, (expected,), row="leaves_dangling_aliases")


COLLECTIONS = (
    Exercise("collection ids", _ids, Guard.STALE_PLAN, ("different",), lite=(NONE,)),
    Exercise("collection ids, replacement", _id_of_replacement, Guard.STALE_PLAN, ("different",), lite=(NONE,)),
    Exercise("rename a collection", _rename, Guard.RE_READ, ("alias follows",)),
    Exercise("create a collection, alias's name", _create_by_name_of_alias, Guard.NAMES, (REFUSED,)),
    Exercise("rename a collection, alias's name", _rename_to_name_of_alias, Guard.NAMES, (REFUSED,)),
    Exercise("drop a collection, by an alias", _drop_by_alias, Guard.RE_READ, (REFUSED,), lite=("collection dropped",)),
    Exercise(
        "drop a collection with aliases",
        _drop_with_aliases,
        Guard.DANGLING,
        (DANGLE,),
        row="leaves_dangling_aliases",
        no=(REFUSED,),
        lite=(DROPPED_TOO,),
    ),
    _on_dangling("create, dangling alias", lambda session: session.sandbox.create_alias(DANGLING, OLD), EXISTS),
    _on_dangling("alter, dangling alias", lambda session: session.sandbox.alter_alias(DANGLING, OLD), DONE),
    _on_dangling("drop, dangling alias", lambda session: session.sandbox.drop_alias(DANGLING), DONE),
)
