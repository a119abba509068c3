"""Ask for confirmation at the terminal."""

from __future__ import annotations

import sys

import click

from reconciler.core.errors import Interrupted, InvalidInput, Problem
from reconciler.core.text import printable


def ensure_terminal(message: str) -> None:
    """Raise `InvalidInput` with this message if there is no terminal to ask at."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InvalidInput(Problem(message))


def confirm(question: str, refused: str) -> None:
    """Ask a question on standard error. Raises `Interrupted` with the second text if the answer is not yes."""
    if not click.confirm(printable(question), err=True):
        raise Interrupted(refused)
