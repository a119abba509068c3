"""Reconcile once: read the ref, choose the revision in force, decide what to do, and do it.

    ref ──▶ head commit ──▶ signature, manifests ──▶ valid: in force ──▶ plan ──▶ decide ──▶ run ──▶ applied
     │                                    └──▶ not valid: the last valid one stays in force
     └──▶ cannot be read: nothing is changed

Attempted, in force and applied are three things: the newest commit that was read, the newest valid one, and the newest
one that was fully applied. The last two are kept in the mirror, as refs, so that they survive a restart.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import structlog
from msgspec.structs import replace

from reconciler.catalog import Catalogs, Connect
from reconciler.core.decide import Apply, Memory, Nothing, Policy, Wait, conclude, decide, not_tried
from reconciler.core.errors import AliasctlError, InvalidInput
from reconciler.core.model import Target
from reconciler.core.plan import Plan, describe_undetermined
from reconciler.core.reasons import Reason
from reconciler.core.report import VERIFICATION_FAILED, Report, not_applied
from reconciler.core.run_events import RunEvent
from reconciler.core.text import counted, listed, printable, shortened
from reconciler.documents.timestamps import now
from reconciler.git import Commit, GitError, Repository, TooLarge
from reconciler.journal import Journal, Origins
from reconciler.reconcile import apply_plan, make_plan
from reconciler.render.progress import sentences
from reconciler.resolution import NamedRuns, Publication, PublishedFile
from reconciler.sync.finding import Finding, reason_of
from reconciler.sync.last_applied import LastApplied
from reconciler.sync.notifying import Notifications
from reconciler.sync.pace import BackOff
from reconciler.sync.progress import Progress
from reconciler.sync.revision import Revision, SignatureRejected, read_revision
from reconciler.sync.settings import Settings

IN_FORCE, APPLIED = "in-force", "applied"
SHORT = 12
MAX_LOGGED = 10
"""Mistakes or remarks of one commit that are logged; a stranger's commit may have a million."""
MAX_LINE = 500
WATCH_SECONDS = 0.2

log = structlog.get_logger()


