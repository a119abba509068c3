"""Run git on a checkout of the user: with the user's own settings, only to read."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

SECONDS = 5.0
SELECTS_REPOSITORY = frozenset(
    f"GIT_{name}"
    for name in (
        "ALTERNATE_OBJECT_DIRECTORIES",
        "COMMON_DIR",
        "DIR",
        "GRAFT_FILE",
        "INDEX_FILE",
        "NAMESPACE",
        "OBJECT_DIRECTORY",
        "PREFIX",
        "SHALLOW_FILE",
        "WORK_TREE",
    )
)
"""Variables that point git at another repository (`git rev-parse --local-env-vars`)."""


def read_checkout(folder: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str] | None:
    """Run git in a folder; None if it is not installed, or does not end in time.

    Variables such as `GIT_DIR`, which a hook or a deployment script sets for another repository, do not apply.

    Args:
        folder: of the checkout, or in it.
        given: what git reads on standard input.
    """
    git = shutil.which("git")
    if git is None:
        return None
    # Files of a checkout can look like a bare repository, whose settings could name programs to run.
    settings = ["-c", "safe.bareRepository=explicit"]
    try:
        return subprocess.run(  # noqa: S603 - no shell
            [git, *settings, "-C", str(folder), *arguments],
            input=given,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=SECONDS,
            env={name: value for name, value in os.environ.items() if name not in SELECTS_REPOSITORY} | {"LC_ALL": "C"},
            check=False,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
