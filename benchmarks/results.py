"""What was measured, and its form in `results.json`."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from benchmarks.measure import Run

ENOUGH = 20
"""Runs from which on the 95th percentile is not just the slowest one."""


class Key(StrEnum):
    """The scenarios, in the order of the page. `--only` takes these names."""

    START_UP = "start-up"
    OFFLINE_SMALL = "offline-small"
    OFFLINE_MEDIUM = "offline-medium"
    OFFLINE_LARGE = "offline-large"
    JOURNAL = "journal"
    HOSTILE = "hostile"
    LIVE_SHARED = "live-shared"
    LIVE_SINGLE = "live-single"
    IN_SYNC = "in-sync"
    ONE_CHANGED = "one-changed"
    APPLY = "apply"
    OPERATOR = "operator"


class Who(StrEnum):
    """Who is compared. A scenario has each at most once."""

    PLAN = "`aliasctl plan`"
    GATED_PLAN = "`aliasctl plan`, gate `loaded` on"
    SMALLER_PLAN = "`aliasctl plan`, a tenth of the aliases"
    PLAN_MANY_RUNS = "`aliasctl plan`, many runs recorded"
    PLAN_NO_RUNS = "`aliasctl plan`, no journal"
    HISTORY_MANY_RUNS = "`aliasctl history`, many runs recorded"
    HISTORY = "`aliasctl history`, one run recorded"
    ROLLBACK_MANY_RUNS = "`aliasctl rollback --dry-run`, many runs recorded"
    ROLLBACK = "`aliasctl rollback --dry-run`, one run recorded"
    WRONG_ITEMS = "`aliasctl validate`, wrong items"
    WRONG_ITEMS_HALF = "`aliasctl validate`, half as many wrong items"
    WRONG_ITEMS_QUARTER = "`aliasctl validate`, a quarter of the wrong items"
    WRONG_ITEMS_EIGHTH = "`aliasctl validate`, an eighth of the wrong items"
    LOADING_WRONG_ITEMS = "loading the wrong items with libyaml only"
    WRONG_PLAN = "`aliasctl show`, wrong plan file"
    WRONG_PLAN_QUARTER = "`aliasctl show`, wrong plan file of a quarter of the size"
    TANGLED = "`aliasctl validate`, tangled scopes"
    TANGLED_QUARTER = "`aliasctl validate`, a quarter of the tangled scopes"
    SCOPES = "`aliasctl validate`, separate scopes"
    SCOPES_TENTH = "`aliasctl validate`, a tenth of the separate scopes"
    APPLY = "`aliasctl apply --yes`"
    VALIDATE = "`aliasctl validate`"
    HELP = "`aliasctl --help`"
    OPERATOR = "`aliasctl operator`"
    EDIT = "one edit, until it is applied"
    EDIT_BUSY = "one edit while all sets are reconciled"
    IMPORTS = "`python -c 'import click, yaml'`"
    NOTHING = "`python -c ''`"
    LOADING = "loading both files with libyaml only"
    OCTODNS = "octoDNS"
    TERRAFORM = "Terraform"
    NAIVE = "naive script"
    WRITES = "bare loop, writes only"
    SAME_CALLS = "bare loop, all calls"


@dataclass(frozen=True)
class Calls:
    """Calls to Milvus of one process.

    Args:
        counted: by a proxy between the process and the server.
        greetings: how many of these only opened a client.
        reported: by the process itself, without greetings; None if it does not say.
        bound: the most that the goal allows; None if there is none.
    """

    counted: int
    greetings: int = 0
    reported: int | None = None
    bound: int | None = None


@dataclass(frozen=True)
class Row:
    """What one of them cost, run by run."""

    who: Who
    seconds: tuple[float, ...] = ()
    cpu_seconds: tuple[float, ...] = ()
    peak_bytes: tuple[int, ...] = ()
    calls: Calls | None = None

    @property
    def median_seconds(self) -> float:
        return statistics.median(self.seconds)

    @property
    def p95_seconds(self) -> float | None:
        """What 95 of 100 runs take at most; None of few runs."""
        if len(self.seconds) < ENOUGH:
            return None
        return sorted(self.seconds)[math.ceil(0.95 * len(self.seconds)) - 1]

    @property
    def median_cpu_seconds(self) -> float:
        return statistics.median(self.cpu_seconds)

    @property
    def peak(self) -> int:
        """Bytes, in the hungriest run."""
        return max(self.peak_bytes)


@dataclass(frozen=True)
class Scenario:
    """What was measured in turn; `parts` is the share of each part in the time of the first row, under a profiler."""

    key: Key
    title: str
    rows: tuple[Row, ...]
    parts: Mapping[str, float] = field(default_factory=dict)

    def row(self, who: Who) -> Row | None:
        return next((row for row in self.rows if row.who == who), None)

    def ratio(self, who: Who, other: Who) -> float | None:
        """Return the median of the rounds' ratios of `who` to `other`; None if either was not measured."""
        first, second = self.row(who), self.row(other)
        if not first or not second or not first.seconds or not second.seconds:
            return None
        return statistics.median(a / b for a, b in zip(first.seconds, second.seconds, strict=True))

    def slower(self, who: Who, other: Who) -> float | None:
        """Return the median of the rounds' differences in seconds; None if either was not measured."""
        first, second = self.row(who), self.row(other)
        if not first or not second or not first.seconds or not second.seconds:
            return None
        return statistics.median(a - b for a, b in zip(first.seconds, second.seconds, strict=True))


