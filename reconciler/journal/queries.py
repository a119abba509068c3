"""What a journal knows: its runs, and what later runs must know of them.

Every query takes a few rows by an index, however many runs there are. (A + before a column, and CROSS JOIN, keep SQLite
from another index, over all entries of an alias.) Damaged entries are left out and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from reconciler.core.decisions import Decisions
from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.model import Target
from reconciler.core.plan import Step
from reconciler.core.report import VERIFY_MISMATCH, Outcome, StepResult
from reconciler.core.text import listed
from reconciler.journal import database
from reconciler.journal.decisions import decisions_of, last_applied
from reconciler.journal.entries import Entry, Result, RunEnded, RunStarted, kept_entry
from reconciler.journal.past_run import PastRun
from reconciler.journal.selection import ALL, LAST_OF_STEP, Selection

NEWEST = 2**63 - 1
"""Above the position of every run."""
PAGE = 100
"""Runs that are looked up at a time."""
LISTED = 3
OF_ALIAS = "alias = ? AND address = ? AND database = ?"
NOT_VERIFIED, REVERTED = 1, 2
"""The values of `concern`."""
MAY_HAVE_MOVED = f"(outcome IS NULL OR outcome NOT IN ('{Outcome.BLOCKED}', '{Outcome.NOT_ATTEMPTED}'))"
"""An entry after which an alias may be elsewhere."""
START = "SELECT number FROM entry AS own WHERE own.run = entry.run AND own.alias IS NULL ORDER BY number LIMIT 1"
SETTLED = f"""outcome IN ('{Outcome.DONE}', '{Outcome.NOOP}') AND concern IS NULL AND ended AND NOT EXISTS (
  SELECT 1 FROM entry AS other WHERE other.run = entry.run AND other.alias = entry.alias
  AND +other.address = entry.address AND +other.database = entry.database
  AND (other.number > entry.number OR other.concern = {REVERTED})) AND NOT EXISTS (
  SELECT 1 FROM entry AS decision WHERE decision.alias = entry.alias AND decision.address = entry.address
  AND decision.database = entry.database AND decision.concern = {REVERTED} AND decision.number < entry.number
  AND decision.number > ({START}))"""
"""A result after which an alias is where it should be, verified, and not reverted; see `decisions`."""

Key = tuple[str, str, str]
"""Alias, address and database, as `OF_ALIAS` takes them."""


class History:
    """A journal that is open to be read; a missing file is an empty journal.

    Between two queries it is not locked.

    Args:
        path: the file.
        damaged: receives the numbers of the entries that cannot be read.
        opened: opens the file.

    Raises:
        JournalError: it cannot be read.
    """

    def __init__(
        self, path: Path, damaged: set[int], opened: Callable[[Path], Connection | None] = database.reading
    ) -> None:
        self._path = path
        self._damaged = damaged
        self._connection = opened(path)

    def close(self) -> None:
        """Close the file."""
        if self._connection:
            self._connection.close()

    def ids(self, selection: Selection = ALL, limit: int | None = None) -> Iterator[str]:
        """Yield the IDs of runs, newest first."""
        condition, values = selection.where()
        query = f"SELECT position, id FROM run WHERE {condition} AND position < ? ORDER BY position DESC LIMIT {PAGE}"
        position, left = NEWEST, NEWEST if limit is None else limit
        while left > 0 and (rows := self._rows(query, *values, position)):
            with database.failing(self._path, "read"):
                if any(later <= earlier for (later, _), (earlier, _) in pairwise([(position, ""), *rows])):
                    raise database.Malformed("the runs are not in order")  # they might never end
            yield from (run for _, run in rows[:left])
            position, left = rows[-1][0], left - len(rows)

    def count(self, selection: Selection) -> int:
        """Return how many runs are selected."""
        condition, values = selection.where()
        return sum(number for (number,) in self._rows(f"SELECT count(*) FROM run WHERE {condition}", *values))

    def newest_by_database(self, alias: str) -> list[str]:
        """Return the ID of the newest run of each database that has entries about an alias, newest first."""
        newest = "SELECT max(number) FROM entry WHERE alias = ? GROUP BY address, database"
        rows = self._rows(f"SELECT run FROM entry WHERE number IN ({newest}) ORDER BY number DESC", alias)
        return list(dict.fromkeys(run for (run,) in rows))

    def runs(self, ids: Iterable[str]) -> Iterator[PastRun]:
        """Yield runs in the order of their IDs, without those whose start cannot be read."""
        ids = iter(ids)
        while page := list(islice(ids, PAGE)):
            marks = ", ".join("?" * len(page))
            found = self._entries(f"run IN ({marks}) AND alias IS NULL ORDER BY number", *page)
            starts: dict[str, RunStarted] = {}
            ends: dict[str, RunEnded] = {}
            for entry in found:
                match entry:
                    case RunStarted():
                        starts[entry.run] = entry
                    case RunEnded():
                        ends[entry.run] = entry
            for run in page:
                if start := starts.get(run):
                    yield PastRun(start, ends.get(run), partial(entries_of, self._path, self._damaged, run))

    def find(self, prefix: str) -> PastRun:
        """Find a run by its ID or the beginning of its ID.

        Raises:
            InvalidInput: there is none, or more than one.
        """
        ids = list(self.ids(Selection(prefix=prefix)))
        found = list(self.runs([prefix] if prefix in ids else ids[:2]))
        if not found:
            raise InvalidInput(Problem(f'no run "{prefix}"; see aliasctl history'))
        if len(found) > 1:
            several = listed(sorted(ids), LISTED)
            raise InvalidInput(Problem(f'"{prefix}" is the beginning of several runs: {several}; write more of it'))
        return found[0]

    def entries_of(self, run: str, alias: str | None) -> list[Entry]:
        """Return the entries of a run as a whole and those about an alias, or all aliases; see `PastRun.load`."""
        if alias is None:
            return self._entries("run = ? ORDER BY number", run)
        return self._entries("run = ? AND (alias IS NULL OR alias = ?) ORDER BY number", run, alias)

    def texts_of(self, run: str) -> Iterator[str]:
        """Yield the entries of a run as they are recorded, without damaged ones."""
        for number, text, checksum in self._rows(
            "SELECT number, text, checksum FROM entry WHERE run = ? ORDER BY number", run
        ):
            if self._entry(number, text, checksum):
                yield text

    def decisions(self, aliases: Collection[str] | None = None, *, other_than: str = "") -> Decisions:
        """Return what runs recorded that later runs must know; see `decisions_of`.

        Args:
            aliases: consider these only; None for all.
            other_than: the ID of a run to leave out.
        """
        suspects = self._rows(
            "SELECT alias, address, database FROM entry WHERE concern IS NOT NULL UNION "
            "SELECT alias, address, database FROM run CROSS JOIN entry ON entry.run = run.id "
            "WHERE NOT ended AND run.id != ? AND +alias IS NOT NULL",
            other_than,
        )
        records = [
            record
            for key in suspects
            if aliases is None or key[0] in aliases
            for record in self._records(key)
            if record.run != other_than
        ]
        unfinished = {run for (run,) in self._rows("SELECT id FROM run WHERE NOT ended")}
        return decisions_of(records, {record.run for record in records} - unfinished)

    def applied(self, aliases: Iterable[tuple[Target, str]]) -> dict[tuple[Target, str], Result]:
        """Return the result by which each of these aliases is where a run last put it; none if that is uncertain."""
        found = {}
        query = (
            f"SELECT number, text, checksum FROM entry WHERE {OF_ALIAS} AND {MAY_HAVE_MOVED} "
            f"ORDER BY number DESC LIMIT {PAGE}"
        )
        for target, alias in aliases:
            key = (alias, target.address, target.database)
            rows = self._rows(query, *key)
            if result := last_applied(entry for row in rows if (entry := self._entry(*row))):
                found[target, alias] = result
        return found

    def departures(self) -> dict[tuple[Target, str], str]:
        """Return when a recorded run last moved an alias away from each collection, RFC 3339."""
        left: dict[tuple[Target, str], str] = {}
        for _, text, checksum, number in self._rows(
            f"SELECT max(number), text, checksum, number FROM entry WHERE current IS NOT NULL AND {LAST_OF_STEP} "
            "GROUP BY address, database, current",
            Outcome.DONE,
        ):
            match self._entry(number, text, checksum):
                case Result(result=result) as entry if result.ended and result.step.current:
                    left[entry.target, result.step.current] = result.ended
        return left

    def pruned_at(self) -> float:
        """Return when old entries were last removed, in seconds since 1970; 0 for never."""
        return float(sum(moment for (moment,) in self._rows("SELECT time FROM pruning")))

    def oldest(self) -> float:
        """Return when the oldest run did something last, in seconds since 1970; 0 without runs."""
        return float(sum(moment or 0 for (moment,) in self._rows("SELECT min(last) FROM run")))

    def _records(self, key: Key) -> list[Entry]:
        """Return the entries about an alias that its decisions follow from: not all of its history.

        These are of the newest run that settled where the alias is, and all later ones; and of the newest run that
        reverted a move, unless a later one made that move after all. The starts of these runs are among them.
        """
        settled = f"SELECT number FROM entry JOIN run ON run.id = entry.run WHERE {OF_ALIAS} AND {SETTLED}"
        since = max((number for (number,) in self._rows(f"{settled} ORDER BY number DESC LIMIT 1", *key)), default=0)
        reverted = f"{OF_ALIAS} AND concern = {REVERTED} AND desired IS NOT NULL AND number < ?"
        rejecting = ""
        for run, number, collection in self._rows(
            f"SELECT run, number, desired FROM entry WHERE {reverted} ORDER BY number DESC LIMIT 1", *key, since
        ):
            lifted = f"{settled} AND desired = ? AND number > ? LIMIT 1"
            rejecting = "" if self._rows(lifted, *key, collection, number) else run
        later = f"SELECT run FROM entry WHERE {OF_ALIAS} AND number >= ?"
        start = "SELECT number FROM entry WHERE run = involved.run AND alias IS NULL ORDER BY number LIMIT 1"
        columns = "number, text, checksum, run, set_key, current, desired, concern"
        rows = self._rows(
            f"WITH involved (run) AS ({later} UNION SELECT ?) SELECT {columns} FROM entry "
            "WHERE run IN (SELECT run FROM involved) AND alias = ? AND +address = ? AND +database = ? "
            f"UNION ALL SELECT {columns} FROM entry WHERE number IN (SELECT ({start}) FROM involved) ORDER BY number",
            *key,
            since,
            rejecting,
            *key,
        )
        return [record for row in rows if (record := self._entry(*row[:3]) or _stand_in(key, *row[3:]))]

    def _entries(self, condition: str, *values: object) -> list[Entry]:
        rows = self._rows(f"SELECT number, text, checksum FROM entry WHERE {condition}", *values)
        return [entry for row in rows if (entry := self._entry(*row))]

    def _entry(self, number: int, text: str, checksum: int) -> Entry | None:
        """Return an entry; None if it is damaged, or of an unknown event."""
        try:
            return kept_entry(text, checksum)
        except ValueError:
            self._damaged.add(number)
            return None

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        if self._connection is None:
            return []
        with database.failing(self._path, "read"):
            return database.rows(self._connection, query, values)


def entries_of(path: Path, damaged: set[int], run: str, alias: str | None) -> list[Entry]:
    """Return entries of a run; see `PastRun.load`."""
    with closing(History(path, damaged)) as history:
        return history.entries_of(run, alias)


def _stand_in(key: Key, run: str, name: str, current: str | None, desired: str | None, concern: int) -> Entry | None:
    """Return what stands for a damaged entry: a reverted move stays rejected, whatever the spec, others unverified."""
    if concern not in (NOT_VERIFIED, REVERTED):
        return None
    alias, address, database_name = key
    outcome, code = (Outcome.REVERTED, None) if concern == REVERTED else (Outcome.FAILED, VERIFY_MISMATCH)
    step = Step(name, alias, current, desired)
    result = StepResult(step, outcome, code, "its entry in the journal is damaged")
    return Result(run, "an unknown time", Target(address, database_name), result)
