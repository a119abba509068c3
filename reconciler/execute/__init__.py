"""Carrying out one database's plan: waves, a re-read before each call, the call, and what proves that it worked.

Milvus has no compare-and-swap for aliases. So each step reads its alias immediately before the call, and refuses when
it is not where the plan found it; after a call that ended badly it reads before it says what happened, and never calls
again. What remains is the window between that read and the call, a round trip wide; `docs/semantics.md` says so.

    a wave of a set      gates · creates and alters · drops · read-back · propagation · soak      then the next wave
                         `gates`             `attempt`              `propagation`  `soak`
    after a failure      nothing further starts; with onFailure: Revert what was made is undone, newest first (`revert`)

Sets do not wait for each other. Before each call its intent is in the journal, and its outcome after.
"""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Event

from reconciler.catalog.port import Catalog
from reconciler.core.plan import TargetPlan
from reconciler.core.report import StepResult
from reconciler.execute.context import LONGEST_NAP, Halt, RunContext
from reconciler.execute.set_run import SetRun

__all__ = ["RunContext", "execute"]


def execute(plan: TargetPlan, catalog: Catalog, context: RunContext) -> Generator[StepResult]:
    """Carry out a plan; yield each step's result as it happens.

    A step can be reported more than once: `done`, and then `failed` or `unknown` when the read-back of its wave
    contradicts or cannot confirm it, or `reverted`. The last word counts.

    Args:
        plan: what to do; its blocked steps are reported, not done.
        catalog: the database, open.
        conduct: how to go about it.
    """
    results: SimpleQueue[StepResult | None] = SimpleQueue()
    abandoned = Event()
    halt = Halt(context.stop, abandoned)
    with (
        ThreadPoolExecutor(catalog.concurrency, thread_name_prefix="step") as steps,
        ThreadPoolExecutor(max(1, len(plan.sets)), thread_name_prefix="set") as sets,  # one each: no set waits
    ):
        runs = [
            sets.submit(SetRun(set_plan, plan.target, catalog, steps, context, halt, results).run)
            for set_plan in plan.sets
        ]
        try:
            for _ in runs:
                while (result := _next(results)) is not None:
                    yield result
            for run in runs:
                run.result()  # a bug in our own code must not pass for a quiet end
        finally:
            abandoned.set()  # whoever asked for results went away: start nothing further


def _next(results: SimpleQueue[StepResult | None]) -> StepResult | None:
    """The next result, in naps: a signal that comes just before a wait does not end it, and its handler would only run
    when the soak is over (seen on Python 3.11: every second or third SIGTERM that came right after a result)."""
    while True:
        with suppress(Empty):
            return results.get(timeout=LONGEST_NAP)
