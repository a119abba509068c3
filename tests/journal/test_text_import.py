"""The text journal of an earlier version is imported at the first use, once, and kept."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.core.errors import JournalError
from reconciler.core.report import Outcome
from reconciler.journal import Act, Journal, text_import
from tests.journal.test_database import INSTEAD, ROOT
from tests.journal.test_findings import look
from tests.test_journal import MOVE, TARGET, begun, done, ended, plan_of


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """A text journal of two runs, the second of which was reverted."""
    made = tmp_path / "made.db"
    for outcome in (Outcome.DONE, Outcome.REVERTED):
        run = begun(made, MOVE)
        run.intend(TARGET, MOVE, Act.MOVE)
        run.note(TARGET, done(MOVE, outcome))
        run.end(ended(plan_of(MOVE)))
    path = tmp_path / "journal.jsonl"
    path.write_text("".join(f"{line}\n" for line in Journal(made).texts()))
    return path


def test_a_text_journal_is_replaced_and_kept_beside(text: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = text.read_bytes()
    text.chmod(0o644)
    journal = Journal(text)
    assert set(journal.decisions().rejected) == {(TARGET, "a")}
    assert [len(run.steps) for run in journal.runs()] == [1, 1]
    backup = text.with_name("journal.jsonl.backup")
    assert backup.read_bytes() == before
    assert text.stat().st_mode & 0o777 == 0o600
    assert caplog.messages == [f"{text}: imported 12 entries of a text journal; it is kept as {backup}"]
    assert "".join(f"{line}\n" for line in journal.texts()).encode() == before
    assert sorted(path.name for path in text.parent.glob("*journal.*")) == ["journal.jsonl", "journal.jsonl.backup"]


def test_the_text_journal_of_the_same_name_is_imported_into_a_new_database(text: Path) -> None:
    before, path = text.read_bytes(), text.with_suffix(".db")
    begun(path, MOVE)
    assert (len(Journal(path).runs()), text.read_bytes()) == (3, before)
    with text.open("a") as file:
        file.write('{"written":"by an earlier version, later"}\n')
    assert len(Journal(path).runs()) == 3, "once"


def test_a_backup_is_not_overwritten(text: Path) -> None:
    backup = text.with_name("journal.jsonl.backup")
    backup.write_text("of another one")
    with pytest.raises(
        JournalError, match=f"{text}: this text journal cannot be imported: {backup} exists, move it away"
    ):
        Journal(text).runs()
    assert (backup.read_text(), text.read_text()[:1]) == ("of another one", "{")


def test_damaged_lines_are_counted_and_a_torn_last_line_is_not(text: Path, caplog: pytest.LogCaptureFixture) -> None:
    *lines, reverted, end = text.read_text().splitlines()
    newer = json.dumps(json.loads(reverted) | {"formatVersion": 3})
    damaged = [reverted.replace("reverted", "rever\0ted"), "{torn", "\0" * 500, "[]", newer]
    text.write_text("\n".join([*lines, *damaged, end, reverted[:40]]))
    assert Journal(text).decisions().rejected == {}
    assert "imported 11 entries of a text journal, left out 5 damaged lines; it is kept as" in caplog.text


def test_findings_that_are_repeated_are_counted(tmp_path: Path) -> None:
    made, path = tmp_path / "made.db", tmp_path / "journal"
    look(made)
    lines = list(Journal(made).texts())
    name = json.loads(lines[0])["run"]
    path.write_text("".join(f"{line}\n".replace(name, f"run-{number}") for number in range(5) for line in lines))
    (run,) = Journal(path).runs()
    assert run.end
    assert (run.id, run.end.times) == ("run-0", 5)


@pytest.mark.parametrize("content", ["kind: AliasSet\n", '{"kind": "Plan"}\n', "\0" * 5000])
def test_a_file_of_another_kind_is_left_as_it_is(content: str, tmp_path: Path) -> None:
    path = tmp_path / "aliases.yaml"
    path.write_text(content)
    for use in (Journal(path).decisions, lambda: begun(path, MOVE)):
        with pytest.raises(
            JournalError, match=f"^{path}: is not a journal, and not a text journal to import; {INSTEAD}$"
        ):
            use()
    assert path.read_text() == content
    assert list(tmp_path.iterdir()) == [path]


def test_an_earlier_version_that_is_writing_is_waited_for(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_import, "BUSY_SECONDS", 0)
    with text.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(JournalError, match="cannot be imported: another process has had it locked for 0 s"):
            Journal(text).runs()
    assert len(Journal(text).runs()) == 2


READER = """
import sys
from pathlib import Path
from reconciler.journal import Journal
sys.exit(len(Journal(Path(sys.argv[1])).runs()))
"""


@pytest.mark.parametrize("suffix", [".jsonl", ".db"])
def test_processes_that_come_together_import_it_once(text: Path, suffix: str) -> None:
    path = text.with_suffix(suffix)
    readers = [subprocess.Popen([sys.executable, "-c", READER, str(path)], cwd=ROOT) for _ in range(4)]
    assert [reader.wait(60) for reader in readers] == [2] * 4
    assert len(Journal(path).runs()) == 2
