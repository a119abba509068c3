"""Keys to sign commits with, and programs that may be missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest


def need(*programs: str) -> None:
    """Skip without these programs; fail under REQUIRE_GIT_SERVERS=1."""
    if missing := [program for program in programs if shutil.which(program, path=SEARCHED) is None]:
        give_up = pytest.fail if os.environ.get("REQUIRE_GIT_SERVERS") == "1" else pytest.skip
        give_up(f"not installed here: {', '.join(missing)}")


SEARCHED = os.pathsep.join(
    [os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/lib/git-core", "/usr/libexec/git-core"]
)


def run(*command: str, env: dict[str, str] | None = None) -> str:
    """Run a program that must not fail; what it prints."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=180, check=False, env={**os.environ, **(env or {})}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class Signer(Protocol):
    """Somebody who signs commits."""

    def signing(self) -> tuple[list[str], dict[str, str]]:
        """Options of git before the command, and environment variables."""
        ...


@dataclass(frozen=True)
class SshKey:
    """A key for logins and signatures."""

    private: Path

    @property
    def public(self) -> str:
        """Kind and key, without the comment."""
        return " ".join(self.private.with_suffix(".pub").read_text().split()[:2])

    def signing(self) -> tuple[list[str], dict[str, str]]:
        return ["-c", "gpg.format=ssh", "-c", f"user.signingKey={self.private}"], {}

    def allowed_as(self, name: str) -> str:
        """A line of an allowed signers file."""
        return f'{name} namespaces="git" {self.public}\n'


def new_ssh_key(path: Path) -> SshKey:
    need("ssh-keygen")
    path.parent.mkdir(parents=True, exist_ok=True)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path))
    return SshKey(path)


@dataclass(frozen=True)
class OpenPgpKey:
    """A key in a keyring of its own."""

    home: Path
    address: str

    def signing(self) -> tuple[list[str], dict[str, str]]:
        return ["-c", "gpg.format=openpgp", "-c", f"user.signingKey={self.address}"], {"GNUPGHOME": str(self.home)}

    def export(self, path: Path) -> Path:
        """Write the public key, armoured."""
        path.write_text(run("gpg", "--homedir", str(self.home), "--armor", "--export", self.address))
        return path

    def close(self) -> None:
        """End the agent that gpg started for the keyring."""
        run("gpgconf", "--homedir", str(self.home), "--kill", "all")


def new_openpgp_key(home: Path, name: str) -> OpenPgpKey:
    need("gpg", "gpgconf", "gpg-agent")
    home.mkdir(mode=0o700)
    key = OpenPgpKey(home, f"{name.lower()}@example.com")
    user = f"{name} <{key.address}>"
    run("gpg", "--homedir", str(home), "--batch", "--passphrase", "", "--quick-gen-key", user, "ed25519", "sign", "1d")
    return key
