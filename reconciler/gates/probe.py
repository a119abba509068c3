"""Measurements for gates: each is made once per round, however many aliases need it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, TypeVar, cast

from reconciler.catalog.port import Catalog, ReadGrant
from reconciler.core.errors import CatalogError, IntegrationFailed, NotLoaded, PermissionDenied
from reconciler.core.model import Index, LoadState, PrimaryKey, Row, Schema, Vector
from reconciler.core.plan import Step, Verdict

if TYPE_CHECKING:
    from concurrent.futures import Future

    from reconciler.catalog.server_behaviour import ServerBehaviour  # its table is not needed offline
    from reconciler.integrations.hooks import Decision, Hooks

T = TypeVar("T")


class Probe:
    """One round of measurements on one database, shared between gates that run in several threads.

    Args:
        catalog: the database.
        halted: whether to stop; every measurement then raises `Halted`.
        hooks: those of the database's connection; None where no hook can be asked.
    """

    def __init__(
        self, catalog: Catalog, halted: Callable[[], bool] = lambda: False, hooks: Hooks | None = None
    ) -> None:
        self._catalog = catalog
        self._halted = halted
        self._hooks = hooks
        self._answers: dict[Hashable, Future[object]] = {}
        self._lock = Lock()

    @property
    def _unhalted_catalog(self) -> Catalog:
        """Return the catalog for one call. Raises `Halted` once the round is halted."""
        if self._halted():
            raise Halted
        return self._catalog

    @property
    def is_lite(self) -> bool:
        """Return whether the server is a Milvus Lite, whose file does not remember what is loaded."""
        return self._catalog.behaviour.is_lite

    @property
    def database(self) -> str:
        return self._catalog.database

    @property
    def behaviour(self) -> ServerBehaviour:
        return self._catalog.behaviour

    def read_grants(self) -> Mapping[str, frozenset[ReadGrant]]:
        return self.once(("read_grants",), lambda: self._unhalted_catalog.read_grants())

    def requires_token(self) -> bool:
        return self.once(("requires_token",), lambda: self._unhalted_catalog.requires_token())

    def load_state(self, collection: str) -> LoadState:
        return self.once(("load_state", collection), lambda: self._unhalted_catalog.load_state(collection))

    def partitions(self, collection: str) -> dict[str, bool]:
        return self.once(("partitions", collection), lambda: self._unhalted_catalog.partitions(collection))

    def replicas(self, collection: str) -> int:
        return self.once(("replicas", collection), lambda: self._unhalted_catalog.replicas(collection))

    def schema(self, collection: str) -> Schema:
        return self.once(("schema", collection), lambda: self._unhalted_catalog.schema(collection))

    def indexes(self, collection: str) -> tuple[Index, ...]:
        return self.once(("indexes", collection), lambda: self._unhalted_catalog.indexes(collection))

    def count(self, collection: str, where: str = "") -> int:
        return self.once(("count", collection, where), lambda: self._unhalted_catalog.count(collection, where))

    def sample_keys(self, collection: str, primary: str, limit: int) -> tuple[PrimaryKey, ...]:
        """Return a sample of keys; not shared, unlike what is computed from it (see `once`)."""
        return self._unhalted_catalog.sample_keys(collection, primary, limit)

    def rows(
        self, collection: str, primary: str, keys: Sequence[PrimaryKey], fields: Sequence[str]
    ) -> dict[PrimaryKey, Row]:
        return self._unhalted_catalog.rows(collection, primary, keys, fields)

    def search(
        self, collection: str, field: str, vectors: Sequence[Vector], *, limit: int, where: str, strong: bool
    ) -> tuple[tuple[PrimaryKey, ...], ...]:
        return self._unhalted_catalog.search(collection, field, vectors, limit=limit, where=where, strong=strong)

    def ask_hook(self, name: str, step: Step) -> Decision:
        """Return what a hook says of a step. Raises `IntegrationFailed`."""
        if self._hooks is None:
            raise IntegrationFailed(f'hook "{name}" cannot be asked here')
        if self._halted():
            raise Halted
        try:
            return self._hooks.ask(name, step, self._halted)
        except IntegrationFailed:
            if self._halted():
                raise Halted from None
            raise

    def once(self, key: Hashable, measure: Callable[[], T]) -> T:
        """Return a measurement; the first thread makes it, and others wait for its result or error."""
        from concurrent.futures import Future  # not needed to read a manifest

        with self._lock:
            answer = self._answers.get(key)
            first = answer is None
            if answer is None:
                answer = self._answers[key] = Future()
        if first:
            try:
                answer.set_result(measure())
            except BaseException as error:  # noqa: BLE001 - passed on to the threads that wait
                answer.set_exception(error)
        return cast("T", answer.result())


class Halted(Exception):
    """The round of gates was halted."""


class CannotTell(Exception):
    """A gate has no measurement to evaluate; `verdict` is its result then."""

    def __init__(self, verdict: Verdict, detail: str) -> None:
        self.verdict = verdict
        super().__init__(detail)


@contextmanager
def of_current(failure: str) -> Iterator[None]:
    """Wrap measurements of the collection that the alias serves now: without them the gate does not apply.

    Transient errors pass: they say nothing about a collection. A missing privilege makes the result unknown: a gate
    that could be switched off by taking a grant away would protect nothing. `failure`: the beginning of the message,
    such as `c1 cannot be counted`.
    """
    with _answered(Verdict.NOT_APPLICABLE, failure):
        yield


@contextmanager
def of_desired(failure: str, verdict: Verdict = Verdict.UNKNOWN) -> Iterator[None]:
    """Wrap measurements of the collection that the alias should serve: see `of_current`."""
    with _answered(verdict, failure):
        yield


@contextmanager
def _answered(verdict: Verdict, failure: str) -> Iterator[None]:
    try:
        yield
    except NotLoaded as error:
        remedy = "" if verdict is Verdict.NOT_APPLICABLE else "; load it"
        raise CannotTell(verdict, f"{failure}: it is not loaded{remedy}") from error
    except PermissionDenied as error:
        raise CannotTell(Verdict.UNKNOWN, f"{failure}: {error}") from error
    except CatalogError as error:
        if error.transient:
            raise
        raise CannotTell(verdict, f"{failure}: {error}") from error


def schemas(current: str, desired: str, probe: Probe) -> tuple[Schema, Schema]:
    """Return the schemas of both collections. Raises `CannotTell`."""
    with of_current(f"the schema of {current} cannot be read"):
        before = probe.schema(current)
    with of_desired(f"the schema of {desired} cannot be read"):
        return before, probe.schema(desired)


def has_current(collection: str | None) -> str:
    """Return the current collection. Raises `CannotTell` if there is none, because the alias is created."""
    if collection is None:
        raise CannotTell(Verdict.NOT_APPLICABLE, "there is no collection to compare with yet")
    return collection
