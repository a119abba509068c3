"""What gates may ask of a catalog, each question once a round however many aliases need the answer."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock
from typing import cast

from reconciler.catalog.port import Catalog
from reconciler.model import LoadState


class Probe:
    """One round of measurements on one database. Gates run in several threads; answers are shared between them."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._answers: dict[tuple[str, str], Future[object]] = {}
        self._lock = Lock()

    def load_state(self, collection: str) -> LoadState:
        return cast("LoadState", self._once("load_state", collection, self._catalog.load_state))

    def replicas(self, collection: str) -> int:
        return cast("int", self._once("replicas", collection, self._catalog.replicas))

    def _once(self, question: str, collection: str, ask: Callable[[str], object]) -> object:
        """The first thread to ask makes the call; the others wait for its answer, or its error."""
        with self._lock:
            answer = self._answers.get((question, collection))
            first = answer is None
            if answer is None:
                answer = self._answers[question, collection] = Future()
        if first:
            try:
                answer.set_result(ask(collection))
            except BaseException as error:  # noqa: BLE001 - handed to whoever waits
                answer.set_exception(error)
        return answer.result()
