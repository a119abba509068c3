"""Kubernetes Events: one for each change of state, none while a state lasts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from queue import Empty, Full, Queue
from secrets import token_hex
from threading import Event as Flag
from threading import Thread

import structlog

from reconciler.core.grouping import grouped, quoted_names
from reconciler.core.plan import Action, describe_location
from reconciler.core.reasons import MEANINGS, Reason
from reconciler.core.report import Outcome, Report, StepResult
from reconciler.core.text import counted, printable_lines, shortened
from reconciler.manifest.kinds import API_VERSION
from reconciler.operator.cluster import Cluster, ClusterError
from reconciler.operator.finding import Finding
from reconciler.operator.objects import Body, SetObject

MAX_NOTE = 1000
"""Characters; the API server takes 1,024."""
MAX_PER_RUN = 20
"""Events about aliases per run; those of one move with the same outcome and message share one."""
MAX_WAITING = 1000

NORMAL, WARNING = "Normal", "Warning"
CHANGES = {Action.CREATE: "AliasCreated", Action.ALTER: "AliasAltered", Action.DROP: "AliasDropped"}

log = structlog.get_logger()


class Events:
    """Posts Events from a thread of its own, so that no reconcile waits for them."""

    def __init__(self, cluster: Cluster, identity: str) -> None:
        self._cluster = cluster
        self._identity = identity
        self._waiting: Queue[Body] = Queue(MAX_WAITING)
        self._closed = Flag()
        self._thread = Thread(target=self._post_all, name="events", daemon=True)
        self._thread.start()

    def post(self, set_object: SetObject, reason: str, note: str, *, warning: bool = False) -> None:
        """Post an Event about a set. If too many are waiting it is dropped: Events are no record."""
        now, note = datetime.now(UTC), printable_lines(note)
        event = {
            "metadata": {"namespace": set_object.ref.namespace, "name": f"{set_object.ref.name[:230]}.{token_hex(8)}"},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": "AliasSet",
                "namespace": set_object.ref.namespace,
                "name": set_object.ref.name,
                "uid": set_object.uid,
            },
            "type": WARNING if warning else NORMAL,
            "reason": reason,
            "message": shortened(note, MAX_NOTE),
            "source": {"component": "aliasctl"},
            "reportingComponent": "aliasctl.dev/operator",
            "reportingInstance": self._identity[:128],
            "firstTimestamp": now.isoformat(timespec="seconds"),
            "lastTimestamp": now.isoformat(timespec="seconds"),
            "count": 1,
        }
        with suppress(Full):
            self._waiting.put_nowait(event)

    def close(self, timeout: float) -> None:
        """Post what is waiting, for at most `timeout` seconds."""
        self._closed.set()
        self._thread.join(timeout)

    def _post_all(self) -> None:
        while True:
            try:
                event = self._waiting.get(timeout=0.2)
            except Empty:
                if self._closed.is_set():
                    return
                continue
            try:
                self._cluster.post_event(event)
            except ClusterError as error:
                log.warning("an event could not be posted", event_reason=event["reason"], why=str(error))
            except Exception:  # the other Events are posted all the same
                log.exception("internal error, please report it", event_reason=event["reason"])


def of_finding(finding: Finding, before: Reason | None) -> Iterator[tuple[str, str, bool]]:
    """Yield the Events for the result of a reconcile: reason, note, and whether it is a warning.

    `before`: the reason that was last announced for this spec; None without one.
    """
    if finding.report:
        yield from _changes(finding.report, again=finding.reason is before)
    if finding.reason is before:
        return
    if finding.drift and finding.reason is Reason.PROGRESSING:
        yield Reason.DRIFT_DETECTED, _drift(finding), True
    if finding.reason is Reason.SUCCEEDED:
        if before is not None:
            yield "Ready", finding.message, False
    elif finding.reason is not Reason.PROGRESSING:
        yield finding.reason, finding.message, MEANINGS[finding.reason].warning


def _changes(report: Report, *, again: bool) -> Iterator[tuple[str, str, bool]]:
    """Yield what was changed; and what failed, unless it failed before."""
    shown = {Outcome.DONE, Outcome.REVERTED} | (set() if again else {Outcome.FAILED})
    changes = list(grouped((result for result in report.results if result.outcome in shown), _change).items())
    for _, alike in changes[:MAX_PER_RUN]:
        yield _event(alike[0], [result.step.alias for result in alike])
    if rest := [result for _, alike in changes[MAX_PER_RUN:] for result in alike]:
        warning = any(result.outcome is not Outcome.DONE for result in rest)
        outcomes = ", ".join(sorted({str(result.outcome) for result in rest}))
        yield "AliasesChanged", f"{counted(len(rest), 'more alias')}: {outcomes}", warning


def _change(result: StepResult) -> tuple[object, ...]:
    """Return what aliases must share to have one Event."""
    failure = None if result.outcome is Outcome.DONE else result.message
    return result.outcome, result.step.action, result.step.location, result.step.desired, failure


def _event(result: StepResult, aliases: Sequence[str]) -> tuple[str, str, bool]:
    step = result.step
    what, verb = ("aliases", "are") if len(aliases) > 1 else ("alias", "is")
    what = f"{what} {quoted_names(aliases)}"
    if result.outcome is Outcome.REVERTED:
        return "AliasReverted", f"{what} {verb} {describe_location(step.current)} again: {result.message}", True
    if result.outcome is Outcome.FAILED:
        ends = f"{step.location} to {describe_location(step.desired)}"
        return "AliasFailed", f"{what}, {ends}: {result.message}", True
    if step.action is Action.CREATE:
        return CHANGES[step.action], f"{what} → {step.desired}", False
    if step.action is Action.DROP:
        return CHANGES[step.action], f"{what} {'were' if len(aliases) > 1 else 'was'} {step.location}", False
    return CHANGES[step.action], f"{what}: {step.current} → {step.desired}", False


def _drift(finding: Finding) -> str:
    first, *_ = steps = finding.drift
    found, expected = first.location, describe_location(first.desired)
    more = f" (and {len(steps) - 1:,} more)" if len(steps) > 1 else ""
    return f'alias "{first.alias}" is {found}, not {expected}{more}'
