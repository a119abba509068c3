"""What flags and the environment say about a target, each setting with the name the user knows it by."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Self, TypeVar

from msgspec import Struct

from reconciler.catalog.address import normalise
from reconciler.core.durations import Duration, parse_duration
from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.fields import NAME_EXPECTED, NAME_PATTERN
from reconciler.core.model import Credential, Origin, Source, Tls
from reconciler.files import at_home
from reconciler.manifest.specs.connection import MAX_CONCURRENCY

_Number = TypeVar("_Number", int, float)


class Overrides(Struct, frozen=True, kw_only=True):
    """Settings of a target from one place outside the manifests; None is not given. `timeout` is in seconds.

    `origin` is `FLAG` or `ENVIRONMENT`. File names are relative to the working directory.
    """

    uri: str | None = None
    token_env: str | None = None
    token_file: str | None = None
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_server_name: str | None = None
    database: str | None = None
    connection: str | None = None
    timeout: float | None = None
    concurrency: int | None = None
    origin: Origin = Origin.FLAG

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the `ALIASCTL_…` variables; an empty one counts as not given. There is none for `connection`.

        Raises `InvalidInput`: a timeout or concurrency that is not one.
        """

        def text(setting: str) -> str | None:
            return at_home(environment.get(f"ALIASCTL_{setting.upper()}", "")) or None

        def number(setting: str, parse: Callable[[str], _Number]) -> _Number | None:
            try:
                return parse(value) if (value := text(setting)) else None
            except ValueError as error:
                raise InvalidInput(Problem(str(error), Source(f"ALIASCTL_{setting.upper()}"))) from None

        return cls(
            uri=text("uri"),
            token_env=text("token_env"),
            token_file=text("token_file"),
            tls_ca=text("tls_ca"),
            tls_cert=text("tls_cert"),
            tls_key=text("tls_key"),
            tls_server_name=text("tls_server_name"),
            database=text("database"),
            timeout=number("timeout", parse_duration),
            concurrency=number("concurrency", _whole_number),
            origin=Origin.ENVIRONMENT,
        )

    def named(self, setting: str) -> str:
        """Return a setting as the user writes it: `--token-env`, `ALIASCTL_TOKEN_ENV`."""
        if self.origin is Origin.ENVIRONMENT:
            return f"ALIASCTL_{setting.upper()}"
        return f"--{setting.replace('_', '-')}"

    def problems(self, working_directory: Path) -> Iterator[Problem]:
        """Yield what is wrong with single settings. Values that may hold a secret are not repeated."""

        def problem(setting: str, message: str) -> Problem:
            return Problem(message, Source(self.named(setting)))

        if self.uri and self.connection:
            yield problem("uri", "both --uri and --connection choose the server; give one")
        if self.uri:
            try:
                normalise(self.uri, working_directory)
            except ValueError as error:
                yield problem("uri", str(error))
        if self.token_env and self.token_file:
            yield problem("token_env", f"give either this or {self.named('token_file')}")
        if self.token_env and not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", self.token_env):
            yield problem("token_env", "expected the name of an environment variable; the token itself is never given")
        for item, other in (("tls_cert", "tls_key"), ("tls_key", "tls_cert")):
            if getattr(self, item) and not getattr(self, other):
                yield problem(item, f"needs {self.named(other)} too")
        if self.database and not re.fullmatch(NAME_PATTERN, self.database):
            yield problem("database", NAME_EXPECTED)
        if self.timeout is not None and not 0 < self.timeout <= Duration.hours * 3600:
            yield problem("timeout", "expected more than 0s and at most 1h")
        if self.concurrency is not None and not 1 <= self.concurrency <= MAX_CONCURRENCY:
            yield problem("concurrency", f"expected 1 to {MAX_CONCURRENCY}")

    def token(self, working_directory: Path) -> Credential | None:
        if self.token_env:
            return Credential(env=self.token_env)
        return _file(self.token_file, working_directory)

    def tls(self, working_directory: Path) -> Tls:
        ca, cert, key = (_file(path, working_directory) for path in (self.tls_ca, self.tls_cert, self.tls_key))
        return Tls(ca, cert, key, self.tls_server_name)


def _file(path: str | None, working_directory: Path) -> Credential | None:
    return Credential(file=str((working_directory / path).absolute())) if path else None


def _whole_number(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text):
        raise ValueError("expected a whole number")
    return int(text)
