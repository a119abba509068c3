"""Access to a repository: transport, credentials, and trusted servers."""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.model import Credential, Source
from reconciler.credentials import read_secret

SCHEMES = ("file", "http", "https", "ssh")
_SCP = re.compile(r"(?P<user>[\w.-]+@)?(?P<host>[\w.-]+):(?!//|:)(?P<path>[^\s]+)")
# A credential helper that git runs. The values are in the environment, so that no process list shows them.
_HELPER = (
    '!f() { test "$1" = get && '
    'printf "username=%s\\npassword=%s\\n" "$ALIASCTL_GIT_USER" "$ALIASCTL_GIT_PASSWORD"; }; f'
)
CONNECT_SECONDS = 15


class Access(Struct, frozen=True):
    """A repository, and the settings to access it.

    Args:
        url: `https://…`, `ssh://…`, `git@host:path`, `file://…`, or the path of a folder.
        username: sent with the token; most servers accept any.
        token: a token or password for http(s); read at each call, so that it can be rotated.
        ssh_key: a private key; None for the user's SSH agent or default keys.
        known_hosts: the host keys to accept; None for the user's own file. An unknown host is always refused.
        ca: PEM file of a private certificate authority; None for the system's.
    """

    url: str
    username: str = "git"
    token: Credential | None = None
    ssh_key: Path | None = None
    known_hosts: Path | None = None
    ca: Path | None = None

    def check(self) -> None:
        """Raise `InvalidInput` for invalid settings, and for those that would leak a secret."""
        if problems := [Problem(message, Source(place)) for place, message in self._problems()]:
            raise InvalidInput(*problems)

    def _problems(self) -> Iterator[tuple[str, str]]:
        scheme = self.scheme
        if scheme not in SCHEMES or (scheme != "file" and "://" in self.url and not urlsplit(self.url).hostname):
            yield "REPO", f"expected a folder, git@HOST:PATH, or a URL that starts with {', '.join(SCHEMES)}"
            return
        if scheme in ("http", "https") and "@" in urlsplit(self.url).netloc:
            yield "REPO", "a user or token in the URL would be logged; use --git-token-env or --git-token-file"
        if scheme == "ssh" and ":" in urlsplit(self.url).netloc.rpartition("@")[0]:
            yield "REPO", "a password in the URL would be logged; use --ssh-key"
        if self.token and scheme not in ("http", "https"):
            yield "--git-token-…", f"is for http and https, and this is {scheme}"
        if self.token and scheme == "http" and not self._on_this_machine:
            yield "REPO", "a token is not sent without TLS; use https"
        if (self.ssh_key or self.known_hosts) and scheme != "ssh":
            yield "--ssh-…", f"is for ssh, and this is {scheme}"
        if self.ca and scheme != "https":
            yield "--git-ca", f"is for https, and this is {scheme}"
        for flag, path in (("--ssh-key", self.ssh_key), ("--ssh-known-hosts", self.known_hosts), ("--git-ca", self.ca)):
            if path and not path.is_file():
                yield flag, f"there is no file {path}"

    @property
    def scheme(self) -> str:
        """Return the transport; empty for an invalid address."""
        if not self.url or self.url.startswith("-") or not self.url.isprintable():
            return ""
        if "://" in self.url:
            return urlsplit(self.url).scheme
        if _SCP.fullmatch(self.url) and not self.url.startswith(("/", ".")):
            return "ssh"
        return "file"

    @property
    def address(self) -> str:
        """Return the URL as git takes it."""
        if self.scheme == "file" and "://" not in self.url:
            return Path(self.url).absolute().as_uri()
        return self.url

    @property
    def _on_this_machine(self) -> bool:
        host = urlsplit(self.url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def settings(self) -> dict[str, str]:
        found: dict[str, str] = {}
        if self.token:
            parts = urlsplit(self.url)
            # Only for this server: a redirect to another one gets no credentials.
            found[f"credential.{parts.scheme}://{parts.netloc}.helper"] = _HELPER
        if self.ca:
            found["http.sslCAInfo"] = str(self.ca.absolute())
        if self.scheme == "ssh":
            found["core.sshCommand"] = shlex.join(self._ssh())
        return found

    def _ssh(self) -> list[str]:
        options = [f"ConnectTimeout={CONNECT_SECONDS}", "BatchMode=yes", "StrictHostKeyChecking=yes"]
        options += ["ServerAliveInterval=15", "ServerAliveCountMax=2", "ForwardAgent=no", "UpdateHostKeys=no"]
        command = ["ssh"]
        if self.known_hosts:
            # Quoted for ssh, which would end the name at a space.
            options += [f'UserKnownHostsFile="{self.known_hosts.absolute()}"', "GlobalKnownHostsFile=none"]
        if self.ssh_key:
            command += ["-F", "none", "-i", str(self.ssh_key.absolute())]
            options += ["IdentitiesOnly=yes", "IdentityAgent=none"]
        return command + [part for option in options for part in ("-o", option)]

    def variables(self) -> dict[str, str]:
        """Return environment variables for calls over the network, with the secret.

        Raises `InvalidInput`: the token cannot be read, or is no token.
        """
        # With https, a redirect to http is not followed.
        transports = {"GIT_ALLOW_PROTOCOL": "http:https" if self.scheme == "http" else self.scheme}
        if self.token is None:
            return transports
        token = read_secret(self.token, "the Git token")
        if not token.isprintable():
            raise InvalidInput(Problem("the Git token must be one line"))
        return {**transports, "ALIASCTL_GIT_USER": self.username, "ALIASCTL_GIT_PASSWORD": token}
