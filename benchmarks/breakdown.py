"""Where the time of one of our processes goes, by part: a run under Python's profiler, added up."""

from __future__ import annotations

import pstats
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.measure import Entrant, run

WAITING = ("acquire", "epoll", "select", "sleep")
"""What a process calls in order to wait."""
IMPORTING = ("frozen importlib", "marshal.loads", "posix.stat", "_io.open_code", "posix.listdir")
LEAST = 0.02
"""Parts with less are not worth a word."""
Function = tuple[str, int, str]
"""File, line and name; the file is `~` for what is written in C."""
Callers = Mapping[Function, tuple[int, int, float, float]]
"""Of each caller the calls, and the seconds without and with what was called from there."""


def break_down(entrant: Entrant) -> dict[str, float]:
    """The share of each part in the time of its main thread, the largest first."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "profile")
        profiled = [sys.executable, "-m", "cProfile", "-o", str(file), *entrant.command]
        run(replace(entrant, command=profiled, codes=frozenset({0})))  # the profiler ends with 0 in any case
        stats: Any = pstats.Stats(str(file))
    spent: defaultdict[str, float] = defaultdict(float)
    for function, (_, _, own, _, callers) in stats.stats.items():
        for part, seconds in _by_part(function, own, callers):
            spent[part] += seconds
    whole = sum(spent.values())
    shares = {part: round(seconds / whole, 3) for part, seconds in spent.items() if seconds / whole >= LEAST}
    return dict(sorted(shares.items(), key=lambda each: -each[1]))


def _by_part(function: Function, own: float, callers: Callers) -> Iterator[tuple[str, float]]:
    """What is written in C counts for the parts that call it."""
    file, _, name = function
    if any(word in name for word in WAITING):
        yield "waiting", own
    elif any(word in file or word in name for word in IMPORTING):
        yield "importing", own
    elif file != "~" or not callers:
        yield _part(file), own
    else:
        yield from ((_part(caller[0]), seconds) for caller, (_, _, seconds, _) in callers.items())


def _part(file: str) -> str:
    """`reconciler.catalog`, a package's name, or `Python` for its library and what is written in C."""
    path = Path(file)
    folders = path.parts
    if "site-packages" in folders:
        after = folders[folders.index("site-packages") + 1 :]
        return after[0].removesuffix(".py")
    if "reconciler" in folders:
        return ".".join(folders[len(folders) - 1 - folders[::-1].index("reconciler") : -1][:2])
    return "importing" if any(word in file for word in IMPORTING) else "Python"
