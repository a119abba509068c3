"""The results of commands as JSON documents, and the JSON Schema of every document.

Plans and reports, which are read back too, are in `documents`; everything else that is printed as JSON is here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated

from msgspec import Meta, field

from reconciler.core.errors import AliasctlError, Problem
from reconciler.core.model import Source
from reconciler.core.record import INLINE, Count, Digest, Record, Time
from reconciler.core.report import ExitStatus, Outcome
from reconciler.documents.codec import Document
from reconciler.documents.kinds import DocumentKind
from reconciler.documents.parts import OutcomeCounts, Tool
from reconciler.documents.plan_file import PLAN
from reconciler.documents.report_file import REPORT
from reconciler.documents.resolution_file import RESOLUTION
from reconciler.exercise.records import ExerciseReport
from reconciler.inspect.access import TargetAccess, exit_code
from reconciler.inspect.alias_status import State, StatusRow
from reconciler.inspect.all_databases import UnreadDatabase
from reconciler.inspect.collection_status import CollectionRow
from reconciler.inspect.unreferenced import Unreferenced
from reconciler.journal import Journal, Origins, PastRun, PastStep, RunState
from reconciler.journal.entries import journal_schema
from reconciler.journal.runs import counts_of
from reconciler.manifest.records import Manifests
from reconciler.manifest.select_entries import Change
from reconciler.notify.report import ReceiverReport
from reconciler.render.cluster_sets import APPROVAL, SETS
from reconciler.render.status import Status


class ErrorEntry(Record, frozen=True):
    """One problem of the input, or the one error of a run."""

    code: str
    problem: Annotated[Problem, INLINE]


class ErrorDocument(Record, frozen=True):
    """Why a command ended without a result. Nothing was written."""

    exit_code: Annotated[int, Meta(ge=1, le=5)]
    errors: tuple[ErrorEntry, ...]


def error_document(error: AliasctlError) -> Document:
    entries = tuple(ErrorEntry(error.code, problem) for problem in error.problems)
    return ERROR.document(ErrorDocument(error.exit_code, entries))


class ValidationDocument(Record, frozen=True):
    """What `validate` read, without errors."""

    sets: Annotated[Count, Meta(description="AliasSets read.")]
    connections: Annotated[Count, Meta(description="MilvusConnections read.")]
    aliases: Annotated[Count, Meta(description="Aliases listed.")]
    skipped: Annotated[Count, Meta(description="Documents of other API groups.")]
    warnings: tuple[Problem, ...]


def validation_document(manifests: Manifests, warnings: Sequence[Problem]) -> Document:
    aliases = sum(len(alias_set.aliases) for alias_set in manifests.sets)
    record = ValidationDocument(
        len(manifests.sets), len(manifests.connections), aliases, manifests.skipped, tuple(warnings)
    )
    return VALIDATION.document(record)


class EditedAlias(Record, frozen=True):
    """An entry of an AliasSet."""

    alias: str
    set: str
    current: Annotated[str | None, Meta(description="null: the alias was to be absent.")] = field(name="from")
    desired: str = field(name="to")
    changed: Annotated[bool, Meta(description="false: the manifests had this collection already.")]
    protected: Annotated[bool, Meta(description="apply moves it only with --allow-protected.")]
    source: Source


class EditedFile(Record, frozen=True):
    """A file of manifests."""

    file: str
    diff: Annotated[str, Meta(description="A unified diff.")]


class EditDocument(Record, frozen=True):
    """What `set` changed in the manifests."""

    written: Annotated[bool, Meta(description="false under --check, and where nothing had to change.")]
    aliases: tuple[EditedAlias, ...]
    files: tuple[EditedFile, ...]


def edit_document(changes: Sequence[Change], differences: Mapping[str, str], *, written: bool) -> Document:
    """Return what `set` changed in the manifests, or would change.

    `differences`: unified diffs, by file. `written`: whether the files have them.
    """
    aliases = (
        EditedAlias(
            alias=change.alias.name,
            set=change.owner.key,
            current=change.alias.collection,
            desired=change.collection,
            changed=change.needed,
            protected=change.protected,
            source=change.alias.source or change.owner.source,
        )
        for change in changes
    )
    return EDIT.document(
        EditDocument(written, tuple(aliases), tuple(EditedFile(*each) for each in differences.items()))
    )


class StatusDocument(Record, frozen=True):
    """Desired and live state, one row per alias."""

    summary: Annotated[Mapping[State, Count], Meta(description="Aliases by state, also of rows that are not shown.")]
    aliases: tuple[StatusRow, ...]
    collections: Annotated[tuple[CollectionRow, ...] | None, Meta(description="With --by collection.")] = None
    unreferenced: tuple[Unreferenced, ...] | None = None
    unread: Annotated[
        tuple[UnreadDatabase, ...] | None, Meta(description="With --all-databases: databases that cannot be read.")
    ] = None


def status_document(status: Status) -> Document:
    """Return desired and live state."""
    record = StatusDocument(status.counts, tuple(status.shown), status.collections, status.unreferenced, status.unread)
    return STATUS.document(record)


class CheckDocument(Record, frozen=True):
    """Whether a run could do what its sets need."""

    exit_code: Annotated[int, Meta(ge=0, le=1)]
    targets: tuple[TargetAccess, ...]


def check_document(found: Sequence[TargetAccess]) -> Document:
    """Return the conditions of each database."""
    return CHECK.document(CheckDocument(exit_code(found), tuple(found)))


def exercise_document(report: ExerciseReport) -> Document:
    """Return what a server did when its behaviour was exercised."""
    return EXERCISE.document(report)


class NotifyDocument(Record, frozen=True):
    """What the receivers of notifications answered."""

    receivers: tuple[ReceiverReport, ...]


def notify_document(reports: Sequence[ReceiverReport]) -> Document:
    """Return what each receiver answered."""
    return NOTIFY.document(NotifyDocument(tuple(reports)))


class ServerVersion(Record, frozen=True):
    """The version of a server."""

    address: str
    version: str


class VersionDocument(Record, frozen=True):
    """Versions of tool, client and server."""

    aliasctl: str
    python: str
    clients: Annotated[Mapping[str, str], Meta(description="By distribution.")]
    server: ServerVersion | None = None


def version_document(tool: str, python: str, clients: Mapping[str, str], server: tuple[str, str] | None) -> Document:
    """Return versions; `clients` by distribution, `server` as address and version."""
    return VERSION.document(VersionDocument(tool, python, clients, ServerVersion(*server) if server else None))


class RunDocument(Record, frozen=True):
    """One recorded run."""

    id: str
    state: RunState
    origins: Annotated[Origins, INLINE]
    tool: Tool
    plan_digest: Annotated[Digest, Meta(description="SHA-256 of what was to be done.")]
    started: Time
    summary: OutcomeCounts
    steps: tuple[PastStep, ...]
    ended: Time | None = None
    exit_code: ExitStatus | None = None
    interrupted: Annotated[bool | None, Meta(description="A signal ended it early.")] = None
    times: Annotated[Count, Meta(description="How many runs found the same, and changed nothing.")] = 1
    last: Annotated[Time | None, Meta(description="When the last of them ended.")] = None

    @classmethod
    def of(cls, run: PastRun, alias: str | None) -> RunDocument:
        """Return the document of a run, with its steps of one alias, or all."""
        counts, _ = counts_of(run)
        return cls(
            id=run.id,
            state=run.state,
            origins=run.origins,
            tool=Tool(run.tool_version),
            plan_digest=run.digest,
            started=run.started,
            summary={outcome: counts[outcome] for outcome in Outcome},
            steps=run.steps_of(alias),
            ended=run.end.time if run.end else None,
            exit_code=run.end.exit_code if run.end else None,
            interrupted=run.end.interrupted if run.end else None,
            times=run.end.times if run.end else 1,
            last=run.end.last if run.end else None,
        )


class HistoryDocument(Record, frozen=True):
    """What earlier runs did, newest first."""

    journal: Annotated[str, Meta(description="The file.")]
    damaged_entries: Annotated[Count, Meta(description="Entries that were left out because they cannot be read.")]
    runs: tuple[RunDocument, ...]
    removed_runs: Annotated[Count | None, Meta(description="Runs that history prune removed.")] = None


def history_document(
    journal: Journal, runs: Iterable[PastRun], alias: str | None, *, removed: int | None = None
) -> Document:
    """Return runs in the order given, with the steps of one alias, or all; or how many old ones were removed."""
    documents = tuple(RunDocument.of(run, alias) for run in runs)
    return HISTORY.document(HistoryDocument(str(journal.path), journal.damaged, documents, removed))


ERROR = DocumentKind("Error", ErrorDocument)
VALIDATION = DocumentKind("Validation", ValidationDocument)
EDIT = DocumentKind("Edit", EditDocument)
STATUS = DocumentKind("Status", StatusDocument, version=3)
CHECK = DocumentKind("Check", CheckDocument, version=2)
EXERCISE = DocumentKind("Exercise", ExerciseReport)
NOTIFY = DocumentKind("Notify", NotifyDocument)
VERSION = DocumentKind("Version", VersionDocument)
HISTORY = DocumentKind("History", HistoryDocument, version=3)

SCHEMAS: Mapping[str, Callable[[], Document]] = {
    **{
        kind.name: kind.schema
        for kind in (
            PLAN,
            REPORT,
            ERROR,
            VALIDATION,
            EDIT,
            STATUS,
            CHECK,
            EXERCISE,
            NOTIFY,
            VERSION,
            SETS,
            APPROVAL,
            RESOLUTION,
        )
    },
    "Journal": journal_schema,
    "History": HISTORY.schema,
}
"""The record that defines the JSON Schema of each kind of document."""
