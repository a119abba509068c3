"""The hook for pre-commit, run by pre-commit on commits of somebody's repository.

Installing is left out: `language: system` in the configuration says to run the aliasctl that is there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.cli.shop import alias_set, connection, manifest
from tests.install.tools import program
from tests.pipelines.repository import git

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Somebody's repository with good manifests, and YAML that is none of ours."""
    hooks, folder = tmp_path / "hooks", tmp_path / "mine"
    for path in (hooks, folder / "aliases"):
        path.mkdir(parents=True)
        git(path, "init", "--quiet", "--initial-branch=main")
    shutil.copy2(ROOT / ".pre-commit-hooks.yaml", hooks)
    git(hooks, "add", "--all")
    git(hooks, "commit", "--quiet", "--message", "The hook")
    shutil.rmtree(folder / "aliases" / ".git")
    git(folder, "init", "--quiet", "--initial-branch=main")
    hook = {"id": "aliasctl-validate", "args": ["--strict", "-f", "aliases"], "language": "system"}
    repo = {"repo": hooks.as_uri(), "rev": git(hooks, "rev-parse", "HEAD"), "hooks": [hook]}
    (folder / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [repo]}))
    (folder / "chart.yaml").write_text("apiVersion: v2\nname: chart\n")
    (folder / "aliases" / "connection.yaml").write_text(manifest(connection("http://127.0.0.1:1")))
    (folder / "aliases" / "shop.yaml").write_text(manifest(alias_set({"a": "v1"})))
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Manifests")
    return folder


def commit_hook(folder: Path) -> subprocess.CompletedProcess[str]:
    """What pre-commit says to a commit of everything."""
    git(folder, "add", "--all")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {"PATH": path, "HOME": str(folder.parent), "PRE_COMMIT_HOME": str(folder.parent / "cache")}
    pre_commit = program("pre-commit", "it is a package of that name")
    return subprocess.run(
        [pre_commit, "run", "--verbose"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_one_changed_file_is_checked_with_the_connection_in_another(folder: Path) -> None:
    (folder / "aliases" / "shop.yaml").write_text(manifest(alias_set({"a": "v2"})))
    done = commit_hook(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Valid: 1 set, 1 alias, 1 connection." in done.stdout


def test_an_alias_that_an_unchanged_file_lists_is_a_mistake_that_stops_the_commit(folder: Path) -> None:
    (folder / "aliases" / "ads.yaml").write_text(manifest(alias_set({"a": "v2"}, name="ads")))
    done = commit_hook(folder)
    assert done.returncode == 1
    assert "aliases/shop.yaml" in done.stdout
    assert "aliases/ads.yaml" in done.stdout


def test_other_yaml_is_no_mistake_and_other_files_do_not_start_the_hook(folder: Path) -> None:
    (folder / "chart.yaml").write_text("apiVersion: v2\nname: other\n")
    assert commit_hook(folder).returncode == 0
    git(folder, "commit", "--quiet", "--all", "--message", "A chart")
    (folder / "notes.txt").write_text("remember the milk\n")
    assert "no files to check" in commit_hook(folder).stdout.lower()
