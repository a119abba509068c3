"""What a long journal costs: each command with many recorded runs, and with one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from msgspec.structs import replace

from benchmarks import shapes
from benchmarks.bench import Bench
from benchmarks.measure import Entrant
from benchmarks.results import Key, Who
from reconciler.core.model import Connection, Target
from reconciler.core.plan import Plan, SetPlan, Step, TargetPlan
from reconciler.core.report import Outcome, Report, StepResult
from reconciler.journal import Act, Journal, Origins
from reconciler.journal.database import Writer
from reconciler.journal.entries import entry_of
from reconciler.journal.recording import record

NOWHERE = "http://127.0.0.1:1"
"""Refuses connections: a rollback ends there, after it has read the journal."""
ALIASES = 2
NOW = "2026-01-01T00:00:00.000Z"


def journal(bench: Bench) -> None:
    live, few, many = shapes.dealt(ALIASES, 1), bench.folder / "one-run.db", bench.folder / "many-runs.db"
    export = shapes.write_manifest(bench.folder / "journal-live.yaml", live, NOWHERE)
    manifest = shapes.write_manifest(bench.folder / "journal.yaml", live, NOWHERE)
    plan, history, rollback = ("plan", "-f", manifest, "--against", export), ("history",), ("rollback", "--dry-run")
    _record_run(few)
    _repeat(few, many, bench.sizes.runs)

    def ours(who: Who, path: Path, *arguments: str | Path, codes: frozenset[int] = frozenset({0})) -> Entrant:
        return bench.ours(who, *arguments, "--journal", path, codes=codes)

    entrants = [
        ours(Who.PLAN_MANY_RUNS, many, *plan),
        bench.ours(Who.PLAN_NO_RUNS, *plan, "--journal", bench.folder / "none.db"),
        ours(Who.HISTORY_MANY_RUNS, many, *history),
        ours(Who.HISTORY, few, *history),
        ours(Who.ROLLBACK_MANY_RUNS, many, *rollback, codes=frozenset({1})),
        ours(Who.ROLLBACK, few, *rollback, codes=frozenset({1})),
    ]
    title = f"Journal with {bench.sizes.runs:,} runs; the rollback ends where it would connect"
    bench.contest(Key.JOURNAL, title, entrants, rounds=bench.rounds)


def _record_run(path: Path) -> None:
    """Record one run that moved all aliases."""
    connection = Connection("main", NOWHERE)
    steps = tuple(Step("shop", f"alias_{number}", "v1", "v2") for number in range(ALIASES))
    target = Target(connection.address, "default")
    plan = Plan((TargetPlan(target, connection, (SetPlan("shop", steps),)),), NOW, "0")
    run = Journal(path).begin(plan, Origins("ann", "elsewhere", 1, ("aliases/",)))
    for step in steps:
        run.intend(target, step, Act.MOVE)
        run.note(target, StepResult(step, Outcome.DONE, started=NOW, ended=NOW, wrote=True))
    run.end(Report(plan, (), NOW, NOW))


def _repeat(source: Path, path: Path, times: int) -> None:
    """Write a journal with the run of another one so many times, each under another ID."""
    entries = [entry for text in Journal(source).texts() if (entry := entry_of(text))]

    def change(connection: sqlite3.Connection) -> None:
        for number in range(times):
            for entry in entries:
                record(connection, replace(entry, run=f"20260101-000000-{number:06x}"))

    with closing(Writer(path)) as writer:
        writer.write(change)
