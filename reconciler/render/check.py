"""The result of `aliasctl check` as text for a terminal.

prod / default   Milvus 2.3.5 at https://milvus.example.com:19530 (manifest)
  ✓ address            milvus.example.com:19530 answers
  ✗ DropAlias          the privilege DropAlias is missing; have it granted: grant_privilege("ROLE", …)
  ? DescribeIndex      no clear answer on products_v7: …
  - Search             not needed: no gate or verification of these sets needs it
Check: 1 missing, 1 unknown, 8 ok, 2 not needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

from reconciler.core.model import Connection
from reconciler.core.text import printable
from reconciler.inspect.access import Condition, Result, Subject, TargetAccess
from reconciler.render.lines import Line
from reconciler.render.wording import product

SIGNS = {
    Result.OK: ("✓", "green"),
    Result.MISSING: ("✗", "bold red"),
    Result.UNKNOWN: ("?", "yellow"),
    Result.NOT_NEEDED: ("-", "dim"),
}
WORDS = {Result.NOT_NEEDED: "not needed"}
WIDTH = max(len(subject.words) for subject in Subject)


def access_lines(targets: Sequence[TargetAccess]) -> Iterator[Line]:
    """Draw every condition of every database, and the number of conditions with each result."""
    for target in targets:
        note = ", an endpoint" if target.endpoint else ""
        yield header(target.connection, target.target.database, target.server_version, note)
        yield from _lines(target.conditions)
        yield from (Line((f"  ! known problem: {printable(problem)}", "yellow")) for problem in target.known_problems)
    counts = Counter(condition.result for target in targets for condition in target.conditions)
    parts = [f"{counts[result]} {WORDS.get(result, result)}" for result in Result if counts[result]]
    yield Line((f"Check: {', '.join(parts)}." if parts else "Nothing to check.", "bold"))


def _lines(conditions: Sequence[Condition]) -> Iterator[Line]:
    """Draw one line per condition; those that are unknown for the same reason share one."""
    for _, group in groupby(conditions, key=lambda condition: (condition.result, condition.detail)):
        first, *others = group
        yield _line(first, "other conditions" if others and first.result is Result.UNKNOWN else first.subject.words)
        if first.result is not Result.UNKNOWN:
            yield from (_line(other, other.subject.words) for other in others)


def header(connection: Connection, database: str, server_version: str, note: str = "") -> Line:
    """Draw the line above what was found about one database."""
    version = f"{product(server_version)} " if server_version else ""
    facts = f"   {version}at {connection.uri} ({connection.origin}{note})"
    return Line((printable(f"{connection.name} / {database}"), "bold"), (printable(facts), "dim"))


def _line(condition: Condition, name: str) -> Line:
    sign, style = SIGNS[condition.result]
    return Line(
        "  ",
        (sign, style),
        f" {name.ljust(WIDTH)}   ",
        (f"{WORDS[condition.result]}: " if condition.result in WORDS else "", style),
        printable(condition.detail),
        (f"; {printable(condition.remedy)}" if condition.remedy else "", "bold"),
    )
