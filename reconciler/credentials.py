"""Reading a secret from the place that a `Credential` names. An error names the place, never the content."""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.model import Credential
from reconciler.files import KIB, read_limited

MAX_BYTES = 64 * KIB
"""Of a secret in a file; what has more was named by mistake, or has no end."""


def read_secret(credential: Credential, what: str) -> str:
    """The content of an environment variable or file, without the newline at its end.

    Args:
        credential: which; not a Kubernetes Secret, which only the operator can read.
        what: what it is, for messages: `the token`.

    Raises:
        InvalidInput: it is missing, empty, unreadable, or no text.
    """
    if credential.env is not None:
        place = f"environment variable {credential.env}"
        content = os.environ.get(credential.env)
        if content is None:
            raise _wrong(f"{what}'s {place} is not set")
    else:
        place = f"file {credential.file}"
        content = _text_of(Path(str(credential.file)), f"{what}'s {place}")
        content = content.removesuffix("\n").removesuffix("\r")
    if not content:
        raise _wrong(f"{what}'s {place} is empty")
    if _undecodable(content):
        raise _wrong(f"{what}'s {place} is not text")
    return content


def _text_of(path: Path, what: str) -> str:
    try:
        return read_limited(path, MAX_BYTES).decode()
    except OSError as error:
        raise _wrong(f"cannot read {what}: {error.strerror}") from None
    except UnicodeDecodeError:  # whose text would show the content
        raise _wrong(f"{what} is not text") from None


def _undecodable(text: str) -> bool:
    """Whether bytes that are no UTF-8 were smuggled in, as Python does with environment variables."""
    return not text.isascii() and any("\udc80" <= character <= "\udcff" for character in text)


def _wrong(message: str) -> InvalidInput:
    return InvalidInput(Problem(message))
