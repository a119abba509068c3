"""A journal that is damaged, cut off, locked, foreign or hostile: a clear error, or everything that was decided.

The journal of each attack has a rejected move, a wave that is not verified and a revert that is not finished. After the
attack a run must not do what these forbid: it is refused with one clear message, or it knows of them.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from random import Random

import pytest

from reconciler.core.errors import ExitCode, JournalError, PermissionDenied, UnexpectedAnswer
from reconciler.core.model import Alias, AliasSet, OnFailure, Verify
from reconciler.core.report import Outcome, Report
from reconciler.core.text import printable
from reconciler.journal import Act, Journal, Selection, database
from reconciler.reconcile import apply_plan, make_plan
from tests import builders
from tests.builders import alias_set
from tests.faults.memory import Recorder
from tests.faults.watched_journal import Death, Killed, Log, WatchedJournal
from tests.hostile.mutations import bounded
from tests.journals import rows
from tests.reliability.tally import Tally
from tests.test_journal import MOVE, TARGET, begun, done

SUITE = "Attacks on the journal"
PAGE = 4096
SOAK = Verify(soak=0.02)
BEFORE = {"rejected": "v1", "canary": "v1", "prod": "v1", "half0": "v1", "half1": "v1", "half2": "v1"}
SETS: list[AliasSet] = [
    alias_set({"rejected": "v2"}, name="rejected", verify=SOAK, on_failure=OnFailure.REVERT),
    alias_set({"canary": "v2"}, Alias("prod", "v2", wave=1), name="waves", verify=SOAK),
    alias_set({"half0": "v2", "half1": "v2"}, Alias("half2", "v2", wave=1), name="half", on_failure=OnFailure.REVERT),
]
LIVE = {**BEFORE, "canary": "v2", "half0": "v2"}
"""When the journal was written: one of two is moved back."""


def recorder_of(aliases: dict[str, str]) -> Recorder:
    """A Milvus on which `rejected` and `canary` cannot be read at v2, and `half2` cannot be moved."""
    recorder = Recorder(builders.server("v1", "v2", aliases=aliases))

    def before(method: str, name: str) -> None:
        bad = {("sample_keys", "rejected"), ("sample_keys", "canary")}
        if (method, name) in bad and builders.live(recorder.server)[name] == "v2":
            raise UnexpectedAnswer("segment is broken")
        if (method, name) == ("alter", "half2"):
            raise PermissionDenied("no")

    recorder.before = before
    return recorder


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a journal, `journal.db`, of many runs; nobody has it open."""
    folder = tmp_path_factory.mktemp("written")
    journal = Journal(folder / "journal.db")
    for number in range(60):
        aliases = {f"filler{number}x{place}": "v1" for place in range(6)}
        with builders.catalogs(builders.server("v1", "v2")) as catalogs:
            apply_plan(
                make_plan([alias_set(aliases, name="filler")], catalogs=catalogs), catalogs=catalogs, journal=journal
            )
    recorder = recorder_of(BEFORE)
    with recorder.catalogs() as catalogs:
        apply_plan(make_plan(SETS[:2], catalogs=catalogs), catalogs=catalogs, journal=journal)
        dying = WatchedJournal(journal, 0, Log(), Death(10, written=False))
        with pytest.raises(Killed):
            apply_plan(make_plan(SETS[2:], catalogs=catalogs), catalogs=catalogs, journal=dying)
    assert builders.live(recorder.server) == LIVE
    known = journal.decisions()
    assert {alias for _, alias in known.rejected} == {"rejected", "half0", "half1"}
    assert {alias for _, alias, _ in known.pending_verification} >= {"canary"}
    assert {alias for _, alias in known.pending_reverts} == {"half0"}
    rows(journal.path, "PRAGMA wal_checkpoint(TRUNCATE)")
    return folder


Attack = Callable[[Path, Random], None]


