"""Signals: before a run has ended they stop it early; afterwards they change nothing about its result."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType

from reconciler.service.signals import ending_signals


def end_with(code: int) -> None:
    """End the process at once with this exit code on each of `ending_signals`, even while it waits for a reader."""
    for number in ending_signals():
        signal.signal(number, lambda *_: os._exit(code))


def ignore_signals() -> None:
    """Ignore `ending_signals` until the process ends, so that it ends with the code of its result."""
    for number in ending_signals():
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Raise `KeyboardInterrupt` on the first of `ending_signals`, in a block that only reads; let a second one kill."""

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        for number in previous:
            signal.signal(number, signal.SIG_DFL)
        raise KeyboardInterrupt

    previous = {number: signal.signal(number, on_signal) for number in ending_signals()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def stopping_on_signals(say: Callable[[str], None], doing: str = "finishing the calls in flight") -> Iterator[Event]:
    """Finish the calls in flight and start no others on the first of `ending_signals`; let a second one kill.

    After an error they are as before; otherwise the caller goes on with `end_with`.

    Args:
        say: prints a sentence for people.
        doing: what is still done after the first signal, for that sentence.
    """
    stop = Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        for number in previous:
            signal.signal(number, signal.SIG_DFL)
        say(f"Stopping: {doing}; once more to quit at once")

    previous = {number: signal.signal(number, on_signal) for number in ending_signals()}
    try:
        yield stop
    except BaseException:
        for number, handler in previous.items():
            signal.signal(number, handler)
        raise
