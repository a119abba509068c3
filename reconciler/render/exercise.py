"""The result of `aliasctl check --exercise` as text for a terminal.

prod / scratch   Milvus 2.3.5 at https://milvus.example.com:19530 (manifest)
    exercise                     expected            observed
  ✓ create, other collection     AliasAlreadyExists  error 1602
  ✗ drop, alias missing          done                AliasNotFound (1600)
      guard: read after a failed call, see docs/semantics.md#steps-and-outcomes
Exercise: 47 as expected, 1 contradiction. 200 moves under 7 readers, 22.8 s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.core.text import counted, listed, printable
from reconciler.exercise.records import NO_VERSION, ExerciseReport, Finding, Verdict
from reconciler.render.check import header
from reconciler.render.lines import Line

SIGNS = {
    Verdict.AS_EXPECTED: ("✓", "green"),
    Verdict.CONTRADICTION: ("✗", "bold red"),
    Verdict.NOT_OBSERVED: ("?", "yellow"),
}
HEADS = ("exercise", "expected", "observed")
INDENT = " " * 6


def exercise_lines(report: ExerciseReport) -> Iterator[Line]:
    """Draw every finding, and what it means."""
    yield header(report.connection, report.target.database, report.server_version)
    if report.findings:
        yield from _table(report.findings)
    yield from _conclusion(report)


def _table(findings: Sequence[Finding]) -> Iterator[Line]:
    widths = [max(map(len, column)) for column in zip(HEADS, *map(_cells, findings), strict=True)]
    yield Line((f"    {'  '.join(map(str.ljust, HEADS, widths))}".rstrip(), "bold"))
    for finding in findings:
        yield from _finding(finding, widths)


def _cells(finding: Finding) -> tuple[str, str, str]:
    return finding.exercise, " or ".join(finding.expected), _observed(finding)


def _observed(finding: Finding) -> str:
    """Return what was observed; an expected error as its code, so that lines stay short."""
    if finding.observed is None:
        return "not observed"
    if finding.code is None:
        return finding.observed
    as_expected = finding.verdict is Verdict.AS_EXPECTED
    return f"error {finding.code}" if as_expected else f"{finding.observed} ({finding.code})"


def _finding(finding: Finding, widths: Sequence[int]) -> Iterator[Line]:
    sign, style = SIGNS[finding.verdict]
    name, expected, observed = map(str.ljust, map(printable, _cells(finding)), widths)
    yield Line("  ", (sign, style), f" {name}  {expected}  ", (observed.rstrip(), "" if style == "green" else style))
    if finding.detail:
        yield Line((f"{INDENT}{printable(finding.detail)}", "dim"))
    if finding.verdict is Verdict.CONTRADICTION:
        yield Line((f"{INDENT}guard: {finding.guard}, see {finding.documentation}", "bold"))


def _conclusion(report: ExerciseReport) -> Iterator[Line]:
    counts = report.counts
    contradictions = counts[Verdict.CONTRADICTION]
    if report.removed:
        yield Line(f"Removed first, left by an earlier run: {listed(report.removed)}.")
    version = printable(report.server_version)
    if report.behaves_like == NO_VERSION:
        yield Line(f"No version in the table behaves like this server, which reports {version}.")
    elif report.behaves_like:
        remedy = "set serverVersion in the MilvusConnection to the version that runs"
        reported = f"it reports {version}"
        yield Line(f"Behaves like Milvus {report.behaves_like}; {reported if contradictions else remedy}.")
    if report.ended_early:
        yield Line(("Ended early: ", "bold red"), printable(report.ended_early))
    if report.left:
        left = printable(", ".join(report.left))
        yield Line(("Not removed: ", "bold red"), f"{left}; the next run of this command removes it.")
    words = {
        Verdict.AS_EXPECTED: f"{counts[Verdict.AS_EXPECTED]} as expected",
        Verdict.CONTRADICTION: counted(contradictions, "contradiction"),
        Verdict.NOT_OBSERVED: f"{counts[Verdict.NOT_OBSERVED]} not observed",
    }
    summary = ", ".join(words[verdict] for verdict in Verdict if counts[verdict]) or "not run"
    moved = f" {counted(report.moves, 'move')} under {counted(report.readers, 'reader')}," if report.moves else ""
    yield Line((f"Exercise: {summary}.", "bold"), f"{moved} {report.seconds:.1f} s.")
    if contradictions:
        yield Line("Please report this with the output of --format json.")
