"""Carry out the plan of one database: waves, a re-read before each call, the call, and the proof that it worked.

Milvus has no compare-and-swap for aliases. Each step therefore reads its alias immediately before the call and refuses
if the alias is not where the plan found it. After a call that failed, the step reads the alias before it reports an
outcome, and never repeats the call. What remains is the window between the read and the call, one round trip wide (see
`docs/semantics.md`).

    a wave of a set      gates · rights · creates and alters · drops · read-back · propagation · soak    then the next
                         `gates` `rights`         `attempt`               `propagation`  `soak` `live_metrics`
    after a failure      nothing further starts; with onFailure: Revert changes are reverted, newest first (`revert`)

`rights` has the reads that were permitted before the wave: none of them may be denied after it. `endpoints` are the
proxies, and the users, as which aliases are read.

Sets do not wait for each other. The journal has the intent of each call before it is made, and its outcome after.
"""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Event
from typing import TYPE_CHECKING

from reconciler.catalog.port import Catalog
from reconciler.core.plan import TargetPlan
from reconciler.core.run_events import RunEvent
from reconciler.execute.context import LONGEST_NAP, Halt, RunContext
from reconciler.execute.set_run import SetRun
from reconciler.integrations.hooks import Hooks

if TYPE_CHECKING:
    from reconciler.execute.live_metrics import LiveMetrics  # only loaded by runs that use it

__all__ = ["RunContext", "execute"]


def execute(plan: TargetPlan, catalog: Catalog, context: RunContext) -> Generator[RunEvent]:
    """Carry out a plan and yield what happens as it happens, the results of steps among it.

    A slow consumer does not delay the calls. A step can be reported more than once: `done`, and then `failed` or
    `unknown` when the read-back of its wave contradicts or cannot confirm it, or `reverted`. The last result counts.

    Args:
        plan: the plan; its blocked steps are reported, not carried out.
        catalog: the open database.
        context: what holds for the whole run.
    """
    events: SimpleQueue[RunEvent | None] = SimpleQueue()
    abandoned = Event()
    halt = Halt(context.stop, abandoned)
    hooks = Hooks(plan.connection, plan.target, context.secrets, context.facts)
    metrics = _metrics_of(plan, context)
    with (
        ThreadPoolExecutor(catalog.concurrency, thread_name_prefix="step") as steps,
        ThreadPoolExecutor(max(1, len(plan.sets)), thread_name_prefix="set") as sets,  # one per set: none waits
    ):
        runs = [
            sets.submit(SetRun(set_plan, plan.target, catalog, steps, context, halt, events, hooks, metrics).run)
            for set_plan in plan.sets
        ]
        try:
            for _ in runs:
                while (event := _next(events)) is not None:
                    yield event
            for run in runs:
                run.result()  # raises what a bug in our own code raised
        finally:
            abandoned.set()  # the consumer stopped reading events: start nothing further


def _metrics_of(plan: TargetPlan, context: RunContext) -> LiveMetrics | None:
    """Return the metrics of a database, if any of its steps has one."""
    if not any(step.metrics for step in (*plan.steps, *plan.earlier_moves)):
        return None
    from reconciler.execute.live_metrics import LiveMetrics

    return LiveMetrics.of(plan.connection, plan.target, context.secrets)


def _next(events: SimpleQueue[RunEvent | None]) -> RunEvent | None:
    """Return the next event, waiting in short intervals.

    On Python 3.11 a signal that arrives just before an endless wait does not end it, and its handler runs only after
    the soak (seen for every second or third SIGTERM that came right after an event).
    """
    while True:
        with suppress(Empty):
            return events.get(timeout=LONGEST_NAP)
