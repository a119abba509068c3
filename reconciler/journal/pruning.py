"""Remove old entries that later runs do not need.

Of each alias these are kept, however old: its newest call, which `rollback` undoes; its newest result that says where
it is; a move that is still rejected, or is to be reverted; and one that is pending verification.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from reconciler.core.report import Outcome
from reconciler.journal.database import Writer
from reconciler.journal.queries import SETTLED, History

DAY = 86_400.0
DECIDED = f"(outcome IS NULL OR outcome NOT IN ('{Outcome.BLOCKED}', '{Outcome.NOT_ATTEMPTED}'))"
"""Entries that say something about where an alias is."""


def prune_daily(path: Path, writer: Writer, age: float) -> None:
    """Prune a journal that has older runs, and was not pruned for a day; see `prune`."""
    now = time.time()
    with closing(History(path, set())) as history:
        due = history.pruned_at() < now - DAY and history.oldest() < now - age
    if due:
        prune(path, writer, age)


def prune(path: Path, writer: Writer, age: float) -> int:
    """Remove the runs that did nothing for a time, except for entries that later runs need.

    Args:
        path: the journal.
        writer: the same journal, open to be written.
        age: in seconds.

    Returns:
        How many runs were removed.

    Raises:
        JournalError: the journal cannot be read or written; nothing was removed.
    """
    now = time.time()
    with closing(History(path, set())) as history:
        known = history.decisions()
    kept = [(item.run, alias, target) for (target, alias), item in known.rejected.items()]
    kept += [(item.run, alias, target) for (target, alias, _), item in known.pending_verification.items()]
    kept += [(item.run, alias, target) for (target, alias), item in known.pending_reverts.items()]
    rows = [(run, alias, target.address, target.database) for run, alias, target in kept]

    def change(connection: sqlite3.Connection) -> int:
        connection.execute("CREATE TEMP TABLE kept (run, alias, address, database)")
        connection.executemany("INSERT INTO kept VALUES (?, ?, ?, ?)", rows)
        for condition in ("event = 'intent'", DECIDED, SETTLED):
            connection.execute(
                "INSERT INTO kept SELECT run, alias, address, database FROM (SELECT max(number), run, alias, address, "
                f"database FROM entry JOIN run ON run.id = entry.run WHERE alias IS NOT NULL AND {condition} "
                "GROUP BY alias, address, database)"
            )
        old = "run IN (SELECT id FROM run WHERE last < ?)"
        needed = "(run, alias, address, database) IN (SELECT run, alias, address, database FROM kept)"
        connection.execute(f"DELETE FROM entry WHERE alias IS NOT NULL AND {old} AND NOT {needed}", (now - age,))
        removed = connection.execute(
            "DELETE FROM run WHERE last < ? AND id NOT IN (SELECT run FROM kept)", (now - age,)
        ).rowcount
        connection.execute("DELETE FROM entry WHERE run NOT IN (SELECT id FROM run)")
        connection.execute("DROP TABLE kept")
        connection.execute("DELETE FROM pruning")
        connection.execute("INSERT INTO pruning VALUES (?)", (now,))
        return removed

    return writer.write(change)


def prune_and_compact(path: Path, age: float) -> int:
    """Prune a journal and return the free space to the file system; see `prune`."""
    if not path.exists():
        return 0
    with closing(Writer(path)) as writer:
        removed = prune(path, writer, age)
        writer.compact()
        return removed
