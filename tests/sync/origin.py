"""A repository that people push to, and the clone that one of them, Robin, pushes from."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.sync.keys import Signer

AUTHOR = "Robin <robin@example.com>"
IDENTITY = {"user.name": "Robin", "user.email": "robin@example.com", "commit.gpgSign": "false", "gc.auto": "0"}


def git(folder: Path, *arguments: str, env: Mapping[str, str] | None = None, given: str | None = None) -> str:
    """What git prints; no configuration but the repository's own."""
    isolated = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", **(env or {})}
    identity = [part for key, value in IDENTITY.items() for part in ("-c", f"{key}={value}")]
    done = subprocess.run(
        ["git", *identity, *arguments],
        cwd=folder,
        env={**os.environ, **isolated},
        input=given,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass(frozen=True)
class Origin:
    """The bare repository, in a folder of its own that servers may serve, and the clone."""

    bare: Path
    mine: Path

    @property
    def head(self) -> str:
        """The commit that the clone is at."""
        return git(self.mine, "rev-parse", "HEAD")

    def commit(self, files: Mapping[str, str | None], message: str = "Change", signer: Signer | None = None) -> str:
        """Commit files, None for one to take away, and do not push; the commit's id."""
        for name, text in files.items():
            path = self.mine / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                path.unlink()
            else:
                path.write_text(text)
        git(self.mine, "add", "--all")
        how, env = signer.signing() if signer else ([], {})
        git(self.mine, *how, "commit", "--quiet", *(["-S"] if signer else []), "--message", message, env=env)
        return self.head

    def push(self, *what: str) -> None:
        """Push refs, or options and refs; by default the commit that the clone is at, to main."""
        git(self.mine, "push", "--quiet", str(self.bare), *(what or ("HEAD:refs/heads/main",)))

    def back_to(self, commit: str) -> None:
        """Make the clone what it was at a commit; nothing is pushed."""
        git(self.mine, "reset", "--quiet", "--hard", commit)

    def vanish(self, branch: str = "main") -> None:
        """Take a branch away from the repository, as somebody's clean-up does."""
        git(self.bare, "update-ref", "-d", f"refs/heads/{branch}")

    def revert(self) -> str:
        """Take the last commit back with one more, and push it."""
        git(self.mine, "revert", "--no-edit", "HEAD")
        self.push()
        return self.head

    def forge(self, commit: str, old: str, new: str) -> str:
        """A commit made by hand from another one, with text replaced in it; main is at it now."""
        raw = git(self.mine, "cat-file", "commit", commit) + "\n"
        assert old in raw
        forged = git(self.mine, "hash-object", "-t", "commit", "-w", "--stdin", given=raw.replace(old, new, 1))
        self.push(f"+{forged}:refs/heads/main")
        return forged


def new_origin(folder: Path) -> Origin:
    origin = Origin(folder / "served" / "shop.git", folder / "mine")
    origin.bare.parent.mkdir()
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(origin.bare))
    git(origin.bare, "config", "uploadpack.allowFilter", "true")  # as GitHub and GitLab do
    git(folder, "init", "--quiet", "--initial-branch=main", str(origin.mine))
    return origin
