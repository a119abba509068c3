"""Detect that a move takes rights from readers: reads that are denied after it, and were not known to be before it.

Up to Milvus 2.6.10 a read through an alias requires the privilege on the alias's name, which a move does not change.
On 2.6.11 a search requires it on the collection, from 2.6.12 on every read does (see
`ServerBehaviour.checks_collection`), so a move can take the access from everyone who reads through the alias. Reads
that were denied before the move as well are no consequence of it, and prove nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor

from reconciler.catalog.grants import grant_call
from reconciler.catalog.port import Catalog, DataRead
from reconciler.catalog.single_reads import read_one
from reconciler.core.errors import CatalogError, PermissionDenied
from reconciler.core.model import Schema
from reconciler.core.plan import Step
from reconciler.execute.endpoints import Endpoint, pools


class Rights:
    """The reads through aliases that were denied before a move, at each endpoint. Created before the aliases move.

    It takes a weak query and a weak search per alias and endpoint, and a call per collection. An endpoint that does not
    answer is not read again before the move: what is not known to have been denied counts as permitted.

    Args:
        endpoints: the first is the one that writes.
        catalog: the catalog of that endpoint.
        pool: runs as many calls to it as may be in flight.
        steps: creates and alters to come.
        moved: whether the aliases have moved already, in an earlier run. Then a read that requires the privilege on the
            collection is made on the former collection, which shows what was permitted while the alias pointed there.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        catalog: Catalog,
        pool: Executor,
        steps: Sequence[Step],
        *,
        moved: bool = False,
    ) -> None:
        self._moved = moved
        self._unanswered: set[Endpoint] = set()  # did not answer a read before the move
        self._unknown: set[tuple[Endpoint, str]] = set()  # aliases with a read that was not answered there
        collections = sorted({name for step in steps for name in (step.current, step.desired) if name})
        self._schemas = dict(zip(collections, pool.map(lambda name: _schema(name, catalog), collections), strict=True))
        with pools(endpoints, pool, catalog.concurrency) as by_endpoint:
            pending = [
                ((endpoint, step.alias), executor.submit(self._denied_before, endpoint, step))
                for endpoint, executor in zip(endpoints, by_endpoint, strict=True)
                for step in steps
            ]
            self._denied = {key: denied.result() for key, denied in pending}

    def denied_before(self, endpoint: Endpoint, alias: str) -> Mapping[DataRead, PermissionDenied]:
        """Return the reads that were denied before the move, each with the server's answer."""
        return self._denied.get((endpoint, alias), {})

    def known_before(self, endpoint: Endpoint, alias: str) -> bool:
        """Return whether all reads through the alias were answered before the move."""
        return (endpoint, alias) not in self._unknown

    def taken(self, endpoint: Endpoint, step: Step, reads: Iterable[DataRead] = DataRead) -> PermissionDenied | None:
        """Read through a moved alias; return the denial of a read that is not known to have been denied before.

        Args:
            endpoint: where to read.
            step: the create or alter that was made.
            reads: what to read, unless it was denied.

        Raises:
            CatalogError: transient: the server does not answer.
        """
        expected = [read for read in reads if read not in self.denied_before(endpoint, step.alias)]
        denials = (self._denial(read, endpoint, step.alias, step.desired) for read in expected)
        return next(filter(None, denials), None)

    def _denied_before(self, endpoint: Endpoint, step: Step) -> dict[DataRead, PermissionDenied]:
        denied: dict[DataRead, PermissionDenied] = {}
        for read in DataRead:
            try:
                if endpoint in self._unanswered:
                    self._unknown.add((endpoint, step.alias))
                elif denial := self._denial(read, endpoint, *self._read_before(read, endpoint, step)):
                    denied[read] = denial
            except CatalogError:
                self._unanswered.add(endpoint)
                self._unknown.add((endpoint, step.alias))
        return denied

    def _read_before(self, read: DataRead, endpoint: Endpoint, step: Step) -> tuple[str, str | None]:
        """Return the name to read by, and the collection that has it."""
        if not self._moved:
            return step.alias, step.current
        if isinstance(endpoint.catalog, str) or not endpoint.catalog.behaviour.checks_collection(read):
            return step.alias, step.desired
        return step.current or step.alias, step.current

    def _denial(self, read: DataRead, endpoint: Endpoint, name: str, collection: str | None) -> PermissionDenied | None:
        """Make a read; return the error if it is denied. Raises `CatalogError` if it is transient."""
        if isinstance(endpoint.catalog, str):
            return None
        try:
            read_one(read, endpoint.catalog, name, self._schemas.get(collection or "", Schema(())))
        except PermissionDenied as error:
            return error
        except CatalogError as error:
            if error.transient:
                raise
        return None


def remedy(denial: PermissionDenied, catalog: Catalog, step: Step) -> str:
    """Return how to permit a read through an alias that has moved."""
    read = next((read for read in DataRead if read == denial.privilege), DataRead.QUERY)
    name = step.desired or "" if catalog.behaviour.checks_collection(read) else step.alias
    return f"grant it: {grant_call(catalog.behaviour, catalog.database, read, name)}"


def _schema(collection: str, catalog: Catalog) -> Schema:
    """Return a schema; without fields if it cannot be read."""
    try:
        return catalog.schema(collection)
    except CatalogError:
        return Schema(())
