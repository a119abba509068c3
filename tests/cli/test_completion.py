"""What the shell offers after TAB, as its script asks for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.journal import Act
from tests.cli.command import run
from tests.test_journal import MOVE, TARGET, begun, ended, plan_of

MANIFESTS = """
apiVersion: aliasctl.dev/v1alpha1
kind: MilvusConnection
metadata: {name: lab}
spec: {uri: "http://127.0.0.1:1"}
---
apiVersion: aliasctl.dev/v1alpha1
kind: AliasSet
metadata: {name: shop, namespace: search}
spec:
  connectionRef: {name: lab}
  aliases: [{name: products, collection: v1}, {name: prices, collection: v1}]
"""


def offered(folder: Path, *words: str) -> list[str]:
    env = {"_ALIASCTL_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    done = run(cwd=folder, env=env)
    assert (done.code, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "aliases.yaml").write_text(MANIFESTS)
    (tmp_path / "broken.yaml").write_text("kind: AliasSet\n")
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ["plan", "-f", "ali"],
        ["apply", "ali"],
        ["apply", "-f", "x", "--plan", "ali"],
        ["plan", "--out", "ali"],
        ["plan", "--journal", "ali"],
        ["show", "ali"],
        ["set", "-f", "ali"],
        ["validate", "--filename", "ali"],
        ["sync", "--connections", "ali"],
        ["sync", "--ssh-key", "ali"],
        ["status", "--token-file", "ali"],
    ],
)
def test_files_are_completed_by_the_shell(folder: Path, words: list[str]) -> None:
    assert offered(folder, "aliasctl", *words) == ["file,ali"]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["plan", "-f", "aliases.yaml", "--only", "pro"], ["products"]),
        (["apply", "-f", "aliases.yaml", "--allow-protected", "p"], ["prices", "products"]),
        (["apply", "aliases.yaml", "--only", "p"], ["prices", "products"]),
        (["plan", "-f", "aliases.yaml", "--connection", "l"], ["lab"]),
        (["set", "-f", "aliases.yaml", "--set", "s"], ["search/shop"]),
        (["set", "-f", "aliases.yaml", "pri"], ["prices="]),
        (["rollback", "-f", "aliases.yaml", "--alias", "pri"], ["prices"]),
        (["plan", "-f", "broken.yaml", "--only", "p"], []),
        (["plan", "-f", "nowhere.yaml", "--only", "p"], []),
        (["plan", "--only", "p"], []),
    ],
)
def test_names_are_those_of_the_manifests(folder: Path, words: list[str], names: list[str]) -> None:
    assert offered(folder, "aliasctl", *words) == [f"plain,{name}" for name in names]


def test_runs_are_those_of_the_journal(folder: Path) -> None:
    assert offered(folder, "aliasctl", "history", "2") == []
    assert not (folder / "journal.db").exists()
    unchanged = begun(folder / "journal.db", MOVE)
    unchanged.end(ended(plan_of(MOVE)))
    moved = begun(folder / "journal.db", MOVE)
    moved.intend(TARGET, MOVE, Act.MOVE)
    moved.end(ended(plan_of(MOVE)))
    prefix = moved.id[:4]
    assert offered(folder, "aliasctl", "rollback", prefix) == [f"plain,{moved.id}"]
    assert offered(folder, "aliasctl", "rollback", "--dry-run", moved.id[:-1]) == [f"plain,{moved.id}"]
    assert offered(folder, "aliasctl", "rollback", "rep") == ["file,rep"]
    assert offered(folder, "aliasctl", "history", prefix) == [f"plain,{run.id}" for run in (moved, unchanged)]
    assert offered(folder, "aliasctl", "history", "--journal", "gone.db", prefix) == []


@pytest.mark.parametrize(
    ("shell", "line"), [("bash", "complete -o"), ("zsh", "#compdef aliasctl"), ("fish", "aliasctl")]
)
def test_the_script_is_for_the_shell(shell: str, line: str, tmp_path: Path) -> None:
    done = run("completion", shell, cwd=tmp_path)
    assert (done.code, line in done.stdout, "_ALIASCTL_COMPLETE" in done.stdout) == (0, True, True)
