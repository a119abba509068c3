"""Where a call prints: results to standard output and files, messages and progress to standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

import click
from msgspec import Struct, field

from reconciler.core.errors import AliasctlError, InvalidInput, Problem
from reconciler.core.text import printable
from reconciler.files import replace_file
from reconciler.render.formats import TEXT, Format, Result
from reconciler.render.lines import Line

if TYPE_CHECKING:
    from rich.console import Console


def make_streams_safe() -> None:
    """Replace closed streams by empty ones, and escape characters that the terminal's encoding lacks."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, _devnull("r" if name == "stdin" else "w"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class Output(Struct):
    """The output of one call; every command gets it through click's context.

    Args:
        format: of standard output.
        files: further files for the result, each with its format.
        color: whether terminals get colors.
    """

    format: Format = TEXT
    files: list[tuple[Format, Path]] = []
    color: bool = field(default_factory=lambda: not os.environ.get("NO_COLOR"))

    def emit(self, result: Result) -> None:
        """Write a result to the files, then print it to standard output."""
        self.write_files(result)
        self.print(result)

    def print(self, result: Result) -> None:
        """Print a result to standard output."""
        if self.format is TEXT:
            self._print(result.lines(), sys.stdout)
        else:
            click.echo(self.format.render(result), nl=False)
        sys.stdout.flush()

    def write_files(self, result: Result) -> None:
        """Write a result to the files, each completely or not at all. Raise `InvalidInput` where that fails."""
        for output_format, path in self.files:
            write_file(path, output_format.render(result))

    def ensure_writable(self, *others: Path) -> None:
        """Raise `InvalidInput` for files of this call that cannot be written, before any work is done."""
        paths = (*(path for _, path in self.files), *others)
        problems = [Problem(f"cannot write {path}: {obstacle}") for path in paths if (obstacle := _obstacle(path))]
        if problems:
            raise InvalidInput(*problems)

    @contextmanager
    def busy(self, doing: str) -> Iterator[None]:
        """Show that something takes long; only at a terminal."""
        with self.console(sys.stderr).status(doing) if sys.stderr.isatty() else nullcontext():
            yield

    def say(self, message: str) -> None:
        """Print a remark to standard error; if that is broken, go on without."""
        with suppress(OSError):
            click.echo(printable(message), err=True)

    def warn(self, problem: Problem) -> None:
        """Print a warning to standard error."""
        self._complain("warning", "yellow", problem)

    def error(self, error: AliasctlError) -> None:
        """Print an error to standard error, one line per problem."""
        for problem in error.problems if isinstance(error, InvalidInput) else (Problem(str(error)),):
            self._complain("error", "red", problem)

    def failure(self, error: AliasctlError) -> None:
        """Print an error in place of the result: in the format of standard output, if that has errors, and as text."""
        if self.format.render_error:
            click.echo(self.format.render_error(error), nl=False)
        self.error(error)

    def give_up_stdout(self, error: OSError) -> None:
        """Report that standard output is broken, and discard what else would be printed there."""
        sys.stdout = _devnull("w")
        self.error(AliasctlError(f"cannot write to standard output: {error.strerror}"))

    def has_color(self, stream: TextIO) -> bool:
        """Return whether a stream is a terminal that shows colors."""
        forced = os.environ.get("FORCE_COLOR") or os.environ.get("TTY_COMPATIBLE")  # Rich weighs them
        return self.color and bool(stream.isatty() or forced) and self.console(stream).color_system is not None

    def console(self, stream: TextIO) -> Console:
        """Return Rich's view of a stream."""
        from rich.console import Console  # takes long to import, and only terminals need it

        return Console(file=stream, color_system="auto" if self.color else None, highlight=False, soft_wrap=True)

    def _complain(self, kind: str, style: str, problem: Problem) -> None:
        place = f"{printable(str(problem.source))}: " if problem.source else ""
        with suppress(OSError):
            self._print([Line(place, (f"{kind}: ", f"bold {style}"), printable(problem.message))], sys.stderr)

    def _print(self, lines: Iterable[Line], stream: TextIO) -> None:
        if not self.has_color(stream):
            stream.writelines(f"{line.plain}\n" for line in lines)
            return
        from rich.text import Text

        console = self.console(stream)
        for line in lines:
            console.print(Text.assemble(*line), soft_wrap=True)


def let_go_of_stderr() -> None:
    """Flush standard error, so that a broken one does not become the exit code (120) when Python flushes it."""
    try:
        sys.stderr.flush()
    except OSError:
        sys.stderr = _devnull("w")


def write_file(path: Path, content: str) -> None:
    """Replace a file in one step, so that nobody reads half of it; a device or pipe is written to directly."""
    try:
        if path.exists() and not path.is_file():
            path.write_text(content, encoding="utf-8")
            return
        replace_file(path.resolve(), content.encode(), mode=0o644)
    except OSError as error:
        raise InvalidInput(Problem(f"cannot write {path}: {error.strerror}")) from error


def _obstacle(path: Path) -> str | None:
    folder = path.resolve().parent
    if path.is_dir():
        return "it is a folder"
    if path.exists() and not path.is_file():
        return None if os.access(path, os.W_OK) else "permission denied"
    if not folder.is_dir():
        return f"there is no folder {folder}"
    return None if os.access(folder, os.W_OK | os.X_OK) else f"permission denied in {folder}"


def _devnull(mode: Literal["r", "w"]) -> TextIO:
    return Path(os.devnull).open(mode)