def _page(content: Callable[[bytes, Random], bytes]) -> Attack:
    """Replace one page."""

    def attack(path: Path, random: Random) -> None:
        data = path.read_bytes()
        start = PAGE * random.randrange(len(data) // PAGE)
        path.write_bytes(data[:start] + content(data, random) + data[start + PAGE :])

    return attack


def _other_page(data: bytes, random: Random) -> bytes:
    start = PAGE * random.randrange(len(data) // PAGE)
    return data[start : start + PAGE]


def _cut_off(path: Path, random: Random) -> None:
    os.truncate(path, random.randrange(path.stat().st_size))


def _followed_by_garbage(path: Path, random: Random) -> None:
    with path.open("ab") as file:
        file.write(random.randbytes(random.randint(1, 3 * PAGE)))


def _log_of_another_database(path: Path, random: Random) -> None:
    path.with_name(f"{path.name}-wal").write_bytes(random.randbytes(random.randint(0, 5 * PAGE)))


def _memory_of_another_process(path: Path, random: Random) -> None:
    path.with_name(f"{path.name}-shm").write_bytes(random.randbytes(random.choice((100, 32768))))


def _rollback_journal_of_another_database(path: Path, random: Random) -> None:
    path.with_name(f"{path.name}-journal").write_bytes(random.randbytes(random.randint(0, 2 * PAGE)))


def _foreign(path: Path, random: Random) -> None:
    path.unlink()
    rows(path, random.choice(("CREATE TABLE run (id)", "CREATE TABLE entry (number, text)", "PRAGMA user_version = 1")))


def _newer(path: Path, random: Random) -> None:
    rows(path, f"PRAGMA user_version = {random.randint(2, 2**31 - 1)}")


def _of_another_program(path: Path, random: Random) -> None:
    rows(path, f"PRAGMA application_id = {random.randint(1, 1000)}")


def _no_file(path: Path, random: Random) -> None:
    path.unlink()
    kind = random.choice(("FIFO", "folder", "socket", "device", "loop", "dangling", "text", "archive"))
    match kind:
        case "FIFO":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "socket":
            with socket.socket(socket.AF_UNIX) as opened:
                os.chdir(path.parent)  # its name may be too long for a socket
                opened.bind(path.name)
        case "device":
            path.symlink_to(random.choice(("/dev/full", "/dev/zero", "/dev/urandom", "/dev/null")))
        case "loop":
            path.symlink_to(path.name)
        case "dangling":
            path.symlink_to("nowhere")
        case "text":
            path.write_text("404: Not Found\n" * 100)
        case _:
            path.write_bytes(b"\x1f\x8b\x08\0" + random.randbytes(5000))


ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT"
"""A query that never ends; a view may have it, and what looks like a table may be a view."""
ENTRY = (
    "x AS number, 'r' AS run, 'result' AS event, 'h' AS address, 'd' AS database, 's' AS set_key, 'a' AS alias, "
    "'v1' AS current, 'v2' AS desired, 'done' AS outcome, 2 AS concern, '{}' AS text, 0 AS checksum FROM c"
)
RUN = "x AS position, 'r' AS id, 0 AS ended, 1 AS changed, 0.0 AS last, NULL AS finding FROM c"
BEFORE_INSERT, AFTER_INSERT = (f"CREATE TRIGGER t {when} INSERT ON entry BEGIN" for when in ("BEFORE", "AFTER"))
HOSTILE = (
    f"DROP TABLE entry; CREATE VIEW entry AS {ENDLESS} {ENTRY}",
    f"DROP TABLE run; CREATE VIEW run AS {ENDLESS} {RUN}",
    f"CREATE VIEW endless AS {ENDLESS} x FROM c; {BEFORE_INSERT} SELECT count(*) FROM endless; END",  # noqa: S608
    f"{BEFORE_INSERT} SELECT RAISE(ABORT, 'no \x1b[2J'); END",
    f"{AFTER_INSERT} UPDATE run SET changed = 1 - changed; END",  # noqa: S608
    "DROP TABLE pruning",
    "DROP TABLE run",
    "DROP INDEX entry_concern; DROP INDEX entry_alias",
    "ALTER TABLE entry RENAME COLUMN text TO content",
    "UPDATE entry SET text = hex(zeroblob(3000000)) WHERE event = 'runStarted' AND number < 20",
    "UPDATE entry SET text = x'00ff', checksum = 'x' WHERE concern IS NOT NULL",
    "UPDATE entry SET text = text || char(27) || '[2J' WHERE event = 'result'",
    "UPDATE run SET last = 'never', id = id || char(10) WHERE ended",
    "UPDATE run SET last = 9e999",
)
"""Done by somebody who can write the file, who could as well delete all of it: it must not hang or harm."""


ATTACKS: dict[str, Attack] = {
    "a page of zeros": _page(lambda _, random: bytes(PAGE)),
    "a page of ones": _page(lambda _, random: b"\xff" * PAGE),
    "a page of garbage": _page(lambda _, random: random.randbytes(PAGE)),
    "half a page": _page(lambda data, random: _other_page(data, random)[: PAGE // 2] + bytes(PAGE // 2)),
    "another page": _page(_other_page),
    "cut off": _cut_off,
    "followed by garbage": _followed_by_garbage,
    "a write-ahead log of garbage": _log_of_another_database,
    "shared memory of garbage": _memory_of_another_process,
    "a rollback journal of garbage": _rollback_journal_of_another_database,
    "another program's tables": _foreign,
    "another program's ID": _of_another_program,
    "a newer version": _newer,
    "no file": _no_file,
}


def copied(written: Path, folder: Path) -> Path:
    folder.mkdir()
    for file in written.glob("journal.db*"):
        shutil.copy(file, folder)
    return folder / "journal.db"


@contextmanager
def clear_errors(path: Path) -> Iterator[None]:
    """Our own error, which names the file, in one line that harms no terminal; no other error, and soon."""
    with bounded(30):
        try:
            yield
        except JournalError as error:
            said = str(error)
            assert said.startswith(f"{path}: "), said
            assert "\n" not in printable(said), said
            assert len(said) < 500, said


def use(path: Path, *, known: bool) -> None:
    """Apply, roll back, and read the journal as every command does.

    `known`: whether what was decided before must be known, or the file be refused. A file that is empty, or was
    replaced by one that is not ours, knows nothing.
    """
    recorder, journal = recorder_of(LIVE), Journal(path)
    report: Report | None = None
    with clear_errors(path), recorder.catalogs() as catalogs:
        plan = make_plan(SETS, catalogs=catalogs, journal=journal)
        report = apply_plan(plan, catalogs=catalogs, journal=journal)
    live = builders.live(recorder.server)
    if report is None:
        assert (recorder.writes, live) == ([], LIVE)
    elif known:
        assert ("alter", "rejected") not in recorder.writes, "a rejected move was repeated"
        assert live["prod"] == "v1", "a wave was started behind one that is not verified"
        assert (live["half0"], live["half1"]) == ("v1", "v1") or report.exit_code is not ExitCode.DONE
        assert ("alter", "half1") not in recorder.writes, "a rejected move was repeated"
    for read in (
        journal.decisions,
        journal.departures,
        journal.runs,
        lambda: list(journal.texts()),
        lambda: journal.count(Selection(changed=True)),
        lambda: journal.prune(86_400.0),
    ):
        with clear_errors(path):
            read()
    with clear_errors(path):
        for run in journal.newest():
            for past in run.steps:
                assert past.step.alias


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_or_changes_nothing(
    name: str,
    written: Path,
    soak: bool,
    tally: Callable[[str, str], Tally],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    monkeypatch.chdir(tmp_path)
    logging.disable(logging.WARNING)
    suite = tally(SUITE, "in-memory Milvus")
    for seed in range(80 if soak else 4):
        print(f"seed {seed}")
        path = copied(written, tmp_path / str(seed))
        ATTACKS[name](path, Random(f"{name} {seed}"))  # noqa: S311 - repeatable
        with suite.case(faults=1):
            use(path, known=True)
    logging.disable(logging.NOTSET)


INDEXES = ("run_open", "entry_run", "entry_alias", "entry_concern")
"""Those by which what later runs must know is found."""


@pytest.mark.parametrize("index", INDEXES)
def test_an_index_without_its_entries(
    index: str, written: Path, tally: Callable[[str, str], Tally], tmp_path: Path
) -> None:
    """Its first page was replaced by that of an empty index: to SQLite the file is sound."""
    path = copied(written, tmp_path / "copy")
    pages = dict(rows(path, "SELECT name, rootpage FROM sqlite_master WHERE type = 'index'"))
    rows(path, "UPDATE run SET finding = NULL")  # no entry is left in its index
    rows(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    start, empty = ((pages[name] - 1) * PAGE for name in (index, "run_finding"))
    data = path.read_bytes()
    path.write_bytes(data[:start] + data[empty : empty + PAGE] + data[start + PAGE :])
    with tally(SUITE, "in-memory Milvus").case(faults=1):
        use(path, known=True)


@pytest.mark.parametrize("statements", HOSTILE, ids=lambda text: text[:40])
def test_hostile_tables(
    statements: str,
    written: Path,
    tally: Callable[[str, str], Tally],
    tmp_path: Path,
) -> None:
    path = copied(written, tmp_path / "copy")
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(statements)
    with tally(SUITE, "in-memory Milvus").case(faults=1):
        use(path, known=True)


LOCKS = (
    "BEGIN; SELECT * FROM run",
    "BEGIN IMMEDIATE",
    "BEGIN EXCLUSIVE",
    "PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; COMMIT",
    "flock",
)


def test_a_journal_that_others_keep_locked(
    written: Path, tally: Callable[[str, str], Tally], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is used, or refused soon; once it is free again, all is known."""
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    suite = tally(SUITE, "in-memory Milvus")
    for number, lock in enumerate(LOCKS):
        print(lock)
        path = copied(written, tmp_path / str(number))
        with suite.case(faults=1):
            with ExitStack() as held:
                if lock == "flock":
                    fcntl.flock(held.enter_context(path.open()), fcntl.LOCK_EX)
                else:
                    other = held.enter_context(closing(sqlite3.connect(path, isolation_level=None)))
                    for statement in lock.split(";"):
                        other.execute(statement).fetchone()
                use(path, known=True)
            use(path, known=True)


def test_a_power_cut_after_a_decision(
    written: Path, soak: bool, tally: Callable[[str, str], Tally], tmp_path: Path
) -> None:
    """Of the log only what was synced is left, then any part of the rest, and garbage."""
    suite, random = tally(SUITE, "in-memory Milvus"), Random(1)  # noqa: S311 - repeatable
    path = copied(written, tmp_path / "whole")
    log = path.with_name(f"{path.name}-wal")
    with closing(sqlite3.connect(path)) as keeps_the_log:
        keeps_the_log.execute("SELECT count(*) FROM run").fetchone()
        run = begun(path, MOVE)
        run.intend(TARGET, MOVE, Act.MOVE)
        run.decide_revert(TARGET, [MOVE], "it was slow")
        synced = log.stat().st_size
        run.note(TARGET, done(MOVE, Outcome.REVERTED))
        run.note(TARGET, done(MOVE, Outcome.REVERTED, "again"))
        whole = log.read_bytes()
        assert len(whole) > synced
        for number in range(200 if soak else 10):
            lost = tmp_path / f"{number}.db"
            shutil.copy(path, lost)
            tail = random.choice((b"", bytes(9000), random.randbytes(9000)))
            Path(f"{lost}-wal").write_bytes(whole[: random.randint(synced, len(whole))] + tail)
            with suite.case(faults=1):
                known = Journal(lost).decisions()
                assert known.rejected[TARGET, "a"].collection == "v2"
                assert {alias for _, alias in known.rejected} == {"a", "rejected", "half0", "half1"}
                assert rows(lost, "PRAGMA integrity_check") == [("ok",)]
