"""Verify who signed a commit, like `git verify-commit`, by the given keys only."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.model import Source
from reconciler.core.text import printable
from reconciler.git.command import complaint
from reconciler.git.repository import Repository

IMPORT_SECONDS = 30
VERDICTS = {
    "N": "not signed",
    "B": "its signature is bad",
    "E": "its signature is by a key that is not accepted",
    "U": "its signature is by a key that is not accepted",
    "X": "its signature has expired",
    "Y": "its signature is by a key that has expired",
    "R": "its signature is by a key that was revoked",
}
"""Git's letters (`git help log`, %G?) for every verdict but good."""


class Signature(Struct, frozen=True):
    """The result of a verification: `by` is the signer if it is good, `problem` the reason if it is not."""

    by: str = ""
    problem: str = ""

    @property
    def good(self) -> bool:
        return bool(self.by)


class Signers(Struct, frozen=True):
    """Whose signatures are accepted.

    `allowed_signers`: for SSH keys, in the form of ssh-keygen's ALLOWED SIGNERS. Git compares `valid-before` with the
    date in the commit, which its author chooses: to revoke a key, remove it from the file. `keyring`: OpenPGP public
    keys, as `gpg --export` writes them, armoured or not.
    """

    allowed_signers: Path | None = None
    keyring: Path | None = None

    def __bool__(self) -> bool:
        return bool(self.allowed_signers or self.keyring)

    def check(self) -> None:
        """Raise `InvalidInput` if a file does not exist, or the program that verifies with it is not installed."""
        needed = ((self.allowed_signers, "--allowed-signers", "ssh-keygen"), (self.keyring, "--openpgp-keys", "gpg"))
        for path, flag, program in needed:
            if path and not path.is_file():
                raise InvalidInput(Problem(f"there is no file {path}", Source(flag)))
            if path and not shutil.which(program):
                raise InvalidInput(Problem(f"needs the program {program}, which is not installed here", Source(flag)))

    def verify(self, repository: Repository, commit: str) -> Signature:
        """Verify a commit of a mirror. Raises `InvalidInput` if the keys cannot be used."""
        settings = {
            "gpg.ssh.allowedSignersFile": str(self.allowed_signers.absolute() if self.allowed_signers else ""),
            "gpg.x509.program": "false",  # it would accept keys that the system trusts
        }
        with self._home() as home:
            variables = {"GNUPGHOME": str(home)}
            shown = repository.local("log", "-1", "--format=%G?%x00%GS", commit, settings=settings, variables=variables)
            verified = repository.local("verify-commit", commit, settings=settings, variables=variables)
        verdict, _, signer = shown.output.decode("utf-8", "replace").rstrip("\n").partition("\0")
        # A key in our own keyring is trusted; OpenPGP's web of trust does not matter ("U").
        known = verdict == "G" or (verdict == "U" and self.keyring and self._is_openpgp(repository, commit))
        if verified.code == 0 and known and signer:
            return Signature(by=printable(signer))
        return Signature(problem=VERDICTS.get(verdict, complaint(verified)))

    @staticmethod
    def _is_openpgp(repository: Repository, commit: str) -> bool:
        """Return whether all signatures of a commit are OpenPGP's, by their header; the author writes all others."""
        done = repository.local("cat-file", "commit", commit, settings={}, variables={})
        lines = done.output.partition(b"\n\n")[0].splitlines()
        signatures = [line.partition(b" ")[2] for line in lines if line.startswith(b"gpgsig")]
        return bool(signatures) and all(signature.startswith(b"-----BEGIN PGP") for signature in signatures)

    @contextmanager
    def _home(self) -> Iterator[Path]:
        """Yield a keyring for one verification, so that a key removed from the file is no longer accepted."""
        with TemporaryDirectory(prefix="aliasctl-") as folder:
            home = Path(folder)
            if self.keyring:
                # Without a key server, which the settings of the system may name.
                (home / "gpg.conf").write_text("no-auto-key-retrieve\ndisable-dirmngr\n", encoding="ascii")
                command = ["gpg", "--homedir", folder, "--batch", "--no-autostart", "--quiet", "--import", "--"]
                done = subprocess.run(  # noqa: S603 - no shell, and the path is the user's own
                    [*command, str(self.keyring.absolute())],
                    capture_output=True,
                    timeout=IMPORT_SECONDS,
                    check=False,
                )
                if done.returncode:
                    said = printable(done.stderr.decode("utf-8", "replace").strip())
                    raise InvalidInput(Problem(f"{self.keyring} contains no usable OpenPGP keys: {said}"))
            yield home
