"""What the command line prints, and where: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.exceptions import NoArgsIsHelpError
from rich.console import Console
from rich.text import Text

from reconciler.core.errors import AliasctlError, InvalidInput, Problem, UsageError
from reconciler.core.text import printable
from reconciler.files import replace_file

TEXT, JSON, MARKDOWN, HTML = "text", "json", "markdown", "html"
FORMATS = (TEXT, JSON)
PAGE_FORMATS = (*FORMATS, MARKDOWN, HTML)

if TYPE_CHECKING:
    from reconciler.documents.codec import Document


@dataclass(frozen=True, slots=True)
class Result:
    """One result in every format; each is made only where it was asked for.

    `pages` are the formats of `PAGE_FORMATS` beyond text and JSON, for the commands that offer them.
    """

    text: Callable[[], Iterable[Text]]
    document: Callable[[], Document]
    pages: Mapping[str, Callable[[], str]] = field(default_factory=dict)


def make_streams_safe() -> None:
    """A closed stream is an empty one, and a character that the terminal's encoding lacks is escaped: never a crash."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("r" if name == "stdin" else "w"))  # noqa: SIM115 - for good
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def console(*, stderr: bool = False) -> Console:
    """A terminal or file to print to; without any styles if the user wants no colours."""
    plain = _no_color or bool(os.environ.get("NO_COLOR"))
    return Console(stderr=stderr, color_system=None if plain else "auto", highlight=False, soft_wrap=True)


def emit(result: Result, output_format: str) -> None:
    """Print a result to standard output."""
    if output_format == TEXT:
        _print(result.text(), console())
    else:
        click.echo(_written(result, output_format), nl=False)
    sys.stdout.flush()


def emit_files(result: Result, outputs: Iterable[tuple[str, Path]]) -> None:
    """Write a result to files, each whole or not at all. Raises `InvalidInput` where that is not possible."""
    for output_format, path in outputs:
        write_file(path, _written(result, output_format))


def _written(result: Result, output_format: str) -> str:
    """A result as a file has it."""
    if output_format == TEXT:
        return "".join(line.plain + "\n" for line in result.text())
    return to_json(result.document()) + "\n" if output_format == JSON else result.pages[output_format]()


def write_file(path: Path, content: str) -> None:
    """Replace a file in one step, so that nobody reads half of it; a device or pipe is written to as it is."""
    try:
        if path.exists() and not path.is_file():
            path.write_text(content, encoding="utf-8")
            return
        replace_file(path.resolve(), content.encode(), mode=0o644)
    except OSError as error:
        raise InvalidInput(Problem(f"cannot write {path}: {error.strerror}")) from error


def ensure_writable(paths: Iterable[Path]) -> None:
    """Raise `InvalidInput` for files that cannot be written, while it still costs nothing."""
    problems = [Problem(f"cannot write {path}: {obstacle}") for path in paths if (obstacle := _obstacle(path))]
    if problems:
        raise InvalidInput(*problems)


def _obstacle(path: Path) -> str | None:
    folder = path.resolve().parent
    if path.is_dir():
        return "it is a folder"
    if path.exists() and not path.is_file():
        return None if os.access(path, os.W_OK) else "permission denied"
    if not folder.is_dir():
        return f"there is no folder {folder}"
    return None if os.access(folder, os.W_OK | os.X_OK) else f"permission denied in {folder}"


@contextmanager
def busy(doing: str) -> Iterator[None]:
    """A sign of life while something may take long; only at a terminal."""
    terminal = console(stderr=True)
    with terminal.status(doing) if terminal.is_terminal else nullcontext():
        yield


def say(message: str) -> None:
    """A remark to the person at the terminal; if nobody listens, the work goes on all the same."""
    with suppress(OSError):
        click.echo(printable(message), err=True)


def warn(problem: Problem) -> None:
    """A warning, in the form of an error."""
    _complain("warning", "yellow", problem)


def failure(error: AliasctlError) -> None:
    """An error: to standard error for people, and as a document to standard output when JSON was asked for."""
    if _output_format == JSON:
        _emit_error(error)
    complain(error)


def _emit_error(error: AliasctlError) -> None:
    from reconciler.render.documents import error_document  # and with it all other documents

    click.echo(to_json(error_document(error)))


def complain(error: AliasctlError) -> None:
    """An error, to standard error only."""
    for problem in error.problems if isinstance(error, InvalidInput) else (Problem(str(error)),):
        _complain("error", "red", problem)


def give_up_stdout(error: OSError) -> None:
    """Standard output is broken: say so, and let nothing else be written there."""
    sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - for good
    complain(AliasctlError(f"cannot write to standard output: {error.strerror}"))


def let_go_of_stderr() -> None:
    """A broken standard error must not become the exit code (120) when Python flushes it at the end."""
    try:
        sys.stderr.flush()
    except OSError:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - for good


def usage_error(error: click.UsageError) -> None:
    """Click's own words on a wrong call, with its hint."""
    if _output_format == JSON:
        _emit_error(UsageError(error.format_message()))
    if isinstance(error, NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return
    if error.ctx:
        click.echo(error.ctx.get_usage(), err=True)
        click.echo(f"Try '{error.ctx.command_path} --help' for help.\n", err=True)
    _complain("error", "red", Problem(error.format_message()))


def remember_format(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Note the wanted format as soon as the flag is read, so that errors after it can keep to it."""
    global _output_format
    _output_format = value
    return value


def remember_no_color(_context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    """Note that no colours are wanted, for results, messages and the log alike."""
    global _no_color
    _no_color = value


_output_format = TEXT
_no_color = False


def _complain(kind: str, style: str, problem: Problem) -> None:
    line = Text(f"{printable(str(problem.source))}: " if problem.source else "")
    line.append(f"{kind}: ", f"bold {style}")
    line.append(printable(problem.message))
    with suppress(OSError):
        _print([line], console(stderr=True))


def _print(lines: Iterable[Text], to: Console) -> None:
    if to.color_system is None:  # nothing to lay out; line by line, Rich would take most of the time of a long plan
        to.file.writelines(f"{line.plain}\n" for line in lines)
        return
    for line in lines:
        to.print(line, soft_wrap=True)


def to_json(document: Document) -> str:
    """A document as it is printed and written."""
    return json.dumps(document, indent=2)
