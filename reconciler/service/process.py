"""Common tasks of long-running processes: stop on signals, answer probes, and log start and end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

import structlog

from reconciler.service.metrics import CommonMetrics
from reconciler.service.signals import ending_signals
from reconciler.service.web import Hook, Page, Web, exposition
from reconciler.version import __version__

log = structlog.get_logger()


@contextmanager
def stopping_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call a function on each of `ending_signals`, for as long as the block runs."""
    before = {number: signal.signal(number, lambda *_: stop()) for number in ending_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def serving(
    listen: str,
    metrics: CommonMetrics,
    pages: Mapping[str, Page],
    hooks: Mapping[str, Hook] | None = None,
    *,
    allow_hosts: Collection[str] = (),
    **details: object,
) -> Iterator[None]:
    """Serve `/metrics` and further pages for as long as the block runs.

    Args:
        listen, pages, hooks, allow_hosts: see `Web`.
        details: what is logged about the process when it starts.

    Raises:
        InvalidInput: it cannot listen there.
    """
    web = Web(listen, {"/metrics": lambda: exposition(metrics.text()), **pages}, hooks, allow_hosts)
    log.info("started", version=__version__, port=web.port, **details)
    try:
        yield
    finally:
        web.close()
        log.info("stopped")
