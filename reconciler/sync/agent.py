"""One look: where the ref is, which revision is in force, what is to be done, and doing it.

    ref ──▶ head commit ──▶ signature, manifests ──▶ good: in force          plan ──▶ apply ──▶ applied
     │                                    └──▶ not good: the last good one stays in force
     └──▶ cannot be read: nothing is changed

Attempted, in force and applied are three things: the newest commit that was seen, the newest good one, and the newest
one of which all was done. The last two are kept in the mirror, as refs, and so outlive a restart.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from threading import Event, Thread

import structlog

from reconciler.catalog import Catalogs, Connect
from reconciler.core.errors import AliasctlError, Interrupted, InvalidInput
from reconciler.core.plan import Plan, Step
from reconciler.core.report import VERIFICATION_FAILED, ExitCode, Report
from reconciler.core.text import counted, listed, printable, shortened
from reconciler.git import Commit, GitError, RefNotFound, Repository, RepositoryUnreachable, TooLarge
from reconciler.journal import Journal, Origins
from reconciler.reconcile import apply_plan, make_plan
from reconciler.sync.finding import Finding, Reason, names, of_run
from reconciler.sync.last_applied import InPlace
from reconciler.sync.pace import Corrections
from reconciler.sync.pending_verification import pending, with_verification, without_verification
from reconciler.sync.progress import Progress
from reconciler.sync.revision import ConnectionsUnusable, Revision, SignatureRejected, read_revision
from reconciler.sync.settings import Settings

IN_FORCE, APPLIED = "in-force", "applied"
SHORT = 12
MAX_TOLD = 10
"""Mistakes or remarks of one commit that are told; a stranger's commit may have a million."""
MAX_LINE = 500
WATCH_SECONDS = 0.2

log = structlog.get_logger()


