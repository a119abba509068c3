"""Certificates as an authority of our own gives them, made by openssl: valid, expired, and of somebody else."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

NEW = "openssl req -newkey rsa:2048 -nodes"
SIGN = "openssl x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial"
DAYS, NONE = "2", "0"
"""How long a certificate is valid; without a day it is over when it is made."""


@dataclass(frozen=True)
class Certificates:
    """PEM files `NAME.pem` with their keys `NAME.key`.

    `ca` is the authority. Of it are `server` and `expired_server`, for the name localhost, `client` and
    `expired_client`. `other` is an authority that nobody trusts, and `stranger` a client of it.
    """

    folder: Path

    def pem(self, name: str) -> str:
        return str(self.folder / f"{name}.pem")

    def key(self, name: str) -> str:
        return str(self.folder / f"{name}.key")


def make_certificates(folder: Path) -> Certificates:
    (folder / "localhost").write_text("subjectAltName=DNS:localhost\n")
    (folder / "nobody").write_text("basicConstraints=CA:FALSE\n")
    for name in ("ca", "other"):
        _run(folder, f"{NEW} -x509 -subj /CN={name} -days {DAYS} -keyout {name}.key -out {name}.pem")
    for name, names, days in (
        ("server", "localhost", DAYS),
        ("expired_server", "localhost", NONE),
        ("client", "nobody", DAYS),
        ("expired_client", "nobody", NONE),
    ):
        _run(folder, f"{NEW} -subj /CN={name} -keyout {name}.key -out {name}.csr")
        _run(folder, f"{SIGN} -extfile {names} -days {days} -in {name}.csr -out {name}.pem")
    _run(folder, f"{NEW} -subj /CN=stranger -keyout stranger.key -out stranger.csr")
    signed = SIGN.replace("ca.", "other.")
    _run(folder, f"{signed} -extfile nobody -days {DAYS} -in stranger.csr -out stranger.pem")
    return Certificates(folder)


def _run(folder: Path, command: str) -> None:
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True, timeout=60)
