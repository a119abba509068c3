"""What a run needs of its servers and how that stands, as text for a terminal.

prod / default   Milvus 2.3.5 at https://milvus.example.com:19530 (manifest)
  ✓ address            milvus.example.com:19530 answers
  ✗ DropAlias          the privilege DropAlias is missing; have it granted: grant_privilege("ROLE", …)
  ? DescribeIndex      no clear answer on products_v7: …
  - Search             not needed: no gate or verification of these sets asks for it
Check: 1 missing, 1 unknown, 8 ok, 2 not needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.text import Text

from reconciler.core.text import printable
from reconciler.inspect.access import Condition, Result, Subject, TargetAccess
from reconciler.render.text import product

SIGNS = {
    Result.OK: ("✓", "green"),
    Result.MISSING: ("✗", "bold red"),
    Result.UNKNOWN: ("?", "yellow"),
    Result.NOT_NEEDED: ("-", "dim"),
}
WORDS = {Result.NOT_NEEDED: "not needed"}
WIDTH = max(len(item.words) for item in Subject)


def access_lines(found: Sequence[TargetAccess]) -> Iterator[Text]:
    """Every condition, line by line, and how many stand how."""
    for item in found:
        yield _header(item)
        yield from _lines(item.conditions)
        yield from (Text(f"  ! known problem: {printable(problem)}", "yellow") for problem in item.known_problems)
    counts = Counter(condition.result for element in found for condition in element.conditions)
    parts = [f"{counts[result]} {WORDS.get(result, result)}" for result in Result if counts[result]]
    yield Text(f"Check: {', '.join(parts)}." if parts else "Nothing to check.", "bold")


def _lines(conditions: Sequence[Condition]) -> Iterator[Text]:
    """A line each, and one for all that were not asked for the same reason."""
    for _, group in groupby(conditions, key=lambda condition: (condition.result, condition.detail)):
        first, *others = group
        yield _line(first, "all the rest" if others and first.result is Result.UNKNOWN else first.subject.words)
        if first.result is not Result.UNKNOWN:
            yield from (_line(other, other.subject.words) for other in others)


def _header(access: TargetAccess) -> Text:
    version = f"{product(access.server_version)} " if access.server_version else ""
    endpoint = ", an endpoint" if access.endpoint else ""
    facts = f"   {version}at {access.connection.uri} ({access.connection.origin}{endpoint})"
    title = f"{access.connection.name} / {access.target.database}"
    return Text.assemble((printable(title), "bold"), (printable(facts), "dim"))


def _line(condition: Condition, name: str) -> Text:
    sign, style = SIGNS[condition.result]
    line = Text.assemble("  ", (sign, style), f" {name.ljust(WIDTH)}   ")
    if condition.result in WORDS:
        line.append(f"{WORDS[condition.result]}: ", style)
    line.append(printable(condition.detail))
    if condition.remedy:
        line.append(f"; {printable(condition.remedy)}", "bold")
    return line
