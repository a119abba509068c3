"""Threads and time, replaced: an execution takes one thread and no time, and is the same each time."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any, Self
from unittest.mock import patch

import tenacity.nap

import reconciler.catalog.read
import reconciler.execute
from reconciler.catalog.memory import catalog
from reconciler.catalog.server_behaviour import behaviour_of
from reconciler.execute import context, emptiness, endpoints, propagation, soak, wait
from reconciler.gates import comparison


class Clock:
    """Seconds since the start of an execution. Only sleep and calls to the server make it advance."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Inline(Executor):
    """An executor that runs each call at once."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def submit(self, fn: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*arguments, **named))
        except BaseException as error:  # noqa: BLE001 - as an executor does
            future.set_exception(error)
        return future

    def map(
        self, fn: Callable[..., Any], *iterables: Iterable[Any], timeout: float | None = None, chunksize: int = 1
    ) -> Iterator[Any]:
        return iter([fn(*arguments) for arguments in zip(*iterables, strict=False)])

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None: ...

    def __enter__(self) -> Self:
        return self


@contextmanager
def one_thread(clock: Clock) -> Iterator[None]:
    """Replace threads and time everywhere in the core."""
    pooled = (concurrent.futures, reconciler.execute, reconciler.catalog.read, emptiness, endpoints)
    timed = (context, propagation, soak, wait, comparison, tenacity.nap)
    with ExitStack() as stack:
        for module in pooled:
            stack.enter_context(patch.object(module, "ThreadPoolExecutor", Inline))
        for module in timed:
            stack.enter_context(patch.object(module, "time", clock))
        stack.enter_context(patch.object(catalog, "behaviour_of", cache(behaviour_of)))  # it takes a tenth of the time
        yield
