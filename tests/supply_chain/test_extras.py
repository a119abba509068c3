"""A fresh installation from the wheel: without extras, and with each of them alone, the command works, and says in one
line what another extra would bring."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile.documents import EXPORT

ROOT = Path(__file__).parents[2]
MISSING = {
    "lite": ("version --uri ./milvus.db", "pip install '.[lite]' in a clone of aliasctl"),
    "git": ("sync file:///nowhere --connections c.yaml --once", "pip install '.[git]' in a clone of aliasctl"),
    "operator": ("operator --all-namespaces", "pip install '.[operator]' in a clone of aliasctl"),
}
"""What needs an extra, and the sentence without it."""

pytestmark = pytest.mark.packages


def called(*command: str, cwd: Path, code: int = 0, seconds: float = 600) -> str:
    """What a command prints, in an environment in which nothing of ours is found by accident."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ALIASCTL_"))}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    called(
        sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT), cwd=folder
    )
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.mark.parametrize("extra", ["", *MISSING])
def test_each_extra_alone(extra: str, wheel: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    called(sys.executable, "-m", "venv", str(venv), cwd=tmp_path)
    what = f"{wheel}[{extra}]" if extra else str(wheel)
    called(str(venv / "bin/python"), "-m", "pip", "install", "--quiet", what, cwd=tmp_path)
    called(str(venv / "bin/python"), "-m", "pip", "check", cwd=tmp_path)
    aliasctl = str(venv / "bin/aliasctl")
    (tmp_path / "aliases.yaml").write_text(EXPORT)
    assert "GitOps for Milvus collection aliases" in called(aliasctl, "--help", cwd=tmp_path)
    assert "Valid: 1 set, 2 aliases, 1 connection." in called(aliasctl, "validate", "-f", "aliases.yaml", cwd=tmp_path)
    refused = called(
        aliasctl, "plan", "-f", "aliases.yaml", "--uri", "http://127.0.0.1:1", "--timeout", "2s", cwd=tmp_path, code=1
    )
    assert "connection refused" in refused
    for other, (arguments, remedy) in MISSING.items():
        if other == extra:
            continue
        told = called(aliasctl, *arguments.split(), cwd=tmp_path, code=1)
        if {other, extra} == {"git", "operator"} and remedy not in told:
            continue  # the operator brings what the agent needs
        assert remedy in told
        assert len(told.splitlines()) == 1
