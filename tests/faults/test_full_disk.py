"""A journal that cannot be written: before the run, or from some byte of it on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from reconciler.catalog import Catalogs, connect
from reconciler.core.errors import ExitCode, JournalError
from reconciler.core.report import Outcome, Report
from reconciler.journal import Journal
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import alias_set
from tests.cli.shop import Shop
from tests.faults.saboteur import Saboteur, saboteur
from tests.journals import rows
from tests.reliability.tally import Tally
from tests.servers import connection_to
from tests.test_journal import MOVE, begun, ended, plan_of

SUITE = "Journal on a full or read-only disk"
PAGE = 4096
SIZE = 256 * PAGE
BEFORE = {"altered0": "v1", "altered1": "v1", "altered2": "v1", "gone": "v1"}
AFTER = {"altered0": "v2", "altered1": "v2", "altered2": "v2", "created": "v2"}

Disk = Callable[..., Path]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Mounts a small disk, and says where."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    with ExitStack() as mounted:

        def mount(size: int = SIZE, *, read_only: bool = False) -> Path:
            folder = tmp_path / f"disk{len(list(tmp_path.glob('disk*')))}"
            folder.mkdir()
            options = f"size={size}" + (",ro" if read_only else "")
            done = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True
            )
            if done.returncode:
                pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
            mounted.callback(lambda: subprocess.run(["umount", folder], check=True))
            return folder

        yield mount


def leave_room(folder: Path, pages: int) -> None:
    """Fill the disk, so that so many pages are left."""
    ballast = folder / "ballast"
    ballast.unlink(missing_ok=True)
    disk = os.statvfs(folder)
    ballast.write_bytes(b"x" * (disk.f_bavail * disk.f_frsize - pages * PAGE))


@pytest.fixture
def relay(shop: Shop) -> Iterator[Saboteur]:
    shop.put_back(BEFORE)
    with saboteur(shop.uri) as relay:
        yield relay


def want(shop: Shop) -> None:
    shop.want({alias: AFTER.get(alias) for alias in sorted(BEFORE | AFTER)})


@pytest.mark.parametrize("shop", ["lite_server"], indirect=True)
@pytest.mark.parametrize("trouble", ["full", "full, with a journal", "read-only"])
def test_without_a_journal_nothing_is_written_to_milvus(
    trouble: str, shop: Shop, relay: Saboteur, disk: Disk, tried: Callable[[str], Tally]
) -> None:
    folder = disk(read_only=trouble == "read-only")
    journal = folder / "journal.db"
    want(shop)
    if trouble == "full, with a journal":
        begun(journal, MOVE).end(ended(plan_of(MOVE)))
    if trouble != "read-only":
        leave_room(folder, 0)
    with tried(SUITE).case(faults=1):
        failed = shop.apply("--uri", relay.uri, "--journal", str(journal))
        reason = "Read-only file system" if trouble == "read-only" else "No space left on device"
        assert failed.code == 1
        assert failed.stderr.endswith(
            f"error: {journal}: the journal cannot be written: {reason}; "
            "name another file with --journal or ALIASCTL_JOURNAL\n"
        )
        assert (relay.arrived, shop.live) == ([], BEFORE)


def apply(shop: Shop, uri: str, journal: Journal) -> Report:
    listed = {alias: AFTER.get(alias) for alias in sorted(BEFORE | AFTER)}
    with Catalogs(connect) as catalogs:
        plan = make_plan([alias_set(listed, connection=connection_to(uri), database=shop.database)], catalogs=catalogs)
        return apply_plan(plan, catalogs=catalogs, journal=journal)


def insist_on_truth(report: Report, journal: Journal, relay: Saboteur, live: Mapping[str, str]) -> None:
    """Nothing was called that is not written down as begun, and what is not written down was said."""
    (run,) = journal.runs()
    recorded = {past.step.alias: past.outcome for past in run.steps}
    assert recorded.keys() >= set(relay.arrived)
    for result in report.results:
        step, said = result.step, f"{result}, recorded as {recorded.get(result.step.alias)}"
        assert live.get(step.alias) == (step.desired if result.outcome is Outcome.DONE else step.current), said
        if result.outcome is not Outcome.NOT_ATTEMPTED and recorded.get(step.alias) is not result.outcome:
            assert recorded.get(step.alias) is None, said
            assert "the journal cannot be written: No space left on device" in (result.message or ""), said
    complete = all(recorded.get(result.step.alias) is result.outcome is Outcome.DONE for result in report.results)
    assert report.exit_code is (ExitCode.DONE if complete else ExitCode.INCOMPLETE if relay.arrived else ExitCode.ERROR)


def test_a_disk_that_fills_up_in_mid_run(
    shop: Shop, disk: Disk, soak: bool, tried: Callable[[str], Tally], tmp_path: Path
) -> None:
    """After any page: no call without a record that it was begun, a true report, and the next run finishes."""
    shop.put_back(BEFORE)
    apply(shop, shop.uri, Journal(tmp_path / "journal.db"))
    needed, suite = (tmp_path / "journal.db").stat().st_size // PAGE, tried(SUITE)
    folder = disk()
    journal = Journal(folder / "journal.db")
    for room in range(1, 3 * needed, 1 if soak else 4):  # the log and its index need room too
        print(f"room for {room} pages")
        shop.put_back(BEFORE)
        leave_room(folder, room)
        with saboteur(shop.uri) as relay, suite.case(faults=1):
            try:
                report = apply(shop, relay.uri, journal)
            except JournalError:
                leave_room(folder, 200)
                assert (relay.arrived, shop.live, journal.runs()) == ([], BEFORE, [])
            else:
                leave_room(folder, 200)
                insist_on_truth(report, journal, relay, shop.live)
            assert (apply(shop, shop.uri, journal).exit_code, shop.live) == (ExitCode.DONE, AFTER)
            assert len([step for run in journal.runs() for step in run.steps]) >= len(AFTER)
            assert journal.damaged == 0
        for left in folder.glob("journal.db*"):
            left.unlink()


@pytest.mark.parametrize("shop", ["lite_server"], indirect=True)
def test_the_command_says_that_the_end_of_the_run_has_no_room(
    shop: Shop, disk: Disk, tried: Callable[[str], Tally]
) -> None:
    """All is moved, and it exits with 5."""
    shop.put_back(BEFORE)
    want(shop)
    journal = disk() / "journal.db"
    begun(journal, MOVE).end(ended(plan_of(MOVE)))
    full = "SELECT RAISE(ABORT, 'No space left on device')"
    rows(journal, f"CREATE TRIGGER full BEFORE INSERT ON entry WHEN NEW.event = 'runEnded' BEGIN {full}; END")
    with tried(SUITE).case(faults=1):
        failed = shop.apply("--journal", str(journal), "--format", "json")
        assert (failed.code, shop.live) == (5, AFTER)
        reason = f"{journal}: the journal cannot be written: No space left on device"
        assert failed.document["journalError"].startswith(reason)
        assert f"error: the end of the run is not recorded: {reason}; name another file" in failed.stderr
        assert shop.run("history", "--journal", str(journal)).stdout.splitlines()[1].endswith("interrupted: 5 done")
