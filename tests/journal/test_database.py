"""Several processes, a crash, a full disk, a damaged or foreign file: nothing that was recorded is lost or misread."""

from __future__ import annotations

import fcntl
import os
import random
import resource
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from time import monotonic, sleep

import pytest
from msgspec.structs import replace

from reconciler.core.errors import ExitCode, JournalError
from reconciler.core.report import Outcome
from reconciler.journal import Act, Journal, RunState, Selection, database
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import alias_set, catalogs, live, server
from tests.hostile.mutations import bounded
from tests.journals import rows
from tests.test_journal import MOVE, TARGET, begun, done, ended, plan_of

ROOT = Path(__file__).parents[2]
PAGE = 4096
INSTEAD = "name another file with --journal or ALIASCTL_JOURNAL"
NO_ROOM = (
    "the journal cannot be written: (disk I/O error|No space left on device|an earlier write did not reach the disk)"
)
LOG_HEAD, FRAME_HEAD = 32, 24
"""Bytes at the start of a write-ahead log, and of each page in it."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


@pytest.fixture(params=["a local file system", "a network file system"])
def anywhere(path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of a journal with a write-ahead log, and of one without."""
    if request.param == "a network file system":
        monkeypatch.setattr(database, "LOCAL", frozenset())
    return path


def fifo(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(path))


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def in_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.touch()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (Path.mkdir, "it is a folder, not a file"),
        (fifo, "it is a FIFO, not a file"),
        (unix_socket, "it is a socket, not a file"),
        (lambda path: path.symlink_to("/dev/full"), "it is a device, not a file"),
        (dangling, "it is a symbolic link to a file that does not exist"),
        (in_a_file, "Not a directory"),
    ],
    ids=["folder", "FIFO", "socket", "device", "dangling link", "folder is a file"],
)
def test_without_a_journal_nothing_is_written_to_milvus(
    make: Callable[[Path], object], reason: str, path: Path
) -> None:
    path.parent.mkdir()
    make(path)
    made = server("v1", "v2", aliases={"a": "v1"})
    with catalogs(made) as opened, bounded():
        plan = make_plan([alias_set({"a": "v2"})], catalogs=opened)
        with pytest.raises(JournalError) as raised:
            apply_plan(plan, catalogs=opened, journal=Journal(path))
    assert str(raised.value) == f"{path}: the journal cannot be written: {reason}; {INSTEAD}"
    assert raised.value.exit_code == ExitCode.ERROR
    assert live(made) == {"a": "v1"}


def test_what_is_no_file_is_not_read(path: Path) -> None:
    path.parent.mkdir()
    os.mkfifo(path)
    with bounded(), pytest.raises(JournalError, match="the journal cannot be read: it is a FIFO, not a file"):
        Journal(path).decisions()


def test_the_file_is_for_its_owner_only_and_a_mode_that_was_given_it_stays(path: Path) -> None:
    before = os.umask(0)
    try:
        run = begun(path, MOVE)
    finally:
        os.umask(before)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    path.chmod(0o660)
    run.end(ended(plan_of(MOVE)))
    assert path.stat().st_mode & 0o777 == 0o660


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Files cannot grow beyond so many bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_at_any_time_keeps_calls_from_being_made(anywhere: Path) -> None:
    path = anywhere
    made = server("v1", "v2", aliases={"a": "v1"})
    huge = "x" * 3 * PAGE  # more than the pages that are there have room for
    with catalogs(made) as opened:
        plan = make_plan([alias_set({"a": "v2"})], catalogs=opened)
        with (
            room_for(100),
            pytest.raises(JournalError, match=r"the journal cannot be written: (disk I/O error|No space)"),
        ):
            apply_plan(plan, catalogs=opened, journal=Journal(path))
        assert (live(made), Journal(path).runs()) == ({"a": "v1"}, [])
        run = begun(path, MOVE)
        with room_for(max(file.stat().st_size for file in path.parent.iterdir())):
            for _ in range(2):
                with pytest.raises(
                    JournalError,
                    match=NO_ROOM,
                ):
                    run.intend(TARGET, replace(MOVE, alias=huge), Act.MOVE)
        with pytest.raises(JournalError, match="an earlier write did not reach the disk"):
            run.intend(TARGET, MOVE, Act.MOVE)
        assert apply_plan(plan, catalogs=opened, journal=Journal(path)).exit_code is ExitCode.DONE
    assert [run.steps for run in Journal(path).runs()[:-1]] == [()]


def test_a_reader_may_lock_the_file_as_the_text_journal_was_locked(path: Path) -> None:
    """Anyone who can read a file can `flock` it; this once kept every apply from starting."""
    begun(path, MOVE)
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        begun(path, MOVE).intend(TARGET, MOVE, Act.MOVE)


