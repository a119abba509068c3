"""What the command line prints, and where: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import NamedTemporaryFile

import click
from rich.console import Console
from rich.text import Text

from reconciler.errors import AliasctlError, InvalidInput, Problem
from reconciler.formats import Document
from reconciler.render.documents import error_document
from reconciler.render.text import printable

TEXT, JSON = "text", "json"
FORMATS = (TEXT, JSON)


class Result:
    """One result in every format: `text` and `document` are called for the formats that were asked for."""

    def __init__(self, text: Callable[[], Iterable[Text]], document: Callable[[], Document]) -> None:
        self.text = text
        self.document = document


def make_streams_safe() -> None:
    """A character that the terminal's encoding lacks is escaped, never a crash."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def emit(result: Result, output_format: str, *, color: bool = True) -> None:
    """Print a result to standard output."""
    if output_format == JSON:
        click.echo(_json(result.document()))
    else:
        _print(result.text(), Console(no_color=not color or None, highlight=False, soft_wrap=True))


def emit_files(result: Result, outputs: Iterable[tuple[str, Path]]) -> None:
    """Write a result to files, each whole or not at all. Raises `InvalidInput` where that is not possible."""
    for output_format, path in outputs:
        if output_format == JSON:
            content = _json(result.document()) + "\n"
        else:
            content = "".join(line.plain + "\n" for line in result.text())
        write_file(path, content)


def write_file(path: Path, content: str) -> None:
    """Replace a file in one step, so that nobody reads half of it."""
    try:
        with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8") as file:
            file.write(content)
        os.chmod(file.name, 0o644)
        os.replace(file.name, path)
    except OSError as error:
        raise InvalidInput(Problem(f"cannot write {path}: {error.strerror}")) from error


def say(message: str) -> None:
    """A remark to the person at the terminal."""
    click.echo(printable(message), err=True)


def warn(problem: Problem) -> None:
    """A warning, in the form of an error."""
    _complain("warning", "yellow", problem)


def failure(error: AliasctlError) -> None:
    """An error: to standard error for people, and as a document to standard output when JSON was asked for."""
    if _wants_json():
        click.echo(_json(error_document(error)))
    for problem in error.problems if isinstance(error, InvalidInput) else (Problem(str(error)),):
        _complain("error", "red", problem)


def usage_error(error: click.UsageError) -> None:
    """Click's own words on a wrong call, with its hint."""
    if _wants_json(error.ctx):
        click.echo(_json(error_document(AliasctlError(error.format_message()))))
    if error.ctx:
        click.echo(error.ctx.get_usage(), err=True)
        click.echo(f"Try '{error.ctx.command_path} --help' for help.\n", err=True)
    _complain("error", "red", Problem(error.format_message()))


def remember_format(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Note the wanted format as soon as the flag is read, so that errors after it can keep to it."""
    global _output_format
    _output_format = value
    return value


_output_format = TEXT


def _wants_json(context: click.Context | None = None) -> bool:
    return _output_format == JSON


def _complain(kind: str, style: str, problem: Problem) -> None:
    line = Text(f"{printable(str(problem.source))}: " if problem.source else "")
    line.append(f"{kind}: ", f"bold {style}")
    line.append(printable(problem.message))
    _print([line], Console(stderr=True, highlight=False, soft_wrap=True))


def _print(lines: Iterable[Text], console: Console) -> None:
    for line in lines:
        console.print(line, soft_wrap=True)


def _json(document: Document) -> str:
    return json.dumps(document, indent=2)
