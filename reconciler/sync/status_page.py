"""The status page of the agent, from what the process has in memory: the last finding, the sets, the newest runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from msgspec import Struct

from reconciler.core.errors import ExitCode
from reconciler.core.provenance import Provenance
from reconciler.core.reasons import MEANINGS, Reason
from reconciler.core.report import Report
from reconciler.core.text import printable, shortened
from reconciler.documents.timestamps import now
from reconciler.journal import Journal, PastRun
from reconciler.render import wording
from reconciler.render.groups import Group
from reconciler.render.history import run_cells
from reconciler.render.status_page import (
    UP_TO_DATE,
    Run,
    SetState,
    StatusPage,
    alias_states,
    groups_by_set,
    mood_of,
    overall,
)
from reconciler.sync.finding import Finding
from reconciler.sync.revision import Revision
from reconciler.sync.settings import Settings
from reconciler.version import __version__

MAX_RUNS = 10
MAX_REMARKS = 10
MAX_LINE = 500


class Compared(Struct, frozen=True):
    """What was last compared with the server, at `at`. It is kept while the repository or the server is away."""

    revision: Revision
    report: Report
    at: str


def newest_runs(journal: Journal) -> tuple[Run, ...]:
    """Return the newest runs of the journal. Raises `JournalError`."""
    return tuple(map(_run, journal.newest(limit=MAX_RUNS)))


def agent_page(
    settings: Settings,
    finding: Finding | None,
    compared: Compared | None,
    runs: tuple[Run, ...],
    *,
    applied: str,
    working: bool,
) -> StatusPage:
    """Return the page.

    Args:
        settings: what the agent follows.
        finding: the last one; None before the first reconciliation.
        compared: the sets, and where their aliases were; None if that is not known yet.
        runs: the newest ones.
        applied: the newest commit that was fully applied.
        working: whether a run is in progress.
    """
    sets = tuple(_set_states(compared)) if compared else ()
    verdict, mood = _verdict(finding, sets)
    alerts = [f"{finding.reason}: {finding.message}"] if finding and mood != "good" else []
    remarks = [str(remark) for remark in compared.revision.remarks[:MAX_REMARKS]] if compared else []
    return StatusPage(
        program="sync agent",
        verdict="run in progress" if working else verdict,
        mood="changes" if working else mood,
        summary="" if alerts or finding is None else printable(finding.message),
        made=now(),
        alerts=tuple(printable(shortened(text, MAX_LINE)) for text in (*alerts, *remarks)),
        facts=tuple(_facts(settings, finding, compared, applied)),
        sets=sets,
        runs=runs,
    )


def _verdict(finding: Finding | None, sets: tuple[SetState, ...]) -> tuple[str, str]:
    if finding is None:
        return "not reconciled yet", "quiet"
    if finding.reason is Reason.SUCCEEDED:
        return MEANINGS[finding.reason].summary, "good"
    mood = "bad" if MEANINGS[finding.reason].warning else "changes"
    return (overall(sets)[0] if sets and finding.report else MEANINGS[finding.reason].summary), mood


def _facts(
    settings: Settings, finding: Finding | None, compared: Compared | None, applied: str
) -> Iterator[tuple[str, str]]:
    provenance = compared.revision.provenance if compared else Provenance()
    facts = {
        "repository": settings.access.url,
        "ref": settings.ref,
        "path": settings.path,
        "newest commit": finding.attempted if finding else "",
        "active commit": finding.in_force if finding else "",
        "author": provenance.author,
        "signature": provenance.signature,
        "applied commit": applied,
        "aliasctl": __version__,
    }
    return ((name, printable(value)) for name, value in facts.items() if value)


def _set_states(compared: Compared) -> Iterator[SetState]:
    report = compared.report
    groups = groups_by_set(report.plan, report)
    for alias_set in compared.revision.sets:
        own = groups.get(printable(alias_set.key), ())
        label, mood = ("suspended", "quiet") if alias_set.suspend else _label(own)
        yield SetState(
            name=printable(alias_set.key),
            place=printable(f"{alias_set.connection_name} / {alias_set.database}"),
            label=label,
            mood=mood,
            since=compared.at,
            aliases=alias_states(alias_set.aliases, alias_set.key, None if alias_set.suspend else report.plan, report),
            groups=own,
        )


def _label(groups: tuple[Group, ...]) -> tuple[str, str]:
    counts: Counter[str] = Counter()
    for group in groups:
        counts.update(dict(group.labels))
    return ", ".join(f"{number} {label}" for label, number in counts.items()) or UP_TO_DATE, mood_of(groups)


def _run(run: PastRun) -> Run:
    _, when, who, what, result = map(printable, run_cells(run))
    took = wording.duration(run.started, run.end.time) if run.end else ""
    author = run.origins.provenance.author
    mood = "good" if run.end and run.end.exit_code == ExitCode.DONE else "bad" if run.end else "changes"
    return Run(when, took, what, f"{who}, commit by {printable(author)}" if author else who, result, mood)
