"""The result of `aliasctl notify` as text for a terminal.

main
  ✓ audit   cloudevents     202 accepted
  ✗ chat    slack           404 no_service
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from reconciler.core.text import counted, printable
from reconciler.notify.report import ReceiverReport
from reconciler.render.lines import Line


def receiver_lines(reports: Sequence[ReceiverReport]) -> Iterator[Line]:
    """Draw one line per receiver, below its connection."""
    names = max((len(report.receiver) for report in reports), default=0)
    formats = max((len(report.format) for report in reports), default=0)
    for connection, group in groupby(reports, key=lambda report: report.connection):
        yield Line((printable(connection), "bold"))
        for report in group:
            sign, style = ("✓", "green") if report.ok else ("✗", "bold red")
            head = f" {report.receiver.ljust(names)}   {report.format.ljust(formats)}   "
            yield Line("  ", (sign, style), head, _detail(report), hang=4)


def _detail(report: ReceiverReport) -> str:
    parts = [f"{report.delivered:,} delivered"] if report.delivered else []
    parts += [f"{counted(report.waiting, 'notification')} not delivered yet"] if report.waiting else []
    parts += [printable(report.detail)] if report.detail else []
    return "; ".join(parts) or "nothing to deliver"
