"""Run git with only our settings, without prompts, and within limits.

Neither the content of a repository nor its server is trusted. So no configuration of the system or user is read, no
prompt is shown, no hook is run, every call has a timeout, and every file that git writes, output included, has a limit.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from threading import Event
from typing import IO

from msgspec import Struct, field

from reconciler.core.errors import Interrupted
from reconciler.core.text import printable
from reconciler.files import MIB
from reconciler.git.errors import GitError, OutOfMemory, TooLarge

LOCAL_SECONDS = 60.0
"""Timeout of a call that needs no network."""
OUTPUT_MIB = 64
MEMORY_MIB = 2048
"""Address space of a git process. A small pack can expand to objects of many gigabytes."""
OLDEST = (2, 34)
"""Settings in the environment came with Git 2.31, signatures by SSH keys with 2.34 (its release notes)."""
SAID_BYTES = 4000
GRACE_SECONDS = 2.0
NAP_SECONDS = 0.02
KEPT_VARIABLES = ("PATH", "TMPDIR", "SSH_AUTH_SOCK", "HOME", "GNUPGHOME")
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
SETTINGS = {
    "core.bigFileThreshold": "16m",
    "core.hooksPath": os.devnull,
    "core.packedGitLimit": "256m",
    "core.packedGitWindowSize": "32m",
    "credential.helper": "",
    # A fetch writes a single pack, so that the limit applies to all of it.
    "fetch.unpackLimit": "1",
    "gc.auto": "0",
    "http.lowSpeedLimit": "1",
    "http.lowSpeedTime": "30",
    "maintenance.auto": "false",
    "pack.threads": "1",
    "protocol.version": "2",
    "submodule.recurse": "false",
}
VAGUE = (
    "fatal: Could not read from remote repository.",
    "Please make sure you have the correct access rights",
    "and the repository exists.",
)
"""Lines that git adds to an error of ssh."""
# A shell sets the limits, of files in blocks of 512 bytes and of memory in KiB, and is then replaced by git: Python's
# `preexec_fn` could deadlock in a process with threads. Not every system can limit memory (macOS).
LIMITED = 'ulimit -c 0; ulimit -f "$1"; (ulimit -v "$2") 2>/dev/null && ulimit -v "$2"; shift 2; exec "$@"'


class Done(Struct, frozen=True):
    """The result of a call; `error` is its output on standard error."""

    code: int
    output: bytes
    error: str


class Git(Struct, frozen=True):
    """The git program.

    Args:
        settings: configuration on top of ours, by key; passed in the environment, so that no process list shows it.
        variables: further environment variables.
        stop: ends a running call, which then raises `Interrupted`.
    """

    settings: Mapping[str, str] = {}
    variables: Mapping[str, str] = {}
    stop: Event = field(default_factory=Event)

    def run(
        self,
        *arguments: str,
        folder: Path | None = None,
        given: bytes = b"",
        seconds: float = LOCAL_SECONDS,
        mib: int = OUTPUT_MIB,
        settings: Mapping[str, str] | None = None,
    ) -> Done:
        """Run git.

        Args:
            folder: the repository; None for a call without one.
            mib: the limit of each file that it writes, output included, in MiB.
            settings: configuration of this call only.

        Raises:
            GitError: git is not installed, or took too long.
            TooLarge: it would write more than the limit.
            Interrupted: `stop` was set.
        """
        where = [f"--git-dir={folder}"] if folder else []
        command = ["/bin/sh", "-c", LIMITED, "sh", str(mib * MIB // 512), str(MEMORY_MIB * 1024)]
        command += [*_ending_with_us(), program(), *where, *arguments]
        with TemporaryFile() as stdin, TemporaryFile() as output, TemporaryFile() as error:
            stdin.write(given)
            stdin.seek(0)
            process = subprocess.Popen(  # noqa: S603 - a list, and no shell sees what came from outside
                command,
                stdin=stdin,
                stdout=output,
                stderr=error,
                env=self._environment(settings or {}),
                cwd=folder or Path("/"),
                start_new_session=True,
            )
            try:
                self._await(process, seconds, arguments[0])
            finally:
                _end(process)
            return self._done(process.returncode, output, error, mib)

    def _environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        names = (*KEPT_VARIABLES, *PROXY_VARIABLES)
        kept = {name: os.environ[name] for name in names if name in os.environ}
        fixed = {
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": "file:http:https:ssh",
            "GIT_OPTIONAL_LOCKS": "0",
        }
        return {**kept, **fixed, **self.variables, **_as_variables({**SETTINGS, **self.settings, **settings})}

    def _await(self, process: subprocess.Popen[bytes], seconds: float, what: str) -> None:
        end = time.monotonic() + seconds
        while process.poll() is None:
            if self.stop.is_set():
                raise Interrupted(f"git {what} was interrupted")
            if time.monotonic() > end:
                raise GitError(f"git {what} did not end within {seconds:.0f} s")
            time.sleep(NAP_SECONDS)

    def _done(self, code: int, output: IO[bytes], error: IO[bytes], mib: int) -> Done:
        said = _content(error, SAID_BYTES).decode("utf-8", "replace")
        if code == -signal.SIGXFSZ or (code and "signal 25" in said) or "File too large" in said:
            raise TooLarge(f"more than {mib} MiB")
        if code and "Out of memory" in said:
            raise OutOfMemory(f"git needs more than {MEMORY_MIB} MiB of memory")
        return Done(code, _content(output), said)


@cache
def _ending_with_us() -> Sequence[str]:
    """Return what to put before a command so that the kernel ends it if this process is killed; nothing but on Linux.

    `setpriv` of util-linux 2.33 and later does that; other implementations do not know the option.
    """
    setpriv = shutil.which("setpriv")
    prefix = (setpriv, "--pdeathsig", "TERM") if setpriv else ()
    works = bool(prefix) and subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0  # noqa: S603
    return prefix if works else ()


def program() -> str:
    """Return the path of git. Raises `GitError` if it is not installed."""
    found = shutil.which("git")
    if found is None:
        raise GitError("the git program is not installed here")
    return found


def check_version() -> None:
    """Raise `GitError` for a version of git that would ignore our settings, such as whose signatures count."""
    said = Git().run("version").output.decode("utf-8", "replace").strip()
    found = re.match(r"git version (\d+)\.(\d+)", said)
    if found is None or (int(found[1]), int(found[2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise GitError(f"{printable(said) or 'this git'} is too old or unknown; {oldest} or later is needed")


def _as_variables(settings: Mapping[str, str]) -> dict[str, str]:
    """Return configuration as environment variables (`git help config`, GIT_CONFIG_COUNT)."""
    found = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings.items()):
        found |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return found


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its children."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
    with suppress(ProcessLookupError, PermissionError):  # macOS raises the latter for a group of dead processes
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _content(file: IO[bytes], last: int | None = None) -> bytes:
    """Return the content of a file, or its last bytes."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - last) if last else 0)
    return file.read()


def complaint(done: Done) -> str:
    """Return the most specific line of git's error messages, printable and without its prefix."""
    lines = [printable(line.strip()) for line in done.error.splitlines() if line.strip()]
    lines = [line for line in lines if line not in VAGUE] or lines
    for kind in ("fatal: ", "error: ", "remote: "):
        for line in lines:
            if line.startswith(kind):
                return line.removeprefix(kind)
    return lines[-1] if lines else f"git ended with {done.code}"
