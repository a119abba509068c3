"""What a forge's API and a runner have in common: HTTP answers, and scripts that are run as a runner runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

READ_TOKEN, WRITE_TOKEN = "read:s3cr3t", "write:s3cr3t"
STUBS = {"pipx": 'echo "would run: pipx $*"', "pip": 'echo "would run: pip $*"'}
"""aliasctl is installed beside the Python that runs the tests: installing it is not tried here."""
PINNED = f"git+https://git.example.com/aliasctl.git@{'4f2a9c1b' * 5}"
"""What somebody fills in to be installed."""


@dataclass
class Ran:
    """How a job ended: the exit code of the step that failed, or 0; all that was printed; and the summary."""

    code: int = 0
    log: str = ""
    summary: str = ""
    environments: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Api = Callable[[Request], Answer]


@contextmanager
def serving(api: Api) -> Iterator[str]:
    """An API on loopback; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = api(Request(self.command, url.path, dict(parse_qsl(url.query)), dict(self.headers), body))
            content = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in {**answer.headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_PUT = do_PATCH = do_GET  # noqa: N815 - http.server's names

        def log_message(self, format: str, *arguments: object) -> None: ...  # noqa: A002 - the name it has there

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def runner_environment(folder: Path) -> dict[str, str]:
    """What a fresh runner has before a job says anything: programs and a home, and no more."""
    bin_folder = folder / "bin"
    if not bin_folder.exists():
        bin_folder.mkdir(parents=True)
        for name, text in STUBS.items():
            (bin_folder / name).write_text(f"#!/bin/sh\n{text}\n")
            (bin_folder / name).chmod(0o755)
    path = os.pathsep.join([str(bin_folder), str(Path(sys.executable).parent), os.environ["PATH"]])
    return {"PATH": path, "HOME": str(folder), "ALIASCTL_JOURNAL": str(folder / "journal.db"), "CI": "true"}


def run_script(script: str, workspace: Path, environment: Mapping[str, str], *shell: str) -> tuple[int, str]:
    """Run a script from a file, as runners do; its exit code and all that it printed."""
    file = workspace.parent / f"{workspace.name}.script.sh"
    file.write_text(script)
    done = subprocess.run(
        [*shell, str(file)],
        cwd=workspace,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stdout, done.stdout
    for secret in (READ_TOKEN, WRITE_TOKEN):
        assert secret not in done.stdout
    return done.returncode, done.stdout
