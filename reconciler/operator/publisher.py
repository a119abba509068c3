"""Publishing what was found about a set: its status if it differs, Events for what is new, a line in the log."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import structlog

from reconciler.core.json_strict import without_none
from reconciler.core.reasons import Reason
from reconciler.documents.timestamps import now
from reconciler.operator import status
from reconciler.operator.cluster import Cluster
from reconciler.operator.events import Events, of_finding
from reconciler.operator.finding import Finding
from reconciler.operator.objects import SetObject
from reconciler.operator.world import World

log = structlog.get_logger()


class Publisher:
    """Used by several threads, never for one set by two at once.

    Args:
        cluster: where statuses are written.
        world: where the objects go that come back.
        events: where news are told.
    """

    def __init__(self, cluster: Cluster, world: World, events: Events) -> None:
        self._cluster = cluster
        self._world = world
        self._events = events
        self._statuses: dict[str, dict[str, object]] = {}  # by uid: what we wrote last, which a watch tells us late
        self._owed: dict[str, tuple[SetObject, Finding]] = {}  # by uid: of a run, and not written yet
        self._reasons: dict[str, tuple[int, Reason]] = {}  # by uid: what was told last, and of which generation

    def newest(self, set_object: SetObject) -> SetObject:
        """A set with the status that it has by now."""
        return replace(set_object, status=self._statuses.get(set_object.uid, set_object.status))

    def take(self, set_object: SetObject) -> SetObject:
        """A set as the API server has just given it, whose status is what ours has become, whoever changed it."""
        if set_object.uid in self._statuses:
            self._statuses[set_object.uid] = dict(set_object.status)
        return set_object

    def settle(self, set_object: SetObject) -> SetObject:
        """Write what a run has found and could not be written at its end; the set with the status that it has then.

        Otherwise the next look would decide without it, and try again what had to be moved back. Raises `ClusterError`.
        """
        if pending := self._owed.get(set_object.uid):
            then, finding = pending
            self.write(replace(then, status=set_object.status), finding)
        return self.newest(set_object)

    def publish(self, set_object: SetObject, finding: Finding) -> bool:
        """Tell the news and write the status; False if the set is gone. Raises `ClusterError`."""
        self.tell(set_object, finding)
        return self.write(set_object, finding)

    def write(self, set_object: SetObject, finding: Finding, fields: Collection[str] = status.ALL) -> bool:
        """Write the status, if it differs; False if the set is gone. Raises `ClusterError`.

        Args:
            one: the set.
            finding: what was found.
            fields: those of the status that are written.
        """
        known = self._world.get(set_object.ref)
        if known is None or known.uid != set_object.uid:
            return False
        if finding.report:
            self._owed[set_object.uid] = (set_object, finding)
        set_object = self.newest(set_object)
        after = status.status_of(set_object, finding, now())
        patch = {name: value for name, value in status.merge_patch(set_object.status, after).items() if name in fields}
        if patch:
            body = self._cluster.patch_status(set_object.ref, patch)
            if body is None:
                return False
            self._world.take(body, observed=False)
            merged = {**set_object.status, **patch}
            self._statuses[set_object.uid] = without_none(**merged)
        if finding.report:
            self._owed.pop(set_object.uid, None)
        return True

    def tell(self, set_object: SetObject, finding: Finding) -> None:
        """Tell the news in the log and by Events."""
        before = self.told_last(set_object)
        if finding.reason is not before or finding.report:
            log.info(
                "reconciled",
                reason=str(finding.reason),
                detail=finding.message,
                connection=finding.desired.connection_name if finding.desired else None,
                digest=finding.plan.digest if finding.plan and finding.plan.steps else None,
            )
        for reason, note, warning in of_finding(finding, before):
            self._events.tell(set_object, reason, note, warning=warning)
        if finding.reason is not Reason.PROGRESSING:
            self._reasons[set_object.uid] = (set_object.generation, finding.reason)

    def told_last(self, set_object: SetObject) -> Reason | None:
        """The last reason that was more than "it goes on", of this very spec; a restart finds it in the status."""
        if set_object.uid not in self._reasons:
            ready = status.condition(self.newest(set_object).status, "Ready")
            if ready.get("reason") in set(Reason) - {Reason.PROGRESSING}:
                generation = int(str(ready.get("observedGeneration", 0)))
                self._reasons[set_object.uid] = (generation, Reason(str(ready["reason"])))
        generation, reason = self._reasons.get(set_object.uid, (0, None))
        return reason if generation == set_object.generation else None

    def forget(self, set_object: SetObject) -> None:
        """A set is gone."""
        self._statuses.pop(set_object.uid, None)
        self._owed.pop(set_object.uid, None)
        self._reasons.pop(set_object.uid, None)
