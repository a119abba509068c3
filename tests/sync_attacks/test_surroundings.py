"""What else is on the machine: the user's settings, the environment, and others who can write there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.git import GitError
from tests.cli.command import run
from tests.sync_attacks.forge import CONNECTION, MANIFEST, Entry, Forge, follow, new_forge


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    forge = new_forge(tmp_path / "remote.git")
    forge.commit(forge.file("a.yaml"))
    return forge


def test_the_users_git_settings_and_environment_do_not_matter(
    forge: Forge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap, evil = tmp_path / "sprung", new_forge(tmp_path / "evil.git")
    evil.commit(evil.file("a.yaml", MANIFEST.replace(b"products_v1", b"evil")))
    (tmp_path / ".gitconfig").write_text(
        f'[url "file://{evil.folder}"]\n\tinsteadOf = file://{forge.folder}\n'
        f"[credential]\n\thelper = !touch {trap}\n[core]\n\tfsmonitor = touch {trap}\n\thooksPath = {tmp_path}\n"
        f"[uploadpack]\n\tpackObjectsHook = touch {trap}\n",
        encoding="utf-8",
    )
    hostile = {
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path),
        "GIT_CONFIG_GLOBAL": str(tmp_path / ".gitconfig"),
        "GIT_CONFIG_PARAMETERS": f"'url.file://{evil.folder}.insteadOf=file://{forge.folder}'",
        "GIT_DIR": str(evil.folder),
        "GIT_OBJECT_DIRECTORY": str(evil.folder / "objects"),
        "GIT_INDEX_FILE": str(trap),
        "GIT_TRACE": str(trap),
        "GIT_SSH_COMMAND": f"touch {trap}",
        "GIT_PROXY_COMMAND": f"touch {trap}",
        "GIT_EXEC_PATH": str(tmp_path),
        "GIT_EXTERNAL_DIFF": f"touch {trap}",
    }
    for name, value in hostile.items():
        monkeypatch.setenv(name, value)
    revision = follow(f"file://{forge.folder}", tmp_path / "state").revision()
    assert [alias.collection for alias_set in revision.sets for alias in alias_set.aliases] == ["products_v1"]
    assert not trap.exists()


def test_a_state_folder_where_others_can_write_is_refused(forge: Forge, tmp_path: Path) -> None:
    (tmp_path / "connections.yaml").write_text(CONNECTION, encoding="utf-8")
    state = tmp_path / "shared"
    state.mkdir()
    state.chmod(0o777)
    arguments = ("sync", str(forge.folder), "--connections", "connections.yaml", "--once", "--state")
    refused = run(*arguments, str(state), cwd=tmp_path)
    assert refused.code == 1
    assert f"others can write to the folder {state}" in refused.stderr
    assert not list(state.iterdir())
    assert "others can write" not in run(*arguments, str(state / "aliasctl"), cwd=tmp_path).stderr


def test_a_git_that_would_pass_over_its_settings_is_refused(
    forge: Forge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would ask neither for the host key that we name nor for the signature."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").write_text("#!/bin/sh\necho git version 2.30.2\n")
    (tmp_path / "bin" / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(GitError, match=r"git version 2\.30\.2 is too old .*; 2\.34 or later is needed"):
        follow(f"file://{forge.folder}", tmp_path / "state")


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_commit_forges_no_line_of_the_log(forge: Forge, tmp_path: Path, log_format: str) -> None:
    (tmp_path / "connections.yaml").write_text(CONNECTION, encoding="utf-8")
    forged = b'2030-01-01T00:00:00Z [info] reconciled\x1b[2K\r{"event": "reconciled", "reason": "Succeeded"}'
    wrong = b"kind: AliasSet\n" + b"x: 1\n---\nkind: AliasSet\n" * 500
    forge.commit(
        Entry(b"100644", b"a\n" + forged.replace(b"/", b"") + b".yaml", forge.blob(wrong)),
        author=forged + b" <e@e> 17 +0000",
        message=forged,
    )
    arguments = ("sync", str(forge.folder), "--connections", "connections.yaml", "--once")
    ended = run(*arguments, "--state", str(tmp_path / "state"), "--log-format", log_format, cwd=tmp_path)
    assert ended.code == 1
    assert [line for line in ended.stderr.splitlines() if "InvalidRevision" not in line] == []
    assert "more" in ended.stderr
    assert len(ended.stderr) < 10_000
    assert "\r" not in ended.stderr
    assert "\x1b[2K" not in ended.stderr


def test_files_that_only_earlier_commits_needed_are_removed(tmp_path: Path, forge: Forge) -> None:
    (tmp_path / "connections.yaml").write_text(CONNECTION, encoding="utf-8")
    gate = b"gates: {canary: {minOverlap: 0.5, queriesFile: q}}\n  aliases:"
    arguments = ("sync", str(forge.folder), "--connections", "connections.yaml", "--once", "--state", "state")
    for number in range(2):
        queries = forge.file("q", b'{"vector": [%d]}\n' % number)
        forge.commit(forge.file("a.yaml", MANIFEST.replace(b"aliases:", gate)), queries)
        run(*arguments, cwd=tmp_path)
        assert [path.name for path in (tmp_path / "state" / "files").iterdir()] == [queries.oid]
