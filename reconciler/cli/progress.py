"""Show a run in progress on standard error: as a live block at a terminal, elsewhere as lines.

A thread of its own prints, so that neither a slow terminal nor a broken one delays or ends the run.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from queue import Empty, SimpleQueue
from threading import Event, Thread
from types import TracebackType
from typing import Protocol, Self

from reconciler.cli.output import HEARTBEAT, Output
from reconciler.core.run_events import RunEvent
from reconciler.core.text import printable
from reconciler.render.lines import Line
from reconciler.render.progress import RunProgress

REFRESH = 0.2
"""Seconds between two looks at what has happened."""
PATIENCE = 2.0
"""Seconds to wait at the end for a standard error that does not take what is printed."""

Clock = Callable[[], float]


class Screen(Protocol):
    """Where progress is shown."""

    def show(self, lines: Sequence[Line], progress: RunProgress, moment: float) -> None:
        """Print lines, and show what the sets do at a moment."""


class Lines:
    """Standard error that is no terminal: a line per event, and one each 30 s in between."""

    def __init__(self, output: Output, started: float) -> None:
        self._output = output
        self._printed = started

    def show(self, lines: Sequence[Line], progress: RunProgress, moment: float) -> None:
        """Print lines; after a while without any, print what takes long."""
        if not lines and moment - self._printed >= HEARTBEAT and (still := progress.still_running(moment)):
            lines = [Line(still)]
        if lines:
            self._printed = moment
            self._output.tell(lines)


class ProgressDisplay:
    """Shows the events of one run while it is entered; afterwards nothing is printed by it any more.

    Args:
        output: of this call.
        clock: returns seconds.
    """

    def __init__(self, output: Output, clock: Clock = time.monotonic) -> None:
        self._output = output
        self._clock = clock
        self._queue: SimpleQueue[tuple[float, RunEvent | str]] = SimpleQueue()
        self._progress = RunProgress()
        self._over, self._given_up = Event(), False
        self._thread = Thread(target=self._run, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._screen = self._suitable_screen()  # in this thread: the import of Rich must not cost the last lines
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(PATIENCE)
        self._given_up = True

    def on_event(self, event: RunEvent) -> None:
        """Take an event of the run; returns at once."""
        self._queue.put((self._clock(), event))

    def say(self, sentence: str) -> None:
        """Take a sentence to print between the events; returns at once, also in a signal handler."""
        self._queue.put((self._clock(), sentence))

    def _run(self) -> None:
        with self._screen as screen:
            while not self._over.wait(REFRESH):
                self._show(screen)
            self._show(screen)

    def _suitable_screen(self) -> AbstractContextManager[Screen]:
        """Return the live block where a terminal can show one; it is removed at the end."""
        if sys.stderr.isatty() and (console := self._output.console(sys.stderr)).is_interactive:
            from reconciler.cli.live_block import LiveBlock

            return LiveBlock(console)
        return nullcontext(Lines(self._output, self._clock()))

    def _show(self, screen: Screen) -> None:
        lines: list[Line] = []
        with suppress(Empty):
            while True:
                moment, happened = self._queue.get_nowait()
                if isinstance(happened, str):
                    lines.append(Line(printable(happened)))
                else:
                    lines += self._progress.take(happened, moment)
        if not self._given_up:
            with suppress(OSError):
                screen.show(lines, self._progress, self._clock())
