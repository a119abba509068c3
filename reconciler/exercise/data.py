"""Exercises of the reads of data and load states that gates and verification are based on."""

from __future__ import annotations

from reconciler.catalog.port import SANDBOX_VECTOR
from reconciler.core.errors import NotLoaded, NotSupported
from reconciler.core.model import LoadState
from reconciler.exercise.exercise import DONE, Exercise, Observation
from reconciler.exercise.guards import Guard
from reconciler.exercise.names import KEYS, NEW, OLD, PART, SPARE, A
from reconciler.exercise.session import Session

NOT_LOADED, UNKNOWN_CALL = NotLoaded.__name__, NotSupported.__name__
EXTRA_KEY = 3


def _read_through_alias(session: Session) -> Observation:
    with session.aliases({A: OLD}):
        return Observation("its rows" if session.keys(A) == KEYS[OLD] else "other rows")


def _count(session: Session) -> Observation:
    """Count rows before and after an insert and a delete, without a flush."""
    sandbox = session.sandbox
    sandbox.insert(OLD, [EXTRA_KEY])
    more = sandbox.count(OLD)
    sandbox.delete(OLD, [EXTRA_KEY])
    counts, exact = (more, sandbox.count(OLD)), (len(KEYS[OLD]) + 1, len(KEYS[OLD]))
    return Observation("exact" if counts == exact else f"{counts[0]} and {counts[1]} of {exact[0]} and {exact[1]}")


def _search_unloaded(session: Session) -> Observation:
    with session.spare():
        return session.outcome(lambda: session.sandbox.search(SPARE, SANDBOX_VECTOR, [(0.0, 0.0)], limit=1))


def _partial_load(session: Session) -> Observation:
    """Release one of two partitions; the collection still counts as loaded, and the partition does not."""
    released = session.refusal(lambda: session.sandbox.release_partition(NEW, PART))
    state, partitions = session.sandbox.load_state(NEW), session.sandbox.partitions(NEW)
    if released.result == DONE and state is LoadState.LOADED and partitions == {"_default": True, PART: False}:
        return Observation("reported")
    if all(partitions.values()):
        return Observation("not possible", released.code)
    return Observation(f"{state}, {sum(partitions.values())} of {len(partitions)}")


def _truncate(session: Session) -> Observation:
    with session.spare():
        return session.outcome(lambda: session.sandbox.truncate_collection(SPARE))


DATA = (
    Exercise("read through an alias", _read_through_alias, Guard.PROPAGATION, ("its rows",)),
    Exercise("count, without a flush", _count, Guard.ROWS, ("exact",)),
    Exercise(
        "search, collection not loaded",
        _search_unloaded,
        Guard.LOADED,
        (DONE, NOT_LOADED),
        row="may_search_unloaded",
        no=(NOT_LOADED,),
        lite=(DONE,),
    ),
    Exercise("partial load", _partial_load, Guard.LOADED, ("reported",), lite=("not possible",)),
    Exercise(
        "truncate a collection",
        _truncate,
        Guard.ROWS,
        (DONE,),
        row="truncates_collections",
        no=(UNKNOWN_CALL,),
        lite=(DONE,),
    ),
)
