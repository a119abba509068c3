"""Run all exercises on one database, and clean up whatever happens."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from threading import Event
from typing import TYPE_CHECKING

from msgspec.structs import replace

from reconciler.catalog.server_behaviour import ServerBehaviour
from reconciler.core.errors import CatalogError, Interrupted, PermissionDenied
from reconciler.core.model import Connection, Target
from reconciler.documents.parts import Tool
from reconciler.exercise.alias_calls import ALIAS_CALLS
from reconciler.exercise.cleanup import clean_up, remove_leftovers
from reconciler.exercise.collections import COLLECTIONS
from reconciler.exercise.data import DATA
from reconciler.exercise.exercise import Exercise, NotObserved, Observation
from reconciler.exercise.mark import new_mark
from reconciler.exercise.moves import MOVES
from reconciler.exercise.records import NO_VERSION, ExerciseReport, Finding, Verdict, exit_code
from reconciler.exercise.session import NO_EVIDENCE, Disturbed, Session
from reconciler.exercise.versions import versions_like
from reconciler.version import __version__

if TYPE_CHECKING:
    from reconciler.catalog.sandbox import Sandbox

EXERCISES: tuple[Exercise, ...] = (*ALIAS_CALLS, *COLLECTIONS, *MOVES, *DATA)
"""In the order in which they are run: the last ones release what readers need."""


def run_exercises(sandbox: Sandbox, connection: Connection, stop: Event) -> ExerciseReport:
    """Exercise a server; return what it did, and what could not be removed afterwards.

    Args:
        sandbox: an open database.
        connection: how it was opened, for the report.
        stop: ends the run early, and cleans up.

    Raises:
        InvalidInput: another run may be under way, or something has a name of ours and was not created by an exercise;
            nothing is changed then.
        CatalogError: the server cannot be reached, or refuses to remove leftovers.
    """
    started, begun = datetime.now(UTC).astimezone(), time.monotonic()
    reported, behaviour = sandbox.server_version(), sandbox.behaviour
    sandbox.mark = new_mark(started)
    removed = remove_leftovers(sandbox)
    session, findings, ended_early = Session(sandbox, stop), list[Finding](), ""
    try:
        session.set_up()
        for exercise in EXERCISES:
            if exercise.expected(behaviour):
                session.pause(0)
                findings.append(_find(exercise, session, behaviour))
                if findings[-1].verdict is Verdict.CONTRADICTION:
                    session.check_undisturbed()
    except Disturbed as error:
        ended_early = str(error)
        findings = [finding for finding in findings if finding.verdict is not Verdict.CONTRADICTION]
    except (CatalogError, Interrupted) as error:
        ended_early = str(error)
    finally:
        left = clean_up(sandbox)
    return ExerciseReport(
        exit_code=exit_code(findings, ended_early, left),
        tool=Tool(__version__),
        client=version("pymilvus"),
        target=Target(connection.address, sandbox.database),
        connection=connection,
        server_version=reported,
        started=started.isoformat(timespec="milliseconds"),
        seconds=round(time.monotonic() - begun, 1),
        moves=session.moves.moves if session.moves else 0,
        readers=session.moves.readers if session.moves else 0,
        findings=tuple(findings),
        behaves_like=_behaves_like(findings, behaviour),
        ended_early=ended_early,
        removed=removed,
        left=left,
    )


def _find(exercise: Exercise, session: Session, behaviour: ServerBehaviour) -> Finding:
    """Run one exercise. Raises `CatalogError` if the server cannot be exercised any further."""
    expected = exercise.expected(behaviour)
    finding = Finding(
        exercise=exercise.name,
        expected=expected,
        observed=None,
        verdict=Verdict.NOT_OBSERVED,
        guard=exercise.guard.words,
        documentation=exercise.guard.page,
        row=exercise.row,
    )
    try:
        observed = exercise.observe(session)
    except (NotObserved, PermissionDenied) as reason:
        return replace(finding, detail=str(reason))
    except CatalogError as error:
        if isinstance(error, NO_EVIDENCE):
            raise
        observed = Observation(f"{error.code}, in another step", error.server_code, str(error))
    verdict = Verdict.AS_EXPECTED if observed.result in expected else Verdict.CONTRADICTION
    return replace(finding, observed=observed.result, verdict=verdict, code=observed.code, detail=observed.detail)


def _behaves_like(findings: Sequence[Finding], behaviour: ServerBehaviour) -> str:
    """Return the versions that behave so, if the version is not known, or what was observed contradicts it."""
    contradicted = any(finding.verdict is Verdict.CONTRADICTION and finding.row for finding in findings)
    if behaviour.is_lite or (behaviour.version.known and not contradicted):
        return ""
    by_name = {exercise.name: exercise for exercise in EXERCISES}
    shown = {
        finding.row: shows
        for finding in findings
        if finding.observed and (shows := by_name[finding.exercise].shows(finding.observed)) is not None
    }
    return versions_like(shown, None if contradicted else behaviour.version) or NO_VERSION