class Agent:
    """See above.

    Args:
        settings: what is followed.
        repository: the mirror.
        journal: where runs are written down.
        connect: opens a database.
        stop: set to end what is going on.
        wake: set when somebody says that the ref may have moved; whoever heeds it clears it.
    """

    def __init__(
        self, settings: Settings, repository: Repository, journal: Journal, connect: Connect, stop: Event, wake: Event
    ) -> None:
        self._settings = settings
        self._repository = repository
        self._journal = journal
        self._connect = connect
        self._stop = stop
        self._wake = wake
        self._corrections = Corrections(settings.interval)
        self._verifications = Corrections(settings.interval)  # each costs a soak, and a run in the journal
        self._progress = Progress()
        self._in_place = InPlace(settings.state / f"in-place-{settings.key}.json")
        self._attempted = ""
        self._refused_fetch: tuple[str, TooLarge] | None = None
        self._in_force: Revision | None = None
        self._told = ""
        self.applied = ""
        """The newest commit of which all was done; empty if there is none, or it is not known yet."""
        self.working = False
        """Whether a run is going on, which may take long on purpose."""

    def look(self) -> Finding:
        """Look once, and do what is to be done."""
        try:
            head = self._repository.head()
            broken = self._attempt(head)
            self._clear_copies()
        except (AliasctlError, OSError) as error:
            return Finding(_of_error(error), str(error), self._attempted, self._id_in_force)
        if broken:  # judged anew: whose signature counts, or a connection, may have changed meanwhile
            self._in_force = self._known(IN_FORCE)
        revision = self._in_force
        if revision is None:
            found = broken or Finding(Reason.INVALID_REVISION, "nothing is in force")
            return replace(found, attempted=self._attempted, in_force="")
        found = self._enforce(revision, head)
        if found.reason is Reason.LIMIT_EXCEEDED and (last := self._known(APPLIED)) and last.commit != revision.commit:
            kept = self._enforce(last, head)
            found = replace(found, in_force=last.commit.id, report=kept.report)
        if broken:
            aside = "" if found.reason is Reason.SYNCED else f"; meanwhile {found.message}"
            return replace(found, reason=broken.reason, message=broken.message + aside, attempted=self._attempted)
        return replace(found, attempted=self._attempted)

    @property
    def _id_in_force(self) -> str:
        return self._in_force.commit.id if self._in_force else ""

    def _attempt(self, head: str) -> Finding | None:
        """Take what the ref is at; if it cannot be used, why. Raises `GitError` if it cannot be had."""
        try:
            if self._refused_fetch and self._refused_fetch[0] == head:
                raise self._refused_fetch[1]
            commit = self._repository.fetch(head)
        except TooLarge as error:
            self._refused_fetch = (head, error)
            return self._broken(Reason.INVALID_REVISION, head, str(error))
        self._tell_of_history(commit)
        self._attempted = commit.id
        try:
            revision = read_revision(self._repository, commit, self._settings)
        except SignatureRejected as error:
            return self._broken(Reason.SIGNATURE_INVALID, commit.id, str(error))
        except (InvalidInput, GitError) as error:
            return self._broken(Reason.INVALID_REVISION, commit.id, _in_short(error))
        if commit.id != self._id_in_force:
            self._corrections.forget()
            self._verifications.forget()
            self._keep(IN_FORCE, commit.id)
        self._tell_remarks(revision)
        self._in_force = revision
        return None

    def _broken(self, reason: Reason, commit: str, message: str) -> Finding:
        self._attempted = commit
        return Finding(reason, f"revision {commit[:SHORT]} cannot be used: {message}", commit, self._id_in_force)

    def _keep(self, name: str, commit: str) -> None:
        self._repository.keep(f"{self._settings.key}/{name}", commit)

    def _kept(self, name: str) -> Commit | None:
        return self._repository.kept(f"{self._settings.key}/{name}")

    def _known(self, name: str) -> Revision | None:
        """A revision that was kept before; None if there is none, or it cannot be used any more."""
        try:
            commit = self._kept(name)
            return read_revision(self._repository, commit, self._settings) if commit else None
        except AliasctlError as error:
            log.warning("an earlier revision cannot be used either", which=name, reason=str(error))
            return None

    def _enforce(self, revision: Revision, head: str) -> Finding:
        """Make Milvus what a revision says."""
        try:
            return self._reconcile(revision, head)
        except (AliasctlError, OSError) as error:
            reason = _of_error(error) if isinstance(error, GitError | Interrupted) else Reason.MILVUS_FAILED
            return Finding(reason, str(error), in_force=revision.commit.id)

    def _reconcile(self, revision: Revision, head: str) -> Finding:
        kept = self._kept(APPLIED)
        self.applied = kept.id if kept else ""
        applied = self.applied == revision.commit.id
        self._progress.begin(revision.commit.id, applied=applied)
        self._in_place.begin(revision.sets if applied else ())
        reported = [item for item in revision.reported if self._in_place.has(item)]
        desired = [alias_set for alias_set in revision.sets if alias_set not in reported]
        found = Finding(Reason.SYNCED, _in_place(revision), in_force=revision.commit.id)
        with Catalogs(self._connect) as catalogs:
            watched = make_plan(reported, catalogs=catalogs, journal=self._journal if reported else None)
            whole = with_verification(make_plan(desired, catalogs=catalogs, journal=self._journal), watched)
            plan = without_verification(whole) if self._verifications.hold and not whole.runnable else whole
            moved = self._progress.again(plan.runnable)
            if (plan.runnable or plan.pending_verification) and not plan.refusals:  # a proof may repeat an alter
                if moved and (hold := self._corrections.hold):
                    return replace(found, reason=Reason.DRIFT_HELD, message=self._held(moved, hold))
                if self._repository.head() != head:
                    return replace(found, reason=Reason.INTERRUPTED, message="the ref has just moved; looking again")
                changed = {step.set for step in plan.runnable}
                self._in_place.leave(alias_set for alias_set in desired if alias_set.key in changed)
            report = self._apply(plan, catalogs, revision, head)
        self._progress.ended(revision.commit.id, report)
        self._in_place.ended(revision.sets, desired, report)
        if not report.wrote:
            self._corrections.rest()
        elif moved:
            self._corrections.note()
        left = pending(whole, report)
        if any(result.code in VERIFICATION_FAILED for result in report.results):
            self._verifications.note()
        elif not left:
            self._verifications.forget()
        if report.exit_code is ExitCode.DONE and not report.interrupted and not left and not applied:
            self._keep(APPLIED, revision.commit.id)
            self.applied = revision.commit.id
        return of_run(found, report, watched, left)

    def _apply(self, plan: Plan, catalogs: Catalogs, revision: Revision, head: str) -> Report:
        origins = Origins.of_this_process(
            command="sync", source=(self._settings.place,), provenance=revision.provenance
        )
        with self._watching(head) as stop:
            return apply_plan(
                plan,
                catalogs=catalogs,
                stop=stop,
                journal=self._journal,
                origins=origins,
                progress=lambda sentence: log.info(sentence),
            )

    def _held(self, moved: Sequence[Step], hold: float) -> str:
        times = counted(self._corrections.made, "time")
        return (
            f"corrected {times} at this revision, and moved again by others: {names(moved)}; "
            f"corrected again in {hold:.0f} s, or at the next commit"
        )

    @contextmanager
    def _watching(self, head: str) -> Iterator[Event]:
        """An event that ends a run early: when the agent is to stop, and when the ref has moved on.

        A commit that takes a change back must not wait for the soak of that change.
        """
        ended, over = Event(), Event()

        def watch() -> None:
            due = time.monotonic() + self._settings.interval
            while not over.wait(WATCH_SECONDS):
                if self._wake.is_set() or time.monotonic() > due:
                    self._wake.clear()  # before the look, not after: it may be set again meanwhile
                    if not self._stop.is_set() and self._moved(head):
                        ended.set()
                    due = time.monotonic() + self._settings.interval
                if self._stop.is_set() or ended.is_set():
                    ended.set()
                    self._wake.set()  # the next look, or the end, is due at once
                    return

        thread = Thread(target=watch, name="watch", daemon=True)
        thread.start()
        self.working = True
        try:
            yield ended
        finally:
            self.working = False
            over.set()

    def _moved(self, head: str) -> bool:
        try:
            return self._repository.head() != head
        except AliasctlError:
            return False  # the run was begun at what was the head; it may go on

    def _tell_of_history(self, commit: Commit) -> None:
        before = self._attempted
        if before and before != commit.id and self._repository.rewritten(commit.id, before):
            log.warning(
                "the history was rewritten: the ref does not follow from what it was at",
                before=before[:SHORT],
                now=commit.id[:SHORT],
            )

    def _tell_remarks(self, revision: Revision) -> None:
        """Once for each commit."""
        if self._told != revision.commit.id:
            self._told = revision.commit.id
            for remark in revision.remarks[:MAX_TOLD]:
                log.warning(str(remark), commit=revision.commit.id[:SHORT])
            if (left := len(revision.remarks) - MAX_TOLD) > 0:
                log.warning(f"and {left:,} more remarks", commit=revision.commit.id[:SHORT])

    def _clear_copies(self) -> None:
        """Remove the files that only earlier commits needed, or such as could not be used."""
        needed = self._in_force.copies if self._in_force else frozenset()
        for path in (self._settings.state / "files").glob("*"):
            if path not in needed:
                path.unlink()


def _in_short(error: AliasctlError) -> str:
    return printable(listed([shortened(line, MAX_LINE) for line in str(error).splitlines()], MAX_TOLD, "; "))


def _of_error(error: Exception) -> Reason:
    if isinstance(error, ConnectionsUnusable):
        return Reason.MILVUS_FAILED
    if isinstance(error, Interrupted):
        return Reason.INTERRUPTED
    if isinstance(error, RefNotFound):
        return Reason.REF_NOT_FOUND
    return Reason.GIT_UNREACHABLE if isinstance(error, RepositoryUnreachable | OSError) else Reason.GIT_REFUSED


def _in_place(revision: Revision) -> str:
    aliases = sum(len(alias_set.aliases) for alias_set in revision.sets if not alias_set.suspend)
    return f"{counted(aliases, 'alias')} as {revision.commit.id[:SHORT]} says: {revision.commit.subject}"
