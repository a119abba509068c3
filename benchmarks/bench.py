"""What all scenarios share: the programs, a scratch folder, the sizes, and a way to hold a contest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from benchmarks.breakdown import break_down
from benchmarks.measure import Entrant, in_turn
from benchmarks.results import Calls, Key, Scenario, Who, row_of


@dataclass(frozen=True)
class Sizes:
    """How large the scenarios are.

    Args:
        small, medium, large: aliases of an offline plan; `medium` of the live ones too.
        shared: collections that the aliases of a live plan share.
        single: aliases with a collection each.
        moving: collections whose aliases an apply moves.
        runs: recorded in the long journal.
        wrong, wrong_plan: KiB of a manifest and of a plan file that are refused.
        tangled, scopes: sets with scopes that are refused because they take long to compare, and with separate ones.
        sets: of the operator.
        interval: seconds between two looks of the operator at a set.
    """

    small: int = 1_000
    medium: int = 10_000
    large: int = 100_000
    shared: int = 500
    single: int = 1_000
    moving: int = 100
    runs: int = 100_000
    wrong: int = 4096
    wrong_plan: int = 4096
    tangled: int = 40
    scopes: int = 1_000
    sets: int = 500
    interval: int = 30


QUICK = Sizes(
    small=20,
    medium=200,
    large=400,
    shared=10,
    single=20,
    moving=2,
    runs=20,
    wrong=16,
    wrong_plan=16,
    tangled=40,
    scopes=20,
    sets=5,
    interval=5,
)


@dataclass
class Bench:
    """One run of the benchmark.

    Args:
        bin: the folder of `aliasctl` and its Python.
        folder: for manifests, journals and data; gone at the end.
        rounds: of a cheap contest; a dear one has about half as many.
        octodns: its virtual environment.
        milvus: that of Milvus 2.3.5.
    """

    bin: Path
    folder: Path
    rounds: int
    sizes: Sizes
    octodns: Path
    milvus: Path
    scenarios: dict[Key, Scenario] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def few(self) -> int:
        return (self.rounds + 1) // 2

    def ours(self, who: Who, *arguments: str | Path, codes: frozenset[int] = frozenset({0})) -> Entrant:
        """An `aliasctl` command, with a journal of the benchmark's own."""
        env = {"ALIASCTL_JOURNAL": str(self.folder / "journal.jsonl")}
        return Entrant(who, [str(self.bin / "aliasctl"), *map(str, arguments)], self.folder, env, codes)

    def python(self, who: Who, *arguments: str | Path) -> Entrant:
        return Entrant(who, [str(self.bin / "python"), *map(str, arguments)], self.folder)

    def contest(
        self,
        key: Key,
        title: str,
        entrants: Sequence[Entrant],
        *,
        rounds: int,
        calls: Mapping[Who, Calls] | None = None,
    ) -> None:
        """Measure a scenario, and say so.

        Args:
            entrants: ours comes first.
            calls: what those who talk to Milvus cost in calls.
        """
        click.echo(f"{key}: {title}", err=True)
        runs = in_turn(entrants, rounds)
        rows = [row_of(Who(name), each, (calls or {}).get(Who(name))) for name, each in runs.items()]
        self.scenarios[key] = Scenario(key, title, tuple(rows), break_down(entrants[0]))
        for row in rows:
            click.echo(f"  {row.who:<48}{row.median_seconds:9.3f} s{row.peak / 1e6:7.0f} MB", err=True)
