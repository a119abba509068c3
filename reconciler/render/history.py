"""Recorded runs as text.

    ID                       WHEN                   WHO        WHAT                      RESULT
    20261123-230102-4f2a9c   2026-11-23T23:01:02Z   ann@ci-7   apply aliases/ @4f2a9c1   3 done, 1 failed

For a single run, or an alias, the steps follow below their run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reconciler.core.plan import Step, inverse
from reconciler.core.report import Outcome, Reach
from reconciler.core.text import listed, printable
from reconciler.journal import PastRun, PastStep, RunState
from reconciler.journal.runs import begun_words, counts_of
from reconciler.render import wording
from reconciler.render.lines import Line, Part, columns
from reconciler.render.text import OUTCOMES, SIGNS, gate_parts
from reconciler.render.view import gates_of

HEADS = ("ID", "WHEN", "WHO", "WHAT", "RESULT")
SHORT_COMMIT = 7


def history_lines(runs: Sequence[PastRun]) -> Iterator[Line]:
    result = HEADS.index("RESULT")
    return columns(HEADS, [run_cells(run) for run in runs], lambda number: {result: _style(runs[number])})


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
    names = {target.target: target.connection.name for target in run.targets}
    alias = max((len(printable(past.step.alias)) for past in steps), default=0)
    route = max((len(_route(past)) for past in steps), default=0)
    for target in dict.fromkeys(past.target for past in steps):
        yield Line((printable(f"{names.get(target, target.address)} / {target.database}"), "bold"))
        for past in steps:
            if past.target == target:
                yield _step_line(past, alias, route)


def _step_line(past: PastStep, alias: int, route: int) -> Line:
    step = past.step
    sign = wording.PENDING_VERIFICATION if _was_moved_before(past) else wording.SIGNS[_made(past).action]
    change = f" {printable(step.alias).ljust(alias)}   {_route(past).ljust(route)}   "
    return Line("  ", (sign, SIGNS[sign]), change, *_outcome(past), *gate_parts(gates_of(step)))


def _outcome(past: PastStep) -> Iterator[Part]:
    result = past.result
    if past.begun or result is None:
        yield begun_words(past.begun) if past.begun else "nothing recorded", OUTCOMES[Outcome.UNKNOWN]
        return
    yield wording.OUTCOMES.get(result.outcome, result.outcome), OUTCOMES[result.outcome]
    if result.propagation and all(proof.reach is Reach.VERIFIED for proof in result.propagation):
        yield ", readers verified", "dim"
    if result.started and result.ended and result.outcome is not Outcome.BLOCKED:
        yield f", {wording.duration(result.started, result.ended)}", "dim"
    if result.message:
        yield f": {printable(result.message)}"


def _was_moved_before(past: PastStep) -> bool:
    """Return whether the run changed nothing: it only verified, or could not revert, what an earlier run had moved."""
    return bool(past.result and past.result.moved_by) and past.outcome is not Outcome.REVERTED


def _made(past: PastStep) -> Step:
    """Return the change that the run made; of an earlier run's move, its revert."""
    return inverse(past.step) if past.result and past.result.moved_by else past.step


def _route(past: PastStep) -> str:
    if _was_moved_before(past):
        return printable(f"at {past.step.desired}" if past.step.desired else "absent")
    step = _made(past)
    current = f"({step.location})" if step.dangling else step.current
    return printable(" ".join(filter(None, (current, "→" if step.desired else "", step.desired))))