@pytest.mark.parametrize("lock", ["BEGIN; SELECT * FROM run", "BEGIN IMMEDIATE"], ids=["reader", "writer"])
def test_a_process_that_keeps_the_file_locked_is_not_waited_for_for_ever(
    lock: str, anywhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as `sqlite3 journal.db` that someone left open in a transaction; a reader only matters without a log."""
    path, runs = anywhere, 1
    begun(path, MOVE)
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        for statement in lock.split(";"):
            other.execute(statement).fetchone()
        if "IMMEDIATE" not in lock and database.LOCAL:
            begun(path, MOVE)
            runs += 1
        else:
            with pytest.raises(
                JournalError, match=r"another process has had it locked for .* \(fuser FILE shows which\)"
            ):
                begun(path, MOVE)
        assert len(Journal(path).runs()) == runs
    begun(path, MOVE)


def test_a_journal_that_another_process_is_creating_is_not_taken_for_a_foreign_one(path: Path) -> None:
    """The kind of the file is read in one moment, not in three."""
    path.parent.mkdir()

    def create_now(statement: str) -> None:
        if statement == "PRAGMA user_version":
            connection.set_trace_callback(None)
            begun(path, MOVE)

    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")  # that far the other process is
        connection.set_trace_callback(create_now)
        assert database._format_of(connection, path) == 0
    assert len(Journal(path).runs()) == 1


def test_a_process_that_reads_run_after_run_locks_nobody_out(path: Path) -> None:
    for _ in range(3):
        begun(path, MOVE)
    reading = Journal(path).newest()
    next(reading)
    begun(path, MOVE).intend(TARGET, MOVE, Act.MOVE)
    assert len(list(reading)) == 2


def test_a_look_at_a_missing_journal_or_a_text_journal_changes_nothing(path: Path) -> None:
    assert Journal(path).look_up(Selection(), 9) == []
    assert not path.parent.exists()
    path.parent.mkdir()
    path.write_text('{"event": "run"}\n')
    assert Journal(path).look_up(Selection(), 9) == []
    assert [(file.name, file.read_text()) for file in path.parent.iterdir()] == [(path.name, '{"event": "run"}\n')]


def test_a_look_neither_locks_the_file_nor_waits_for_a_lock(anywhere: Path) -> None:
    ids: list[str] = []
    for _ in range(2):
        run = begun(anywhere, MOVE)
        run.intend(TARGET, MOVE, Act.MOVE)
        ids.insert(0, run.end(ended(plan_of(MOVE))))
    before = {file.name: file.stat().st_mtime_ns for file in anywhere.parent.iterdir()}
    assert Journal(anywhere).look_up(Selection(), 9) == ids
    assert Journal(anywhere).look_up(Selection(), 1) == ids[:1]
    assert {file.name: file.stat().st_mtime_ns for file in anywhere.parent.iterdir()} == before
    with closing(sqlite3.connect(anywhere, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        started = monotonic()
        assert Journal(anywhere).look_up(Selection(), 9) == ids
        assert monotonic() - started < database.BUSY_SECONDS / 2


def test_a_look_sees_a_run_that_is_going_on(path: Path) -> None:
    run = begun(path, MOVE)
    run.intend(TARGET, MOVE, Act.MOVE)
    assert Journal(path).look_up(Selection(changed=True), 9) == [run.id]


def commits(path: Path) -> int:
    """Return how many transactions a write-ahead log has: the last page of each has the size of the database."""
    log = path.with_name(f"{path.name}-wal").read_bytes()
    frames = range(LOG_HEAD, len(log), FRAME_HEAD + PAGE)
    return sum(log[frame + 4 : frame + 8] != bytes(4) for frame in frames)


def test_threads_that_wait_share_a_transaction(path: Path) -> None:
    run = begun(path, MOVE)
    before = commits(path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: run.intend(TARGET, MOVE, Act.MOVE), range(80)))
    assert rows(path, "SELECT count(*) FROM entry WHERE event = 'intent'") == [(80,)]
    assert 0 < commits(path) - before < 80


def test_what_must_be_on_the_disk_is_synced(anywhere: Path) -> None:
    """What need not be is, where there is no write-ahead log: without it, a power cut could damage the file."""
    found: list[object] = []
    with closing(database.Writer(anywhere)) as writer:
        for durable in (True, False):
            for setting in ("journal_mode", "synchronous"):
                found += writer.write(partial(asked, setting), durable=durable)
    assert found == (["wal", 3, "wal", 1] if database.LOCAL else ["truncate", 3, "truncate", 3])


def asked(setting: str, connection: sqlite3.Connection) -> tuple[object, ...]:
    found: tuple[object, ...] = connection.execute(f"PRAGMA {setting}").fetchone()
    return found


def test_a_journal_that_was_moved_to_a_network_file_system_has_no_log_there(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(path, MOVE).end(ended(plan_of(MOVE)))
    monkeypatch.setattr(database, "LOCAL", frozenset())
    begun(path, MOVE).intend(TARGET, MOVE, Act.MOVE)
    assert not path.with_name(f"{path.name}-wal").exists()
    assert len(Journal(path).runs()) == 2


def test_an_archived_journal_is_read(path: Path) -> None:
    """On a disk that cannot be written, not even a log to read it with."""
    begun(path, MOVE).end(ended(plan_of(MOVE)))
    path.with_name(f"{path.name}-shm").mkdir()
    assert len(Journal(path).runs()) == 1
    with pytest.raises(JournalError, match=f"the journal cannot be written: .*; {INSTEAD}"):
        begun(path, MOVE)


WRITER = """
import sys
from pathlib import Path
from reconciler.journal import Act
from tests.test_journal import MOVE, TARGET, begun, done
from msgspec.structs import replace

run = begun(Path(sys.argv[1]), MOVE)
for number in range(10_000):
    step = replace(MOVE, alias=f"alias_{number}")
    run.intend(TARGET, step, Act.MOVE)
    print(number, flush=True)
    run.note(TARGET, done(step))
"""


def test_kill_9_at_any_time_loses_nothing_that_was_recorded(path: Path, soak: bool) -> None:
    pause = random.Random(1)  # noqa: S311 - repeatable
    for number in range(100 if soak else 5):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, path], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert writer.stdout
        first = writer.stdout.readline()
        sleep(pause.uniform(0, 0.1))
        writer.kill()
        said = [first, *writer.communicate()[0].splitlines()]
        runs = Journal(path).runs()
        steps = {past.step.alias: past for past in runs[-1].steps}
        assert (len(runs), runs[-1].end) == (number + 1, None)
        for line in said:
            assert steps[f"alias_{int(line)}"].begun is Act.MOVE or steps[f"alias_{int(line)}"].outcome is Outcome.DONE
        begun(path, MOVE).end(ended(plan_of(MOVE)))
        assert rows(path, "PRAGMA integrity_check") == [("ok",)]
        rows(path, "DELETE FROM run WHERE ended")


def test_a_power_cut_that_tears_the_log_loses_only_what_was_not_synced(path: Path) -> None:
    """What is left of the log is a beginning of it, whatever else is in the rest."""
    run = begun(path, MOVE)
    log, lost = path.with_name(f"{path.name}-wal"), path.with_name("lost.db")
    synced = log.stat().st_size
    for _ in range(3):
        run.intend(TARGET, MOVE, Act.MOVE)
    whole, found = log.read_bytes(), []
    for size in (*range(synced, len(whole), 512), len(whole)):
        for rest in (b"", b"\0" * 9000, b"\xff" * 9000):
            shutil.copy(path, lost)
            Path(f"{lost}-wal").write_bytes(whole[:size] + rest)
            assert len(Journal(lost).runs()) == 1
            found += [number for (number,) in rows(lost, "SELECT count(*) FROM entry WHERE event = 'intent'")]
            assert rows(lost, "PRAGMA integrity_check") == [("ok",)]
            for left in lost.parent.glob("lost.db*"):
                left.unlink()
    assert found == sorted(found)
    assert set(found) == {0, 1, 2, 3}


@pytest.mark.parametrize("torn", [False, True], ids=["between two writes", "within a page"])
def test_a_power_cut_in_the_middle_of_a_transaction_leaves_what_was_there_before(
    path: Path, torn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some pages of the transaction are on the disk, and others are not; the rollback journal is."""
    monkeypatch.setattr(database, "LOCAL", frozenset())
    run = begun(path, MOVE)
    run.intend(TARGET, MOVE, Act.MOVE)
    size, lost = path.stat().st_size, path.with_name("lost.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA cache_size = 1")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE entry SET text = text || hex(zeroblob(20000))")
        writer.execute("UPDATE run SET ended = 1, position = position + 7")
        assert path.stat().st_size > size, "pages were written before the end of the transaction"
        for suffix in ("", "-journal"):
            shutil.copy(f"{path}{suffix}", f"{lost}{suffix}")
    if torn:
        with lost.open("r+b") as file:
            file.seek(PAGE + 512)
            file.write(b"\xff" * 1024)
    journal = Journal(lost)
    (past,) = journal.runs()
    assert (past.state, journal.damaged) == (RunState.UNFINISHED, 0)
    assert [step.begun for step in past.steps] == [Act.MOVE]
    begun(lost, MOVE).end(ended(plan_of(MOVE)))
    assert rows(lost, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        ("PRAGMA user_version = 7", f"the journal has format 7 of a newer aliasctl, this one uses 1: .* or {INSTEAD}"),
        ("PRAGMA application_id = 7", f"is the database of another program, not a journal; {INSTEAD}"),
        ("CREATE VIEW v AS SELECT 1", f"is the database of another program, not a journal; {INSTEAD}"),
    ],
    ids=["newer", "another program", "a view, whose query may never end"],
)
def test_a_file_that_is_not_ours_to_use_is_left_as_it_is(prepare: str, message: str, path: Path) -> None:
    begun(path, MOVE).end(ended(plan_of(MOVE)))
    rows(path, prepare)
    before = path.read_bytes()
    for use in (Journal(path).decisions, Journal(path).runs, lambda: begun(path, MOVE)):
        with pytest.raises(JournalError, match=f"^{path}: {message}$"):
            use()
    assert path.read_bytes() == before


