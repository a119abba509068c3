"""The last finding of each set, for the status page."""

from __future__ import annotations

from msgspec import Struct

from reconciler.documents.timestamps import now
from reconciler.operator.finding import Finding
from reconciler.operator.objects import SetObject


class Latest(Struct, frozen=True):
    """The last finding of a set.

    `compared` is the last one of this generation whose reconciliation read the aliases, at `compared_at`; None if none
    did. While the server does not answer, it is older than `finding`.
    """

    generation: int
    finding: Finding
    compared: Finding | None
    compared_at: str


class Findings:
    """The last finding of each set. Thread-safe, for different sets."""

    def __init__(self) -> None:
        self._latest: dict[str, Latest] = {}  # by uid

    def put(self, set_object: SetObject, finding: Finding) -> None:
        before = self._latest.get(set_object.uid)
        compared, at = (finding, now()) if finding.plan else (None, "")
        if compared is None and before and before.generation == set_object.generation:
            compared, at = before.compared, before.compared_at
        self._latest[set_object.uid] = Latest(set_object.generation, finding, compared, at)

    def latest(self, set_object: SetObject) -> Latest | None:
        """Return the last finding of this generation of a set; None if there is none."""
        latest = self._latest.get(set_object.uid)
        return latest if latest and latest.generation == set_object.generation else None

    def forget(self, set_object: SetObject) -> None:
        self._latest.pop(set_object.uid, None)
