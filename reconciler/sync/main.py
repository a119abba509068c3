"""`aliasctl sync`: the loop, and what surrounds it."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path
from threading import Event

import structlog

from reconciler.catalog import connect
from reconciler.core.errors import AliasctlError
from reconciler.core.model import Credential
from reconciler.core.text import printable
from reconciler.git import Remote, Repository
from reconciler.git.command import Git
from reconciler.journal import Journal
from reconciler.service.web import JSON, Answer, Web, metrics, verdict
from reconciler.sync.agent import Agent
from reconciler.sync.finding import MEANINGS, Finding, Reason
from reconciler.sync.metrics import SyncMetrics
from reconciler.sync.pace import Pace
from reconciler.sync.revision import read_connections
from reconciler.sync.settings import Settings
from reconciler.sync.webhook import receive
from reconciler.version import __version__

SHORTEST_PAUSE = 1.0
"""Seconds between two looks, however often somebody knocks."""
NAP_SECONDS = 1.0
SILENT_SECONDS = 900.0
UNSEEN_INTERVALS = 5
UNSEEN_SECONDS = 300.0
AFTER_A_BUG_SECONDS = 60.0

log = structlog.get_logger()


class Sync:
    """One process that follows one ref.

    Args:
        settings: what is followed.
        journal: where runs are written down.

    Raises:
        InvalidInput: a setting that cannot be meant.
        GitError: git is not there, or the mirror cannot be made.
    """

    def __init__(self, settings: Settings, journal: Journal) -> None:
        settings.check()
        read_connections(settings.connections)
        self._settings = settings
        self._stop, self._wake = Event(), Event()
        self._metrics = SyncMetrics(settings)
        self._finding: Finding | None = None
        self._seen = time.monotonic()
        self._ended = time.monotonic()
        git = Git(stop=self._stop)
        self._repository = Repository(
            Remote(settings.access, git),
            settings.ref,
            settings.state / "mirror.git",
            git,
            max_fetch_mib=settings.max_fetch_mib,
        )
        self._agent = Agent(
            settings,
            self._repository,
            journal,
            partial(connect, observe=self._metrics.call),
            self._stop,
            self._wake,
        )

    def once(self) -> Finding:
        """Look once."""
        with _alone(self._settings), self._ending_on_signals():
            self._repository.prepare()
            self._look()
        return self._finding or Finding(Reason.INTERRUPTED, "interrupted")

    def run(self, listen: str, webhook_secret: Credential | None) -> None:
        """Look again and again, until told to stop.

        Args:
            listen: `host:port` for probes, metrics and the webhook.
            webhook_secret: what webhooks are signed with; None for no webhook.

        Raises:
            InvalidInput: it cannot listen there.
            AliasctlError: another agent has the state folder.
        """
        pages = {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": lambda: metrics(self._metrics.text()),
            "/status": self._status,
        }
        hooks = {"/hook": partial(receive, webhook_secret, self._wake.set)} if webhook_secret else {}
        with _alone(self._settings), self._ending_on_signals():
            self._repository.prepare()
            web = Web(listen, pages, hooks)
            log.info("started", version=__version__, follows=self._settings.place, port=web.port)
            try:
                self._follow()
            finally:
                web.close()
                log.info("stopped")

    def _follow(self) -> None:
        pace = Pace(self._settings.interval)
        while not self._stop.is_set():
            finding = self._look()
            self._rest(pace.after(finding) if finding else AFTER_A_BUG_SECONDS)
            self._stop.wait(SHORTEST_PAUSE)
            self._wake.clear()

    def _rest(self, seconds: float) -> None:
        """Until it is woken; in naps, because a signal that comes in the instant before a wait does not end it."""
        due = time.monotonic() + seconds
        while (left := due - time.monotonic()) > 0 and not self._wake.wait(min(left, NAP_SECONDS)):
            pass

    def _look(self) -> Finding | None:
        """Look once and tell; None if that found a bug of ours."""
        try:
            finding = self._agent.look()
        except Exception:
            log.exception("internal error, please report it")
            return None
        finally:
            self._ended = time.monotonic()
        before, self._finding = self._finding, finding
        if finding.saw_the_ref:
            self._seen = time.monotonic()
        self._metrics.looked(finding)
        self._tell(finding, before)
        return finding

    def _tell(self, finding: Finding, before: Finding | None) -> None:
        """Into the log: trouble each time, and that all is well once for each commit and after each write."""
        same = before is not None and (before.reason, before.attempted) == (finding.reason, finding.attempted)
        wrote = bool(finding.report and finding.report.wrote)
        if finding.reason is Reason.SYNCED and same and not wrote:
            return
        tell = log.info if finding.reason in (Reason.SYNCED, Reason.INTERRUPTED) else log.warning
        counts = finding.report.counts if finding.report else {}
        tell(
            "found",
            reason=str(finding.reason),
            detail=finding.message,
            attempted=finding.attempted,
            in_force=finding.in_force,
            **({"run": finding.report.run} if finding.report and finding.report.run else {}),
            **{str(outcome): number for outcome, number in counts.items() if number},
        )

    def _healthz(self) -> Answer:
        running = time.monotonic() - self._ended
        longest = SILENT_SECONDS + self._settings.interval
        stuck = running > longest and not self._agent.working
        return verdict(f"no sign of life for {running:.0f} s" if stuck else None)

    def _readyz(self) -> Answer:
        if self._finding is None:
            return verdict("not looked yet")
        unseen = time.monotonic() - self._seen
        if unseen > max(UNSEEN_INTERVALS * self._settings.interval, UNSEEN_SECONDS) and not self._agent.working:
            message = printable(self._finding.message)
            return verdict(f"the repository was last read {unseen:.0f} s ago: {message}")
        return verdict(None, f"ok: {self._finding.reason}")

    def _status(self) -> Answer:
        found = self._finding
        document = {
            "repository": self._settings.access.url,
            "ref": self._settings.ref,
            "path": self._settings.path,
            "reason": str(found.reason) if found else None,
            "meaning": MEANINGS[found.reason] if found else "not looked yet",
            "message": printable(found.message) if found else None,
            "attempted": found.attempted if found else None,
            "inForce": found.in_force if found else None,
            "applied": self._agent.applied,
        }
        return HTTPStatus.OK, JSON, json.dumps(document, indent=2).encode() + b"\n"

    @contextmanager
    def _ending_on_signals(self) -> Iterator[None]:
        def end(*_: object) -> None:
            self._stop.set()
            self._wake.set()

        before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Hold the state folder: two agents in one mirror would take each other's commits for their own."""
    try:
        settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_ours(settings.state)
        file = (settings.state / "lock").open("w")
    except OSError as error:
        raise AliasctlError(f"cannot use the folder {settings.state}: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AliasctlError(f"another agent works in {settings.state}; give this one its own --state") from None
        yield


def _check_ours(state: Path) -> None:
    """Whoever can write to the mirror decides what is applied, and what git runs. Raises `AliasctlError`."""
    found = state.stat()
    if found.st_uid not in (0, os.geteuid()) or found.st_mode & stat.S_IWOTH:
        raise AliasctlError(
            f"others can write to the folder {state}: give one of your own with --state, such as {state / 'aliasctl'}, "
            "which is made if it is not there"
        )