def test_a_damaged_page_is_an_error_that_says_what_to_do(path: Path) -> None:
    begun(path, MOVE).end(ended(plan_of(MOVE)))
    content = bytearray(path.read_bytes())
    content[PAGE:] = b"\xa5" * (len(content) - PAGE)
    path.write_bytes(content)
    damaged = "it is damaged; restore a copy, or move it away to start an empty one"
    with pytest.raises(JournalError, match=f"the journal cannot be read: {damaged}"):
        Journal(path).decisions()
    with pytest.raises(JournalError, match=f"the journal cannot be written: {damaged}; {INSTEAD}"):
        begun(path, MOVE)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE run SET id = CAST(id AS BLOB)",
        "UPDATE entry SET run = CAST(run AS BLOB) WHERE alias IS NOT NULL",
        "INSERT INTO pruning VALUES ('never')",
        "ALTER TABLE run RENAME TO ours; CREATE TABLE run AS SELECT * FROM ours UNION ALL SELECT * FROM ours",
    ],
)
def test_rows_that_no_journal_has_are_an_error_that_says_what_to_do(damage: str, path: Path) -> None:
    """SQLite reads a page that was replaced by another one of the same file."""
    run = begun(path, MOVE)
    run.note(TARGET, replace(done(MOVE), code="SoakFailed"))
    run.end(ended(plan_of(MOVE)))
    for statement in damage.split("; "):
        rows(path, statement)
    reported = []
    for use in (Journal(path).decisions, Journal(path).runs, lambda: begun(path, MOVE)):
        try:
            use()
        except JournalError as error:
            reported.append(str(error))
    assert reported
    assert reported[0].startswith(f"{path}: the journal cannot be read: it is damaged;")


