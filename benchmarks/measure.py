"""Whole processes, timed in turn: one after the other in each round, so that a slow minute of the machine hits all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

ONE_PROCESS = Path(__file__).with_name("one_process.py")
TAIL = 2000
"""Characters of a failed command's errors that are shown."""
STEERING = ("ALIASCTL_", "COLUMNS", "FORCE_COLOR", "MILVUS", "NO_COLOR", "PYTHON", "TERM", "TF_", "TTY_")
"""What of our environment would change how a command runs."""


@dataclass(frozen=True)
class Run:
    """What a process cost; `output` is what it printed."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    output: str


@dataclass(frozen=True)
class Entrant:
    """One command of a contest.

    Args:
        name: what the page calls it.
        command: what is run, as a whole process.
        cwd: the folder that it runs in.
        env: variables beside a clean environment.
        codes: exit codes that mean that it did its work.
        before: called before each run, and not measured.
    """

    name: str
    command: Sequence[str]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    codes: frozenset[int] = frozenset({0})
    before: Callable[[], object] = lambda: None


def run(entrant: Entrant) -> Run:
    """Run it once.

    Raises:
        click.ClickException: it did not end as it should.
    """
    entrant.before()
    env = {name: value for name, value in os.environ.items() if not name.startswith(STEERING)} | dict(entrant.env)
    with tempfile.TemporaryDirectory() as folder:
        result, stdout, stderr = (Path(folder, name) for name in ("result", "stdout", "stderr"))
        launcher = [sys.executable, "-I", "-S", str(ONE_PROCESS), str(result), str(stdout), str(stderr)]
        subprocess.run([*launcher, *entrant.command], cwd=entrant.cwd, env=env, check=True)  # noqa: S603
        figures = json.loads(result.read_text())
        code = figures.pop("code")
        if code not in entrant.codes:
            said = stderr.read_text(errors="replace")[-TAIL:] or stdout.read_text(errors="replace")[-TAIL:]
            raise click.ClickException(f"{entrant.name}: {' '.join(entrant.command)} ended with {code}\n{said}")
        return Run(**figures, output=stdout.read_text(errors="replace"))


def in_turn(entrants: Sequence[Entrant], rounds: int) -> dict[str, list[Run]]:
    """Run all of them once unmeasured, then so many rounds, each of which runs them in their order."""
    for entrant in entrants:
        run(entrant)
    runs: dict[str, list[Run]] = {entrant.name: [] for entrant in entrants}
    for _ in range(rounds):
        for entrant in entrants:
            runs[entrant.name].append(run(entrant))
    return runs
