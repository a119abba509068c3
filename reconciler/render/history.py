"""Recorded runs as text.

    ID                       WHEN                   WHO        WHAT                      RESULT
    20261123-230102-4f2a9c   2026-11-23T23:01:02Z   ann@ci-7   apply aliases/ @4f2a9c1   3 done, 1 failed

For a single run, or an alias, the steps follow below their run, grouped as in a report.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from reconciler.core.grouping import grouped
from reconciler.core.report import Outcome, StepResult
from reconciler.core.text import listed, printable
from reconciler.journal import PastRun, PastStep, RunState
from reconciler.journal.runs import begun_words, counts_of
from reconciler.render import wording
from reconciler.render.fitted import fitted_table
from reconciler.render.lines import Line, columns
from reconciler.render.text import OUTCOMES, section_lines
from reconciler.render.view import Row, Section, ended_row

HEADS = ("ID", "WHEN", "WHO", "WHAT", "RESULT")
SHORT_COMMIT = 7
MIN_TABLE = 55
"""Columns of a terminal in which the cells of a run have room beside its ID."""


def history_lines(runs: Sequence[PastRun], width: int | None = None) -> Iterator[Line]:
    """Draw one row per run.

    Args:
        runs: the newest first.
        width: of the terminal, to which cells are wrapped where a row is longer; the time is left out then, because the
            ID begins with it. None to leave lines whole.
    """
    cells, styles = [run_cells(run) for run in runs], [_style(run) for run in runs]
    last = len(HEADS) - 1
    lines = list(columns(HEADS, cells, lambda number: {last: styles[number]}))
    if width is None or width < MIN_TABLE or all(len(line.plain) <= width for line in lines):
        return iter(lines)
    heads, *shorter = [(run_id, *others) for run_id, _, *others in (HEADS, *cells)]
    return fitted_table(heads, shorter, width, [{last - 1: style} for style in styles], whole=1)


def run_lines(run: PastRun, alias: str | None) -> Iterator[Line]:
    """Draw a run in full: its origin, its steps (of one alias, if given) and its result."""
    origins = run.origins
    yield Line(("Run ", "bold"), (printable(run.id), "bold"), "   ", printable(_what(run, shortened=False)))
    by = f"by {origins.user}@{origins.host}, process {origins.pid}, aliasctl {run.tool_version}"
    took = f", {wording.duration(run.started, run.end.time)}" if run.end else ""
    yield Line((printable(f"{wording.moment(run.started)}{took}, {by}, digest {run.digest}"), "dim"))
    if provenance := _provenance(run):
        yield Line((printable(provenance), "dim"))
    yield from _step_lines(run, run.steps_of(alias))
    end = f" Exit code {run.end.exit_code}." if run.end else ""
    yield Line((printable(f"Result: {_result(run)}.{end}"), "bold"))


def alias_lines(runs: Iterable[PastRun], alias: str) -> Iterator[Line]:
    """Draw the runs that touched an alias, each with its steps."""
    for run in runs:
        *cells, _ = run_cells(run)
        yield Line(("   ".join(map(printable, cells)), "bold"))
        yield from _step_lines(run, run.steps_of(alias))


def run_cells(run: PastRun) -> tuple[str, ...]:
    """Return the ID of a run, when it started, who ran what, and its result."""
    who = f"{run.origins.user}@{run.origins.host}"
    return (run.id, wording.moment(run.started), who, _what(run), _result(run))


def _what(run: PastRun, *, shortened: bool = True) -> str:
    """Return the command with its arguments: `apply aliases/ @4f2a9c1`."""
    paths, commit = list(run.origins.source), run.origins.provenance.commit
    if shortened:
        paths = [listed(paths, 1)] if paths else []
        commit = commit[:SHORT_COMMIT]
    changed = " (modified)" if commit and run.origins.provenance.modified else ""
    return " ".join([run.origins.command, *paths, *([f"@{commit}{changed}"] if commit else [])])


def _provenance(run: PastRun) -> str:
    """Return the author, ref and signature of the commit, and the pipeline."""
    known = run.origins.provenance
    parts = [f"commit by {known.author}"] if known.author else []
    parts += [f"on {known.ref}"] if known.ref else []
    parts += [f"signature: {known.signature}"] if known.signature else []
    return ", ".join([" ".join(parts[:2]), *parts[2:], *([known.pipeline] if known.pipeline else [])]).strip(", ")


def _result(run: PastRun) -> str:
    counts, begun = counts_of(run)
    parts = [f"{counts[outcome]} {wording.OUTCOMES.get(outcome, outcome)}" for outcome in Outcome if counts[outcome]]
    parts += [f"{begun} unclear"] if begun else []
    stopped = run.end.interrupted if run.end else False
    state = RunState.INTERRUPTED if stopped else run.state
    words = ", ".join(parts) or "nothing done"
    if run.end and run.end.times > 1:
        words += f" ({run.end.times:,} times, last {wording.moment(run.end.last or run.end.time)})"
    return words if state is RunState.ENDED else f"{state}: {words}" if parts else str(state)


def _style(run: PastRun) -> str:
    """Return the style of the worst outcome."""
    if run.state is RunState.RUNNING:
        return ""
    if run.state is not RunState.ENDED:
        return OUTCOMES[Outcome.UNKNOWN]
    counts, _ = counts_of(run)
    return next((OUTCOMES[outcome] for outcome in reversed(Outcome) if counts[outcome]), "")


def _step_lines(run: PastRun, steps: Sequence[PastStep]) -> Iterator[Line]:
    """Draw the steps of a run by database, as in a report, with all gates."""
    names = {target.target: target.connection.name for target in run.targets}
    for target, of_target in grouped(steps, lambda past: past.target).items():
        section = Section(
            connection=printable(names.get(target, target.address)),
            database=printable(target.database),
            facts=(),
            sets=tuple(sorted({printable(past.step.set) for past in of_target})),
            rows=tuple(map(_row, of_target)),
        )
        yield Line((f"{section.connection} / {section.database}", "bold"))
        yield from section_lines(section, is_plan=False, with_gates=True)


def _row(past: PastStep) -> Row:
    """Return a step with its outcome; one of which the record ends with a call, or without a result, is unknown."""
    if past.result and not past.begun:
        return ended_row(past.result)
    known = past.result or StepResult(past.step, Outcome.UNKNOWN)
    unknown = ended_row(replace(known, outcome=Outcome.UNKNOWN, code=None, message=None, propagation=()))
    return replace(unknown, label=begun_words(past.begun) if past.begun else "nothing recorded")
