"""Read a secret from the place that a `Credential` names. An error names the place, never the content.

Where a variable is named that is not set, the name may be the secret itself, given by mistake; see `names_variable`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.model import Credential
from reconciler.files import KIB, read_limited

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
