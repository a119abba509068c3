"""Move aliases under readers: are reads of the catalog fresh, do readers follow, and does altering again reach them?

Each alias is altered while all readers read through it. The reads of the catalog are compared right after the call;
readers are compared when no read that was in flight can still be (see `reconciler.execute.propagation`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Event

from reconciler.core.errors import CatalogError, NotLoaded, UnexpectedAnswer
from reconciler.core.text import counted
from reconciler.execute.propagation import PROVING_SECONDS
from reconciler.exercise.exercise import Exercise, NotObserved, Observation
from reconciler.exercise.guards import Guard
from reconciler.exercise.names import KEYS, NEW, OLD, PREFIX
from reconciler.exercise.session import Moves, Session

ALIASES = tuple(f"{PREFIX}move_{number:02}" for number in range(50))
ROUNDS = 4
READERS = 12
"""At most; one call of the connection's `concurrency` is left for the moves."""
SETTLING_SECONDS = PROVING_SECONDS
REALTERS = 3
"""How often an alias is altered again; on 2.3.5 the first time refreshed 15 of 16 readers (measured)."""

FRESH, STALE = "fresh", "stale"
FOLLOW, STUCK = "follow", "stuck"
REFRESHED, IGNORED = "refreshed", "no effect"


class _Focus:
    """The alias that all readers read through."""

    alias = ALIASES[0]


def _moves(session: Session) -> Moves:
    """Return the result of the moves, which are made once in a run."""
    if session.moves is None:
        session.moves = _move_under_readers(session)
    return session.moves


def _move_under_readers(session: Session) -> Moves:
    """Move aliases between the two collections, back and forth, and compare every read. Raises `CatalogError`."""
    sandbox = session.sandbox
    result = Moves(min(READERS, sandbox.concurrency - 1))
    for alias in ALIASES:
        sandbox.create_alias(alias, OLD)
    with _readers(session, result.readers) as focus:
        for number in range(ROUNDS):
            before, after = (NEW, OLD) if number % 2 else (OLD, NEW)
            for alias in ALIASES:
                focus.alias = alias
                _serving(session, alias)  # time for the readers to get to this alias
                sandbox.alter_alias(alias, after)
                result.moves += 1
                result.stale.update(_stale_reads(session, alias, before, after))
                session.pause(0)
            session.pause(SETTLING_SECONDS)
            _compare_readers(session, result, before, after)
    for alias in ALIASES:
        sandbox.drop_alias(alias)
    return result


def _stale_reads(session: Session, alias: str, before: str, after: str) -> Iterator[str]:
    """Yield the calls whose answers are from before the move."""
    sandbox = session.sandbox
    if session.where(alias) != after:
        yield "resolve"
    if alias not in (sandbox.aliases_of(after) or ()) or alias in (sandbox.aliases_of(before) or ()):
        yield "list"
    if sandbox.described_by_alias(alias) != after:
        yield "describe"


def _compare_readers(session: Session, result: Moves, before: str, after: str) -> None:
    """Count the aliases that are still answered from the collection before, and alter those again."""
    stuck = [alias for alias in ALIASES if _serving(session, alias) == before]
    result.stuck += len(stuck)
    for _ in range(REALTERS):
        if not stuck:
            return
        for alias in stuck:
            session.sandbox.alter_alias(alias, after)
        session.pause(SETTLING_SECONDS)
        still = [alias for alias in stuck if _serving(session, alias) == before]
        result.refreshed += len(stuck) - len(still)
        stuck = still


def _serving(session: Session, alias: str) -> str | None:
    """Return the collection that answers a reader; None for an error, which some reads around a move end with."""
    try:
        keys = session.keys(alias)
    except (NotLoaded, UnexpectedAnswer):
        return None
    return next((collection for collection, own in KEYS.items() if own == keys), None)


@contextmanager
def _readers(session: Session, number: int) -> Iterator[_Focus]:
    """Keep a number of readers at work."""
    focus, done = _Focus(), Event()

    def read_on() -> None:
        while not done.is_set():
            with suppress(CatalogError):
                session.keys(focus.alias)

    with ThreadPoolExecutor(max(1, number), thread_name_prefix="reader") as pool:
        started = [pool.submit(read_on) for _ in range(number)]
        try:
            yield focus
        finally:
            done.set()
    for reader in started:
        reader.result()


def _freshness(read: str) -> Callable[[Session], Observation]:
    def observe(session: Session) -> Observation:
        moves = _moves(session)
        detail = f"{moves.stale[read]} of {counted(moves.moves, 'move')}"
        return Observation(STALE, detail=detail) if moves.stale[read] else Observation(FRESH)

    return observe


def _followers(session: Session) -> Observation:
    moves = _moves(session)
    if moves.stuck:
        return Observation(STUCK, detail=f"{moves.stuck} of {counted(moves.moves, 'move')}")
    return Observation(FOLLOW)


def _realter(session: Session) -> Observation:
    moves = _moves(session)
    if not moves.stuck:
        raise NotObserved(f"no reader was stuck after {counted(moves.moves, 'move')}")
    result = REFRESHED if 2 * moves.refreshed > moves.stuck else IGNORED
    return Observation(result, detail=f"{moves.refreshed} of {moves.stuck} refreshed")


MOVES = (
    Exercise("resolve, after a move", _freshness("resolve"), Guard.READ_BACK, (FRESH,)),
    Exercise("list, after a move", _freshness("list"), Guard.READ_BACK, (FRESH,)),
    Exercise(
        "describe, after a move",
        _freshness("describe"),
        Guard.READ_BACK,
        (FRESH, STALE),
        row="describe_may_be_stale",
        no=(FRESH,),
    ),
    Exercise(
        "readers, after a move",
        _followers,
        Guard.PROPAGATION,
        (FOLLOW, STUCK),
        row="keeps_stuck_readers",
        no=(FOLLOW,),
    ),
    Exercise(
        "readers, after altering again",
        _realter,
        Guard.PROPAGATION,
        (IGNORED,),
        row="ignores_realter",
        no=(REFRESHED,),
        lite=(),
    ),
)
