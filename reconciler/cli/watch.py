"""Show a result repeatedly: at a terminal redraw the screen, elsewhere print the result when it has changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from reconciler.cli.output import Output
from reconciler.cli.signals import interrupted_by_signals
from reconciler.core.errors import AliasctlError
from reconciler.core.text import counted, printable
from reconciler.documents.timestamps import now
from reconciler.render.formats import Result
from reconciler.render.lines import Line

Seen = TypeVar("Seen")


class Watch(Generic[Seen]):
    """Shows a result until a signal ends it.

    Args:
        read: reads it. An error ends the watch only if there was no result yet.
        draw: returns its lines, for a terminal of that width, or for none.
        output: where to print.
    """

    def __init__(
        self, read: Callable[[], Seen], draw: Callable[[Seen, int | None], Iterable[Line]], output: Output
    ) -> None:
        self._read, self._draw, self._output = read, draw, output
        self._last: Seen | None = None
        self._printed: tuple[Seen | None, str] = (None, "")

    def run(self, interval: float) -> Seen:
        """Read and show the result, wait, and begin again; return the last result.

        Raises:
            AliasctlError: there is no result.
            KeyboardInterrupt: a signal came before there was one.
        """
        try:
            with interrupted_by_signals():
                while True:
                    self._show(self._next(), interval)
                    time.sleep(interval)
        except KeyboardInterrupt:
            if self._last is None:
                raise
            return self._last

    def _next(self) -> AliasctlError | None:
        """Read the result; return the error if it cannot be read this time."""
        try:
            self._last = self._read()
        except AliasctlError as error:
            if self._last is None:
                raise
            return error
        return None

    def _show(self, error: AliasctlError | None, interval: float) -> None:
        seen, message = self._last, str(error or "")
        if self._output.terminal():
            self._redraw(message, interval)
        elif (seen, message) != self._printed:
            if error:
                self._output.error(error)
            elif seen is not None:
                self._print([Line((f"At {now()}", "dim")), *self._draw(seen, None), Line()])
        self._printed = seen, message

    def _redraw(self, message: str, interval: float) -> None:
        size = self._output.terminal()
        if size is None or self._last is None:
            return
        head = [Line((f"Every {interval:g} s, last at {now()}; Ctrl-C ends it", "dim"))]
        if message:
            head += [Line(("error: ", "bold red"), printable(line)) for line in message.splitlines()]
        lines = [*head, Line(), *self._draw(self._last, size.columns)]
        most = size.lines - 2
        if len(lines) > most:
            more = counted(len(lines) - most, "more line")
            lines = [*lines[:most], Line((f"… {more}; --problems shows less", "dim"))]
        self._output.clear()
        self._print(lines)

    def _print(self, lines: Iterable[Line]) -> None:
        self._output.print(Result(lambda: lines, dict))
