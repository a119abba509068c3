"""What gates read from a catalog: each answer once per round, however many aliases need it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Lock
from typing import TypeVar, cast

from reconciler.catalog.port import Catalog
from reconciler.core.errors import CatalogError, NotLoaded, PermissionDenied
from reconciler.core.model import Index, LoadState, PrimaryKey, Row, Schema, Vector
from reconciler.core.plan import Verdict

T = TypeVar("T")


class Probe:
    """One round of measurements on one database. Gates run in several threads; answers are shared between them.

    Args:
        catalog: the database.
        halted: whether to stop; every question then raises `Halted`.
    """

    def __init__(self, catalog: Catalog, halted: Callable[[], bool] = lambda: False) -> None:
        self._catalog = catalog
        self._halted = halted
        self._answers: dict[Hashable, Future[object]] = {}
        self._lock = Lock()

    @property
    def _asking(self) -> Catalog:
        """The catalog, for one call. Raises `Halted`."""
        if self._halted():
            raise Halted
        return self._catalog

    def load_state(self, collection: str) -> LoadState:
        return self.once(("load_state", collection), lambda: self._asking.load_state(collection))

    def partitions(self, collection: str) -> dict[str, bool]:
        return self.once(("partitions", collection), lambda: self._asking.partitions(collection))

    def replicas(self, collection: str) -> int:
        return self.once(("replicas", collection), lambda: self._asking.replicas(collection))

    def schema(self, collection: str) -> Schema:
        return self.once(("schema", collection), lambda: self._asking.schema(collection))

    def indexes(self, collection: str) -> tuple[Index, ...]:
        return self.once(("indexes", collection), lambda: self._asking.indexes(collection))

    def count(self, collection: str) -> int:
        return self.once(("count", collection), lambda: self._asking.count(collection))

    def sample_keys(self, collection: str, primary: str, limit: int) -> tuple[PrimaryKey, ...]:
        """Read keys. Not shared, like all methods below; callers share the result (see `once`)."""
        return self._asking.sample_keys(collection, primary, limit)

    def rows(
        self, collection: str, primary: str, keys: Sequence[PrimaryKey], fields: Sequence[str]
    ) -> dict[PrimaryKey, Row]:
        return self._asking.rows(collection, primary, keys, fields)

    def search(
        self, collection: str, field: str, vectors: Sequence[Vector], *, limit: int, where: str, strong: bool
    ) -> tuple[tuple[PrimaryKey, ...], ...]:
        return self._asking.search(collection, field, vectors, limit=limit, where=where, strong=strong)

    def once(self, question: Hashable, ask: Callable[[], T]) -> T:
        """Return the answer to a question; the first thread computes it, and others wait for its answer or error."""
        with self._lock:
            answer = self._answers.get(question)
            first = answer is None
            if answer is None:
                answer = self._answers[question] = Future()
        if first:
            try:
                answer.set_result(ask())
            except BaseException as error:  # noqa: BLE001 - handed to the threads that wait
                answer.set_exception(error)
        return cast("T", answer.result())


class Halted(Exception):
    """The round was stopped."""


class CannotTell(Exception):
    """A gate has no measurement to judge; `verdict` says what that counts as."""

    def __init__(self, verdict: Verdict, detail: str) -> None:
        self.verdict = verdict
        super().__init__(detail)


@contextmanager
def of_current(trouble: str, evaluate_desired: Callable[[], object]) -> Iterator[None]:
    """Guard questions about the current collection: without an answer the gate does not apply.

    Transient errors pass through: they are not about a collection. A privilege that is missing is mostly missing
    everywhere, and fewer privileges must not open a gate: so the desired collection is asked about, too.

    Args:
        trouble: starts the sentence: `c1 cannot be counted`.
        evaluate_desired: the same question about the desired collection, within `of_desired`.
    """
    try:
        with _answered(Verdict.NOT_APPLICABLE, trouble):
            yield
    except CannotTell as cannot:
        if isinstance(cannot.__cause__, PermissionDenied):
            evaluate_desired()
        raise


@contextmanager
def of_desired(trouble: str, verdict: Verdict = Verdict.UNKNOWN) -> Iterator[None]:
    """Guard questions about the desired collection: without an answer the gate has the given verdict."""
    with _answered(verdict, trouble):
        yield


@contextmanager
def _answered(verdict: Verdict, trouble: str) -> Iterator[None]:
    try:
        yield
    except NotLoaded as error:
        remedy = "" if verdict is Verdict.NOT_APPLICABLE else "; load it"
        raise CannotTell(verdict, f"{trouble}: it is not loaded{remedy}") from error
    except CatalogError as error:
        if error.transient:
            raise
        raise CannotTell(verdict, f"{trouble}: {error}") from error


def schemas(current: str, desired: str, probe: Probe) -> tuple[Schema, Schema]:
    """Return the schemas of both collections. Raises `CannotTell`."""

    def of_the_desired() -> Schema:
        with of_desired(f"the schema of {desired} cannot be read"):
            return probe.schema(desired)

    with of_current(f"the schema of {current} cannot be read", of_the_desired):
        before = probe.schema(current)
    return before, of_the_desired()


def has_current(collection: str | None) -> str:
    """Return the current collection. Raises `CannotTell` if there is none, because the alias is created."""
    if collection is None:
        raise CannotTell(Verdict.NOT_APPLICABLE, "there is no collection to compare with yet")
    return collection
