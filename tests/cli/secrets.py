"""Marked secrets, and the search for them in all that commands write."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from reconciler.cli.main import aliasctl
from tests.cli.command import clean_environment

USER = "marked-user"
PASSWORD = "M4RKED-p4ssw0rd-0f-the-token"  # noqa: S105 - a mark
TOKEN = f"{USER}:{PASSWORD}"
IN_ADDRESS = "M4RKED-p4ssw0rd-in-an-address"
IN_MANIFEST = "M4RKED-literal-in-a-manifest"
IN_KEY = "M4RKED+k3y+f1le+c0ntents"
IN_KUBECONFIG = "M4RKED-t0ken-0f-a-kubeconfig"
MARKS = (PASSWORD, IN_ADDRESS, IN_MANIFEST, IN_KEY, IN_KUBECONFIG)
SECONDS = 300


def forms(secret: str) -> Iterator[bytes]:
    """A secret as it is, and what is sure to be in any base64 that holds it, wherever it begins there."""
    yield secret.encode()
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + secret.encode())
        yield encoded[4 if shift else 0 : -4]


def shown(content: bytes) -> list[str]:
    """The secrets that some bytes give away."""
    return [secret for secret in (*MARKS, TOKEN) if any(form in content for form in forms(secret))]


@dataclass
class Place:
    """A folder to run commands in; `secret_files` are where secrets lie on purpose."""

    folder: Path
    secret_files: set[str] = field(default_factory=set)

    def write(self, name: str, text: str, *, secret: bool = False) -> None:
        (self.folder / name).write_text(text)
        if secret:
            self.secret_files.add(name)

    def call_all(self, calls: Sequence[Sequence[str]], env: Mapping[str, str] | None = None) -> tuple[list[int], bytes]:
        """Run many command lines in one process; their exit codes, and all that it printed.

        Raises:
            AssertionError: a secret is in what was printed or written.
        """
        journal = {"ALIASCTL_JOURNAL": str(self.folder / "journal.db"), "XDG_STATE_HOME": str(self.folder / "state")}
        process = subprocess.run(
            [sys.executable, "-c", EVERY_CALL],
            input=json.dumps(calls).encode(),
            cwd=self.folder,
            env=clean_environment({"TOKEN": TOKEN, **journal, **(env or {})}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            check=False,
        )
        assert process.returncode == 0, process.stdout.decode(errors="replace")
        assert shown(process.stdout) == [], process.stdout.decode(errors="replace")
        for path in self.folder.rglob("*"):
            if path.is_file() and path.name not in self.secret_files:
                assert shown(path.read_bytes()) == [], path
        codes = json.loads((self.folder / "codes.json").read_text())
        return codes, process.stdout


EVERY_CALL = """
import json, sys
from reconciler.cli.main import main
codes = []
for arguments in json.load(sys.stdin):
    print("$ aliasctl", arguments[0], flush=True)
    try:
        main(arguments)
    except SystemExit as end:
        codes.append(end.code or 0)
json.dump(codes, open("codes.json", "w"))
"""


def in_every_format(name: str, arguments: Sequence[str]) -> Iterator[list[str]]:
    """A command line once for each format that the command has, and for each form of its log, all at level debug."""
    command = aliasctl.get_command(click.Context(aliasctl), name)
    assert command
    options = {option: param for param in command.params if isinstance(param, click.Option) for option in param.opts}
    formats = _choices(options, "--format")
    for number, chosen in enumerate(formats or [""]):
        logs = _choices(options, "--log-format")
        line = [name, *arguments, *(["--format", chosen] if chosen else [])]
        if "--output" in options and chosen:
            line += ["--output", f"{chosen}=written.{chosen}"]
        if "--log-level" in options:
            line += ["--log-level", "debug", "--log-format", logs[number % len(logs)]]
        yield line


def _choices(options: Mapping[str, click.Option], name: str) -> list[str]:
    kind = options[name].type if name in options else None
    return [str(choice) for choice in kind.choices] if isinstance(kind, click.Choice) else []
