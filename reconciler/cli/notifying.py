"""Deliver notifications while a command runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from reconciler.cli.output import Output
from reconciler.core.plan import Plan
from reconciler.core.text import counted
from reconciler.journal import Journal

END_SECONDS = 5.0
"""How long the end of a command may wait for receivers that answer slowly."""


@contextmanager
def delivering(plan: Plan, journal: Journal, output: Output) -> Iterator[Callable[[], None]]:
    """Deliver the notifications of a run in the background, and what is left for a moment at its end.

    Yields a function to call when something was recorded. A plan without receivers imports nothing.
    """
    connections = [target.connection for target in plan.targets if target.connection.notify]
    if not connections:
        yield lambda: None
        return
    from reconciler.notify.courier import Courier, in_journal

    problems: list[str] = []
    courier = Courier(in_journal(journal.path), problems.append)
    courier.serve(connections)
    try:
        yield courier.wake
    finally:
        left = courier.close(END_SECONDS)
        for problem in dict.fromkeys(problems):
            output.say(problem)
        for item in left:
            if item.count:
                waiting = counted(item.count, "notification")
                output.say(f'receiver "{item.receiver}": {waiting} not delivered yet; run "aliasctl notify"')
