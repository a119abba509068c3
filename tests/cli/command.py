"""Runs the real command, as a user would: a process of its own, from a folder of its own, and perhaps at a terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from reconciler.render.documents import SCHEMAS

ALIASCTL = (sys.executable, "-m", "reconciler")
TOKEN = "s3cr3t-TOKEN"  # noqa: S105 - what must never be seen
TIMEOUT = 180
"""Seconds that anything may take on a busy machine; what is expected comes much earlier."""
COLOUR = "\x1b["


@dataclass(frozen=True)
class Completed:
    """How a command ended. `seconds` is how long it took."""

    code: int
    stdout: str
    stderr: str
    seconds: float = 0

    @property
    def remarks(self) -> str:
        """Standard error without the progress of the set "shop"."""
        return "".join(line for line in self.stderr.splitlines(keepends=True) if not line.startswith("shop: "))

    @property
    def document(self) -> dict[str, Any]:
        """Standard output as the one JSON document that it must be, valid by the published schema of its kind."""
        document: dict[str, Any] = json.loads(self.stdout)
        Draft202012Validator(SCHEMAS[document["kind"]]()).validate(document)
        return document


def clean_environment(more: Mapping[str, str]) -> dict[str, str]:
    """Ours without anything that would steer the command, and with a token in TOKEN."""
    steering = ("ALIASCTL_", "NO_COLOR", "FORCE_COLOR", "TTY_", "PYTHON", "MILVUS", "COLUMNS", "TERM")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(steering)}
    return {**kept, "TERM": "xterm-256color", "TOKEN": TOKEN, **more}


def start(
    arguments: Sequence[str],
    cwd: Path,
    env: Mapping[str, str] | None = None,
    *,
    through: Sequence[str] = (),
    **options: Any,
) -> subprocess.Popen[str]:
    """Start the command with pipes for its output and a journal in its folder, and do not wait.

    `through` is a command that runs the one it is given, such as nice. Not `preexec_fn`: code that runs in a fork of
    this process wakes up gRPC, which aborts now and then.
    """
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    environment = clean_environment({"ALIASCTL_JOURNAL": str(cwd / "journal.db"), **(env or {})})
    return subprocess.Popen([*through, *ALIASCTL, *arguments], cwd=cwd, env=environment, text=True, **pipes)


def finish(process: subprocess.Popen[str], text: str | None = None, *, timeout: float = TIMEOUT) -> Completed:
    """Wait for the end, for `timeout` seconds. Whatever the command was: no traceback, and no token anywhere.

    A command that takes longer is killed, so that it does not work on while other tests run.
    """
    started = time.monotonic()
    try:
        stdout, stderr = process.communicate(text, timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    completed = Completed(process.returncode, stdout or "", stderr or "", time.monotonic() - started)
    assert "Traceback" not in completed.stderr, completed.stderr
    assert TOKEN not in completed.stdout + completed.stderr
    return completed


def run(
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    text: str | None = None,
    timeout: float = TIMEOUT,
) -> Completed:
    """Run the command to its end, which comes within `timeout` seconds; `text` is its standard input."""
    process = start(arguments, cwd, env, stdin=subprocess.PIPE if text is not None else subprocess.DEVNULL)
    return finish(process, text, timeout=timeout)


def run_python(code: str, *arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> Completed:
    """Run a few lines of Python in the command's stead."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env=clean_environment(env or {}),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    return finish(process)


def run_at_terminal(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, prompt: str = "", answer: str = ""
) -> Completed:
    """Run the command with a terminal for all three streams; once `prompt` is on it, type `answer`.

    What the terminal shows is `stdout` of the result.
    """
    ours, theirs = pty.openpty()
    process = start(arguments, cwd, env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    shown = b""
    try:
        while chunk := _read(ours):
            shown += chunk
            if answer and prompt.encode() in shown:
                os.write(ours, answer.encode())
                answer = ""
    finally:
        os.close(ours)
    code = process.wait(TIMEOUT)
    screen = shown.decode().replace("\r\n", "\n")
    assert "Traceback" not in screen, screen
    return Completed(code, screen, "")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux's way to say that nobody has the other end open
        return b""
