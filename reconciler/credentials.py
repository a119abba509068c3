"""Reading a secret from the place that a `Credential` names. An error names the place, never the content."""

from __future__ import annotations

import os
from pathlib import Path

from reconciler.errors import InvalidInput, Problem
from reconciler.model import Credential


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
        try:
            content = Path(str(credential.file)).read_text(encoding="utf-8")
        except OSError as error:
            raise _wrong(f"cannot read {what}'s {place}: {error.strerror}") from None
        except UnicodeDecodeError:  # whose text would show the content
            raise _wrong(f"{what}'s {place} is not text") from None
        content = content.removesuffix("\n").removesuffix("\r")
    if not content:
        raise _wrong(f"{what}'s {place} is empty")
    if _undecodable(content):
        raise _wrong(f"{what}'s {place} is not text")
    return content


def _undecodable(text: str) -> bool:
    """Whether bytes that are no UTF-8 were smuggled in, as Python does with environment variables."""
    return not text.isascii() and any("\udc80" <= character <= "\udcff" for character in text)


def _wrong(message: str) -> InvalidInput:
    return InvalidInput(Problem(message))
