"""What the exercises of one run share: the sandbox with two loaded collections, and how they make calls in it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Event
from typing import TYPE_CHECKING

from msgspec import Struct, field

from reconciler.catalog.port import SANDBOX_KEY
from reconciler.core.errors import (
    AuthenticationFailed,
    CallTimedOut,
    CatalogError,
    CollectionNotFound,
    ConnectionFailed,
    Interrupted,
    NotLoaded,
    NotPrimary,
    PermissionDenied,
    RateLimited,
    UnexpectedAnswer,
)
from reconciler.execute.attempt import where
from reconciler.exercise.exercise import DONE, REFUSED, NotObserved, Observation
from reconciler.exercise.names import DANGLING, KEYS, NEW, OLD, PART, SPARE, A

if TYPE_CHECKING:
    from reconciler.catalog.sandbox import Sandbox

LOAD_SECONDS = 60.0
"""How long loading may take; two tiny collections took 3 s on Milvus 2.3.5 (measured)."""
PAUSE = 0.1

NO_EVIDENCE = (ConnectionFailed, CallTimedOut, RateLimited, AuthenticationFailed, PermissionDenied, NotPrimary)
"""Errors that say nothing about the behaviour of a server."""


class Disturbed(Interrupted):
    """Another run works with the same names."""


class Moves(Struct):
    """The result of the moves: stale answers by the call that gave them, and the aliases whose readers were stuck."""

    readers: int
    moves: int = 0
    stale: Counter[str] = field(default_factory=Counter)
    stuck: int = 0
    refreshed: int = 0


class Session:
    """One run on one database.

    Args:
        sandbox: the database.
        stop: set when the run is to end early.
    """

    def __init__(self, sandbox: Sandbox, stop: Event) -> None:
        self.sandbox = sandbox
        self.stop = stop
        self.moves: Moves | None = None
        self._marks: set[str] = set()

    def set_up(self) -> None:
        """Create and load the two collections that aliases are moved between. Raises `CatalogError`."""
        self.sandbox.create_collection(OLD)
        self.sandbox.create_collection(NEW, partitions=[PART])
        self.sandbox.insert(OLD, KEYS[OLD])
        self.sandbox.insert(NEW, KEYS[NEW])
        for collection in (OLD, NEW):
            self.sandbox.load(collection)
        deadline = time.monotonic() + LOAD_SECONDS
        for collection in (OLD, NEW):
            while not self._is_readable(collection):
                if time.monotonic() > deadline:
                    raise CallTimedOut(f"{collection} was not loaded within {LOAD_SECONDS:g} s")
                self.pause(PAUSE)
        self._marks = self._read_marks()

    def check_undisturbed(self) -> None:
        """Check that the collections are those of this run. One may be missing, dropped by an exercise.

        Raises `Disturbed` if not: what has their names is left to the run that replaced them.
        """
        found = self._read_marks()
        if not found or found - self._marks:
            self.sandbox.made.clear()
            raise Disturbed(
                "the collections of this run were removed or replaced, perhaps by another exercise in this database; "
                "contradictions are not reported; run one at a time, or use another --database"
            )

    def _read_marks(self) -> set[str]:
        found = set()
        for collection in (OLD, NEW):
            with suppress(CollectionNotFound):
                found.add(self.sandbox.schema(collection).description)
        return found

    def _is_readable(self, collection: str) -> bool:
        """Return whether readers that do not wait for recent writes find the rows of a collection."""
        try:
            return self.keys(collection) == KEYS[collection]
        except (NotLoaded, UnexpectedAnswer):
            return False

    def keys(self, name: str) -> tuple[int, ...]:
        """Return the keys that a reader finds under the name of a collection or an alias."""
        every_key = [key for keys in KEYS.values() for key in keys]
        return tuple(sorted(map(int, self.sandbox.rows(name, SANDBOX_KEY, every_key, [], strong=False))))

    def pause(self, seconds: float) -> None:
        """Wait. Raises `Interrupted` if the run is to end early."""
        if self.stop.wait(seconds):
            raise Interrupted("interrupted")

    def where(self, alias: str) -> str | None:
        """Return the collection that an alias points to."""
        return where(alias, self.sandbox)

    @contextmanager
    def aliases(self, at: Mapping[str, str]) -> Iterator[None]:
        """Create aliases; at the end drop them, and the one that an exercise may have created."""
        try:
            for alias, collection in at.items():
                self.sandbox.create_alias(alias, collection)
            yield
        finally:
            for alias in {A, *at}:
                self.sandbox.remove_alias(alias)

    @contextmanager
    def spare(self) -> Iterator[None]:
        """Create an empty collection without index, not loaded; at the end drop it and its aliases."""
        self.sandbox.create_collection(SPARE)
        try:
            yield
        finally:
            for alias in (A, DANGLING):
                self.sandbox.remove_alias(alias)
            if self.sandbox.describe(SPARE):
                self.sandbox.drop_collection(SPARE)

    @contextmanager
    def dangling_alias(self) -> Iterator[None]:
        """Make an alias dangle. Raises `NotObserved` where none can."""
        with self.spare():
            self.sandbox.create_alias(DANGLING, SPARE)
            if self.outcome(lambda: self.sandbox.drop_collection(SPARE)).result != DONE:
                raise NotObserved("no alias can dangle here: its collection cannot be dropped")
            yield

    @staticmethod
    def outcome(call: Callable[[], object]) -> Observation:
        """Return how a call ended. Raises the errors of `NO_EVIDENCE`."""
        try:
            call()
        except NO_EVIDENCE:
            raise
        except CatalogError as error:
            return Observation(error.code, error.server_code)
        return Observation(DONE)

    def refusal(self, call: Callable[[], object]) -> Observation:
        """Return whether the server refused a call, whatever its reason."""
        ended = self.outcome(call)
        return ended if ended.result == DONE else Observation(REFUSED, ended.code)
