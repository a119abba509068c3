"""A journal that cannot be written: before the run, or from some byte of it on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from reconciler.catalog import Catalogs, connect
from reconciler.core.errors import JournalError
from reconciler.core.report import ExitCode, Outcome, Report
from reconciler.journal import Journal
from reconciler.reconcile import apply_plan, make_plan
from tests.builders import alias_set
from tests.cli.shop import Shop
from tests.faults.saboteur import Saboteur, saboteur
from tests.reliability.tally import Tally
from tests.servers import connection_to

SUITE = "Journal on a full or read-only disk"
PAGE = 4096
SIZE = 4 * PAGE
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


def leave_room(journal: Path, room: int) -> None:
    """Fill the disk with an earlier line of the journal, so that so many bytes are left; by a newer tool, as it is."""
    head = '{"kind":"Journal","formatVersion":999,"event":"ballast","run":"earlier","text":"'
    journal.write_text(head + "x" * (SIZE - room - len(head) - 3) + '"}\n')
    assert journal.stat().st_size == SIZE - room


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
    journal = folder / "journal.jsonl"
    if trouble == "full, with a journal":
        leave_room(journal, 0)
    elif trouble == "full":
        (folder / "other").write_bytes(b"x" * SIZE)
    want(shop)
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
    """After any byte: no call without a record that it was begun, a true report, and the next run finishes."""
    shop.put_back(BEFORE)
    apply(shop, shop.uri, Journal(tmp_path / "journal.jsonl"))
    needed, suite = (tmp_path / "journal.jsonl").stat().st_size, tried(SUITE)
    folder = disk()
    journal = Journal(folder / "journal.jsonl")
    for room in range(1, needed + 100, 20 if soak else 250):
        print(f"room for {room} bytes")
        shop.put_back(BEFORE)
        leave_room(journal.path, room)
        with saboteur(shop.uri) as relay, suite.case(faults=1):
            try:
                report = apply(shop, relay.uri, journal)
            except JournalError:
                assert (relay.arrived, shop.live, journal.runs()) == ([], BEFORE, [])
            else:
                insist_on_truth(report, journal, relay, shop.live)
            assert journal.read().unreadable == 0
            subprocess.run(["mount", "-o", f"remount,size={2 * SIZE}", folder], check=True)
            assert (apply(shop, shop.uri, journal).exit_code, shop.live) == (ExitCode.DONE, AFTER)
            assert journal.read().unreadable == 0
        journal.path.unlink()
        subprocess.run(["mount", "-o", f"remount,size={SIZE}", folder], check=True)


@pytest.mark.parametrize("shop", ["lite_server"], indirect=True)
def test_the_command_says_that_the_disk_is_full(shop: Shop, disk: Disk, tried: Callable[[str], Tally]) -> None:
    shop.put_back(BEFORE)
    want(shop)
    assert shop.apply().code == 0
    needed = (shop.folder / "journal.jsonl").stat().st_size
    shop.put_back(BEFORE)
    journal = disk() / "journal.jsonl"
    leave_room(journal, needed // 2)
    with tried(SUITE).case(faults=1):
        failed = shop.apply("--journal", str(journal), "--format", "json")
        (target,) = failed.document["targets"]
        assert failed.code == 5
        for step in target["steps"]:
            assert shop.live.get(step["alias"]) == step["to" if step["outcome"] == "done" else "from"]
        assert "No space left on device" in " ".join(step.get("message", "") for step in target["steps"])
