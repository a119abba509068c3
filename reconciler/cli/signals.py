"""Signals while a command runs: stop early before the end of a run, and change nothing after it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType

from reconciler.cli.output import Output

ENDING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stopping_on_signals(output: Output) -> Iterator[Event]:
    """Finish the calls in flight and start no others on the first SIGINT or SIGTERM; let a second one kill."""
    stop = Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        for number in previous:
            signal.signal(number, signal.SIG_DFL)
        output.say("Stopping: finishing the calls in flight; once more to quit at once")

    previous = {number: signal.signal(number, on_signal) for number in ENDING}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
