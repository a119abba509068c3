"""Read a secret from the place that a `Credential` names. An error names the place, never the content.

Where a variable is named that is not set, the name may be the secret itself, given by mistake; see `names_variable`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from msgspec.structs import replace

from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.model import Credential, SecretKeyRef, Tls
from reconciler.files import KIB, read_limited

Secrets: TypeAlias = Callable[[str, SecretKeyRef], bytes]
"""Returns the value of a key of a Kubernetes Secret in a namespace. Raises `InvalidInput`: there is none, or it may not
be read."""

MAX_BYTES = 64 * KIB
"""Maximum bytes of a secret in a file; a larger file was named by mistake, or is endless."""


_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_USUAL_NAME = re.compile("[A-Z]+|[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
"""Capital letters, or words of capital letters and digits with underscores between: no secret looks like that."""


def names_variable(name: str) -> bool:
    """Return whether a text is the name of an environment variable, and not a secret that was given by mistake."""
    return bool(_NAME.fullmatch(name) and (name in os.environ or _USUAL_NAME.fullmatch(name)))


def without_line_end(text: str) -> str:
    """Return a secret without the line end that `echo` and editors add, wherever it comes from."""
    return text.removesuffix("\n").removesuffix("\r")


def read_secret(credential: Credential, what: str) -> str:
    """Return the content of an environment variable or file, without the line end after it.

    Args:
        credential: the place; not a Kubernetes Secret, which only the operator can read.
        what: the secret in messages, such as `the token`.

    Raises:
        InvalidInput: the secret is missing, empty, unreadable, or no text.
    """
    if credential.env is not None:
        place = f"environment variable {credential.env}"
        content = os.environ.get(credential.env)
        if content is None and not names_variable(credential.env):
            raise _wrong(f"{what}'s environment variable is not set; its name is not repeated, as it may be a secret")
        if content is None:
            raise _wrong(f"{what}'s {place} is not set")
    else:
        place = f"file {credential.file}"
        content = _text_of(Path(str(credential.file)), f"{what}'s {place}")
    content = without_line_end(content)
    if not content:
        raise _wrong(f"{what}'s {place} is empty")
    if _undecodable(content):
        raise _wrong(f"{what}'s {place} is not text")
    return content


def read_credential(credential: Credential, what: str, remedy: str, namespace: str, secrets: Secrets | None) -> str:
    """Return a secret as `read_secret` does, also from a Kubernetes Secret.

    Args:
        credential: the place.
        what: the secret in messages, such as `the token`.
        remedy: what to do where Kubernetes Secrets cannot be read.
        namespace: of the Secret.
        secrets: how Kubernetes Secrets are read; None if they cannot be.

    Raises:
        InvalidInput: as for `read_secret`.
    """
    if credential.secret is None:
        return read_secret(credential, what)
    if secrets is None:
        raise only_for_operator(what, remedy)
    place = f"Secret {credential.secret.name} (key {credential.secret.key})"
    try:
        content = without_line_end(secrets(namespace, credential.secret).decode())
    except UnicodeDecodeError:  # whose text would show the content
        raise _wrong(f"{what}'s {place} is not text") from None
    if not content:
        raise _wrong(f"{what}'s {place} is empty")
    return content


def only_for_operator(what: str, remedy: str) -> InvalidInput:
    """Return the error for a Kubernetes Secret on the command line and in the sync agent."""
    return _wrong(f"{what} is in a Kubernetes Secret, which only the operator can read; {remedy}")


@contextmanager
def on_disk(tls: Tls, namespace: str, secrets: Secrets | None) -> Iterator[Tls]:
    """Yield TLS settings in which PEM data from Kubernetes Secrets are private files, while the context is open.

    Without `secrets` they are yielded unchanged. Raises `InvalidInput`: a Secret cannot be read, or no file written.
    """
    if secrets is None or not any(credential and credential.secret for credential in (tls.ca, tls.cert, tls.key)):
        yield tls
        return
    from tempfile import TemporaryDirectory

    try:
        folder = TemporaryDirectory(prefix="aliasctl-")
    except OSError as error:
        message = f"TLS settings in Secrets need a folder for temporary files: {error.strerror}; set TMPDIR to one"
        raise _wrong(message) from error
    with folder as name:

        def written(credential: Credential | None, part: str) -> Credential | None:
            if credential is None or credential.secret is None:
                return credential
            path = Path(name) / part
            path.touch(mode=0o600)
            path.write_bytes(secrets(namespace, credential.secret))
            return Credential(file=str(path))

        yield replace(tls, ca=written(tls.ca, "ca"), cert=written(tls.cert, "cert"), key=written(tls.key, "key"))


def pem_file(credential: Credential, part: str, remedy: str) -> Path:
    """Return the path of a PEM file that can be read.

    Args:
        credential: the place.
        part: `ca`, `cert` or `key`, for messages.
        remedy: what to do if the place is no file.

    Raises:
        InvalidInput: it is no file, or cannot be read.
    """
    if credential.secret is not None:
        raise only_for_operator(f"the TLS {part}", remedy)
    if credential.file is None:
        raise _wrong(f"the TLS {part} must come from a file; {remedy}")
    path = Path(credential.file)
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise _wrong(f"cannot read the TLS {part} file {path}: {error.strerror}") from None
    except ValueError:  # a name that is not possible for a file
        raise _wrong(f"cannot read the TLS {part} file {path}: no such file") from None


def _text_of(path: Path, what: str) -> str:
    try:
        return read_limited(path, MAX_BYTES).decode()
    except OSError as error:
        raise _wrong(f"cannot read {what}: {error.strerror}") from None
    except UnicodeDecodeError:  # the text of the error would show the content
        raise _wrong(f"{what} is not text") from None


def _undecodable(text: str) -> bool:
    """Return whether a text has bytes that are not UTF-8, which Python keeps in environment variables."""
    return not text.isascii() and any("\udc80" <= character <= "\udcff" for character in text)


def _wrong(message: str) -> InvalidInput:
    return InvalidInput(Problem(message))
