"""Values of options and arguments: functions from what the user typed to what a command gets."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.types import FuncParamType

from reconciler.core.durations import parse_age, parse_duration
from reconciler.core.errors import InvalidInput, Problem
from reconciler.core.model import Source
from reconciler.credentials import names_variable
from reconciler.files import at_home
from reconciler.gates import GATES
from reconciler.render.formats import FORMATS, Format

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def word(text: str) -> str:
    """Return a text that is not empty: an unset variable in a pipeline must not count as an option not given."""
    if not text:
        raise click.BadParameter("is empty")
    return text


def variable(setting: str) -> Callable[[str], str]:
    """Return a function that returns the name of an environment variable that holds a secret.

    It raises `InvalidInput`, without the text, for what may be the secret itself. `setting`: the option that gives the
    name, for the message.
    """

    def parse(text: str) -> str:
        if not names_variable(word(text)):
            message = "expected the name of an environment variable that is set, never the secret itself"
            raise InvalidInput(Problem(message, Source(setting)))
        return text

    return parse


def _path(text: str) -> Path:
    return Path(at_home(word(text)))


class Completed(FuncParamType):  # type: ignore[type-arg]  # no generic class at run time
    """A type with completion: `name` is a function of `cli.completion`, which is only imported after TAB."""

    def __init__(self, parse: Callable[[str], object], name: str) -> None:
        super().__init__(parse)
        self._completer = name

    def shell_complete(self, ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from reconciler.cli import completion

        completer: completion.Completer = getattr(completion, self._completer)
        return completer(ctx, incomplete)


file_path = Completed(_path, "files")
file_name = Completed(word, "files")
alias_name = Completed(word, "aliases")
set_name = Completed(word, "sets")
connection_name = Completed(word, "connections")
run_name = Completed(word, "runs")
rollback_subject = Completed(word, "changes")


def duration(hours: int = 1) -> Callable[[str], float]:
    """Return a function that returns a duration such as 10s or 1m30s in seconds, if it is at most this long."""

    def parse(text: str) -> float:
        try:
            return parse_duration(text, hours=hours)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error

    return parse


def age(text: str) -> float:
    """Return an age such as 90d or 1y in seconds."""
    try:
        return parse_age(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def moment(text: str) -> float:
    """Return a date, a time, or a time that long ago (12h, 90d), in seconds since 1970; dates are in UTC."""
    for parse in (parse_age, partial(parse_duration, hours=24)):
        with suppress(ValueError):
            return time.time() - parse(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        message = f"{text!r} is not a date such as 2026-11-30, a time, or an age such as 12h or 90d"
        raise click.BadParameter(message) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def gate_alias(text: str) -> tuple[str, str]:
    """Return the parts of GATE:ALIAS, such as canary:search_products."""
    gate, _, alias = text.partition(":")
    if not alias or gate not in GATES:
        raise click.BadParameter(f"{text!r} is not GATE:ALIAS with GATE one of {', '.join(GATES)}")
    return gate, alias


def format_file(names: Sequence[str]) -> Callable[[str], tuple[Format, Path]]:
    """Return a function that returns the parts of FORMAT=FILE, with one of the named formats."""

    def parse(text: str) -> tuple[Format, Path]:
        name, _, path = text.partition("=")
        if not path or name not in names:
            raise click.BadParameter(f"{text!r} is not FORMAT=FILE with FORMAT one of {', '.join(names)}")
        return FORMATS[name], Path(path)

    return parse