@dataclass(frozen=True)
class Results:
    """One run of the benchmark.

    Args:
        date: of the run.
        rounds: of cheap scenarios; dear ones have fewer, as their rows show.
        machine: what it ran on, by property.
        versions: of everything compared.
        scenarios: what was measured.
        missing: why each scenario or peer that is not there was not measured.
    """

    date: str
    rounds: int
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    scenarios: tuple[Scenario, ...]
    missing: Mapping[str, str]

    def scenario(self, key: Key) -> Scenario | None:
        return next((scenario for scenario in self.scenarios if scenario.key == key), None)


def row_of(who: Who, runs: Sequence[Run], calls: Calls | None = None) -> Row:
    """A row of measured runs; milliseconds are as fine as they get."""
    return Row(
        who,
        tuple(round(run.seconds, 3) for run in runs),
        tuple(round(run.cpu_seconds, 3) for run in runs),
        tuple(run.peak_bytes for run in runs),
        calls,
    )


def load(path: Path) -> Results:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    scenarios = tuple(
        Scenario(Key(item["key"]), item["title"], tuple(_row(row) for row in item["rows"]), item["parts"])
        for item in document["scenarios"]
    )
    fields = ("date", "rounds", "machine", "versions", "missing")
    return Results(**{name: document[name] for name in fields}, scenarios=scenarios)


def _row(row: Mapping[str, Any]) -> Row:
    figures = {name: tuple(row[name]) for name in ("seconds", "cpu_seconds", "peak_bytes")}
    return Row(Who(row["who"]), **figures, calls=Calls(**row["calls"]) if row["calls"] else None)


def save(results: Results, goals: Sequence[Mapping[str, str]], path: Path) -> None:
    """Write the runs with their medians and ratios, and the verdicts of the goals."""
    document: dict[str, Any] = asdict(results)
    for scenario, written in zip(results.scenarios, document["scenarios"], strict=True):
        for row, there in zip(scenario.rows, written["rows"], strict=True):
            ratio = scenario.ratio(row.who, scenario.rows[0].who)
            there["median_seconds"] = row.median_seconds if row.seconds else None
            there["p95_seconds"] = row.p95_seconds
            there["median_cpu_seconds"] = row.median_cpu_seconds if row.cpu_seconds else None
            there["ratio_to_first"] = None if ratio is None else round(ratio, 3)
    document["goals"] = list(goals)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