def test_a_damaged_head_is_one_too(path: Path) -> None:
    """SQLite takes it for another kind of file, and it is no text journal either."""
    begun(path, MOVE).end(ended(plan_of(MOVE)))
    content = bytearray(path.read_bytes())
    content[16:20] = b"\xff" * 4
    path.write_bytes(content)
    for use in (Journal(path).decisions, lambda: begun(path, MOVE)):
        with pytest.raises(JournalError, match=f"{path}: the journal cannot be read: it is damaged; restore a copy"):
            use()
    assert path.read_bytes() == content


def test_a_damaged_entry_is_left_out_and_counted(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One byte of it was changed, where it is still JSON and has all fields."""
    run = begun(path, MOVE)
    run.intend(TARGET, MOVE, Act.MOVE)
    run.note(TARGET, done(MOVE))
    run.end(ended(plan_of(MOVE)))
    assert rows(path, "UPDATE entry SET text = replace(text, 'v2', 'v3') WHERE event = 'result' RETURNING 1")
    journal = Journal(path)
    (past,) = journal.runs()
    ((step, begin),) = [(past.outcome, past.begun) for past in past.steps]
    assert (step, begin, journal.damaged) == (None, Act.MOVE, 1)
    list(Journal(path).texts())
    assert f"{path}: left out 1 damaged entry of the journal" in caplog.text


def test_a_rejection_whose_entry_is_damaged_still_rejects(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of any spec, because nobody knows which one it was; --retry-rejected lifts it."""
    begun(path, MOVE).note(TARGET, done(MOVE, Outcome.REVERTED, "it was slow"))
    rows(path, "UPDATE entry SET text = replace(text, 'reverted', 'rever' || char(0) || 'ted')")
    rejection = Journal(path).decisions().rejected[TARGET, "a"]
    assert (rejection.collection, rejection.spec_hash) == ("v2", "")
    assert rejection.reason == "its entry in the journal is damaged"
    assert "left out 1 damaged entry" in caplog.text


def test_a_move_that_is_not_verified_and_whose_entry_is_damaged_is_still_not_verified(path: Path) -> None:
    begun(path, MOVE).note(TARGET, replace(done(MOVE), code="SoakFailed", message="it was slow"))
    rows(path, "UPDATE entry SET text = replace(text, 'SoakFailed', 'Soak' || char(0))")
    pending = Journal(path).decisions().pending_verification[TARGET, "a", "v2"]
    assert pending.reason == "its entry in the journal is damaged"