class Agent:
    """Keeps the aliases of one ref up to date.

    `stop`: set to end a run early. `wake`: set when the ref may have moved; cleared by the thread that reads the ref
    then.
    """

    def __init__(
        self,
        settings: Settings,
        repository: Repository,
        journal: Journal,
        connect: Connect,
        stop: Event,
        wake: Event,
        notifications: Notifications,
    ) -> None:
        self._settings = settings
        self._repository = repository
        self._journal = journal
        self._connect = connect
        self._stop = stop
        self._wake = wake
        self._notifications = notifications
        self._corrections = BackOff(settings.interval)
        self._verifications = BackOff(settings.interval)  # each costs a soak, and a run in the journal
        self._verification_failed = ""
        self._progress = Progress()
        self._last_applied = LastApplied(settings.state / f"last-applied-{settings.key}.json")
        self._attempted = ""
        self._repaired_at = ""
        self._refused_fetch: tuple[str, TooLarge] | None = None
        self._in_force: Revision | None = None
        self._logged = ""
        self.applied = ""
        """The newest commit that was fully applied; empty if there is none, or it is not known yet."""
        self.planned: Revision | None = None
        """The revision whose sets were last planned."""
        self.working = False
        """Whether a run is in progress, which may take long on purpose."""

    def reconcile(self) -> Finding:
        """Read the ref once and apply what it says."""
        try:
            head = self._repository.head()
            broken = self._attempt(head)
            self._clear_copies()
        except (AliasctlError, OSError) as error:
            reason = Reason.GIT_UNREACHABLE if isinstance(error, OSError) else reason_of(error)
            return Finding(reason, str(error), self._attempted, self._id_in_force)
        if broken:  # read again: the accepted signatures, or a connection, may have changed since
            self._in_force = self._known(IN_FORCE)
        revision = self._in_force
        if revision is None:
            found = broken or Finding(Reason.INVALID_REVISION, "no valid commit yet")
            return replace(found, attempted=self._attempted, in_force="")
        found = self._enforce(revision, head)
        if found.reason is Reason.LIMIT_EXCEEDED and (last := self._known(APPLIED)) and last.commit != revision.commit:
            kept = self._enforce(last, head)
            found = replace(found, in_force=last.commit.id, report=kept.report)
        if broken:
            aside = "" if found.reason is Reason.SUCCEEDED else f"; at the last valid commit: {found.message}"
            return replace(found, reason=broken.reason, message=broken.message + aside, attempted=self._attempted)
        return replace(found, attempted=self._attempted)

    @property
    def _id_in_force(self) -> str:
        return self._in_force.commit.id if self._in_force else ""

    def _attempt(self, head: str) -> Finding | None:
        """Put the head commit in force, or return why it cannot be used. Raises `GitError` if it cannot be fetched."""
        try:
            if self._refused_fetch and self._refused_fetch[0] == head:
                raise self._refused_fetch[1]
            commit = self._repository.fetch(head)
        except TooLarge as error:
            self._refused_fetch = (head, error)
            return self._broken(Reason.INVALID_REVISION, head, str(error))
        except GitError:
            if not self._repaired(head):
                raise
            return self._attempt(head)
        self._log_history(commit)
        self._attempted = commit.id
        try:
            revision = read_revision(self._repository, commit, self._settings)
        except SignatureRejected as error:
            return self._broken(Reason.SIGNATURE_INVALID, commit.id, str(error))
        except (InvalidInput, GitError) as error:
            if isinstance(error, GitError) and self._repaired(head):
                return self._attempt(head)
            return self._broken(Reason.INVALID_REVISION, commit.id, _in_short(error))
        if commit.id != self._id_in_force:
            self._corrections.reset()
            self._verifications.reset()
            self._keep(IN_FORCE, commit.id)
        self._log_remarks(revision)
        self._in_force = revision
        return None

    def _repaired(self, head: str) -> bool:
        """Repair the mirror if it is damaged, at most once per commit, and return whether it was."""
        if self._repaired_at == head or not self._repository.repair():
            return False
        self._repaired_at = head
        log.warning("the mirror of the repository was damaged; it was fetched again")
        return True

    def _broken(self, reason: Reason, commit: str, message: str) -> Finding:
        self._attempted = commit
        return Finding(reason, f"revision {commit[:SHORT]} cannot be used: {message}", commit, self._id_in_force)

    def _keep(self, name: str, commit: str) -> None:
        self._repository.keep(f"{self._settings.key}/{name}", commit)

    def _kept(self, name: str) -> Commit | None:
        return self._repository.kept(f"{self._settings.key}/{name}")

    def _known(self, name: str) -> Revision | None:
        """Return a revision that was kept before; None if there is none, or it cannot be used any more."""
        try:
            commit = self._kept(name)
            return read_revision(self._repository, commit, self._settings) if commit else None
        except AliasctlError as error:
            log.warning("an earlier revision cannot be used either", which=name, reason=str(error))
            return None

    def _enforce(self, revision: Revision, head: str) -> Finding:
        """Apply a revision; errors become findings."""
        try:
            return self._apply(revision, head)
        except (AliasctlError, OSError) as error:
            return Finding(reason_of(error), str(error), in_force=revision.commit.id)

    def _apply(self, revision: Revision, head: str) -> Finding:
        """Plan a revision and do what `decide` says."""
        kept = self._kept(APPLIED)
        self.applied = kept.id if kept else ""
        applied = self.applied == revision.commit.id
        self._progress.begin(revision.commit.id, applied=applied)
        self._last_applied.load(revision.sets if applied else ())
        found = Finding(Reason.SUCCEEDED, _up_to_date(revision), in_force=revision.commit.id)
        with Catalogs(self._connect) as catalogs:
            plan = self._plan(revision, catalogs)
            self.planned = revision
            runs = NamedRuns(self._journal)
            published = self._published(plan, revision, catalogs, runs)
            policy = Policy(report_drift=frozenset(alias_set.key for alias_set in revision.reported))
            memory = self._memory(revision, plan)
            self._notifications.planned(plan, self._origins(revision), revision.sets, _drifted(plan, memory))
            match decide(plan, policy, memory):
                case Wait(reason=Reason.DRIFT_BACK_OFF, message=message):
                    return replace(found, reason=Reason.DRIFT_BACK_OFF, message=message)
                case Wait(plan=waiting, reason=reason, message=message):
                    report = _not_applied(waiting)
                case Nothing():
                    reason, message, report = Reason.SUCCEEDED, "", _not_applied(plan)
                case Apply(plan=changes, drift=drift):
                    if self._repository.head() != head:
                        return replace(found, reason=Reason.PROGRESSING, message="the ref has moved; reading it again")
                    report = self._run(changes, catalogs, revision, head, runs, published)
                    reason, message = conclude(report, drift)
        self._remember(revision, report, reason)
        message = message or "; ".join(filter(None, (found.message, describe_undetermined(report.plan.undetermined))))
        return replace(found, reason=reason, message=message, report=report)

    def _plan(self, revision: Revision, catalogs: Catalogs) -> Plan:
        """Return the plan of all sets. Those whose drift is only reported do not change, so they are planned apart."""
        reported = {alias_set.key for alias_set in revision.reported if self._last_applied.has(alias_set)}
        return make_plan(revision.sets, catalogs=catalogs, journal=self._journal, apart=reported)

    def _published(self, plan: Plan, revision: Revision, catalogs: Catalogs, runs: NamedRuns) -> Publication | None:
        """Publish where the aliases are, if that is desired; return what publishes their moves."""
        if self._settings.publish is None or plan.refusals:
            return None
        published = Publication(PublishedFile(self._settings.publish), plan, catalogs, runs, sets=revision.sets)
        published.begin()
        if published.problem:
            log.warning("the resolution is not published", reason=published.problem)
        return published

    def _memory(self, revision: Revision, plan: Plan) -> Memory:
        failed = self._verification_failed if plan.pending_verification and self._verifications.seconds else ""
        return Memory(
            applied=frozenset(alias_set.key for alias_set in revision.sets if self._last_applied.has(alias_set)),
            verification_failed=failed,
            made=self._progress.made(plan.runnable),
            corrections=self._corrections.count,
            back_off=self._corrections.seconds,
        )

    def _remember(self, revision: Revision, report: Report, reason: Reason) -> None:
        """Keep what the next reconcile, or the next process, must know."""
        corrected = report.wrote and self._progress.made(report.plan.runnable)
        self._progress.record(revision.commit.id, report)
        self._last_applied.record(revision.sets, report)
        if corrected:
            self._corrections.repeated()
        elif not report.wrote:
            self._corrections.not_needed()
        if any(result.code in VERIFICATION_FAILED for result in report.results):
            self._verification_failed = conclude(report)[1]
            self._verifications.repeated()
        elif not not_tried(report):
            self._verifications.reset()
        if reason in (Reason.SUCCEEDED, Reason.DRIFT_DETECTED) and self.applied != revision.commit.id:
            self._keep(APPLIED, revision.commit.id)
            self.applied = revision.commit.id

    def _run(
        self,
        plan: Plan,
        catalogs: Catalogs,
        revision: Revision,
        head: str,
        runs: NamedRuns,
        published: Publication | None,
    ) -> Report:
        changing = {step.set for step in plan.runnable}
        self._last_applied.invalidate(alias_set for alias_set in revision.sets if alias_set.key in changing)
        self._notifications.commit(revision.commit.id, Reason.PROGRESSING, f"{counted(len(plan.runnable), 'change')}")
        log_event = sentences(log.info)

        def take(event: RunEvent) -> None:
            log_event(event)
            self._notifications.wake()

        with self._watching(head) as stop:
            report = apply_plan(
                plan,
                catalogs=catalogs,
                stop=stop,
                journal=runs,
                origins=self._origins(revision),
                on_event=published.beside(take) if published else take,
            )
        if published:
            published.flush()
            if published.problem:
                log.warning("the resolution is not published", reason=published.problem)
        return report

    def _origins(self, revision: Revision) -> Origins:
        return Origins.of_this_process(command="sync", source=(self._settings.place,), provenance=revision.provenance)

    @contextmanager
    def _watching(self, head: str) -> Iterator[Event]:
        """Yield an event that ends a run early: when the agent is to stop, and when the ref has moved.

        A commit that reverts a change must not wait for the soak of that change.
        """
        ended, over = Event(), Event()

        def watch() -> None:
            due = time.monotonic() + self._settings.interval
            while not over.wait(WATCH_SECONDS):
                if self._wake.is_set() or time.monotonic() > due:
                    self._wake.clear()  # before reading the ref, not after: it may be set again in between
                    if not self._stop.is_set() and self._moved(head):
                        ended.set()
                    due = time.monotonic() + self._settings.interval
                if self._stop.is_set() or ended.is_set():
                    ended.set()
                    self._wake.set()  # the next reconcile, or the end, is due at once
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
            return False  # the run began at the head of that time; it may go on

    def _log_history(self, commit: Commit) -> None:
        before = self._attempted
        if before and before != commit.id and self._repository.rewritten(commit.id, before):
            log.warning(
                "the history was rewritten: the ref does not follow from what it was at",
                before=before[:SHORT],
                now=commit.id[:SHORT],
            )

    def _log_remarks(self, revision: Revision) -> None:
        """Log the remarks once per commit."""
        if self._logged != revision.commit.id:
            self._logged = revision.commit.id
            for remark in revision.remarks[:MAX_LOGGED]:
                log.warning(str(remark), commit=revision.commit.id[:SHORT])
            if (left := len(revision.remarks) - MAX_LOGGED) > 0:
                log.warning(f"and {left:,} more remarks", commit=revision.commit.id[:SHORT])

    def _clear_copies(self) -> None:
        """Remove the files of earlier commits, and of commits that could not be used."""
        needed = self._in_force.copies if self._in_force else frozenset()
        for path in (self._settings.state / "files").glob("*"):
            if path not in needed:
                path.unlink()


def _in_short(error: AliasctlError) -> str:
    return printable(listed([shortened(line, MAX_LINE) for line in str(error).splitlines()], MAX_LOGGED, "; "))


def _drifted(plan: Plan, memory: Memory) -> frozenset[tuple[Target, str]]:
    """Return the aliases that something else moved since they were applied."""
    return frozenset(
        (target.target, step.alias)
        for target in plan.targets
        for step in target.steps
        if step.set in memory.applied or (step.set, step.alias) in memory.made
    )


def _not_applied(plan: Plan) -> Report:
    at = now()
    return Report(plan, tuple(not_applied(target, refused=bool(plan.refusals)) for target in plan.targets), at, at)


def _up_to_date(revision: Revision) -> str:
    aliases = sum(len(alias_set.aliases) for alias_set in revision.sets if not alias_set.suspend)
    return f"{counted(aliases, 'alias')} up to date with commit {revision.commit.id[:SHORT]}"
