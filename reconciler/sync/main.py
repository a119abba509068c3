"""`aliasctl sync`: reconcile once, or again and again until stopped."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path
from threading import Event

import structlog

from reconciler.catalog import connect
from reconciler.core.errors import AliasctlError, JournalError
from reconciler.core.model import Credential
from reconciler.core.reasons import MEANINGS, Reason
from reconciler.core.text import counted, printable
from reconciler.credentials import read_secret
from reconciler.documents.timestamps import now
from reconciler.journal import Journal
from reconciler.render.status_page import Run, StatusPage, status_page
from reconciler.service.process import serving, stopping_on_signals
from reconciler.service.web import JSON, Answer, Page, liveness, page_of, probe
from reconciler.sync.agent import Agent
from reconciler.sync.finding import Finding
from reconciler.sync.metrics import SyncMetrics
from reconciler.sync.notifying import Notifications
from reconciler.sync.pace import Pace
from reconciler.sync.revision import connections_of, read_connections
from reconciler.sync.settings import Settings
from reconciler.sync.status_page import Compared, agent_page, newest_runs
from reconciler.sync.webhook import WEBHOOK_SECRET, receive

SHORTEST_PAUSE = 1.0
"""Seconds between two reconciles, however many webhooks come."""
NAP_SECONDS = 1.0
SILENT_SECONDS = 900.0
UNSEEN_INTERVALS = 5
UNSEEN_SECONDS = 300.0
INTERNAL_ERROR_SECONDS = 60.0
MAX_INTERNAL_ERRORS = 3
"""In a row, until the process counts as unhealthy."""

log = structlog.get_logger()


class Sync:
    """A process that follows one ref. Raises `InvalidInput`: a setting is invalid."""

    def __init__(self, settings: Settings, journal: Journal) -> None:
        _ensure_temporary_folder(settings.state)
        settings.check()
        read_connections(settings.connections)
        self._settings = settings
        self._stop, self._wake = Event(), Event()
        self._metrics = SyncMetrics(settings)
        self._journal = journal
        self._finding: Finding | None = None
        self._compared: Compared | None = None
        self._runs: tuple[Run, ...] | None = None  # None: to be read again
        self._internal_errors = 0  # in a row
        self._seen = self._ended = time.monotonic()
        self._repository = settings.mirror(self._stop)
        database = partial(connect, observe=self._metrics.call)
        self._notifications = Notifications(journal, partial(connections_of, settings))
        self._agent = Agent(settings, self._repository, journal, database, self._stop, self._wake, self._notifications)

    def once(self) -> Finding:
        """Reconcile once. Raises `AliasctlError`: another agent uses the state folder, or the mirror cannot be made."""
        with self._prepared():
            return self._reconcile()

    def run(
        self,
        listen: str,
        webhook_secret: Credential | None,
        *,
        allow_hosts: Collection[str] = (),
        with_status_page: bool = True,
    ) -> None:
        """Reconcile again and again, until stopped.

        Args:
            listen: `host:port` for probes, metrics, the status page and the webhook.
            webhook_secret: what webhooks are signed with; None for no webhook.
            allow_hosts: see `Web`.
            with_status_page: whether the status page is served.

        Raises:
            InvalidInput: it cannot listen there, or the webhook's secret cannot be read.
            AliasctlError: another agent uses the state folder, or the mirror cannot be made.
        """
        if webhook_secret:
            read_secret(webhook_secret, WEBHOOK_SECRET)
        pages: dict[str, Page] = {"/healthz": self._healthz, "/readyz": self._readyz, "/status": self._status}
        if with_status_page:
            pages["/"] = page_of(lambda: status_page(self._status_page()))
            pages["/problems"] = page_of(lambda: status_page(self._status_page(), problems=True))
        hooks = {"/hook": partial(receive, webhook_secret, self._wake.set)} if webhook_secret else {}
        serve = serving(listen, self._metrics, pages, hooks, allow_hosts=allow_hosts, follows=self._settings.place)
        with self._prepared(), serve:
            self._follow()

    @contextmanager
    def _prepared(self) -> Iterator[None]:
        with _locked(self._settings), stopping_on_signals(self._end), closing(self._notifications):
            self._repository.prepare()
            yield

    def _end(self) -> None:
        self._stop.set()
        self._wake.set()

    def _follow(self) -> None:
        pace = Pace(self._settings.interval)
        while not self._stop.is_set():
            try:
                finding = self._reconcile()
                self._keep(finding)
                pause = pace.after(finding)
                self._internal_errors = 0
            except Exception:
                log.exception("internal error, please report it")
                self._internal_errors += 1
                pause = INTERNAL_ERROR_SECONDS
            self._rest(pause)
            self._stop.wait(SHORTEST_PAUSE)
            self._wake.clear()

    def _rest(self, seconds: float) -> None:
        """Wait until woken; in naps, because a signal that comes in the instant before a wait does not end it."""
        due = time.monotonic() + seconds
        while (left := due - time.monotonic()) > 0 and not self._wake.wait(min(left, NAP_SECONDS)):
            pass

    def _reconcile(self) -> Finding:
        """Reconcile once and log the result."""
        self._notifications.refresh()
        try:
            finding = self._agent.reconcile()
            self._report_commit(finding)
        finally:
            self._ended = time.monotonic()
        before, self._finding = self._finding, finding
        if finding.saw_the_ref:
            self._seen = time.monotonic()
        self._metrics.reconciled(finding)
        self._log(finding, before)
        return finding

    def _report_commit(self, finding: Finding) -> None:
        """Record the status of the newest commit, if anything is known about it."""
        if finding.saw_the_ref and finding.attempted:
            try:
                self._notifications.commit(finding.attempted, finding.reason, finding.message)
            except JournalError as error:
                log.warning("the status of the commit cannot be recorded", reason=str(error))

    def _keep(self, finding: Finding) -> None:
        """Keep what the status page shows, so that its readers cost no read of the journal."""
        if finding.report and self._agent.planned:
            self._compared = Compared(self._agent.planned, finding.report, now())
        if self._runs is None or (finding.report and finding.report.wrote):
            try:
                self._runs = newest_runs(self._journal)
            except JournalError:  # the next run reports it
                self._runs = None

    def _log(self, finding: Finding, before: Finding | None) -> None:
        """Log a problem each time, and success once for each commit and after each write."""
        same = before is not None and (before.reason, before.attempted) == (finding.reason, finding.attempted)
        wrote = bool(finding.report and finding.report.wrote)
        if finding.reason is Reason.SUCCEEDED and same and not wrote:
            return
        level = log.warning if MEANINGS[finding.reason].warning else log.info
        counts = finding.report.counts if finding.report else {}
        level(
            "reconciled",
            reason=str(finding.reason),
            detail=finding.message,
            attempted=finding.attempted,
            in_force=finding.in_force,
            **({"run": finding.report.run} if finding.report and finding.report.run else {}),
            **{str(outcome): number for outcome, number in counts.items() if number},
        )

    def _healthz(self) -> Answer:
        if self._internal_errors >= MAX_INTERNAL_ERRORS:
            return probe(f"{counted(self._internal_errors, 'internal error')} in a row; see the log")
        silent = 0.0 if self._agent.working else time.monotonic() - self._ended
        return liveness(silent, SILENT_SECONDS + self._settings.interval)

    def _readyz(self) -> Answer:
        if self._finding is None:
            return probe("not reconciled yet")
        unseen = time.monotonic() - self._seen
        if unseen > max(UNSEEN_INTERVALS * self._settings.interval, UNSEEN_SECONDS) and not self._agent.working:
            message = printable(self._finding.message)
            return probe(f"the repository was last read {unseen:.0f} s ago: {message}")
        return probe(None, f"ok: {self._finding.reason}")

    def _status_page(self) -> StatusPage:
        return agent_page(
            self._settings,
            self._finding,
            self._compared,
            self._runs or (),
            applied=self._agent.applied,
            working=self._agent.working,
        )

    def _status(self) -> Answer:
        found = self._finding
        document = {
            "repository": self._settings.access.url,
            "ref": self._settings.ref,
            "path": self._settings.path,
            "reason": str(found.reason) if found else None,
            "meaning": MEANINGS[found.reason].summary if found else "not reconciled yet",
            "message": printable(found.message) if found else None,
            "attempted": found.attempted if found else None,
            "inForce": found.in_force if found else None,
            "applied": self._agent.applied,
            "internalErrors": self._internal_errors,
        }
        return Answer(HTTPStatus.OK, JSON, json.dumps(document, indent=2).encode() + b"\n")


def _ensure_temporary_folder(state: Path) -> None:
    """Keep temporary files, git's included, in the state folder where nothing else is writable, as in a container."""
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        folder = state / "tmp"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise AliasctlError(f"cannot use the folder {state}: {error.strerror}") from error
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder)


@contextmanager
def _locked(settings: Settings) -> Iterator[None]:
    """Lock the state folder: two agents in one mirror would mistake each other's commits for their own."""
    try:
        settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_owner(settings.state)
        file = (settings.state / "lock").open("w")
    except OSError as error:
        raise AliasctlError(f"cannot use the folder {settings.state}: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AliasctlError(f"another agent works in {settings.state}; give this one its own --state") from None
        yield


def _check_owner(state: Path) -> None:
    """Raise `AliasctlError` if others can write to the mirror, which decides what is applied and what git runs."""
    found = state.stat()
    if found.st_uid not in (0, os.geteuid()) or found.st_mode & stat.S_IWOTH:
        raise AliasctlError(
            f"others can write to the folder {state}: give one of your own with --state, such as {state / 'aliasctl'}, "
            "which is made if it is not there"
        )
