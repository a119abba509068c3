"""kopf's watches, run until the process is stopped or one of them fails.

When a watch fails, for example with 404 while CRDs are replaced, kopf stops the others, and may wait without end for
one that is logging in again (seen with 1.45.2). So kopf gets some seconds to stop, and what still runs then ends with
the process. Before 1.45 kopf went on without the failed watch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import closing
from threading import Event
from typing import Any

import kopf
import structlog

ENDING_SECONDS = 10.0
"""kopf gives its own tasks five."""

log = structlog.get_logger()


def watch(handlers: kopf.OperatorRegistry, namespaces: Sequence[str], stop: Event, ready: Event | None = None) -> bool:
    """Watch until stopped, by the event or a signal; return whether it was stopped, as opposed to a watch that failed.

    `namespaces`: where; empty for the whole cluster. `stop`: ends it; set on return, and as soon as a watch fails.
    `ready`: set once kopf has started.
    """
    with closing(asyncio.new_event_loop()) as loop:
        loop.set_exception_handler(_log_warning)
        return loop.run_until_complete(_watch(handlers, namespaces, stop, ready))


async def _watch(handlers: kopf.OperatorRegistry, namespaces: Sequence[str], stop: Event, ready: Event | None) -> bool:
    others = asyncio.all_tasks()
    roots = await kopf.spawn_tasks(
        registry=handlers,
        standalone=True,
        clusterwide=not namespaces,
        namespaces=namespaces,
        stop_flag=stop,
        ready_flag=ready,
    )
    ending = asyncio.create_task(kopf.run_tasks(roots, ignored=others))
    await asyncio.wait(roots, return_when=asyncio.FIRST_COMPLETED)
    failure = _failure(roots)
    if failure:
        log.error("watching has failed; ending", reason=str(failure))
    stop.set()
    await asyncio.wait([ending], timeout=ENDING_SECONDS)
    if not ending.done():
        log.warning("not all watches could be stopped", seconds=ENDING_SECONDS)
    return failure is None


def _failure(tasks: Iterable[asyncio.Task[Any]]) -> BaseException | None:
    ended = (task for task in tasks if task.done() and not task.cancelled())
    return next((error for task in ended if (error := task.exception())), None)


def _log_warning(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log in one line what asyncio would print."""
    log.warning("asyncio", detail=context.get("message"), reason=repr(context.get("exception")))
