"""Where a call prints: results to standard output and files, messages and progress to standard error."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedWriter, FileIO, TextIOWrapper
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Literal, TextIO

import click
from msgspec import Struct, field

from reconciler.cli.signals import ignore_signals
from reconciler.core.errors import AliasctlError, ExitCode, InvalidInput, Problem
from reconciler.core.text import printable
from reconciler.files import write_output
from reconciler.render.formats import TEXT, Format, Result
from reconciler.render.lines import Line

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from rich.console import Console

HEARTBEAT = 30.0
"""Seconds without a line after which a line says what takes long; not at a terminal."""
MIN_WIDTH = 40
"""Columns of the narrowest terminal that lines are wrapped for."""


def make_streams_safe() -> None:
    """Replace closed streams by empty ones, and print UTF-8 in every locale unless PYTHONIOENCODING says otherwise.

    Characters that the encoding lacks are escaped.
    """
    encoding = None if os.environ.get("PYTHONIOENCODING") else "utf-8"
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, _devnull("r" if name == "stdin" else "w"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding=encoding, errors="backslashreplace")
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout is sys.__stdout__:
        sys.stdout = _watched(sys.stdout)


class StdoutError(OSError):
    """Raised when standard output cannot be written, so that no other error is taken for that."""


class _Stdout(FileIO):
    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise StdoutError(error.errno, error.strerror) from error


def _watched(stdout: TextIOWrapper) -> TextIOWrapper:
    """Return standard output with the same settings, but with `StdoutError` for its errors."""
    raw = _Stdout(stdout.fileno(), "w", closefd=False)
    return TextIOWrapper(
        BufferedWriter(raw),
        encoding=stdout.encoding,
        errors=stdout.errors,
        line_buffering=stdout.line_buffering or stdout.write_through,
    )


class Output(Struct):
    """The output of one call; every command gets it through click's context.

    Args:
        format: of standard output.
        files: further files for the result, each with its format.
        warned: the warnings that were printed.
        incomplete: whether standard output or a file could not be written after the work was done.
    """

    format: Format = TEXT
    files: list[tuple[Format, Path]] = []
    color: bool = field(default_factory=lambda: not os.environ.get("NO_COLOR"))
    warned: set[Problem] = field(default_factory=set)
    incomplete: bool = False

    def renders(self, output_format: Format) -> bool:
        """Return whether the result goes anywhere in this format."""
        return output_format in (self.format, *(other for other, _ in self.files))

    def emit(self, result: Result, printed: Result | None = None) -> None:
        """Print the result of a call, then write it to the files. Report what cannot be written, and go on.

        Afterwards the call has succeeded, whatever signal comes. `printed`: for standard output, if that differs.
        """
        try:
            self.print(printed or result)
        except StdoutError as error:
            self.give_up_stdout(error)
        for output_format, path in self.files:
            try:
                write_output(path, output_format.render(result).encode(errors="backslashreplace"))
            except OSError as error:
                self.incomplete = True
                self.error(AliasctlError(f"cannot write {path}: {error.strerror}"))
        ignore_signals()

    def print(self, result: Result) -> None:
        """Print a result to standard output. Raise `StdoutError` where that fails."""
        if self.format is TEXT:
            self._print(result.lines(), sys.stdout)
        else:
            click.echo(self.format.render(result), nl=False)
        sys.stdout.flush()

    def ensure_writable(self) -> None:
        """Raise `InvalidInput` for files of this call that cannot be written, before any work is done."""
        problems = [
            Problem(f"cannot write {path}: {obstacle}") for _, path in self.files if (obstacle := _obstacle(path))
        ]
        if problems:
            raise InvalidInput(*problems)

    @contextmanager
    def busy(self, doing: object) -> Iterator[None]:
        """Show what takes long, which is the `str` of `doing`: at a terminal all the time, elsewhere every 30 s."""
        if sys.stderr.isatty():
            from reconciler.cli.console import Doing

            with self.console(sys.stderr).status(Doing(doing)):
                yield
            return
        over = Event()
        Thread(target=self._say_until, args=(over, doing), name="busy", daemon=True).start()
        try:
            yield
        finally:
            over.set()

    def say(self, message: str) -> None:
        """Print a remark to standard error; if that is broken, go on without."""
        self.tell([Line(printable(message), hang=2)])

    def tell(self, lines: Iterable[Line]) -> None:
        """Print lines to standard error; if that is broken, go on without."""
        with suppress(OSError):
            self._print(lines, sys.stderr)

    def warn(self, problem: Problem) -> None:
        """Print a warning to standard error, once."""
        if problem not in self.warned:
            self.warned.add(problem)
            self._complain("warning", "yellow", problem)

    def error(self, error: AliasctlError) -> None:
        """Print an error to standard error, one line per problem."""
        for problem in error.problems:
            self._complain("error", "red", problem)

    def failure(self, error: AliasctlError) -> None:
        """Print an error in place of the result: in the format of standard output, if that has errors, and as text."""
        if self.format.render_error:
            try:
                click.echo(self.format.render_error(error), nl=False)
            except StdoutError as broken:
                self.give_up_stdout(broken)
        self.error(error)

    def exit_code(self, code: int) -> int:
        """Return the exit code of this call.

        `code`: what the aliases, or the plan, end with; 0 and 2 become 1 if the result is not written everywhere.
        """
        return ExitCode.ERROR if self.incomplete and code in (ExitCode.DONE, ExitCode.CHANGES) else code

    def give_up_stdout(self, error: StdoutError) -> None:
        """Report that standard output is broken, and discard what else would be printed there."""
        self.incomplete = True
        sys.stdout = _devnull("w")
        self.error(AliasctlError(f"cannot write to standard output: {error.strerror}"))

    def has_color(self, stream: TextIO) -> bool:
        """Return whether a stream is a terminal that shows colors."""
        forced = os.environ.get("FORCE_COLOR") or os.environ.get("TTY_COMPATIBLE")  # Rich weighs them
        return self.color and bool(stream.isatty() or forced) and self.console(stream).color_system is not None

    def terminal(self) -> os.terminal_size | None:
        """Return the size of the terminal that results are printed to; None if that is no terminal."""
        return shutil.get_terminal_size() if sys.stdout.isatty() else None

    def width(self) -> int | None:
        """Return the columns of the terminal that results are printed to; None if that is no terminal."""
        return size.columns if (size := self.terminal()) else None

    def clear(self) -> None:
        """Clear the terminal that results are printed to."""
        self.console(sys.stdout).clear()

    def console(self, stream: TextIO) -> Console:
        from reconciler.cli.console import Console  # takes long to import, and only terminals need it

        return Console(file=stream, color_system="auto" if self.color else None, highlight=False, soft_wrap=True)

    def _say_until(self, over: Event, doing: object) -> None:
        while not over.wait(HEARTBEAT):
            self.say(str(doing))

    def _complain(self, kind: str, style: str, problem: Problem) -> None:
        place = f"{printable(str(problem.source))}: " if problem.source else ""
        self.tell([Line(place, (f"{kind}: ", f"bold {style}"), printable(problem.message), hang=2)])

    def _print(self, lines: Iterable[Line], stream: TextIO) -> None:
        """Print lines, wrapped at the width of a terminal; elsewhere they stay whole."""
        if stream.isatty():
            width = max(self.console(stream).width, MIN_WIDTH)
            lines = (piece for line in lines for piece in line.wrapped(width))
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


def _obstacle(path: Path) -> str | None:
    folder = path.resolve().parent
    if path.is_dir():
        return "it is a folder"
    if path.exists():
        return None if os.access(path, os.W_OK) else "permission denied"
    if not folder.is_dir():
        return f"there is no folder {folder}"
    return None if os.access(folder, os.W_OK | os.X_OK) else f"permission denied in {folder}"


def _devnull(mode: Literal["r", "w"]) -> TextIO:
    return Path(os.devnull).open(mode, encoding="utf-8", errors="backslashreplace")
