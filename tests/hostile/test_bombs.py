"""Files that are made to cost time and memory are refused, or read, at a cost that is linear in their size."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from reconciler.core.errors import MAX_PROBLEMS
from tests.cli.command import ALIASCTL, TIMEOUT, clean_environment
from tests.hostile.bombs import BOMBS, CONNECTION, HEAD, Bomb
from tests.reliability.tally import Tally

ROOT = Path(__file__).parents[2]
ONE_PROCESS = ROOT / "benchmarks" / "one_process.py"
MIB = 2**20
FEW, MANY = (0.25,), (0.25, 1.0, 4.0)
"""Sizes in MiB."""
SECONDS, SECONDS_PER_MIB = 2.0, 3.5
"""Of CPU; measured at most 2.4 per MiB."""
MEMORY, MEMORY_PER_MIB = 64 * MIB, 150 * MIB
LONGEST_LINE = 5_000


def cost(folder: Path, *arguments: str) -> dict[str, Any]:
    """Run a command; return its CPU seconds, its peak of memory, its exit code and what it wrote to standard error."""
    files = ("result.json", "stdout", "stderr")
    subprocess.run(
        [sys.executable, "-I", "-S", str(ONE_PROCESS), *files, *ALIASCTL, *arguments],
        cwd=folder,
        env=clean_environment({"PYTHONPATH": str(ROOT), "ALIASCTL_JOURNAL": str(folder / "journal.db")}),
        timeout=5 * TIMEOUT,
        check=True,
    )
    figures: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return figures | {"stderr": (folder / "stderr").read_text()}


def insist_on_a_clean_end(bomb: Bomb, size: int, spent: dict[str, Any]) -> None:
    said = f"{bomb.name}, {size / MIB:.2f} MiB: {spent}"
    assert spent["code"] in ({0, 1} if bomb.valid else {1}), said
    lines = spent["stderr"].splitlines()
    assert "Traceback" not in spent["stderr"], said
    assert spent["code"] == 0 or ": error: " in lines[0], said
    assert len(lines) <= MAX_PROBLEMS + 1, said
    assert max(map(len, lines), default=0) < LONGEST_LINE, said
    assert spent["cpu_seconds"] < SECONDS + SECONDS_PER_MIB * size / MIB, said
    assert spent["peak_bytes"] < MEMORY + MEMORY_PER_MIB * size / MIB, said


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb.name)
def test_a_file_costs_what_its_size_says(
    bomb: Bomb, soak: bool, tally: Callable[[str, str], Tally], tmp_path: Path
) -> None:
    suite = tally("Files made to cost time and memory", "no server")
    (tmp_path / "good.yaml").write_text(f"{CONNECTION}---\n{HEAD}  aliases: [{{name: a, collection: v}}]\n")
    for seed, mib in enumerate(MANY if soak else FEW):
        content = bomb.make(int(mib * MIB), Random(seed))  # noqa: S311 - repeatable
        (tmp_path / bomb.file).write_text(content)
        for command in bomb.commands:
            with suite.case(faults=1):
                insist_on_a_clean_end(bomb, len(content), cost(tmp_path, *command, f"./{bomb.file}"))
