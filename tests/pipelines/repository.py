"""A Git repository with aliases and the shipped pipelines in it: a bare one that is pushed to, as on a forge."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cli.shop import Spec, alias_set, connection, manifest

CI = Path(__file__).parents[2] / "manifests" / "ci"
IDENTITY = ("-c", "user.name=Robin", "-c", "user.email=robin@example.com", "-c", "commit.gpgsign=false")


def git(folder: Path, *arguments: str) -> str:
    """What Git prints; no configuration but the repository's own."""
    isolated = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", *IDENTITY, *arguments],
        cwd=folder,
        env=isolated,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass
class Repository:
    """The bare repository `origin`, and somebody's clone of it, `mine`."""

    origin: str
    mine: Path
    uri: str
    database: str

    def want(self, aliases: Mapping[str, str | Spec | None], file: str = "aliases/shop.yaml", **spec: object) -> None:
        """Write the manifests, not committed yet."""
        documents = [connection(self.uri, token={"env": "MILVUS_TOKEN"})] if file == "aliases/shop.yaml" else []
        name = Path(file).stem
        self.write(file, manifest(*documents, alias_set(aliases, name=name, database=self.database, **spec)))

    def write(self, file: str, text: str) -> None:
        path = self.mine / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def commit(self, message: str) -> str:
        git(self.mine, "add", "--all")
        git(self.mine, "commit", "--quiet", "--message", message)
        return git(self.mine, "rev-parse", "HEAD")

    def push(self) -> None:
        git(self.mine, "push", "--quiet", "origin", "HEAD")

    def switch(self, branch: str) -> None:
        """Go on with a branch, which begins where we are if it is new."""
        known = git(self.mine, "branch", "--list", branch)
        git(self.mine, "switch", "--quiet", *([] if known else ["--create"]), branch)

    def merged_with_main(self, branch: str) -> str:
        """The commit that a forge makes to try a request: the branch merged with main, on no branch."""
        git(self.mine, "switch", "--quiet", "--detach", "main")
        git(self.mine, "merge", "--quiet", "--no-ff", "--no-edit", branch)
        commit = git(self.mine, "rev-parse", "HEAD")
        git(self.mine, "push", "--quiet", "--force", "origin", f"{commit}:refs/pull/{branch}/merge")
        git(self.mine, "switch", "--quiet", "main")
        return commit

    def merge(self, branch: str, how: str = "merge") -> str:
        """Merge a branch into main, the way that somebody chose; the new head of main."""
        git(self.mine, "switch", "--quiet", "main")
        if how == "merge":
            git(self.mine, "merge", "--quiet", "--no-ff", "--no-edit", branch)
        elif how == "squash":
            git(self.mine, "merge", "--quiet", "--squash", branch)
            git(self.mine, "commit", "--quiet", "--message", f"{branch} (#1)")
        else:
            assert how == "rebase"
            git(self.mine, "cherry-pick", f"main..{branch}")
        self.push()
        return git(self.mine, "rev-parse", "HEAD")

    def checkout(self, commit: str, folder: Path) -> Path:
        """A fresh and shallow checkout of a commit, as a runner makes it."""
        folder.mkdir(parents=True)
        git(folder, "init", "--quiet")
        git(folder, "fetch", "--quiet", "--depth=1", self.origin, commit)
        git(folder, "checkout", "--quiet", "--detach", "FETCH_HEAD")
        return folder


def new_repository(folder: Path, uri: str, database: str) -> Repository:
    """With the shipped pipelines where their first lines say; nothing is wanted yet."""
    bare, mine = folder / "origin.git", folder / "mine"
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(bare))
    git(bare, "config", "uploadpack.allowAnySHA1InWant", "true")
    git(folder, "clone", "--quiet", bare.as_uri(), str(mine))
    git(mine, "switch", "--quiet", "--create", "main")
    (mine / "ci").mkdir()
    for script in (CI / "aliasctl-ci", *sorted((CI / "shell").iterdir())):
        shutil.copy2(script, mine / "ci")
    shutil.copytree(CI / "github", mine / ".github" / "workflows")
    shutil.copy2(CI / "gitlab" / "gitlab-ci.yml", mine / ".gitlab-ci.yml")
    return Repository(bare.as_uri(), mine, uri, database)
