"""The live block at the bottom of a terminal. Imported only for a terminal: Rich takes long to import."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from reconciler.core.text import counted
from reconciler.render.lines import Line
from reconciler.render.progress import Activity, RunProgress

MAX_SETS = 8
"""Sets in the block; the others are counted."""
BAR_WIDTH = 10


class LiveBlock:
    """Lines for events, and below them one line per set that does something, redrawn in place.

    Log entries appear above the block, too.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False)

    def __enter__(self) -> Self:
        with suppress(OSError):
            self._live.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._live.stop()

    def show(self, lines: Sequence[Line], progress: RunProgress, moment: float) -> None:
        """Print lines above the block, and redraw it."""
        with self._console:  # in one piece, so that no half of it is seen
            if lines:
                self._console.print(Group(*map(_wrapped, lines)), soft_wrap=False)
            self._live.update(_block(progress, moment), refresh=True)


def _wrapped(line: Line) -> RenderableType:
    """Return a line that is wrapped at words, below what follows its first part."""
    if len(line) == 1:
        return Text.assemble(*line)
    row = Table.grid()
    row.add_column(no_wrap=True)
    row.add_column(overflow="fold")
    row.add_row(Text.assemble(line[0]), Text.assemble(*line[1:]))
    return row


def _block(progress: RunProgress, moment: float) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="cyan", max_width=20)
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.add_column()  # the one that is cut if the terminal is too narrow
    for name, activity in list(progress.activities.items())[:MAX_SETS]:
        table.add_row(
            name,
            activity.doing,
            _bar(activity, moment),
            activity.timing(moment),
            Text(activity.last, "green" if activity.good else "yellow", no_wrap=True, overflow="ellipsis"),
        )
    if (more := len(progress.activities) - MAX_SETS) > 0:
        table.add_row("", f"and {counted(more, 'other set')}")
    return table


def _bar(activity: Activity, moment: float) -> RenderableType:
    """Return the elapsed share of the time; not in Rich's own color, which is red."""
    if activity.seconds is None:
        return ""
    elapsed = min(activity.seconds, max(0.0, moment - activity.since))
    return ProgressBar(
        total=activity.seconds, completed=elapsed, width=BAR_WIDTH, complete_style="cyan", finished_style="cyan"
    )
