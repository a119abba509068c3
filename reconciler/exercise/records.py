"""The findings of the exercises, and the report of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from reconciler.core.errors import ExitCode
from reconciler.core.model import Connection, Target
from reconciler.core.record import INLINE, Count, Record, Time
from reconciler.core.report import ExitStatus
from reconciler.documents.parts import Tool

NO_VERSION = "no version in the table"


class Verdict(StrEnum):
    """How what was observed compares with what is expected. `notObserved`: there was nothing to see; see the detail."""

    AS_EXPECTED = "asExpected"
    CONTRADICTION = "contradiction"
    NOT_OBSERVED = "notObserved"


class Finding(Record, frozen=True):
    """The result of one exercise."""

    exercise: str
    expected: Annotated[tuple[str, ...], Meta(description="The acceptable results.")]
    observed: Annotated[str | None, Meta(description="null: nothing was observed.")]
    verdict: Verdict
    guard: Annotated[str, Meta(description="What relies on it.")]
    documentation: Annotated[str, Meta(description="Where the guard is described.")]
    row: Annotated[str, Meta(description="The row of the table of server behaviour that it verifies.")] = ""
    code: Annotated[int | None, Meta(description="Milvus's error code.")] = None
    detail: str = ""


class ExerciseReport(Record, frozen=True):
    """What a server did when its behaviour was exercised."""

    exit_code: ExitStatus
    tool: Tool
    client: Annotated[str, Meta(description="The version of pymilvus.")]
    target: Annotated[Target, INLINE]
    connection: Connection
    server_version: str
    started: Time
    seconds: Annotated[float, Meta(ge=0)]
    moves: Annotated[Count, Meta(description="Alters that were made under readers.")]
    readers: Annotated[Count, Meta(description="Readers at work during the moves; none on Milvus Lite.")]
    findings: tuple[Finding, ...]
    behaves_like: Annotated[str, Meta(description="If the version is not known: the versions that behave so.")] = ""
    ended_early: Annotated[str, Meta(description="Why some exercises were not run.")] = ""
    removed: Annotated[tuple[str, ...], Meta(description="Leftovers of an earlier run that were removed.")] = ()
    left: Annotated[tuple[str, ...], Meta(description="What could not be removed; the next run removes it.")] = ()

    @property
    def counts(self) -> Counter[Verdict]:
        return Counter(finding.verdict for finding in self.findings)


def exit_code(findings: Sequence[Finding], ended_early: str, left: Sequence[str]) -> ExitCode:
    """Return 5 if something was left behind, 1 after a contradiction or an early end, otherwise 0."""
    if left:
        return ExitCode.INCOMPLETE
    contradicted = any(finding.verdict is Verdict.CONTRADICTION for finding in findings)
    return ExitCode.ERROR if contradicted or ended_early else ExitCode.DONE
