"""The format `github`: workflow commands, which GitHub Actions shows beside the lines of a pull request.

The escape sequences are those of `@actions/core` (`packages/core/src/command.ts` of actions/toolkit).
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.core.errors import Problem
from reconciler.core.text import printable_lines

_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = str.maketrans({**_DATA, ":": "%3A", ",": "%2C"})
_MESSAGE = str.maketrans(_DATA)


def workflow_commands(level: str, problems: Iterable[Problem]) -> str:
    """Return a workflow command per problem. `level`: `error` or `warning`."""
    return "".join(f"::{level}{_place(problem)}::{_escaped(problem.message)}\n" for problem in problems)


def _escaped(message: str) -> str:
    return printable_lines(message).translate(_MESSAGE)


def _place(problem: Problem) -> str:
    source = problem.source
    if source is None or source.file.startswith("<"):  # standard input
        return ""
    numbers = {"line": source.line, "col": source.column}  # 0 is unknown
    properties = [f"file={source.file.translate(_PROPERTY)}"]
    properties += [f"{name}={number}" for name, number in numbers.items() if number]
    return f" {','.join(properties)}"
