"""`--watch`: until a signal it is printed what changed; a server that is away does not end it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest

from reconciler.cli.output import Output
from reconciler.cli.watch import Watch
from reconciler.core.errors import AliasctlError, Problem
from reconciler.render.lines import Line


def reading(*results: str | AliasctlError, end: signal.Signals = signal.SIGTERM) -> Callable[[], str]:
    """Give these results in turn, and then the signal."""

    def give() -> Iterator[str | AliasctlError]:
        yield from results
        signal.raise_signal(end)

    turn = give()

    def read() -> str:
        found = next(turn)
        if isinstance(found, AliasctlError):
            raise found
        return found

    return read


def watched(read: Callable[[], str]) -> str:
    return Watch(read, lambda seen, _width: [Line(seen)], Output()).run(0.001)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_without_a_terminal_only_changes_are_printed(end: signal.Signals, capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(end)
    assert watched(reading("one", "one", "two", "two", "one", end=end)) == "one"
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in printed if not line.startswith("At 20")] == ["one", "", "two", "", "one", ""]
    assert signal.getsignal(end) is before


def test_an_error_after_the_first_result_is_reported_once_and_it_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    away = AliasctlError("cannot reach localhost")
    assert watched(reading("one", away, away, "one", "two")) == "two"
    shown = capsys.readouterr()
    assert shown.err == "error: cannot reach localhost\n"
    assert [line for line in shown.out.splitlines() if line in ("one", "two")] == ["one", "one", "two"]


def test_an_error_before_any_result_ends_it() -> None:
    with pytest.raises(AliasctlError, match="no such file"):
        watched(reading(AliasctlError("no such file"), "one"))


def test_a_signal_before_any_result_is_an_interruption() -> None:
    with pytest.raises(KeyboardInterrupt):
        watched(reading())


def test_a_warning_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    """The manifests are read again in each round."""
    output = Output()
    turn = reading("one", "one", "one")

    def read() -> str:
        output.warn(Problem("two of a kind"))
        return turn()

    Watch(read, lambda seen, _width: [Line(seen)], output).run(0.001)
    assert capsys.readouterr().err == "warning: two of a kind\n"
